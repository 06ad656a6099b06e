"""How fast a stage goes, how long it still needs, and the bar that shows it on a terminal."""

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol


class Pace:
    """Throughput since the last line, and the time left from the pace of the whole process.

    The time left counts validations and checkpoints, the throughput the steps alone.
    """

    def __init__(self, step: int) -> None:
        self._started, self._first = time.monotonic(), step
        self._seconds, self._steps = 0.0, 0
        self.counted = (0.0, 0.0)
        """Samples and tokens that this process read since the last line."""

    def count(self, seconds: float, samples: float, tokens: float) -> None:
        """Count a step in."""
        self._seconds += seconds
        self._steps += 1
        self.counted = self.counted[0] + samples, self.counted[1] + tokens

    def timings(self, step: int, steps: int, counted: Sequence[float]) -> dict[str, float]:
        """The figures of `gifqa.training.metrics.TIMINGS` for a line, which ends what is counted for it.

        Args:
            step: the last one that was taken.
            steps: of the stage.
            counted: samples and tokens of all processes; a rate that is 0 is left out.
        """
        seconds = max(self._seconds, 1e-9)
        found = {"seconds_per_step": round(seconds / self._steps, 3)}
        for name, value in zip(("samples_per_second", "tokens_per_second"), counted, strict=True):
            if value:
                found[name] = round(value / seconds, 2)
        pace = (time.monotonic() - self._started) / (step - self._first)
        self._seconds, self._steps, self.counted = 0.0, 0, (0.0, 0.0)
        return found | {"minutes_left": round(pace * (steps - step) / 60, 1)}


class Bar(Protocol):
    """What shows how far a stage is."""

    def show(self, step: int, text: str) -> None:
        """Move to a step; `text` stands behind the time left."""
        ...


class NoBar:
    """Shows nothing: no terminal, or not the main process."""

    def show(self, step: int, text: str) -> None:
        """Do nothing."""


class _RichBar:
    def __init__(self, progress: Any, task: Any) -> None:
        self._progress, self._task = progress, task

    def show(self, step: int, text: str) -> None:
        self._progress.update(self._task, completed=step, text=text)


@contextmanager
def progress_bar(name: str, step: int, steps: int, *, wanted: bool) -> Iterator[Bar]:
    """A bar on stderr if that is a terminal; log lines that go there are written above it.

    Args:
        name: of the stage.
        step: where it goes on.
        steps: its last step.
        wanted: False for none at all.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not wanted or not console.is_terminal:
        yield NoBar()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    stderr = sys.stderr
    with Progress(*columns, console=console, transient=True) as progress:
        handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is stderr
        ]
        for handler in handlers:
            handler.setStream(sys.stderr)  # the one that rich watches
        try:
            yield _RichBar(progress, progress.add_task(name, total=steps, completed=step, text=""))
        finally:
            for handler in handlers:
                handler.setStream(stderr)
