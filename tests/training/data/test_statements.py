import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.model.dual_encoder import DualEncoderHeads  # noqa: E402
from gifqa.training.data.statements import (  # noqa: E402
    NUM_WRONG,
    FitScale,
    encode_statements,
    fits,
    statement_groups,
    statement_loss,
)
from gifqa.training.data.store import TextStore  # noqa: E402
from gifqa.training.dual_encoder import CaptionedPicture, DualEncoderStage, Statements, fit_accuracy  # noqa: E402
from gifqa.training.recipe import ContrastSettings  # noqa: E402


@pytest.fixture
def groups(annotations):
    return statement_groups(annotations, 100, seed=0)


@pytest.fixture
def sentences(groups, word_tower, make_word_tokenizer, tmp_path):
    tokenizer = make_word_tokenizer(sorted({text for group in groups for text in group.statements}))
    return encode_statements(word_tower, tokenizer, groups, tmp_path / "statements.pt")


def test_a_group_has_its_right_statement_first_and_wrong_ones_that_no_caption_says(groups, annotations):
    assert {group.is_yes_no for group in groups} == {True, False}
    for group in groups:
        captions = " ".join(annotations.captions[group.picture])
        colours = [
            next(w for w in ("red", "green", "blue", "white") if w in text) for text in group.statements
        ]
        assert colours[0] in captions
        assert len(colours) == 1 + NUM_WRONG
        assert not set(colours[1:]) & set(captions.split())


def test_groups_are_the_same_for_the_same_seed_and_at_most_as_many_as_asked(annotations):
    first = statement_groups(annotations, 3, seed=1)

    assert first == statement_groups(annotations, 3, seed=1)
    assert len(first) == 6


def test_a_fit_is_measured_in_standard_deviations_over_the_pictures():
    frames = torch.nn.functional.normalize(torch.randn(50, 8), dim=-1)
    statements = torch.nn.functional.normalize(torch.randn(50, 4, 8), dim=-1)
    found = fits(frames, statements)

    similarity = statements[7, 2] @ frames.T
    assert found.shape == (50, 4)
    assert found[7, 2].item() == pytest.approx(
        ((similarity[7] - similarity.mean()) / similarity.std()).item(), abs=1e-4
    )


def test_the_loss_falls_as_the_right_statement_fits_better():
    scale, is_yes_no = FitScale(), torch.tensor([True, False])
    unsure, sure = torch.zeros(2, 4), torch.tensor([[4.0, -4, -4, -4]] * 2)

    assert statement_loss(sure, is_yes_no, scale) < statement_loss(unsure, is_yes_no, scale)


def test_statements_that_cannot_be_read_name_the_stage(tmp_path):
    with pytest.raises(CheckpointError, match="stage `texts`"):
        TextStore.load(tmp_path / "statements.pt")


def test_a_statement_of_other_data_names_the_stage(sentences):
    with pytest.raises(CheckpointError, match=r"'a dinosaur' has no vector.*stage `texts`"):
        sentences.sentence(["a dinosaur"])


def test_the_heads_learn_which_statement_is_right(groups, sentences, annotations, store, texts, tmp_path):
    torch.manual_seed(0)
    heads = DualEncoderHeads(6, store.pooled_size, texts.size, size=16, dropout=0.0)
    pictures = [CaptionedPicture(name, captions) for name, captions in annotations.captions.items()]
    settings = ContrastSettings(
        batch_size=8, epochs=12, learning_rate=5e-3, dropout=0.0, statements=100, statements_per_step=16
    )
    statements = Statements(groups, TextStore.load(tmp_path / "statements.pt"))
    stage = DualEncoderStage(heads, store, texts, pictures, settings, statements)
    stage.run(tmp_path / "run", pictures[:4], statements)

    figures = fit_accuracy(heads, store, statements)
    assert figures["fit_open"] > 0.9
    assert figures["fit_yes_no"] > 0.9
    assert figures["fit_any_picture"] > 0.8
