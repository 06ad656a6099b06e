"""What every decoder returns, and how long browsers show a frame."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LONGEST_REPLACED_DELAY_MS = 10
REPLACEMENT_DELAY_MS = 100
STILL_SECONDS = 0.1
"""How long a frame lasts whose source says nothing about time: a still image, one of a folder or a list."""


IndexedFrames = Generator[tuple[int, NDArray[np.uint8]], None, None]
"""(index, RGB (H, W, 3)) pairs, in time order."""


@dataclass
class FrameSource:
    """Media whose headers were scanned and found within the limits, ready to decode."""

    width: int
    """Pixels of a row, the same for all frames."""
    height: int
    """Rows of a frame."""
    pts_seconds: NDArray[np.float64]
    """When each frame of the source appears, (num_frames,), strictly increasing, first 0."""
    duration_seconds: float
    """When the last frame's time is over, > 0."""
    read: Callable[[Sequence[int]], IndexedFrames]
    """`read(wanted)` decodes once through; gives (index, RGB (H, W, 3)) of the wanted frames that decode."""
    warnings: list[str] = field(default_factory=list)
    """What the scan found wrong; `read` adds what it finds."""

    @property
    def num_frames(self) -> int:
        """Frames of the source."""
        return len(self.pts_seconds)


def times_from_delays(delays_ms: Sequence[float]) -> tuple[NDArray[np.float64], float]:
    """When each frame appears and when the last is over, in seconds.

    A delay of 10 ms or less plays as 100 ms, as in every browser: old GIFs say 0 and mean "at a usual speed".

    Args:
        delays_ms: what the file says, a delay for each frame.

    Returns:
        pts_seconds, (N,), and the duration.
    """
    shown = [delay if delay > LONGEST_REPLACED_DELAY_MS else REPLACEMENT_DELAY_MS for delay in delays_ms]
    ends = np.cumsum(shown, dtype=np.float64) / 1000
    return np.concatenate([[0.0], ends[:-1]]), float(ends[-1])
