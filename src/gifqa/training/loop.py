"""The loop that the stages share: steps, metrics, validation, checkpoints, and going on after a kill.

    metrics.jsonl      a line of losses every `log_every` steps, and one of figures each validation
    last.pt            all that the next step depends on, the random numbers' state included
    best.safetensors   the weights of the best validation so far

A run that was killed goes on from `last.pt` and takes the steps that it would have taken: lines of
metrics.jsonl beyond that checkpoint are dropped and written again. Not covered: several processes.
"""

import json
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from gifqa.errors import CheckpointError, ConfigError
from gifqa.training.checkpoints import READ_ERRORS, reason, save_state, save_weights

logger = logging.getLogger(__name__)


class Stage(Protocol):
    """What the loop needs of a stage."""

    step: int
    """Steps taken."""

    @property
    def chance(self) -> random.Random:
        """Draws the batches."""
        ...

    def train_step(self) -> dict[str, float]:
        """Take one optimiser step; the losses by name."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """What is validated and kept as best.safetensors."""
        ...

    def state(self) -> dict[str, Any]:
        """Model, optimiser, schedule and running mean, as `torch.save` takes them."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Put `state()` of an earlier process back."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long a stage runs and what its best checkpoint is best at."""

    steps: int
    log_every: int
    validate_every: int
    criterion: str
    """Name of the validation figure that decides."""
    higher_is_better: bool


def run_stage(
    stage: Stage, folder: Path, plan: Plan, validate: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """Train to the last step, or go on to it from the folder's checkpoint.

    Args:
        stage: model, data and optimiser.
        folder: gets metrics.jsonl, last.pt and best.safetensors.
        plan: length and criterion.
        validate: the figures of `stage.weights()`.

    Returns:
        The figures of the best validation.

    Raises:
        CheckpointError: if a checkpoint cannot be read or written.
        ConfigError: if a loss is not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    progress = _resume(stage, folder)
    started, first = time.monotonic(), stage.step
    while stage.step < plan.steps:
        for name, value in stage.train_step().items():
            progress.recent[name].append(value)
        is_last = stage.step == plan.steps
        if stage.step % plan.log_every == 0 or is_last:
            pace = (time.monotonic() - started) / (stage.step - first)
            _log_losses(folder, stage.step, pace, progress.recent)
            logger.info("%s: about %.0f minutes left", folder.name, pace * (plan.steps - stage.step) / 60)
        if stage.step % plan.validate_every == 0 or is_last:
            figures = validate()
            _log(folder, {"step": stage.step, **figures})
            if progress.is_better(figures, plan):
                progress.best = figures[plan.criterion]
                save_weights(folder / "best.safetensors", stage.weights())
            _save_state(stage, folder, progress)
    return best_figures(folder, plan)


def best_figures(folder: Path, plan: Plan) -> dict[str, float]:
    """The best validation line of a run's metrics.jsonl."""
    lines = [line for line in read_metrics(folder) if plan.criterion in line]
    return max(lines, key=lambda line: line[plan.criterion] * (1 if plan.higher_is_better else -1))


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl; a last one that was cut by a kill is left out."""
    path = folder / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def check_finite(loss: Tensor, step: int, pictures: list[str]) -> None:
    """Stop a run whose loss is no number, before the weights are spoilt.

    Raises:
        ConfigError: if `loss` is infinite or NaN; it names some pictures of the batch.
    """
    if not bool(loss.isfinite()):
        raise ConfigError(
            f"the loss is {loss.item()} at step {step} (batch of {', '.join(pictures[:4])}, ...); it must be "
            "finite. The last checkpoint stands: lower the learning rate, or look at these pictures."
        )


@dataclass
class _Progress:
    """What the loop itself carries from step to step."""

    best: float | None
    recent: defaultdict[str, list[float]]
    """Losses since the last line of metrics."""

    def is_better(self, figures: Mapping[str, float], plan: Plan) -> bool:
        value = figures[plan.criterion]
        return self.best is None or (value > self.best if plan.higher_is_better else value < self.best)


def _resume(stage: Stage, folder: Path) -> _Progress:
    """Load the folder's checkpoint, if there is one, and cut the metrics back to its step."""
    path = folder / "last.pt"
    progress = _Progress(None, defaultdict(list))
    if path.exists():
        try:
            state = torch.load(path, weights_only=True)
            stage.load_state(state)
        except READ_ERRORS as error:
            raise CheckpointError(
                f"{path} cannot be resumed ({reason(error)}); it must be a checkpoint of the same recipe. "
                "Delete it to train the stage from its start."
            ) from error
        stage.step, progress.best = state["step"], state["best"]
        progress.recent.update(state.get("recent", {}))
        if "chance" in state:  # checkpoints of before 0.1 have no random state: they resume, with other draws
            stage.chance.setstate(state["chance"])
            torch.set_rng_state(state["torch_chance"])
    kept = [line for line in read_metrics(folder) if line["step"] <= stage.step]
    _replace_text(folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))
    return progress


def _save_state(stage: Stage, folder: Path, progress: _Progress) -> None:
    own = {
        "step": stage.step,
        "best": progress.best,
        "recent": dict(progress.recent),
        "chance": stage.chance.getstate(),
        "torch_chance": torch.get_rng_state(),
    }
    save_state(folder / "last.pt", {**stage.state(), **own})


def _replace_text(path: Path, text: str) -> None:
    partial = path.with_suffix(".tmp")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _log_losses(folder: Path, step: int, pace: float, recent: defaultdict[str, list[float]]) -> None:
    mean = {name: round(sum(values) / len(values), 3) for name, values in recent.items()}
    recent.clear()
    _log(folder, {"step": step, "seconds_per_step": round(pace, 2), **mean})


def _log(folder: Path, line: dict[str, float]) -> None:
    with (folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    logger.info("%s: %s", folder.name, json.dumps(line))
