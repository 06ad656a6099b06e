"""`Media` -> `Frames`: RGB pixels with the time of each, sampled while decoding so that memory stays bounded.

The decoders: `decoding_gif`, `decoding_images` (WebP, APNG, stills, frames one by one), `decoding_video`.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.decoding import FrameSource
from gifqa.decoding_gif import open_gif
from gifqa.decoding_images import open_animation, open_frames, open_still
from gifqa.decoding_video import open_video
from gifqa.errors import UnreadableMedia
from gifqa.limits import Budget, MediaLimits, how_to_raise
from gifqa.media import Media
from gifqa.media_types import ANIMATED_KINDS, VIDEO_KINDS


@dataclass(frozen=True, eq=False)
class Frames:
    """Some or all frames of a clip, in time order. The leading dimensions of the arrays agree.

    Index and time are those of the source: of 9 frames at 10 a second, sampled to 3, the indices are 0, 4, 8
    and the times 0.0, 0.4, 0.8; `num_frames` is 9 and `duration_seconds` 0.9.
    """

    pixels: NDArray[np.uint8]
    """RGB, (N, H, W, 3), N >= 1."""
    pts_seconds: NDArray[np.float64]
    """When each frame appears, (N,), strictly increasing, >= 0."""
    duration_seconds: float
    """When the source's last frame is over, later than the last frame appears."""
    frame_indices: NDArray[np.int64]
    """Which frames of the source these are, (N,), strictly increasing, from 0 to `num_frames` - 1."""
    num_frames: int
    """Frames of the source."""
    warnings: tuple[str, ...] = ()
    """What was wrong with the source, one sentence each."""

    def __post_init__(self) -> None:
        """Hold the arrays to what the fields say."""
        if (
            self.pixels.dtype != np.uint8
            or self.pixels.ndim != 4
            or self.pixels.shape[3] != 3
            or not self.pixels.size
        ):
            raise ValueError(
                f"pixels must be uint8 (N, H, W, 3), none 0, not {self.pixels.dtype} {self.pixels.shape}"
            )
        num = len(self.pixels)
        if self.pts_seconds.shape != (num,) or self.frame_indices.shape != (num,):
            raise ValueError(
                f"{num} frames need as many times and indices, not pts_seconds {self.pts_seconds.shape} and "
                f"frame_indices {self.frame_indices.shape}"
            )
        if (np.diff(self.frame_indices) <= 0).any() or (np.diff(self.pts_seconds) <= 0).any():
            raise ValueError(
                f"indices and times must strictly increase, not {self.frame_indices.tolist()} at "
                f"{self.pts_seconds.tolist()}"
            )
        if not 0 <= self.frame_indices[0] <= self.frame_indices[-1] < self.num_frames:
            raise ValueError(
                f"frame_indices {self.frame_indices.tolist()} are not within 0..{self.num_frames - 1}"
            )
        if not 0 <= self.pts_seconds[0] <= self.pts_seconds[-1] < self.duration_seconds:
            raise ValueError(
                f"pts_seconds {self.pts_seconds.tolist()} are not within 0..{self.duration_seconds} s"
            )

    def __len__(self) -> int:
        """The number of frames here, at most `num_frames`."""
        return len(self.pixels)


def decode_frames(
    media: Media, limits: MediaLimits | None = None, *, indices: Sequence[int] | None = None
) -> Frames:
    """Decode media, at most `limits.max_frames` of their frames, evenly spread.

    Args:
        media: what `load_media` returns.
        limits: canvas, frames, pixels and time.
        indices: only these frames of the source, in any order; damaged ones among them are left out.

    Returns:
        The frames, at least one, and warnings about those that do not decode.

    Raises:
        UnreadableMedia: if no frame decodes.
        MediaTooLarge: if a limit is exceeded.
        ValueError: if `indices` is empty or one of them is not a frame of the source.
    """
    limits = limits or MediaLimits()
    budget = Budget(media.name, limits)
    source = _open_source(media, budget)
    is_sampled = indices is None
    wanted = _checked(indices, source.num_frames) if indices is not None else _sample(source, limits)
    kept, pixels = _read(source, wanted)
    if not kept and media.kind in ("gif", "apng"):
        source = _open_damaged(media, budget)
        wanted = [index for index in wanted if index < source.num_frames]
        kept, pixels = _read(source, wanted)
        if media.kind == "gif" and (pixels == pixels[:1, :1, :1]).all():
            kept = []  # a canvas on which nothing was drawn
    if not kept:
        raise UnreadableMedia(
            f"{media.name} is damaged: no frame decodes. Get the whole file, or save it anew."
        )
    num_frames, duration_seconds = source.num_frames, source.duration_seconds
    warnings = list(source.warnings)
    if len(kept) < len(wanted):
        warnings.append(f"{media.name} is cut short or damaged: {len(kept)} of {len(wanted)} frames decode")
    if is_sampled and kept[-1] < wanted[-1]:
        num_frames = kept[-1] + 1
        duration_seconds = float(source.pts_seconds[num_frames])
    if is_sampled and len(wanted) < min(source.num_frames, limits.max_frames):
        warnings.append(
            f"{media.name} has {source.num_frames} frames of {source.width}x{source.height} pixels; only "
            f"{len(wanted)} are looked at. To keep more in memory, {how_to_raise('max_pixels_kept')}"
        )
    return Frames(
        pixels=pixels,
        pts_seconds=source.pts_seconds[kept],
        duration_seconds=duration_seconds,
        frame_indices=np.array(kept, np.int64),
        num_frames=num_frames,
        warnings=tuple(warnings),
    )


def sample_indices(num_frames: int, max_frames: int) -> list[int]:
    """Which frames to keep: all, or `max_frames` of them spread evenly from the first to the last.

    For 9 frames and room for 3 that is 0, 4, 8; for 1 it is the middle one. Never more than there are, never
    one twice.

    Args:
        num_frames: frames of the source, >= 0.
        max_frames: how many to keep at most, >= 1.

    Returns:
        Strictly increasing indices.
    """
    if num_frames <= max_frames:
        return list(range(num_frames))
    if max_frames == 1:
        return [num_frames // 2]
    steps = max_frames - 1
    return [(position * (num_frames - 1) + steps // 2) // steps for position in range(max_frames)]


def _open_source(media: Media, budget: Budget) -> FrameSource:
    if media.frames is not None:
        return open_frames(media.frames, media.delays_ms, budget)
    data = media.data or b""
    if media.kind == "gif":
        return open_gif(data, budget)
    if media.kind in ANIMATED_KINDS:
        return open_animation(data, media.kind, budget)
    if media.kind in VIDEO_KINDS:
        return open_video(data, media.kind, budget)
    return open_still(data, budget)


def _open_damaged(media: Media, budget: Budget) -> FrameSource:
    """A GIF or APNG of which no frame was readable: what FFmpeg makes of it, or its default image."""
    data = media.data or b""
    source = open_video(data, "gif", budget) if media.kind == "gif" else open_still(data, budget)
    source.warnings.append(f"{media.name} is damaged; only a part of one frame could be read")
    return source


def _sample(source: FrameSource, limits: MediaLimits) -> list[int]:
    """The frames that the limits on their number and on their pixels leave room for."""
    room = max(1, limits.max_pixels_kept // (source.width * source.height))
    return sample_indices(source.num_frames, min(limits.max_frames, room))


def _checked(indices: Sequence[int], num_frames: int) -> list[int]:
    wanted = sorted(set(map(int, indices)))
    if not wanted or wanted[0] < 0 or wanted[-1] >= num_frames:
        raise ValueError(f"indices are {wanted}; give at least one, all within 0..{num_frames - 1}")
    return wanted


def _read(source: FrameSource, wanted: Sequence[int]) -> tuple[list[int], NDArray[np.uint8]]:
    """The wanted frames that decode: their indices, and their pixels (N, H, W, 3)."""
    pixels = np.empty((len(wanted), source.height, source.width, 3), np.uint8)
    kept: list[int] = []
    with closing(source.read(wanted)) as frames:
        for index, frame in frames:
            pixels[len(kept)] = frame
            kept.append(index)
    return kept, pixels[: len(kept)]
