import json
import math
import random

import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import CheckpointError, ConfigError  # noqa: E402
from gifqa.training.checkpoints import load_best  # noqa: E402
from gifqa.training.loop import Plan, check_finite, run_stage  # noqa: E402
from gifqa.training.metrics import TIMINGS, read_metrics  # noqa: E402

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


def test_a_line_of_metrics_that_a_kill_cut_is_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + '\n{"step": 2, "lo')

    assert read_metrics(tmp_path) == [{"step": 1}]


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
