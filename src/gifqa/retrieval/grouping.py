"""Groups of frames that look much the same, found on 32x32 thumbnails, which cost the encoder nothing.

Three consecutive frames share their middle one unless a cut falls between them, and a representative that
looks like the one before it is merged into that one. Lost by this: what moves so little that a thumbnail
hardly changes.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gifqa.retrieval.config import ClipCutConfig

_THUMBNAIL_SIDE = 32
_LEAST_THRESHOLD = 1.0  # of pixel values: what differs by less is noise of the GIF's palette


@dataclass(frozen=True)
class Groups:
    """The groups of a GIF in time order.

    Attributes:
        representatives: the frame that stands for each, strictly increasing positions, int64 (N,), N >= 1.
        shots: which stretch between two cuts each lies in, never decreasing, int64 (N,).
    """

    representatives: NDArray[np.int64]
    shots: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.representatives)

    def thinned(self, count: int) -> "Groups":
        """`count` of them, at most as many as there are, spread evenly from the first to the last."""
        kept = np.linspace(0, len(self) - 1, count).round().astype(np.int64)
        return Groups(self.representatives[kept], self.shots[kept])


def find_groups(pixels: NDArray[np.uint8], config: ClipCutConfig) -> Groups:
    """Group the frames.

    Groups of three with a cut (|) after the fifth frame; ' marks the representatives:
    0 1' 2   3 4' | 5 6' 7   8'. Then 4 is dropped if it looks like 1, and so on. Where that leaves fewer
    than `min_frames`, the threshold is halved: in a calm GIF, small changes are what happens.

    Args:
        pixels: all frames, RGB, (N, H, W, 3), N >= 1.
        config: group_size, min_frames, cut_threshold and duplicate_threshold are used.
    """
    thumbnails = _thumbnails(pixels)
    shots = _shots(thumbnails, config.cut_threshold)
    middles = _middles(shots, max(1, min(config.group_size, len(pixels) // config.min_frames)))
    threshold = config.duplicate_threshold
    kept = _merged(thumbnails, middles, threshold)
    while len(kept) < min(config.min_frames, len(middles)) and threshold > _LEAST_THRESHOLD:
        threshold /= 2
        kept = _merged(thumbnails, middles, threshold)
    representatives = np.array(kept, dtype=np.int64)
    return Groups(representatives, shots[representatives])


def _thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Frames shrunk by area averaging, (N, H, W, 3) to int16 (N, 32, 32, 3)."""
    from PIL import Image

    size = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    small = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX)) for frame in pixels]
    return np.stack(small).astype(np.int16)


def _shots(thumbnails: NDArray[np.int16], cut_threshold: float) -> NDArray[np.int64]:
    """How many cuts come before each frame, int64 (N,)."""
    is_cut = [False, *(_difference(*pair) > cut_threshold for pair in pairwise(thumbnails))]
    return np.cumsum(is_cut, dtype=np.int64)


def _difference(first: NDArray[np.int16], second: NDArray[np.int16]) -> float:
    """Mean absolute difference of two thumbnails, 0 to 255."""
    return float(np.abs(first - second).mean())


def _middles(shots: NDArray[np.int64], size: int) -> list[int]:
    """The middle frames of groups of up to `size` frames, none of them across a cut."""
    starts = [0]
    for i in range(1, len(shots)):
        if shots[i] != shots[i - 1] or i - starts[-1] == size:
            starts.append(i)
    return [(start + end) // 2 for start, end in pairwise([*starts, len(shots)])]


def _merged(thumbnails: NDArray[np.int16], positions: list[int], threshold: float) -> list[int]:
    """The positions without those that look like the one kept before them."""
    kept = positions[:1]
    for i in positions[1:]:
        if _difference(thumbnails[kept[-1]], thumbnails[i]) > threshold:
            kept.append(i)
    return kept
