"""MP4, MOV, WebM, MKV and AVI through PyAV (FFmpeg), with the container format forced by what the bytes are.

The file is taken apart into packets first, which costs almost nothing and tells how many frames there are and
when; then the packets are decoded once through and only the wanted frames become RGB. Not covered: sound,
subtitles, transparency of WebM, pixels that are not square.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from gifqa.decoding import STILL_SECONDS, FrameSource, IndexedFrames
from gifqa.errors import UnreadableMedia, UnsupportedMedia
from gifqa.limits import Budget

DEMUXERS = {"mp4": "mov", "mov": "mov", "webm": "matroska", "mkv": "matroska", "avi": "avi", "gif": "gif"}
AV_ERRORS = (av.error.FFmpegError, OSError, ValueError, MemoryError)
"""PyAV maps FFmpeg's codes to many types, and bytes that are no UTF-8 to `UnicodeDecodeError`."""
DEFAULT_RATE = 25

Rgb = NDArray[np.uint8]


@dataclass
class VideoStream:
    """The compressed frames of a video, and what decodes them."""

    container: Any
    """Kept open as long as its packets are decoded."""
    context: Any
    """The decoder."""
    packets: list[Any]
    """In decoding order; the last one is empty and makes the decoder give what it holds back."""
    pts: list[int]
    """Time stamps of the frames in presentation order, strictly increasing."""
    seconds_per_tick: float
    """Unit of `pts` and `last_duration`."""
    last_duration: int
    """How long the last frame is shown; 0 if the file does not say."""
    declared_seconds: float
    """How long the file says the video is; 0 if it does not say."""


def open_video(data: bytes, kind: str, budget: Budget) -> FrameSource:
    """Take a video apart and decode its first frame.

    Args:
        data: the file.
        kind: "mp4", "mov", "webm", "mkv" or "avi"; "gif" to salvage what FFmpeg reads of a damaged one.
        budget: its limits.

    Returns:
        Its frames, turned upright as the file says.

    Raises:
        UnreadableMedia: if no frame decodes.
        UnsupportedMedia: if there is no video in it.
        MediaTooLarge: if it is over a limit.
    """
    try:
        stream = _take_apart(data, kind, budget)
        first = next(_decode(stream, budget), None)
    except AV_ERRORS as error:
        budget.check_time()
        reason = getattr(error, "strerror", None) or error
        raise UnreadableMedia(
            f"{budget.name} cannot be read as {kind} ({reason}); get the whole file, or convert it anew."
        ) from error
    if first is None:
        raise UnreadableMedia(f"{budget.name} is damaged: none of its frames decodes. Get the whole file.")
    stream.context.flush_buffers()
    size = (first.width, first.height)
    height, width = _to_rgb(first, size).shape[:2]
    budget.check_canvas(width, height)
    pts_seconds = (np.array(stream.pts, np.float64) - stream.pts[0]) * stream.seconds_per_tick
    last_seconds = stream.last_duration * stream.seconds_per_tick or _usual_gap(pts_seconds)
    positions = {pts: index for index, pts in enumerate(stream.pts)}

    def read(wanted: Sequence[int]) -> IndexedFrames:
        shown, last, index = frozenset(wanted), max(wanted, default=-1), -1
        budget.check_pixels(width * height * len(shown))
        try:
            for frame in _decode(stream, budget):
                index = max(index + 1, positions.get(frame.pts, 0))
                if index in shown:
                    yield index, _to_rgb(frame, size)
                if index >= last:
                    return
        finally:
            stream.container.close()

    duration_seconds = float(pts_seconds[-1]) + last_seconds
    warnings = []
    if duration_seconds < 0.9 * stream.declared_seconds:
        warnings.append(
            f"{budget.name} is cut short: {duration_seconds:.1f} of its {stream.declared_seconds:.1f} "
            "seconds are there"
        )
    return FrameSource(width, height, pts_seconds, duration_seconds, read, warnings)


def _take_apart(data: bytes, kind: str, budget: Budget) -> VideoStream:
    """All packets of the best video stream; a file that is cut off gives those that are there."""
    container = av.open(
        BytesIO(data),
        format=DEMUXERS[kind],
        metadata_errors="ignore",
        options={"max_pixels": str(2 * budget.limits.max_canvas_pixels)},
        timeout=budget.seconds_left,
    )
    stream = container.streams.best("video")
    if stream is None and len(container.streams):
        raise UnsupportedMedia(f"{budget.name} has sound but no video in it; give a file with a picture.")
    context = stream.codec_context if stream is not None else None
    if stream is None or context is None:
        raise UnreadableMedia(
            f"{budget.name} cannot be read as {kind} (no video that FFmpeg knows how to decode is in it); "
            "get the whole file, or convert it to H.264."
        )
    budget.check_canvas(context.width, context.height)
    context.options = {"max_pixels": str(2 * budget.limits.max_canvas_pixels)}
    context.thread_type = "AUTO"
    packets: list[Any] = []
    try:
        for packet in container.demux(stream):
            budget.check_time()
            packets.append(packet)
            budget.check_frame_count(len(packets) - 1)
    except AV_ERRORS:
        packets.append(None)
    full = [packet for packet in packets if packet is not None and packet.size and not packet.is_discard]
    if not full:
        raise UnreadableMedia(f"{budget.name} has no frames ({len(data)} bytes); get the whole file.")
    stamps = [packet.pts for packet in full]
    if None not in stamps:
        tick, last_duration = float(stream.time_base), full[-1].duration or 0
    else:
        stamps, tick, last_duration = (
            list(range(len(full))),
            1 / float(stream.average_rate or DEFAULT_RATE),
            1,
        )
    return VideoStream(
        container,
        context,
        packets,
        sorted(set(stamps)),
        tick,
        last_duration,
        _declared_seconds(container, stream),
    )


def _declared_seconds(container: Any, stream: Any) -> float:
    """The length of the video by the file's header; 0 where it gives none for the video alone."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return 0.0


def _decode(stream: VideoStream, budget: Budget) -> Iterator[Any]:
    """The frames that decode, in presentation order; damaged packets are passed over."""
    for packet in stream.packets:
        budget.check_time()
        try:
            frames = stream.context.decode(packet)
        except AV_ERRORS:
            continue
        yield from frames


def _to_rgb(frame: Any, size: tuple[int, int]) -> Rgb:
    """A frame as RGB, upright; `size` (width, height) holds also where the video changes its size midway."""
    pixels: Rgb = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    return np.rot90(pixels, getattr(frame, "rotation", 0) // 90)


def _usual_gap(pts_seconds: NDArray[np.float64]) -> float:
    """The mean time from frame to frame."""
    return float(np.diff(pts_seconds).mean()) if len(pts_seconds) > 1 else STILL_SECONDS
