"""Checkpoints on disk: written whole or not at all, read with every key accounted for."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gifqa.errors import CheckpointError

READ_ERRORS = (OSError, RuntimeError, KeyError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError)
"""What reading a missing, damaged or foreign file raises."""


def save_state(path: Path, values: Mapping[str, Any]) -> None:
    """Write tensors and plain values by `torch.save`.

    Raises:
        CheckpointError: if the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(dict(values), partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as RuntimeError
        partial.unlink(missing_ok=True)
        raise CheckpointError(_unwritten(path, error)) from error


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write a safetensors file.

    Raises:
        CheckpointError: if the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: value.detach().contiguous() for name, value in weights.items()}, partial)
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise CheckpointError(_unwritten(path, error)) from error


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
