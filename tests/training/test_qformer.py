import pytest

torch = pytest.importorskip("torch")

from gifqa.training.data.batches import draw_validation  # noqa: E402
from gifqa.training.data.samples import Sample  # noqa: E402
from gifqa.training.loop.checkpoints import load_best  # noqa: E402
from gifqa.training.loop.steps import read_metrics  # noqa: E402
from gifqa.training.qformer import PretrainingQFormer, QFormerStage, predict  # noqa: E402
from gifqa.training.recipe import QFormerTraining  # noqa: E402

SETTINGS = QFormerTraining(
    steps=4,
    questions_per_step=12,
    captions_per_step=6,
    warmup_steps=1,
    validate_every=2,
    average_decay=0.5,
    grid_noise=0.05,
)


@pytest.fixture
def make_stage(store, texts, targets, qformer_config):
    def make(**changed):
        torch.manual_seed(0)
        words = torch.nn.functional.normalize(torch.randn(len(targets.word_index), 16), dim=-1)
        model = PretrainingQFormer(qformer_config, texts.sentence(list(targets.answer_index)), words, 3.0)
        return QFormerStage(model, store, texts, targets, SETTINGS.model_copy(update=changed))

    return make


@pytest.fixture
def validation(annotations):
    return draw_validation(annotations, {"caption-open": 4, "caption-yes/no": 4, "visual7w": 4}, 0)


def test_every_loss_falls_on_one_batch_that_is_learnt_by_heart(make_stage):
    stage = make_stage(steps=25, learning_rate=5e-3, average_decay=0.0)
    batch, pairs = stage.sampler.draw(12), stage.sampler.draw_captions(6)
    stage.sampler.draw = lambda size: batch
    stage.sampler.draw_captions = lambda size: pairs
    losses = [stage.train_step() for _ in range(25)]

    assert set(losses[0]) == {"answer", "word", "choice", "contrast", "words"}
    for name in ("answer", "word", "choice", "words"):
        assert losses[-1][name] < 0.6 * losses[0][name], name
    assert losses[-1]["contrast"] < losses[0]["contrast"]


def test_every_trained_parameter_gets_a_gradient(make_stage):
    stage = make_stage()
    stage.sampler.chance.choice = lambda options: options[-1]  # four frames
    stage.model.train()
    losses = stage.question_loss(stage.sampler.draw(24), 4) | stage.caption_loss(4)
    torch.stack(list(losses.values())).sum().backward()

    without = [name for name, value in stage.model.named_parameters() if value.grad is None]
    assert not without


def test_unknown_answers_cost_nothing(make_stage):
    stage = make_stage(label_smoothing=0.0)
    sample = Sample("world/red-0.jpg", "what colour is it ?", "mauve", "caption-open", "colour")

    losses = stage.question_loss([sample], 1)
    assert losses["answer"].item() == 0
    assert losses["word"].item() == 0
    assert "choice" not in losses


def test_noise_is_a_setting(make_stage):
    clean, noisy = make_stage(grid_noise=0.0), make_stage(grid_noise=0.1)
    shown = clean.grids(["world/red-1.webp"], 3, [False])[0]

    assert torch.equal(shown, clean.grids(["world/red-1.webp"], 3, [False])[0])
    assert not torch.equal(shown, noisy.grids(["world/red-1.webp"], 3, [False])[0])


def test_a_blind_run_sees_nothing_and_learns_no_captions(make_stage):
    stage = make_stage(blind=True)

    assert stage.grids(["world/red-0.jpg"], 1, [False])[0].abs().sum() == 0
    assert set(stage.train_step()) <= {"answer", "word", "choice"}


def test_equal_seeds_give_equal_runs(make_stage):
    def losses(seed):
        stage = make_stage(seed=seed)
        return [stage.train_step() for _ in range(2)]

    assert losses(0) == losses(0) != losses(1)


def test_a_killed_run_resumes_as_if_it_had_not_been(make_stage, validation, tmp_path):
    whole = make_stage()
    best = whole.run(tmp_path / "whole", validation)
    cut = make_stage()
    original = cut.train_step

    def killed():
        if cut.step == 3:
            raise KeyboardInterrupt
        return original()

    cut.train_step = killed
    with pytest.raises(KeyboardInterrupt):
        cut.run(tmp_path / "cut", validation)
    resumed = make_stage()
    assert resumed.run(tmp_path / "cut", validation) == best

    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
        assert torch.equal(whole.weights()[name], resumed.weights()[name]), name


def test_validation_measures_the_running_mean_and_leaves_the_model_as_it_was(make_stage, validation):
    stage = make_stage()
    stage.train_step()
    before = {name: value.clone() for name, value in stage.model.state_dict().items()}
    figures = stage.validate(validation)

    assert all(torch.equal(value, before[name]) for name, value in stage.model.state_dict().items())
    assert set(figures) == {
        "caption-open/open", "caption-yes/no/yes-no", "visual7w/open", "choice", "colour", "mean",
    }  # fmt: skip
    groups = [
        figures[name] for name in ("caption-open/open", "caption-yes/no/yes-no", "visual7w/open", "choice")
    ]
    assert figures["mean"] == pytest.approx(sum(groups) / 4, abs=1e-3)


def test_best_weights_load_whole(make_stage, validation, tmp_path, store, texts):
    stage = make_stage(steps=2)
    stage.run(tmp_path, validation)
    other = make_stage()
    load_best(other.model, tmp_path)
    stage.model.load_state_dict(stage.weights())
    ours, theirs = (predict(s.model, store, texts, validation, s.settings) for s in (stage, other))

    assert all(torch.equal(a[0], b[0]) for a, b in zip(ours, theirs, strict=True))
    assert [line["step"] for line in read_metrics(tmp_path) if "mean" in line] == [2]


def test_prediction_does_not_depend_on_the_batch(make_stage, store, texts, validation):
    stage = make_stage()
    together = predict(stage.model, store, texts, validation, stage.settings)
    alone = [predict(stage.model, store, texts, [sample], stage.settings)[0] for sample in validation]

    for (logits, scores), (own, own_scores) in zip(together, alone, strict=True):
        torch.testing.assert_close(logits, own, atol=0.05, rtol=0.05)  # bfloat16
        assert (scores is None) == (own_scores is None)
