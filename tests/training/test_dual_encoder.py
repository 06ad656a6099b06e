import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model.dual_encoder import DualEncoderHeads  # noqa: E402
from gifqa.training.dual_encoder import (  # noqa: E402
    CaptionedPicture,
    DualEncoderStage,
    contrast_loss,
    recall,
)
from gifqa.training.loop.steps import read_metrics  # noqa: E402
from gifqa.training.recipe import ContrastSettings  # noqa: E402

SETTINGS = ContrastSettings(batch_size=8, epochs=8, learning_rate=5e-3, dropout=0.0, feature_noise=0.02)


@pytest.fixture
def pictures(annotations):
    return [CaptionedPicture(name, captions) for name, captions in annotations.captions.items()]


@pytest.fixture
def make_stage(store, texts, pictures):
    def make(settings=SETTINGS):
        torch.manual_seed(0)
        heads = DualEncoderHeads(6, store.pooled_size, texts.size, size=16, dropout=settings.dropout)
        return DualEncoderStage(heads, store, texts, pictures, settings)

    return make


def test_pairs_of_one_picture_are_no_negatives():
    scores = torch.tensor([[5.0, 9.0], [9.0, 5.0]])
    same = torch.ones(2, 2, dtype=torch.bool)

    assert contrast_loss(scores, same).item() == pytest.approx(0)
    assert contrast_loss(scores, torch.eye(2, dtype=torch.bool)).item() == pytest.approx(4.018, abs=1e-3)


def test_an_epoch_shows_every_caption_once(make_stage):
    stage = make_stage()
    seen = []
    for _ in range(stage.steps_per_epoch):
        seen += stage.next_batch()
        stage.step += 1

    assert sorted(seen) == sorted(stage.pairs)


def test_the_heads_learn_which_colour_a_picture_has(make_stage, tmp_path, store, texts):
    stage = make_stage()
    kinds = [
        CaptionedPicture(f"world/{colour}-0.jpg", (f"a {colour} screen",))
        for colour in ("red", "green", "blue")
    ]
    best = stage.run(tmp_path / "run", kinds)

    assert best["text_to_image_r1"] == best["image_to_text_r1"] == 1.0
    assert set(recall(stage.heads, store, texts, kinds).values()) == {1.0}
    losses = [line["loss"] for line in read_metrics(tmp_path / "run") if "loss" in line]
    assert losses[-1] < 2.0


def test_recall_counts_pictures_before_the_right_one(store, texts):
    """Two pictures with the same vector: each has the other at its side, and neither is beaten by it."""
    heads = DualEncoderHeads(6, store.pooled_size, texts.size, size=16)
    twins = [CaptionedPicture("world/red-0.jpg", ("a red screen",))] * 2

    assert recall(heads, store, texts, twins)["text_to_image_r1"] == 1.0


def test_equal_seeds_give_equal_weights_and_resume_gives_those_of_one_run(make_stage, tmp_path, pictures):
    settings = SETTINGS.model_copy(update={"epochs": 2, "dropout": 0.3})
    whole = make_stage(settings)
    whole.run(tmp_path / "whole", pictures[:2])
    again = make_stage(settings)
    original = again.train_step

    def killed():
        if again.step == 4:
            raise KeyboardInterrupt
        return original()

    again.train_step = killed
    with pytest.raises(KeyboardInterrupt):
        again.run(tmp_path / "cut", pictures[:2])
    resumed = make_stage(settings)
    resumed.run(tmp_path / "cut", pictures[:2])

    for name, value in whole.weights().items():
        assert torch.equal(value, resumed.weights()[name]), name
    cut, full = read_metrics(tmp_path / "cut"), read_metrics(tmp_path / "whole")
    for line in cut + full:
        line.pop("seconds_per_step", None)
    assert cut == full


def test_fewer_captions_than_a_batch_are_refused(make_stage):
    with pytest.raises(
        ConfigError, match=r"batch_size is 512, but there are only 24 captions; an epoch must"
    ):
        make_stage(ContrastSettings())


def test_texts_about_sides_see_no_mirrored_view(make_stage, store):
    """The second view of a photo is mirrored."""
    stage, name = make_stage(), "world/red-0.jpg"
    whole, mirrored = (store.pooled([row])[0].tolist() for row in store.rows(name))

    def seen(text):
        return {tuple(stage.features([(name, [text])])[1][0].tolist()) for _ in range(20)}

    stage.settings = SETTINGS.model_copy(update={"feature_noise": 0.0})
    assert seen("a red screen") == {tuple(whole), tuple(mirrored)}
    assert seen("red on the left") == {tuple(whole)}
