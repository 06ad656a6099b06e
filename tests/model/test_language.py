import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("tokenizers")

from tokenizers import Tokenizer  # noqa: E402

from gifqa.errors import CheckpointError, ConfigError  # noqa: E402
from gifqa.model.language import (  # noqa: E402
    INT4_BLOCK,
    INT4_PROJECTIONS,
    LORA_TARGETS,
    add_lora,
    cut_vocabulary,
    int4_values,
    load_language_model,
    round_for_int4,
    save_cut_model,
)

TEXTS = [
    "What colour is the skateboard?", "A snowboarder jumps over a trampoline.", "naïve café ☕ 7,5 %",
    "the trampoline the skateboard the snowboarder",
]  # fmt: skip
SIZE = 300


@pytest.fixture
def tokenizer(make_bpe_tokenizer):
    return make_bpe_tokenizer(TEXTS, SIZE)


def test_a_cut_vocabulary_still_spells_every_text(tokenizer):
    cut = Tokenizer.from_str(json.dumps(cut_vocabulary(json.loads(tokenizer.to_str()), 290)))
    assert cut.get_vocab_size() == 290 < tokenizer.get_vocab_size()

    for text in (*TEXTS, "Zebra\n\tÄ 🦓"):
        ids = cut.encode(text).ids
        assert cut.decode(ids) == text
        assert max(ids) < 290
        assert len(ids) >= len(tokenizer.encode(text).ids)


def test_tokens_that_stay_keep_their_numbers(tokenizer):
    specification = json.loads(tokenizer.to_str())
    cut = cut_vocabulary(specification, 290)

    assert cut["model"]["vocab"] == {
        word: i for word, i in specification["model"]["vocab"].items() if i < 290
    }
    assert [token["content"] for token in cut["added_tokens"]] == ["<pad>", "<start>", "<end>"]
    assert len(specification["model"]["vocab"]) == SIZE  # the given one is as it was


def test_merges_of_both_spellings_are_cut(tokenizer):
    """Older files of `tokenizers` write a merge as one string, newer ones as a pair."""
    specification = json.loads(tokenizer.to_str())
    pairs = [
        merge.split(" ") if isinstance(merge, str) else merge for merge in specification["model"]["merges"]
    ]
    strings = specification | {
        "model": specification["model"] | {"merges": [" ".join(pair) for pair in pairs]}
    }
    lists = specification | {"model": specification["model"] | {"merges": pairs}}

    cut = [cut_vocabulary(given, 290)["model"]["merges"] for given in (strings, lists)]
    assert cut[0] == [" ".join(pair) for pair in cut[1]]
    assert 0 < len(cut[1]) < len(pairs)


def test_other_tokenizers_cannot_be_cut(make_word_tokenizer):
    specification = json.loads(make_word_tokenizer(["a b"]).to_str())

    with pytest.raises(
        CheckpointError, match=r"of type WordLevel; only BPE vocabularies can be cut\. Choose"
    ):
        cut_vocabulary(specification, 3)


@pytest.fixture
def folder(tmp_path, tokenizer, make_language_model):
    """A language model with its tokenizer as `save_pretrained` leaves them."""
    make_language_model(SIZE).save_pretrained(tmp_path / "whole")
    tokenizer.save(str(tmp_path / "whole" / "tokenizer.json"))
    (tmp_path / "whole/tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return tmp_path / "whole"


def test_a_cut_model_scores_the_tokens_that_stay_as_before(folder, tmp_path):
    save_cut_model(str(folder), tmp_path / "cut", 290)
    whole, cut = load_language_model(str(folder)), load_language_model(str(tmp_path / "cut"))
    ids = torch.tensor([[5, 200, 289, 7]])

    assert cut.config.vocab_size == 290
    with torch.no_grad():
        torch.testing.assert_close(cut(ids).logits, whole(ids).logits[..., :290])
    assert Tokenizer.from_file(str(tmp_path / "cut/tokenizer.json")).get_vocab_size() == 290


def test_a_vocabulary_that_is_small_enough_stays_whole(folder, tmp_path):
    save_cut_model(str(folder), tmp_path / "cut", 5000)

    assert load_language_model(str(tmp_path / "cut")).config.vocab_size == SIZE


def test_the_token_that_ends_a_text_must_stay(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text()) | {"eos_token_id": 295}
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(
        CheckpointError, match=r"ends texts with token 295, which a vocabulary of 290 does not have"
    ):
        save_cut_model(str(folder), tmp_path / "cut", 290)


def test_a_model_with_an_output_layer_of_its_own_is_refused(folder, tmp_path, edit_weights):
    edit_weights(
        folder,
        lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()}),
    )
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(
        CheckpointError, match=r"has an output layer of its own; only models with tied embeddings"
    ):
        save_cut_model(str(folder), tmp_path / "cut", 290)


def test_an_output_layer_of_its_own_stays_where_nothing_is_cut(folder, tmp_path, edit_weights):
    edit_weights(
        folder,
        lambda weights: weights.update({"lm_head.weight": 2 * weights["model.embed_tokens.weight"]}),
    )
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": False}
    (folder / "config.json").write_text(json.dumps(config))
    save_cut_model(str(folder), tmp_path / "copy", 0)
    model = load_language_model(str(tmp_path / "copy"))

    words, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    torch.testing.assert_close(output, 2 * words)


def test_weights_that_are_missing_are_named(folder, edit_weights):
    edit_weights(folder, lambda weights: weights.pop("model.norm.weight"))

    with pytest.raises(CheckpointError, match=r"lacks model\.norm\.weight; every weight must be"):
        load_language_model(str(folder))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"holds no language model that can be loaded .* Check the path"
    ):
        load_language_model(str(tmp_path))


def test_lora_changes_nothing_at_first_and_is_all_that_trains(make_language_model):
    pytest.importorskip("peft")
    model, ids = make_language_model(50), torch.tensor([[3, 4, 5]])
    with torch.no_grad():
        before = model(ids).logits
        wrapped = add_lora(model, rank=2, alpha=4)
        torch.testing.assert_close(wrapped(ids).logits, before)

    trained = {name for name, value in wrapped.named_parameters() if value.requires_grad}
    assert trained and all("lora_" in name for name in trained)
    assert len(trained) == 2 * len(LORA_TARGETS) * 2  # two matrices for each layer that is named, two blocks


def test_of_gpt_2_the_attention_gets_lora():
    pytest.importorskip("peft")
    config = transformers.GPT2Config(
        n_embd=16, n_layer=2, n_head=2, vocab_size=40, eos_token_id=2, bos_token_id=1
    )
    wrapped = add_lora(transformers.GPT2LMHeadModel(config), rank=2, alpha=4)
    trained = [name for name, value in wrapped.named_parameters() if value.requires_grad]

    assert len(trained) == 4
    assert all(".attn.c_attn.lora_" in name for name in trained)


def test_targets_that_the_model_does_not_have_are_refused_with_those_it_has(make_language_model):
    pytest.importorskip("peft")

    with pytest.raises(ConfigError, match=r"lora_targets is \['c_attn'\], .* has down_proj, gate_proj"):
        add_lora(make_language_model(50), rank=2, alpha=4, targets=("c_attn",))


def test_four_bits_hold_sixteen_values_a_block_and_zero_is_one_of_them():
    weight = torch.randn(6, 2 * INT4_BLOCK)
    weight[:, :5] = 0
    rounded = int4_values(weight)
    blocks, original = rounded.view(6, 2, INT4_BLOCK), weight.view(6, 2, INT4_BLOCK)
    step = (original.amax(-1).clamp(min=0) - original.amin(-1).clamp(max=0)) / 15

    assert all(len(block.unique()) <= 16 for block in blocks.flatten(0, 1))
    assert ((blocks - original).abs() <= step[..., None] * 1.01).all()
    assert rounded[:, :5].abs().max() == 0
    torch.testing.assert_close(int4_values(rounded), rounded, atol=1e-6, rtol=1e-5)


def test_only_the_projections_that_carry_no_lora_are_rounded(make_language_model):
    model = make_language_model(50)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    round_for_int4(model)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}

    assert changed == {name for name in before if any(part in name for part in INT4_PROJECTIONS)}
    assert not set(INT4_PROJECTIONS) & set(LORA_TARGETS)
