"""The processes that train one model together: one alone, or those of torchrun or `accelerate launch`.

    torchrun --nproc-per-node 2 -m gifqa train ...
    accelerate launch --config_file FILE -m gifqa train ...     FSDP and DeepSpeed as that file says

Every process runs the same code and draws the same batches, of which it takes its own share; the main one
alone writes files and log lines. All must see the disk that the run's folder is on.
"""

import random
from collections.abc import Mapping
from typing import Any

import torch

from gifqa.extras import require


def build_accelerator(*, precision: str = "no", gradient_accumulation: int = 1) -> Any:
    """An `accelerate.Accelerator` for what started this process; without a GPU its processes talk by gloo.

    Args:
        precision: "no" for float32, "bf16", or what else Accelerate takes.
        gradient_accumulation: passes to an optimiser step.

    Raises:
        MissingExtra: if Accelerate is not installed.
    """
    return require("accelerate", "train").Accelerator(
        mixed_precision=precision,
        gradient_accumulation_steps=gradient_accumulation,
        cpu=not torch.cuda.is_available(),
    )


class Processes:
    """This process among those of the run. Each method but `is_main` must be called in all of them.

    Raises:
        MissingExtra: if Accelerate is not installed.
    """

    def __init__(self) -> None:
        state = require("accelerate", "train").PartialState(cpu=not torch.cuda.is_available())
        self._state = state
        self.rank: int = state.process_index
        """Which of them this is, from 0."""
        self.count: int = state.num_processes
        self.is_main: bool = state.is_main_process
        """Whether this one writes files and log lines."""

    def wait(self) -> None:
        """Go on when all have come here."""
        self._state.wait_for_everyone()

    def gather(self, value: Any) -> list[Any]:
        """The values of all, in the order of their ranks; anything that can be pickled."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(found, value)
        return found

    def from_main(self, value: Any) -> Any:
        """The main process's value."""
        return self.gather(value)[0]


def random_state(chance: random.Random) -> dict[str, Any]:
    """All that this process draws from: the batches' chance, and torch's on the CPU and on its GPU."""
    state = {"chance": chance.getstate(), "torch": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_state(chance: random.Random, state: Mapping[str, Any]) -> None:
    """Put `random_state` of an earlier process back."""
    chance.setstate(state["chance"])
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
