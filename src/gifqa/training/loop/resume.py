"""What the loop carries from step to step, and how it is saved and read back together with the stage."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gifqa.errors import CheckpointError, ConfigError
from gifqa.training.loop.checkpoints import READ_ERRORS, drop_later_steps, load_last_step, reason, save_step
from gifqa.training.loop.distribution import Processes, random_state, set_random_state
from gifqa.training.loop.stage import Plan, Stage

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """Of one stage, in this process."""

    best: float | None = None
    """The best validation's figure."""
    stale: int = 0
    """Validations in a row without gain."""
    recent: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """This process's losses since the last line of metrics."""

    def take(self, figure: float, plan: Plan) -> bool:
        """Count a validation in; whether it is the best so far."""
        is_best = self.best is None or (figure > self.best if plan.higher_is_better else figure < self.best)
        self.best = figure if is_best else self.best
        self.stale = 0 if is_best else self.stale + 1
        return is_best

    def goes_on(self, step: int, plan: Plan) -> bool:
        """Whether there is a step to take."""
        return step < plan.steps and not (plan.patience and self.stale >= plan.patience)


def save_progress(
    stage: Stage, folder: Path, progress: Progress, processes: Processes, keep_last: int
) -> Path | None:
    """Write the checkpoint of the stage's step, each process's own part included.

    Returns:
        Its path; None in a process that is not the main one.

    Raises:
        CheckpointError: if it cannot be written.
        ConfigError: if a weight is not finite: such a state is of no use, and the one before is kept.
    """
    for name, value in stage.weights().items():
        check_figure(float(value.sum(dtype=torch.float64)), f"the sum of the weights {name}", stage.step)
    own = {"recent": dict(progress.recent), **random_state(stage.chance)}
    common = {"step": stage.step, "best": progress.best, "stale": progress.stale}
    state = {**stage.state(), **common, "processes": processes.gather(own)}
    return save_step(folder, stage.step, state, keep_last) if processes.is_main else None


def load_progress(stage: Stage, folder: Path, processes: Processes) -> Progress:
    """Go back to the folder's last checkpoint, if there is one.

    Raises:
        CheckpointError: if none of its checkpoints can be read, or the one that can is of another model.
    """
    progress, found = Progress(), load_last_step(folder)
    if found is not None:
        path, state = found
        try:
            stage.load_state(state)
            stage.step, progress.best, progress.stale = state["step"], state["best"], state.get("stale", 0)
            _load_own(stage, state, progress, processes)
        except READ_ERRORS as error:
            raise CheckpointError(
                f"{path} cannot be resumed ({reason(error)}); it must be a checkpoint of the same recipe. "
                "Delete it to train the stage from its start."
            ) from error
    processes.wait()
    if found is not None and processes.is_main:
        drop_later_steps(folder, found[0])
    return progress


def check_figure(value: float, name: str, step: int) -> None:
    """Stop a run that has lost its way before it saves what it has.

    Raises:
        ConfigError: if the value is infinite or NaN.
    """
    if not -float("inf") < value < float("inf"):
        raise ConfigError(
            f"{name} is {value} at step {step}; it must be finite. The last checkpoint stands: lower the "
            "learning rate."
        )


def _load_own(stage: Stage, state: Mapping[str, Any], progress: Progress, processes: Processes) -> None:
    """This process's random numbers and losses."""
    parts = state.get("processes")
    if parts is None:  # a checkpoint of before 0.2
        progress.recent.update(state.get("recent", {}))
        if "chance" in state:
            set_random_state(stage.chance, {"chance": state["chance"], "torch": state["torch_chance"]})
        return
    set_random_state(stage.chance, parts[min(processes.rank, len(parts) - 1)])
    if len(parts) == processes.count:
        progress.recent.update(parts[processes.rank]["recent"])
        return
    logger.warning(
        "the checkpoint is of %d processes, and there are %d now: dropout and augmentation draw anew",
        len(parts), processes.count,
    )  # fmt: skip
    torch.manual_seed(stage.step * processes.count + processes.rank)
