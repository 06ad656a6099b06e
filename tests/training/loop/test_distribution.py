"""Several processes on this machine, by torchrun and gloo."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from training.loop.tiny_training import PLAN, train  # noqa: E402

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.training.loop.distribution import Processes, random_state, set_random_state  # noqa: E402
from gifqa.training.loop.steps import read_metrics  # noqa: E402

PROGRAM = str(Path(__file__).with_name("tiny_training.py"))
TOLERANCE = 1e-5
"""Of losses of about 1 that metrics.jsonl rounds to 6 places: sums of float32 in another order."""


def torchrun(*arguments):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        PROGRAM,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


def losses(folder):
    return [line["loss"] for line in read_metrics(folder) if "loss" in line]


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs gloo")
def test_two_processes_give_the_losses_of_one_with_the_same_global_batch(tmp_path):
    done = torchrun(tmp_path / "two")
    assert done.returncode == 0, done.stderr
    train(tmp_path / "one")

    assert len(losses(tmp_path / "two")) == PLAN.steps
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=TOLERANCE)
    assert (tmp_path / "two/greetings.txt").read_text() == "hello\n"  # the main process alone
    state = torch.load(tmp_path / "two" / f"step-{PLAN.steps:08d}.pt", weights_only=True)
    assert [part["chance"] == state["processes"][0]["chance"] for part in state["processes"]] == [True, True]


def test_one_process_is_the_main_one_and_gathers_from_itself():
    processes = Processes()
    processes.wait()

    assert processes.is_main
    assert (processes.rank, processes.count) == (0, 1)
    assert processes.gather("a") == ["a"]
    assert processes.from_main("a") == "a"


def test_random_numbers_go_on_where_they_were():
    chance = random.Random(1)
    state = random_state(chance)
    drawn = chance.random(), torch.rand(2)
    set_random_state(chance, state)

    assert chance.random() == drawn[0]
    assert torch.equal(torch.rand(2), drawn[1])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ACCELERATE_USE_DEEPSPEED"], r"the config asks for DeepSpeed; .*distributed_type: FSDP"),
        (["ACCELERATE_USE_FSDP", "FSDP_OFFLOAD_PARAMS"], r"fsdp_offload_params is true; .*Set it to false"),
    ],
)
def test_a_config_that_asks_for_what_there_is_not_is_refused(monkeypatch, names, message):
    for name in names:
        monkeypatch.setenv(name, "true")

    with pytest.raises(ConfigError, match=message):
        Processes()


def test_one_process_holds_the_whole_model_and_every_one_loads_it(monkeypatch):
    """By this part of an FSDP config, transformers would load nothing in all processes but one."""
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "true")
    assert not Processes().shards
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")

    assert not Processes().shards
    assert os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] == "false"
