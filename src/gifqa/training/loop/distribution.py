"""The processes that train one model together: one alone, or those of torchrun or `accelerate launch`.

    torchrun --nproc-per-node 2 -m gifqa train ...
    accelerate launch --config_file FILE -m gifqa train ...

Every process runs the same code and draws the same batches, of which it takes its own share; the main one
alone writes files and log lines. All must see the disk that the run's folder is on. Each holds the whole
model, unless the launcher's config asks for FSDP (`gifqa.training.loop.sharding`).
"""

import os
import random
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch

from gifqa.errors import ConfigError
from gifqa.extras import require

LONGEST_WAIT = timedelta(days=2)
"""For the main process to finish what it does alone; a launcher ends all processes when one of them dies."""

Result = TypeVar("Result")


class Processes:
    """This process among those of the run. A method that one of them calls, all must call.

    Raises:
        ConfigError: if the launcher's config asks for what there is not.
        MissingExtra: if Accelerate is not installed.
    """

    def __init__(self) -> None:
        wants_shards = _wants_shards()
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
        self.shards: bool = wants_shards and self.count > 1
        """Whether each keeps a share of the model, and none the whole."""

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


def _wants_shards() -> bool:
    """Whether the launcher asks for FSDP; `accelerate launch` tells its config in environment variables.

    Raises:
        ConfigError: if it asks for DeepSpeed, or for parameters that are kept on the CPU.
    """
    if _is_set("ACCELERATE_USE_DEEPSPEED"):
        raise ConfigError(
            "the config asks for DeepSpeed; what can shard the model here is FSDP. Give a config with "
            "distributed_type: FSDP, or start by torchrun: each process then holds the whole model."
        )
    if not _is_set("ACCELERATE_USE_FSDP"):
        return False
    if _is_set("FSDP_OFFLOAD_PARAMS"):
        raise ConfigError(
            "fsdp_offload_params is true; parameters can only be kept where they compute. Set it to false."
        )
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"  # else transformers loads in the first one alone
    return True


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").lower() in ("1", "true")


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
