"""The processes that train one model together: one alone, or those of torchrun or `accelerate launch`.

    torchrun --nproc-per-node 2 -m gifqa train ...
    accelerate launch --config_file FILE -m gifqa train ...

Every process runs the same code and draws the same batches, of which it takes its own share; the main one
alone writes files and log lines. All must see the disk that the run's folder is on. Each holds the whole
model: of a config for FSDP or DeepSpeed only the processes are taken, and the sharding is not.
"""

import logging
import os
import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch

from gifqa.extras import require

LONGEST_WAIT = timedelta(days=2)
"""For the main process to finish what it does alone; a launcher ends all processes when one of them dies."""
SHARDING = {"ACCELERATE_USE_FSDP": "FSDP", "ACCELERATE_USE_DEEPSPEED": "DeepSpeed"}
"""How `accelerate launch` tells its processes what its config asks for."""

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


class Processes:
    """This process among those of the run. A method that one of them calls, all must call.

    Raises:
        MissingExtra: if Accelerate is not installed.
    """

    def __init__(self) -> None:
        accelerate = require("accelerate", "train")
        state = accelerate.PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)
        self._state = state
        self.rank: int = state.process_index
        """Which of them this is, from 0."""
        self.count: int = state.num_processes
        self.is_main: bool = state.is_main_process
        """Whether this one writes files and log lines."""
        self.device: torch.device = state.device
        """Where its model belongs: its own GPU, if there are GPUs."""

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

    def in_main(self, work: Callable[[], Result]) -> Result:
        """What the main process alone computes, while the others wait; nothing in it may wait for them."""
        result: Result = self.from_main(work() if self.is_main else None)
        return result

    def warn_of_sharding(self) -> None:
        """Say what of the launcher's config is not taken, if that is something."""
        for name, kind in SHARDING.items():
            if self.is_main and os.environ.get(name, "").lower() in ("1", "true"):
                logger.warning(
                    "the config asks for %s; each process holds the whole model all the same", kind
                )


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
