"""An ONNX graph of a bundle: opened, held against what it must take and give, and run.

ONNX Runtime has an exception for each status; here all of them become one line about the bundle.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from gifqa.errors import CheckpointError

MAX_THREADS = 8
FATAL_ONLY = 4
"""Severity of what ONNX Runtime may print itself: it raises its errors too, and those are reported."""


class Tensor(NamedTuple):
    """What a graph must take or give under some name."""

    dtype: str
    """As ONNX Runtime writes it: float, int64."""
    shape: tuple[int | None, ...]
    """None where any size will do."""

    def __str__(self) -> str:
        """For example `float (?, 3, ?, 64)`."""
        return f"{self.dtype} ({', '.join('?' if size is None else str(size) for size in self.shape)})"


class Graph:
    """An opened graph on the CPU; safe with threads."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            CheckpointError: if it is no graph, or one that this ONNX Runtime cannot run.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
        options.log_severity_level = FATAL_ONLY
        self._called = f"{path.name} of the bundle {path.parent}"
        try:
            self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _runtime_errors() as error:
            raise cannot_open(path, error) from error
        self.inputs = _described(self._session.get_inputs())
        """What it takes; a size that is not fixed is None."""
        self.outputs = _described(self._session.get_outputs())
        """What it gives; a size that is not fixed is None."""

    def check(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        """Hold the graph against what it will be given and asked for.

        Raises:
            CheckpointError: if it wants another input or lacks one, lacks an output, or one of them has
                another type or size.
        """
        for side, wanted, found in (("input", inputs, self.inputs), ("output", outputs, self.outputs)):
            unknown = found.keys() - wanted.keys() if side == "input" else set()
            for name in (*wanted, *sorted(unknown)):
                if not _fits(wanted.get(name), found.get(name)):
                    raise CheckpointError(
                        f"{self._called} does not fit its other files: the {side} {name} is "
                        f"{found.get(name, 'not there')}, and {wanted.get(name, 'none')} is needed. "
                        "Export the bundle again."
                    )

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> Sequence[NDArray[Any]]:
        """Some outputs by their names; of `feeds`, what it was traced without needing is left out.

        Raises:
            CheckpointError: if it has no such outputs, wants more than it is given, or does not run.
        """
        if missing := [name for name in self.inputs if name not in feeds]:
            raise CheckpointError(
                f"{self._called} wants {', '.join(missing)}; it is given {', '.join(feeds)}. "
                "Export the bundle again."
            )
        try:
            found: Sequence[NDArray[Any]] = self._session.run(
                list(outputs), {name: feeds[name] for name in self.inputs}
            )
        except _runtime_errors() as error:
            raise CheckpointError(
                f"{self._called} does not run ({_on_one_line(error)}); it must be as `gifqa export` "
                "wrote it. Export the bundle again."
            ) from error
        return found


def cannot_open(path: Path, error: Exception) -> CheckpointError:
    """The error for a file of a bundle that a library does not open."""
    return CheckpointError(
        f"{path.name} of the bundle {path.parent} cannot be opened ({_on_one_line(error)}); it must be as "
        "`gifqa export` wrote it. Export the bundle again, or update onnxruntime."
    )


def _fits(wanted: Tensor | None, found: Tensor | None) -> bool:
    """Whether both are there, of one type, and agree in every size that both fix."""
    if wanted is None or found is None:
        return False
    return (
        wanted.dtype == found.dtype
        and len(wanted.shape) == len(found.shape)
        and all(None in pair or pair[0] == pair[1] for pair in zip(wanted.shape, found.shape, strict=True))
    )


def _described(nodes: Sequence[Any]) -> dict[str, Tensor]:
    return {
        node.name: Tensor(
            node.type.removeprefix("tensor(").removesuffix(")"),
            tuple(size if isinstance(size, int) else None for size in node.shape),
        )
        for node in nodes
    }


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: a class for each status, no common one."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
        state.NoModel, state.NoSuchFile, state.NotImplemented, state.RuntimeException, RuntimeError,
    )  # fmt: skip


def _on_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
