"""Where the seconds of one call go."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


class Stopwatch:
    """Seconds by stage, from the moment it is made."""

    def __init__(self, stages: Sequence[str]) -> None:
        """Start; each of the stages stands at 0.0."""
        self._seconds = dict.fromkeys(stages, 0.0)
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside the block to the stage `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - start

    def read(self) -> dict[str, float]:
        """Seconds by stage so far, and `total`."""
        return {**self._seconds, "total": time.perf_counter() - self._start}
