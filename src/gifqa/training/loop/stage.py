"""What the training loop asks of a stage, and what it is told about one."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from gifqa.training.loop.shown_answers import ShownAnswer

COUNTED = ("samples", "tokens")
"""What `Stage.train_step` may return beside losses: how much the step read."""


class Stage(Protocol):
    """What the loop needs of a stage. Of several processes, each calls each of these."""

    step: int
    """Steps taken."""

    @property
    def chance(self) -> random.Random:
        """Draws the batches: the same in all processes."""
        ...

    def train_step(self) -> dict[str, float]:
        """Take one optimiser step; the losses by name, and how many of `COUNTED` it read.

        A process gives what is true of its own share of the batch: losses are averaged over the processes,
        counts added up.
        """
        ...

    def weights(self) -> dict[str, Tensor]:
        """What is validated and kept as best.safetensors; whole in the main process."""
        ...

    def state(self) -> dict[str, Any]:
        """Model, optimiser, schedule and running mean, for `torch.save`; whole in the main process."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put `state()` of an earlier process back; all processes are given the main one's."""
        ...


@runtime_checkable
class ShowsAnswers(Protocol):
    """A stage that also shows what it answers."""

    def samples(self) -> Sequence[ShownAnswer]:
        """A few validation questions, the same ones each time, answered by `weights()`."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long a stage runs, what its best checkpoint is best at, and what is written on the way."""

    steps: int
    log_every: int
    validate_every: int
    criterion: str
    """Name of the validation figure that decides."""
    higher_is_better: bool
    patience: int = 0
    """Stop after so many validations in a row without gain; 0 never does."""
    keep_last: int = 2
    """Checkpoints to keep beside the best weights."""
    tensorboard: bool = False
    wandb: bool = False
    media: tuple[Path, ...] = ()
    """Folders in which the pictures of shown answers are looked for."""
    memory_settings: tuple[str, ...] = ("the batch size",)
    """What to lower when memory runs out, by their names in a recipe."""
