"""Checkpoints on disk: written whole or not at all, read with every key accounted for.

step-00000400.pt    all that the step after the 400th depends on; the last few are kept
best.safetensors    the weights of the best validation so far
"""

import logging
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gifqa.errors import CheckpointError

logger = logging.getLogger(__name__)

READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError)
"""What reading a missing, damaged or foreign file raises."""


def save_state(path: Path, values: Mapping[str, Any]) -> None:
    """Write tensors and plain values by `torch.save`.

    Raises:
        CheckpointError: if the disk is full or the folder cannot be written.
    """
    _write_whole(path, lambda partial: torch.save(dict(values), partial))


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a safetensors file.

    Raises:
        CheckpointError: if the disk is full or the folder cannot be written.
    """
    kept = {name: value.detach().contiguous() for name, value in weights.items()}
    _write_whole(path, lambda partial: save_file(kept, partial))


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` write beside `path`, then put the file there; what stood there stays if that fails."""
    partial = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        _replace(partial, path)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch reports a full disk as RuntimeError
        partial.unlink(missing_ok=True)
        raise CheckpointError(_unwritten(path, error)) from error


def save_step(folder: Path, step: int, values: Mapping[str, Any], keep_last: int) -> Path:
    """Write the checkpoint of a step, then delete all but the last `keep_last`; returns its path.

    Raises:
        CheckpointError: if the disk is full or the folder cannot be written; the earlier ones stay.
    """
    path = folder / f"step-{step:08d}.pt"
    save_state(path, values)
    outdated = _step_paths(folder)[keep_last:]
    for old in (*outdated, folder / "last.pt", *folder.glob("step-*.pt.tmp")):
        old.unlink(missing_ok=True)
    return path


def load_last_step(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest checkpoint that can be read, with its path; None if the folder holds none.

    A damaged one is passed over with a warning, in favour of the one before it.

    Raises:
        CheckpointError: if there are some, and all are damaged.
    """
    paths = _step_paths(folder) or [path for path in [folder / "last.pt"] if path.exists()]  # of before 0.2
    for path in paths:
        try:
            state: dict[str, Any] = torch.load(path, weights_only=True)
        except READ_ERRORS as error:
            logger.warning("%s cannot be read (%s); an earlier checkpoint is tried", path, reason(error))
            continue
        return path, state
    if paths:
        raise CheckpointError(
            f"{paths[0]} cannot be resumed (it is damaged), and no earlier checkpoint can; one of those that "
            "the run wrote must be whole. Delete it to train the stage from its start."
        )
    return None


def drop_later_steps(folder: Path, path: Path) -> None:
    """Delete the checkpoints beyond one that was gone back to: `load_last_step` found them damaged."""
    for later in _step_paths(folder):
        if later.name > path.name:
            later.unlink()


def load_best(model: nn.Module, folder: Path) -> None:
    """Load a whole model from a run's best.safetensors; raises what `load_weights` does."""
    load_weights(model, folder / "best.safetensors")


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a whole model from a safetensors file.

    Raises:
        CheckpointError: if the file is missing, damaged or of another shape.
    """
    try:
        model.load_state_dict(load_file(path), strict=True)
    except READ_ERRORS as error:
        raise CheckpointError(_misfit(path, error)) from error


def load_trained_weights(model: nn.Module, path: Path) -> None:
    """Set those parameters of the model that require a gradient: exactly those must be in the file.

    Raises:
        CheckpointError: if the file is missing, damaged or of another shape.
    """
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    try:
        weights = load_file(path)
        different = sorted(weights.keys() ^ parameters.keys())
        if different:
            raise ValueError(f"{different[0]} is only in one of them")
        with torch.no_grad():
            for name, value in weights.items():
                parameters[name].copy_(value)
    except READ_ERRORS as error:
        raise CheckpointError(_misfit(path, error)) from error


def _step_paths(folder: Path) -> list[Path]:
    """The newest first."""
    return sorted(folder.glob("step-*.pt"), reverse=True)


def _replace(partial: Path, path: Path) -> None:
    """Put a written file in its place, where not even a power cut finds it in part."""
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def reason(error: Exception) -> str:
    """Why a file could not be used, in one short line; torch's own messages run over many."""
    if isinstance(error, pickle.UnpicklingError | EOFError):
        return "it is damaged"
    lines = " ".join(str(error).split())
    return lines if len(lines) <= 200 else f"{lines[:197]}..."


def _misfit(path: Path, error: Exception) -> str:
    return (
        f"{path} does not fit the model ({reason(error)}); it must be a checkpoint of the same recipe. "
        "Train the stage again, or use the recipe it was trained with."
    )


def _unwritten(path: Path, error: Exception) -> str:
    return (
        f"{path} cannot be written ({reason(error)}); what stood there before is kept. "
        "Free some space, then run again: it goes on from the last checkpoint."
    )
