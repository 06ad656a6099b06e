import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
processors = pytest.importorskip("tokenizers").processors

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model.connectors import MLPConnector  # noqa: E402
from gifqa.model.global_local import GlobalLocal  # noqa: E402
from gifqa.model.qformer import QFormer, QFormerConfig  # noqa: E402
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection  # noqa: E402
from gifqa.model.vision_language_model import (  # noqa: E402
    IGNORE_INDEX,
    VisionLanguageModel,
    build_language_batch,
)
from gifqa.prompt import DESCRIBE_QUESTION, question_prompt  # noqa: E402

QUESTIONS = ["What colour is it?", "Is it red or blue, and what is it?"]
ANSWERS = ["red", "a blue screen"]
K, EOS = 3, 2
CONFIG = QFormerConfig(
    grid_channels=6, grid_size=4, text_size=12, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
    num_query_tokens=K, max_frames=2, dropout=0.0,
)  # fmt: skip


@pytest.fixture
def tokenizer(make_word_tokenizer):
    return make_word_tokenizer([question_prompt(text) for text in (*QUESTIONS, DESCRIBE_QUESTION)] + ANSWERS)


@pytest.fixture
def model(tokenizer, make_language_model):
    torch.manual_seed(0)
    language_model = make_language_model(tokenizer.get_vocab_size())
    head = AnswerHead(32, torch.randn(4, 12))
    return VisionLanguageModel(QFormer(CONFIG), LanguageProjection(32, 32, 0.5), head, language_model).eval()


@pytest.fixture
def batch(tokenizer):
    return build_language_batch(tokenizer, QUESTIONS, ANSWERS, K, EOS)


def test_labels_are_the_answer_and_its_end_and_nothing_of_prompt_and_pictures(batch, tokenizer):
    for row, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
        prompt = tokenizer.encode(question_prompt(question)).ids
        target = [*tokenizer.encode(answer).ids, EOS]
        before = K + len(prompt) + 1
        labels = batch.labels[row].tolist()

        assert labels[:before] == [IGNORE_INDEX] * before
        assert labels[before : before + len(target)] == target
        assert set(labels[before + len(target) :]) <= {IGNORE_INDEX}
        assert batch.input_ids[row, K : before - 1].tolist() == prompt
        assert batch.input_ids[row, before : before + len(target)].tolist() == target
        assert batch.attention_mask[row].sum() == before + len(target)


def test_the_hint_stands_right_before_the_answer(batch):
    for row, position in batch.hint_mask.nonzero().tolist():
        assert batch.labels[row, position] == IGNORE_INDEX
        assert batch.labels[row, position + 1] != IGNORE_INDEX


def test_without_an_answer_the_sequence_ends_at_the_hint(tokenizer):
    batch = build_language_batch(tokenizer, QUESTIONS[:1], [""], K, EOS)

    assert batch.hint_mask.nonzero().tolist() == [[0, batch.input_ids.shape[1] - 1]]
    assert set(batch.labels[0].tolist()) == {IGNORE_INDEX}


def test_visual_tokens_stand_in_their_places_and_the_first_one_twice(model, batch):
    visual = torch.randn(2, K, 32)
    embeds = model.inputs_embeds(visual, batch)

    torch.testing.assert_close(embeds[:, :K], visual)
    for row, position in batch.hint_mask.nonzero().tolist():
        torch.testing.assert_close(embeds[row, position], visual[row, 0])
        words = model.language_model.get_input_embeddings()(batch.input_ids[row])
        torch.testing.assert_close(embeds[row, K:position], words[K:position])
        torch.testing.assert_close(embeds[row, position + 1 :], words[position + 1 :])


def test_logits_at_the_answer_are_those_of_the_whole_model(model, batch):
    visual = torch.randn(2, K, 32)
    with torch.no_grad():
        logits, labels = model.answer_logits(visual, batch)
        embeds = model.inputs_embeds(visual, batch)
        everywhere = model.language_model(inputs_embeds=embeds, attention_mask=batch.attention_mask).logits
    at = batch.labels[:, 1:] != IGNORE_INDEX

    torch.testing.assert_close(logits, everywhere[:, :-1][at], atol=1e-5, rtol=1e-5)
    assert torch.equal(labels, batch.labels[:, 1:][at])


def test_batched_is_single(model, batch, tokenizer):
    visual = torch.randn(2, K, 32)
    with torch.no_grad():
        together, _ = model.answer_logits(visual, batch)
        alone = [
            model.answer_logits(
                visual[row : row + 1],
                build_language_batch(tokenizer, [QUESTIONS[row]], [ANSWERS[row]], K, EOS),
            )[0]
            for row in range(2)
        ]

    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("design", ["model", "plain"])
def test_answers_of_one_row_are_read_as_if_each_had_a_row_of_its_own(design, tokenizer, request):
    model = request.getfixturevalue(design)
    rows = [ANSWERS, ANSWERS[:1]]
    packed = model.language_batch(tokenizer, QUESTIONS, rows)
    visual = torch.randn(2, model.num_visual_tokens, 32)
    with torch.no_grad():
        together, labels = model.answer_logits(visual, packed)
        alone = [
            model.answer_logits(visual[row : row + 1], model.language_batch(tokenizer, [question], [answer]))
            for row, (question, answers) in enumerate(zip(QUESTIONS, rows, strict=True))
            for answer in answers
        ]

    torch.testing.assert_close(together, torch.cat([logits for logits, _ in alone]), atol=1e-5, rtol=1e-5)
    assert labels.tolist() == torch.cat([labels for _, labels in alone]).tolist()
    counts = [len(labels) for _, labels in alone]
    assert packed.label_weights.sum(1).tolist() == [(counts[0] + counts[1]) / 2, counts[2]]
    unpacked = sum(
        int(model.language_batch(tokenizer, QUESTIONS[:1], [one]).attention_mask.sum()) for one in ANSWERS
    )
    assert packed.attention_mask[0].sum() < unpacked


def test_forward_gives_the_loss_that_trains_every_part(model, batch):
    model.train()
    grid, frames = torch.randn(2, 2, 4, 6), torch.ones(2, 2, dtype=torch.bool)
    question, words = torch.randn(2, 5, 12), torch.ones(2, 5, dtype=torch.bool)
    loss, states = model(grid, frames, question, words, batch)
    loss.backward()

    assert states.shape == (2, K, 32)
    assert loss.item() > 0
    for part in (model.connector.query_tokens, model.language_projection.linear.weight):
        assert part.grad.abs().sum() > 0


@pytest.fixture
def plain(tokenizer, make_gpt2):
    """The seed's design: no answer head, no hint, a linear projection, GPT-2; frame by frame."""
    torch.manual_seed(0)
    connector = MLPConnector(6, 4, num_frames=2, tokens_per_frame=1, hidden_size=8)
    gpt2 = make_gpt2(tokenizer.get_vocab_size())
    return VisionLanguageModel(connector, torch.nn.Linear(8, 32), None, gpt2, hint=False).eval()


def test_without_a_hint_the_answer_follows_the_prompt(plain, tokenizer):
    batch = plain.language_batch(tokenizer, QUESTIONS, ANSWERS)
    for row, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True)):
        ids = tokenizer.encode(question_prompt(question)).ids + tokenizer.encode(answer).ids + [EOS]
        assert batch.input_ids[row, 2 : 2 + len(ids)].tolist() == ids
        assert batch.attention_mask[row].sum() == 2 + len(ids)
    visual = torch.randn(2, 2, 32)
    words = plain.language_model.get_input_embeddings()(batch.input_ids)

    assert batch.hint_mask is None
    torch.testing.assert_close(plain.inputs_embeds(visual, batch)[:, 2:], words[:, 2:])


def test_gpt_2_is_trained_plainly(plain, tokenizer):
    grid, frames, nothing = torch.randn(2, 2, 4, 6), torch.ones(2, 2, dtype=torch.bool), torch.empty(0)
    batch = plain.language_batch(tokenizer, QUESTIONS, ANSWERS)
    loss, states = plain(grid, frames, nothing, nothing, batch)
    loss.backward()

    assert states.shape == (2, 2, 8)
    assert plain.connector.cell_projection.weight.grad.abs().sum() > 0
    embeds = plain.inputs_embeds(plain.visual_tokens(states), batch)
    whole = plain.language_model(
        inputs_embeds=embeds, attention_mask=batch.attention_mask, labels=batch.labels
    )
    torch.testing.assert_close(loss, whole.loss)


def test_the_global_and_local_input_shortens_the_sequence(plain, tokenizer):
    shortened = VisionLanguageModel(
        plain.connector, plain.language_projection, None, plain.language_model,
        global_local=GlobalLocal(32, num_frames=2, tokens_per_frame=1, num_local=1), hint=False,
    )  # fmt: skip

    assert (plain.num_visual_tokens, shortened.num_visual_tokens) == (2, 1)
    assert shortened.visual_tokens(torch.randn(3, 2, 8)).shape == (3, 1, 32)


def test_words_that_a_tokenizer_puts_around_texts_stay_out_of_the_sequence(tokenizer):
    start = tokenizer.token_to_id("<pad>")
    before = build_language_batch(tokenizer, QUESTIONS[:1], ANSWERS[:1], K, EOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<pad> $A", special_tokens=[("<pad>", start)]
    )
    after = build_language_batch(tokenizer, QUESTIONS[:1], ANSWERS[:1], K, EOS)

    assert torch.equal(before.input_ids, after.input_ids)


def test_parts_that_do_not_fit_are_refused(plain, tokenizer, make_gpt2):
    connector, gpt2 = plain.connector, plain.language_model
    with pytest.raises(ConfigError, match="reads states of width 9, but the connector MLPConnector gives 8"):
        VisionLanguageModel(connector, torch.nn.Linear(9, 32), None, gpt2)
    with pytest.raises(
        ConfigError, match=r"gives tokens of width 30, but the language model's word .* have 32"
    ):
        VisionLanguageModel(connector, LanguageProjection(8, 30, 1.0), None, gpt2)
    with pytest.raises(
        ConfigError, match="global_local needs a connector that goes frame by frame; QFormer mixes"
    ):
        VisionLanguageModel(
            QFormer(CONFIG), torch.nn.Linear(32, 32), None, gpt2, global_local=GlobalLocal(32, 2, 1, 1)
        )
    many = MLPConnector(6, 4, num_frames=64, tokens_per_frame=4, hidden_size=8)
    with pytest.raises(ConfigError, match="gives 256 visual tokens, but the language model has 256 places"):
        VisionLanguageModel(many, torch.nn.Linear(8, 32), None, gpt2)
