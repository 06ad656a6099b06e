import json
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from gifqa.errors import CheckpointError, MissingExtra
from gifqa.training.loop.metrics import StepLog, Trackers, read_metrics


def test_a_line_that_a_kill_cut_is_dropped(tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + '\n{"step": 2, "lo')

    assert read_metrics(tmp_path) == [{"step": 1}]


def test_a_log_goes_back_to_a_step_and_on_from_there(tmp_path):
    log = StepLog(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        log.add({"step": step})
    log.cut_back(2)
    log.add({"step": 9})

    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 9]


@pytest.mark.parametrize("method", ["add", "cut_back"])
def test_a_log_that_cannot_be_written_is_named(tmp_path, method):
    log = StepLog(tmp_path / "nowhere" / "metrics.jsonl")

    with pytest.raises(
        CheckpointError, match=r"metrics.jsonl cannot be written \(No such file.*Free some space"
    ):
        getattr(log, method)({"step": 1} if method == "add" else 1)


def test_tensorboard_gets_every_figure_but_the_step(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trackers = Trackers(tmp_path, 0, tensorboard=True, wandb=False)
    trackers.add({"step": 3, "loss": 0.5})
    trackers.close()
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()

    assert events.Tags()["scalars"] == ["loss"]
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(3, 0.5)]


def test_a_stage_that_is_gone_on_with_keeps_its_wandb_run(tmp_path, monkeypatch):
    logged, ids = [], []
    run = SimpleNamespace(log=lambda figures, step: logged.append((step, figures)), finish=lambda: None)
    fake = SimpleNamespace(init=lambda **given: ids.append(given["id"]) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for step in (0, 4):
        trackers = Trackers(tmp_path, step, tensorboard=False, wandb=True)
        trackers.add({"step": step + 1, "loss": 2.0})
        trackers.close()

    assert logged == [(1, {"loss": 2.0}), (5, {"loss": 2.0})]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(("name", "extra"), [("tensorboard", "train"), ("wandb", "wandb")])
def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch, name, extra):
    monkeypatch.setitem(sys.modules, name, None)
    wanted = {"tensorboard": False, "wandb": False} | {name: True}

    with pytest.raises(MissingExtra, match=rf'{name} cannot be imported .*pip install "gifqa\[{extra}\]"'):
        Trackers(tmp_path, 0, **wanted)
