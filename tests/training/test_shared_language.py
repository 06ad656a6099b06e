"""The language stage, its batches shared by two processes of torchrun, and its model too."""

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


pytestmark = [
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo"),
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning"),
]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What one process finds."""
    return train(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def in_two(tmp_path_factory):
    """What each of two processes finds, without FSDP and with it."""
    folder = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*torchrun, PROGRAM, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.parametrize("fsdp", ["false", "true"])
def test_two_processes_learn_what_one_does_with_the_same_global_batch(alone, in_two, fsdp):
    first, second = (found[fsdp] for found in in_two)

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
    for own, one in zip(first["moments"], alone["moments"], strict=True):
        assert own == pytest.approx(one, abs=TOLERANCE)
    assert first["shown"] == alone["shown"]
    assert second["shown"] == (alone["shown"] if fsdp == "true" else [])


def test_with_fsdp_each_process_keeps_half_of_the_model_and_without_it_all(alone, in_two):
    whole = alone["numbers"]

    assert [found["false"]["numbers"] for found in in_two] == [whole, whole]
    assert sum(found["true"]["numbers"] for found in in_two) == whole
    assert in_two[0]["true"]["numbers"] == pytest.approx(whole / 2, rel=0.05)
