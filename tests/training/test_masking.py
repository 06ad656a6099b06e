import random

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from gifqa.model.vision_language_model import (  # noqa: E402
    IGNORE_INDEX,
    LanguageBatch,
    build_language_batch,
)
from gifqa.training.masking import draw_kept, drop_tokens, evaluating, teacher_states  # noqa: E402
from gifqa.training.recipe import MaskedVideoModelling  # noqa: E402

SETTINGS = MaskedVideoModelling()


@pytest.mark.parametrize("limits", [(0.3, 0.7), (0.1, 0.7), (0.45, 0.5)])
def test_every_row_drops_floor_of_the_rate_which_stays_in_its_range(limits):
    settings = MaskedVideoModelling(rate_spread=0.3, rate_range=limits)
    counts = set()
    for seed in range(200):
        dropped = (~draw_kept(20, 5, settings, random.Random(seed))).sum(1)
        assert dropped.unique().numel() == 1
        counts.add(int(dropped[0]))

    assert min(counts) == int(limits[0] * 20)
    assert max(counts) == int(limits[1] * 20)


@pytest.mark.parametrize("rate", [0.3, 0.34, 0.5, 0.66])
def test_a_fixed_rate_drops_exactly_its_floor(rate):
    settings = MaskedVideoModelling(rate_mean=rate, rate_spread=0.0)

    assert (~draw_kept(17, 3, settings, random.Random(0))).sum(1).tolist() == [int(rate * 17)] * 3


def test_rates_are_drawn_around_their_mean():
    counts = [int((~draw_kept(1000, 1, SETTINGS, random.Random(seed))).sum()) for seed in range(400)]
    mean = sum(counts) / len(counts)
    spread = (sum((count - mean) ** 2 for count in counts) / len(counts)) ** 0.5

    assert mean == pytest.approx(500, abs=20)
    assert 75 < spread < 105


def test_rows_drop_different_tokens_but_never_those_that_must_stay():
    kept = draw_kept(16, 50, SETTINGS, random.Random(0), always_kept=2)

    assert len({tuple(row.tolist()) for row in kept}) > 40
    assert kept[:, :2].all()


@pytest.mark.parametrize(("num_tokens", "always_kept"), [(1, 0), (1, 1), (3, 0), (3, 1)])
def test_one_token_at_least_stays(num_tokens, always_kept):
    settings = MaskedVideoModelling(rate_mean=1.0, rate_spread=0.0, rate_range=(0.0, 1.0))
    kept = draw_kept(num_tokens, 2, settings, random.Random(0), always_kept=always_kept)

    assert kept.sum(1).tolist() == [1, 1]


@pytest.fixture
def batch(make_word_tokenizer):
    tokenizer = make_word_tokenizer(["Question : Answer : what is it ? cat a very big dog"])
    return build_language_batch(tokenizer, ["what is it ?", "what ?"], ["cat", "a very big dog"], 4, 2)


def shifted(batch, count):
    """The batch with `count` tokens of text before the visual ones, as a chat template would put them."""
    ahead = torch.full((len(batch.input_ids), count), 5)
    kwargs = {
        "input_ids": torch.cat([ahead, batch.input_ids], dim=1),
        "attention_mask": torch.cat([ahead.bool().long(), batch.attention_mask], dim=1),
        "labels": torch.cat([torch.full_like(ahead, IGNORE_INDEX), batch.labels], dim=1),
        "hint_mask": torch.cat([ahead.bool() & False, batch.hint_mask], dim=1),
        "visual_mask": torch.cat([ahead.bool() & False, batch.visual_mask], dim=1),
    }
    return LanguageBatch(**kwargs)


KEPT = torch.tensor([[True, False, True, False], [False, False, True, True]])


@pytest.mark.parametrize("ahead", [0, 3])
def test_whole_visual_tokens_are_dropped_and_all_text_stays(batch, ahead):
    batch = shifted(batch, ahead)
    places = torch.arange(batch.input_ids.shape[1]).float().expand(2, -1).unsqueeze(-1)
    found = drop_tokens(places, batch, KEPT)
    after = list(range(ahead + 4, batch.input_ids.shape[1]))

    assert found.inputs_embeds[..., 0].tolist() == [
        [*range(ahead), ahead, ahead + 2, *after],
        [*range(ahead), ahead + 2, ahead + 3, *after],
    ]
    assert found.visual_mask.nonzero().tolist() == [[r, ahead + c] for r in range(2) for c in range(2)]
    for row in range(2):
        stay = [int(place) for place in found.inputs_embeds[row, :, 0]]
        assert found.labels[row].tolist() == batch.labels[row, stay].tolist()
        assert found.attention_mask[row].tolist() == batch.attention_mask[row, stay].tolist()


@pytest.mark.parametrize(
    "kept", [torch.ones(2, 3, dtype=torch.bool), KEPT & torch.tensor([True, True, True, False])]
)
def test_a_mask_that_does_not_fit_is_refused(batch, kept):
    with pytest.raises(
        ValueError, match=r"kept must have \[4, 4\] columns and keep equally many in each row"
    ):
        drop_tokens(torch.zeros(*batch.input_ids.shape, 1), batch, kept)


def test_answers_of_one_row_keep_their_places_when_tokens_before_them_are_dropped(make_word_tokenizer):
    tokenizer = make_word_tokenizer(["Question : Answer : what ? cat a very big dog"])
    answers = [["cat", "a very big dog"], ["dog", "cat"]]
    packed = build_language_batch(tokenizer, ["what ?", "what ?"], answers, 4, 2)
    found = drop_tokens(torch.zeros(*packed.input_ids.shape, 1), packed, KEPT)

    assert found.segments.tolist() == packed.segments[:, 2:].tolist()


class Reader(torch.nn.Module):
    """What the teacher needs of the model, over a GPT-2 with much dropout."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        config = transformers.GPT2Config(
            n_embd=16, n_layer=2, n_head=2, vocab_size=40, resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5,
            bos_token_id=1, eos_token_id=2,
        )  # fmt: skip
        self.language_model = transformers.GPT2LMHeadModel(config)
        self.read = []

    def last_hidden(self, embeds, attention_mask):
        self.read.append(embeds.shape[1])
        output = self.language_model.base_model(inputs_embeds=embeds, attention_mask=attention_mask)
        return output.last_hidden_state


@pytest.mark.parametrize("ahead", [0, 3])
def test_the_teacher_reads_the_visual_tokens_as_the_whole_sequence_shows_them(batch, ahead):
    batch = shifted(batch, ahead)
    model = Reader().eval()
    embeds = torch.randn(*batch.input_ids.shape, 16)
    whole = model.last_hidden(embeds, batch.attention_mask)[batch.visual_mask].view(2, 4, 16)

    torch.testing.assert_close(teacher_states(model, embeds, batch), whole)
    assert model.read == [batch.input_ids.shape[1], ahead + 4]


def test_the_teacher_has_neither_dropout_nor_gradient_in_a_model_that_trains(batch):
    """`model.train()` once left dropout on in the teacher's pass: its states were noise around the target."""
    model = Reader().train()
    embeds = torch.randn(*batch.input_ids.shape, 16, requires_grad=True)
    first, second = (teacher_states(model, embeds, batch) for _ in range(2))

    assert torch.equal(first, second)
    assert not first.requires_grad
    assert all(part.training for part in model.modules())


def test_every_part_gets_its_own_mode_back():
    outer = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout()).train()
    outer[0].eval()
    with pytest.raises(KeyboardInterrupt), evaluating(outer):
        assert not any(part.training for part in outer.modules())
        raise KeyboardInterrupt

    assert [part.training for part in outer.modules()] == [True, False, True]
