"""Runs that are really killed, and a disk that is really full."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from training.loop.tiny_training import train  # noqa: E402

from gifqa.training.loop.checkpoints import load_last_step  # noqa: E402
from gifqa.training.loop.metrics import TIMINGS, read_metrics  # noqa: E402

PROGRAM = str(Path(__file__).with_name("tiny_training.py"))


def curve(folder):
    """The lines of metrics.jsonl without what tells of the machine."""
    return [{name: line[name] for name in line if name not in TIMINGS} for line in read_metrics(folder)]


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_after_a_kill_9_the_loss_curve_is_that_of_an_uninterrupted_run(tmp_path):
    whole = train(tmp_path / "whole", dropout=0.5)
    killed = subprocess.run(
        [sys.executable, PROGRAM, str(tmp_path / "cut"), "--kill-at", "8", "--dropout", "0.5"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert [line["step"] for line in curve(tmp_path / "cut")] == [1, 2, 3, 4, 5, 5, 6, 7, 8]
    resumed = train(tmp_path / "cut", dropout=0.5)

    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    assert torch.equal(resumed.layer.weight, whole.layer.weight)
    assert (tmp_path / "cut/best.safetensors").read_bytes() == (
        tmp_path / "whole/best.safetensors"
    ).read_bytes()


FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
from gifqa.errors import CheckpointError
from gifqa.training.loop.checkpoints import save_step, save_weights
folder = Path(sys.argv[1])
save_step(folder, 1, {"weight": torch.zeros(1)}, 2)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for save in (lambda: save_step(folder, 2, {"weight": torch.zeros(10**6)}, 2),
             lambda: save_weights(folder / "best.safetensors", {"weight": torch.zeros(10**6)})):
    try:
        save()
    except CheckpointError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
def test_a_disk_that_is_full_leaves_the_checkpoint_before(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True
    )

    first, second = done.stdout.splitlines()
    assert "step-00000002.pt cannot be written (" in first
    assert "best.safetensors cannot be written (" in second
    for line in (first, second):
        assert "what stood there before is kept. Free some space" in line
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    assert load_last_step(tmp_path)[1] == {"weight": torch.zeros(1)}
