"""The language stage, its batches shared by two processes of torchrun."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from training.shared_language import SETTINGS, STEPS, train  # noqa: E402

PROGRAM = str(Path(__file__).with_name("shared_language.py"))
TOLERANCE = 1e-4
"""Of losses of about 1: sums of float32 in another order, through five steps of an optimiser."""
LOSSES = ("language", "answer", "mvm")


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_two_processes_learn_what_one_does_with_the_same_global_batch(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*torchrun, PROGRAM, str(tmp_path)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    alone = train(tmp_path / "alone")

    size = SETTINGS.batch_size * SETTINGS.gradient_accumulation
    assert len(alone["steps"]) == STEPS
    for one, own, other in zip(alone["steps"], first["steps"], second["steps"], strict=True):
        assert [own[name] for name in LOSSES] == [other[name] for name in LOSSES]
        assert [own[name] for name in LOSSES] == pytest.approx([one[name] for name in LOSSES], abs=TOLERANCE)
        assert own["samples"] == other["samples"] == size / 2
        assert own["tokens"] + other["tokens"] == one["tokens"]
    assert first["weights"] == second["weights"]
    assert first["weights"] == pytest.approx(alone["weights"], abs=0.02)
    assert first["figures"] == second["figures"]
    assert first["figures"] == pytest.approx(alone["figures"], abs=TOLERANCE)
