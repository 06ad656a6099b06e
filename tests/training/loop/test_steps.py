import logging
import math
import random
import signal
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import CheckpointError, ConfigError  # noqa: E402
from gifqa.training.loop.checkpoints import load_best  # noqa: E402
from gifqa.training.loop.metrics import TIMINGS, read_metrics, read_whole_lines  # noqa: E402
from gifqa.training.loop.shown_answers import ShownAnswer  # noqa: E402
from gifqa.training.loop.steps import Plan, check_finite, run_stage  # noqa: E402

PLAN = Plan(steps=10, log_every=3, validate_every=4, criterion="score", higher_is_better=True)


class Walk:
    """A stage that takes random steps: one number, moved by both kinds of chance."""

    def __init__(self, stop_at=None):
        self.chance = random.Random(0)
        torch.manual_seed(0)
        self.place = torch.zeros(1)
        self.step, self.stop_at = 0, stop_at

    def train_step(self):
        if self.step == self.stop_at:
            raise KeyboardInterrupt
        self.place += self.chance.random() + torch.randn(1)
        self.step += 1
        return {"loss": self.place.item()}

    def weights(self):
        return {"place": self.place}

    def state(self):
        return {"place": self.place}

    def load_state(self, state):
        self.place = state["place"]


def run(stage, folder, scores=(1.0, 3.0, 2.0)):
    """Run with the scores of the validations at steps 4, 8 and 10."""
    by_step = dict(zip((4, 8, 10), scores, strict=True))
    return run_stage(stage, folder, PLAN, lambda: {"score": by_step[stage.step]})


def lines_without_pace(folder):
    return [{name: line[name] for name in line if name not in TIMINGS} for line in read_metrics(folder)]


def test_losses_are_logged_as_means_and_validations_at_their_steps(tmp_path):
    run(Walk(), tmp_path)
    lines = read_metrics(tmp_path)

    assert [line["step"] for line in lines if "loss" in line] == [3, 6, 9, 10]
    assert [line["step"] for line in lines if "score" in line] == [4, 8, 10]
    walk = Walk()
    assert lines[0]["loss"] == pytest.approx(sum(walk.train_step()["loss"] for _ in range(3)) / 3, abs=1e-3)


def test_the_best_checkpoint_is_kept_and_its_figures_returned(tmp_path):
    best = run(Walk(), tmp_path)
    walk = Walk()
    for _ in range(8):
        walk.train_step()
    kept = torch.nn.ParameterDict({"place": torch.zeros(1)})
    load_best(kept, tmp_path)

    assert best == {"step": 8, "score": 3.0}
    assert torch.equal(kept["place"], walk.place)


def test_lower_can_be_better(tmp_path):
    plan = Plan(4, 1, 1, "loss", higher_is_better=False)
    values = iter([3.0, 1.0, 2.0, 4.0])

    assert run_stage(Walk(), tmp_path, plan, lambda: {"loss": next(values)})["step"] == 2


@pytest.mark.parametrize("stop_at", [2, 4, 5, 9])
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path, stop_at):
    whole = Walk()
    run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(Walk(stop_at), tmp_path / "cut")
    resumed = Walk()
    run(resumed, tmp_path / "cut")

    assert torch.equal(whole.place, resumed.place)
    assert lines_without_pace(tmp_path / "cut") == lines_without_pace(tmp_path / "whole")
    assert (tmp_path / "cut/best.safetensors").read_bytes() == (
        tmp_path / "whole/best.safetensors"
    ).read_bytes()


def test_a_finished_run_is_left_as_it_is(tmp_path):
    run(Walk(), tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()

    assert run(Walk(stop_at=10), tmp_path) == {"step": 8, "score": 3.0}
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_a_checkpoint_of_before_0_2_still_resumes(tmp_path):
    """There was one file, last.pt, and for a time it had no random state."""
    with pytest.raises(KeyboardInterrupt):
        run(Walk(stop_at=5), tmp_path)
    state = torch.load(tmp_path / "step-00000004.pt", weights_only=True)
    torch.save({name: state[name] for name in ("place", "step", "best")}, tmp_path / "last.pt")
    (tmp_path / "step-00000004.pt").unlink()
    stage = Walk()
    run(stage, tmp_path)

    assert stage.step == 10
    assert not (tmp_path / "last.pt").exists()


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, caplog):
    whole = Walk()
    run(whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(Walk(stop_at=9), tmp_path / "cut")
    (tmp_path / "cut/step-00000008.pt").write_bytes(b"nonsense")
    resumed = Walk()
    run(resumed, tmp_path / "cut")

    assert "step-00000008.pt cannot be read (it is damaged); an earlier checkpoint is tried" in caplog.text
    assert torch.equal(whole.place, resumed.place)
    assert lines_without_pace(tmp_path / "cut") == lines_without_pace(tmp_path / "whole")


def test_if_every_checkpoint_is_damaged_the_newest_is_named(tmp_path):
    for step in (4, 8):
        (tmp_path / f"step-0000000{step}.pt").write_bytes(b"nonsense")

    with pytest.raises(
        CheckpointError, match=r"step-00000008.pt cannot be resumed \(it is damaged\), .* Delete it to train"
    ):
        run(Walk(), tmp_path)


def test_a_checkpoint_of_another_model_is_named(tmp_path):
    torch.save({"step": 4, "best": 1.0}, tmp_path / "step-00000004.pt")

    with pytest.raises(
        CheckpointError,
        match=r"step-00000004.pt cannot be resumed .*'place'.*a checkpoint of the same recipe",
    ):
        run(Walk(), tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run_and_names_the_batch(value):
    with pytest.raises(
        ConfigError, match=rf"the loss is {value} at step 7 \(batch of a.jpg, b.jpg, ...\).*lower"
    ):
        check_finite(torch.tensor(value), 7, ["a.jpg", "b.jpg"])


def test_a_validation_that_is_no_number_stops_the_run_and_the_last_checkpoint_stands(tmp_path):
    with pytest.raises(
        ConfigError, match=r"score of the validation is nan at step 8; .* The last checkpoint stands"
    ):
        run(Walk(), tmp_path, scores=(1.0, math.nan, 2.0))

    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000004.pt"]


def test_spoilt_weights_are_not_saved(tmp_path):
    stage = Walk()
    stage.weights = lambda: {"place": torch.tensor([math.inf if stage.step == 8 else 0.0])}
    with pytest.raises(
        ConfigError, match=r"the sum of the weights place is inf at step 8; it must be finite"
    ):
        run(stage, tmp_path)

    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000004.pt"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:66] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        MemoryError(),
    ],
    ids=["gpu", "cpu", "python"],
)
def test_out_of_memory_is_one_line_that_says_what_to_lower(tmp_path, error):
    def train_step():
        raise error

    stage, plan = Walk(), replace(PLAN, memory_settings=("language.batch_size", "language.num_frames"))
    stage.train_step = train_step
    with pytest.raises(ConfigError) as caught:
        run_stage(stage, tmp_path / "language", plan, dict)

    message = str(caught.value)
    assert message.startswith("language ran out of memory at step 0 (")
    assert message.endswith("the last checkpoint stands. Lower language.batch_size or language.num_frames.")
    assert "\n" not in message


def test_other_errors_of_torch_are_not_taken_for_memory(tmp_path):
    stage = Walk()
    stage.weights = lambda: torch.zeros(2) + torch.zeros(3)
    with pytest.raises(RuntimeError, match="must match the size"):
        run(stage, tmp_path)


def test_it_stops_when_validations_bring_no_gain_and_stays_stopped(tmp_path):
    plan = replace(PLAN, steps=20, validate_every=1, patience=2)
    scores = iter([1.0, 3.0, 2.0, 3.0, 9.0])
    stage = Walk()
    assert run_stage(stage, tmp_path, plan, lambda: {"score": next(scores)}) == {"step": 2, "score": 3.0}
    assert stage.step == 4

    again = Walk()
    assert run_stage(again, tmp_path, plan, dict) == {"step": 2, "score": 3.0}
    assert again.step == 4


def test_the_wait_for_a_gain_goes_on_after_a_kill(tmp_path):
    plan = replace(PLAN, steps=20, validate_every=1, patience=3)
    with pytest.raises(KeyboardInterrupt):
        run_stage(Walk(stop_at=3), tmp_path, plan, lambda: {"score": 1.0})
    stage = Walk()
    run_stage(stage, tmp_path, plan, lambda: {"score": 1.0})

    assert stage.step == 4  # the first was a gain


@pytest.mark.parametrize(("keep_last", "kept"), [(1, [10]), (2, [8, 10]), (9, [4, 8, 10])])
def test_the_last_checkpoints_are_kept(tmp_path, keep_last, kept):
    (tmp_path / "step-00000003.pt.tmp").write_bytes(b"of a kill")
    run_stage(Walk(), tmp_path, replace(PLAN, keep_last=keep_last), lambda: {"score": 1.0})

    assert sorted(path.name for path in tmp_path.glob("step-*")) == [f"step-{step:08d}.pt" for step in kept]


def test_ctrl_c_finishes_the_step_saves_it_and_says_how_to_go_on(tmp_path, caplog):
    whole = Walk()
    run(whole, tmp_path / "whole")
    cut = Walk()
    take = cut.train_step

    def interrupted():
        if cut.step == 4:
            signal.raise_signal(signal.SIGINT)
        return take()

    cut.train_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        run(cut, tmp_path / "cut")
    assert "cut: stopped after step 5 of 10 and saved in" in caplog.text
    assert "step-00000005.pt; the same command goes on from there" in caplog.text
    resumed, taken = Walk(), []
    resumed.train_step = lambda: taken.append(resumed.step) or Walk.train_step(resumed)
    run(resumed, tmp_path / "cut")

    assert taken == [5, 6, 7, 8, 9]
    assert torch.equal(whole.place, resumed.place)
    assert lines_without_pace(tmp_path / "cut") == lines_without_pace(tmp_path / "whole")


class Speaker(Walk):
    """Answers with the number of steps it has taken."""

    def samples(self):
        return [ShownAnswer("a.gif", "How many?", "ten", str(self.step))]


def test_answers_are_written_at_each_validation_and_once_after_a_kill(tmp_path, make_gif):
    make_gif(["red"], name="a.gif")
    for stop_at in (9, None):
        try:
            run_stage(
                Speaker(stop_at), tmp_path / "run", replace(PLAN, media=(tmp_path,)), lambda: {"score": 1.0}
            )
        except KeyboardInterrupt:
            continue

    lines = read_whole_lines(tmp_path / "run/samples.jsonl")
    assert [(line["step"], line["answer"]) for line in lines] == [(4, "4"), (8, "8"), (10, "10")]
    assert sorted(path.name for path in (tmp_path / "run/samples").iterdir()) == [
        f"step-000000{step:02d}.png" for step in (4, 8, 10)
    ]


def test_what_a_stage_counts_becomes_rates_and_log_lines_are_read_by_people(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="gifqa")
    stage = Walk()
    stage.train_step = lambda: Walk.train_step(stage) | {"samples": 8, "tokens": 100}
    run(stage, tmp_path)
    line = read_metrics(tmp_path)[0]

    assert set(line) == {"step", "loss", *TIMINGS}
    assert line["tokens_per_second"] / line["samples_per_second"] == pytest.approx(100 / 8, rel=0.01)
    assert "samples/s" in caplog.text and "minutes left" in caplog.text


def test_trackers_get_every_line(tmp_path, monkeypatch):
    class Fake:
        def __init__(self, folder, step, **wanted):
            self.wanted, lines = wanted, []
            self.add, self.close = lines.append, lambda: seen.append((wanted, len(lines)))

    seen = []
    monkeypatch.setattr("gifqa.training.loop.steps.Trackers", Fake)
    run_stage(Walk(), tmp_path, replace(PLAN, wandb=True), lambda: {"score": 1.0})

    assert seen == [({"tensorboard": False, "wandb": True}, len(read_metrics(tmp_path)))]


def test_curves_are_drawn_while_a_long_run_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    run(Walk(), tmp_path / "short")
    monkeypatch.setattr("gifqa.training.loop.steps.DRAW_EVERY_SECONDS", 0)
    run(Walk(), tmp_path / "long")

    assert not (tmp_path / "short/curves.png").exists()
    assert (tmp_path / "long/curves.png").exists()
