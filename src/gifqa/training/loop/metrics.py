"""A stage's figures: metrics.jsonl always, TensorBoard and Weights & Biases where asked for.

{"step": 40, "seconds_per_step": 1.2, "samples_per_second": 40.1, "minutes_left": 19.2, "loss": 0.81}
{"step": 40, "mean": 0.52}
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gifqa.errors import CheckpointError
from gifqa.extras import require

TIMINGS = ("seconds_per_step", "samples_per_second", "tokens_per_second", "minutes_left")
"""Names in lines of losses that tell of the machine; the first is in every such line, and only there."""

Line = dict[str, float]


def read_metrics(folder: Path) -> list[Line]:
    """The lines of a run's metrics.jsonl; a last one that was cut by a kill is left out."""
    return read_whole_lines(folder / "metrics.jsonl")


def read_whole_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file that this run wrote; a last line that was cut by a kill is left out."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


class StepLog:
    """A JSONL file with a line a step or so, which can go back to an earlier step.

    Raises:
        CheckpointError: from each method, if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def cut_back(self, step: int) -> None:
        """Drop the lines of later steps; the file is replaced whole."""
        kept = [line for line in read_whole_lines(self.path) if line["step"] <= step]
        partial = self.path.with_suffix(".tmp")
        try:
            partial.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
            partial.replace(self.path)
        except OSError as error:
            raise CheckpointError(self._unwritten(error)) from error

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a line."""
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise CheckpointError(self._unwritten(error)) from error

    def _unwritten(self, error: OSError) -> str:
        return (
            f"{self.path} cannot be written ({error.strerror}); the last checkpoint stands. "
            "Free some space, then run again: it goes on from there."
        )


class Trackers:
    """TensorBoard and Weights & Biases, each if asked for; drawn beside metrics.jsonl, which is what counts.

    Args:
        folder: of the stage; gets tensorboard/ and wandb/.
        step: where the stage goes on; TensorBoard drops what it has beyond.
        tensorboard: write its event files.
        wandb: log to a run that is named after the last two folders, in the project `gifqa`.

    Raises:
        MissingExtra: if the package is not installed.
    """

    def __init__(self, folder: Path, step: int, *, tensorboard: bool, wandb: bool) -> None:
        self._writer: Any = None
        self._wandb_run: Any = None
        if tensorboard:
            require("tensorboard", "train")
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)  # type: ignore[no-untyped-call]
        if wandb:
            self._wandb_run = require("wandb", "wandb").init(
                project="gifqa",
                name=f"{folder.parent.name}-{folder.name}",
                id=_wandb_id(folder),
                resume="allow",
                dir=str(folder),
            )

    def add(self, line: Mapping[str, float]) -> None:
        """Pass a line of metrics on."""
        figures = {name: value for name, value in line.items() if name != "step"}
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, line["step"])
            self._writer.flush()
        if self._wandb_run is not None:
            self._wandb_run.log(figures, step=int(line["step"]))

    def close(self) -> None:
        """Write out what they hold."""
        if self._writer is not None:
            self._writer.close()
        if self._wandb_run is not None:
            self._wandb_run.finish()


def _wandb_id(folder: Path) -> str:
    """The same each time that a stage is gone on with, and no other stage's."""
    path = folder / "wandb-id.txt"
    if not path.exists():
        path.write_text(secrets.token_hex(8), encoding="utf-8")
    return path.read_text(encoding="utf-8")
