"""Animated WebP and APNG, still images, and frames given one by one: headers scanned here, Pillow decodes.

Pillow takes the canvas and the number of frames on trust and counts the default image of an APNG as a frame,
so sizes, frames and delays are read from the chunks first.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, WebPImagePlugin

from gifqa.decoding import STILL_SECONDS, FrameSource, IndexedFrames, times_from_delays
from gifqa.errors import MediaTooLarge, UnreadableMedia
from gifqa.frame_arrays import PILLOW_ERRORS, rgb_on_white
from gifqa.limits import Budget
from gifqa.media_types import PNG_SIGNATURE, sniff_kind

PILLOW_FORMATS = {"webp": "WEBP", "apng": "PNG", "png": "PNG", "jpeg": "JPEG", "bmp": "BMP"}
WEBP_PLUGIN = WebPImagePlugin.WebPImageFile.format  # imported so that Pillow need not load all its plug-ins
EXIF_ORIENTATION = 0x0112
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

LYING = (5, 6, 7, 8)
"""Orientations that exchange width and height."""

Rgb = NDArray[np.uint8]


@dataclass
class Animation:
    """What the chunks of a WebP or APNG say."""

    width: int
    height: int
    delays_ms: list[float]
    """One for each frame whose data begin in the file."""
    data: bytes
    """The file; a WebP that is cut short without its torn last frame, which libwebp would refuse."""
    num_declared: int
    """Frames that the file says it has."""
    first_frame: int = 0
    """Pillow's number of the first frame; 1 where its frame 0 is the default image of an APNG."""


def open_animation(data: bytes, kind: str, budget: Budget) -> FrameSource:
    """Scan an animated WebP or an APNG.

    Args:
        data: the file.
        kind: "webp" or "apng".
        budget: its limits.

    Returns:
        Its frames, composed, on white. A WebP without animation has one.

    Raises:
        UnreadableMedia: if there is no frame in it.
        MediaTooLarge: if it is over a limit.
    """
    animation = _scan_webp(data, budget) if kind == "webp" else _scan_apng(data, budget)
    if not animation.delays_ms:
        return open_still(data, budget)
    budget.check_canvas(animation.width, animation.height)
    pts_seconds, duration_seconds = times_from_delays(animation.delays_ms)
    warnings: list[str] = []
    num_frames = len(animation.delays_ms)
    if num_frames < animation.num_declared:
        warnings.append(
            f"the file is cut short: {num_frames} of its {animation.num_declared} frames are there"
        )

    def read(wanted: Sequence[int]) -> IndexedFrames:
        last = max(wanted, default=-1)
        budget.check_pixels(animation.width * animation.height * (last + 1))
        shown = frozenset(wanted)
        try:
            image = _open_image(animation.data, kind)
            if image.size != (animation.width, animation.height):
                return
            for index in range(last + 1):
                budget.check_time()
                image.seek(index + animation.first_frame)
                image.load()
                if index in shown:
                    yield index, rgb_on_white(image)
        except PILLOW_ERRORS:
            return

    return FrameSource(animation.width, animation.height, pts_seconds, duration_seconds, read, warnings)


def open_still(data: bytes, budget: Budget) -> FrameSource:
    """Read the header of a still image, which becomes one frame.

    Args:
        data: the file.
        budget: its limits.

    Returns:
        The one frame, turned upright as its EXIF orientation says, on white.

    Raises:
        UnreadableMedia: if its header is damaged.
        MediaTooLarge: if it is over a limit.
    """
    return open_frames([data], None, budget)


def open_frames(
    frames: Sequence[bytes | Rgb], delays_ms: Sequence[float] | None, budget: Budget
) -> FrameSource:
    """Frames given one by one.

    Args:
        frames: encoded still images, or RGB arrays (H, W, 3).
        delays_ms: how long each lasts; None: a tenth of a second.
        budget: their limits.

    Returns:
        The frames.

    Raises:
        UnreadableMedia: if they differ in size, or a header is damaged.
        MediaTooLarge: if they are over a limit.
    """
    budget.check_frame_count(len(frames))
    sizes = []
    for position, frame in enumerate(frames):
        budget.check_time()
        sizes.append(_checked_size(frame, budget))
        if sizes[position] != sizes[0]:
            raise UnreadableMedia(
                "frame {} of {} has {}x{} pixels, frame 0 has {}x{}; all frames of a clip have one size. "
                "Scale them to one.".format(position, budget.name, *sizes[position], *sizes[0])
            )

    def read(wanted: Sequence[int]) -> IndexedFrames:
        budget.check_pixels(sizes[0][0] * sizes[0][1] * len(wanted))
        for index in sorted(wanted):
            budget.check_time()
            frame = frames[index]
            pixels = _decode_still(frame) if isinstance(frame, bytes) else frame
            if pixels is not None:
                yield index, pixels

    if delays_ms is not None:
        pts_seconds, duration_seconds = times_from_delays(delays_ms)
    else:
        pts_seconds, duration_seconds = times_from_delays([1000 * STILL_SECONDS] * len(frames))
    return FrameSource(*sizes[0], pts_seconds, duration_seconds, read)


def _open_image(data: bytes, kind: str) -> Image.Image:
    return Image.open(BytesIO(data), formats=[PILLOW_FORMATS[kind]])


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(EXIF_ORIENTATION, 1))
    except PILLOW_ERRORS:
        return 1


def _checked_size(frame: bytes | Rgb, budget: Budget) -> tuple[int, int]:
    """(width, height) of a frame as shown, within the limits, without decoding it."""
    if not isinstance(frame, bytes):
        budget.check_canvas(frame.shape[1], frame.shape[0])
        return frame.shape[1], frame.shape[0]
    kind = sniff_kind(frame, budget.name)
    if kind in ("webp", "apng", "png"):
        animation = _scan_webp(frame, budget) if kind == "webp" else _scan_apng(frame, budget)
        budget.check_canvas(animation.width, animation.height)
    try:
        image = _open_image(frame, kind)
        width, height = image.size
        is_on_its_side = _orientation(image) in LYING
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaTooLarge(f"{budget.name} is too large ({error}); scale it down.") from error
    except PILLOW_ERRORS as error:
        raise UnreadableMedia(f"{budget.name} is damaged ({error}); get the whole file.") from error
    budget.check_canvas(width, height)
    if kind == "jpeg":
        # A progressive JPEG may go over all its pixels thousands of times within a few bytes.
        budget.check_pixels(width * height * frame.count(b"\xff\xda"))
    return (height, width) if is_on_its_side else (width, height)


def _decode_still(data: bytes) -> Rgb | None:
    """The pixels, upright, or None if they are damaged."""
    try:
        image = _open_image(data, sniff_kind(data, "the image"))
        image.load()
        turn = ORIENTATIONS.get(_orientation(image))
        return rgb_on_white(image if turn is None else image.transpose(turn))
    except PILLOW_ERRORS:
        return None


def _scan_apng(data: bytes, budget: Budget) -> Animation:
    """Canvas and delays by the chunks; see https://www.w3.org/TR/png-3/#apng-frame-based-animation."""
    animation = Animation(0, 0, [], data, 0)
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        budget.check_time()
        length, chunk = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + min(length, 26)]
        if chunk == b"IHDR" and len(body) >= 8 and not animation.width:
            animation.width, animation.height = struct.unpack_from(">II", body)
        elif chunk == b"acTL" and len(body) >= 4:
            animation.num_declared = int.from_bytes(body[:4], "big")
        elif chunk == b"fcTL" and len(body) >= 24:
            numerator, denominator = struct.unpack_from(">HH", body, 20)
            animation.delays_ms.append(1000 * numerator / (denominator or 100))
            budget.check_frame_count(len(animation.delays_ms))
        elif chunk == b"IDAT" and not animation.delays_ms:
            animation.first_frame = 1
        position += 12 + length
    del animation.delays_ms[animation.num_declared :]
    return animation


def _scan_webp(data: bytes, budget: Budget) -> Animation:
    """Canvas and delays by the chunks; see https://developers.google.com/speed/webp/docs/riff_container."""
    animation = Animation(0, 0, [], data, 0)
    position = 12
    while position + 8 <= len(data):
        budget.check_time()
        chunk, length = struct.unpack_from("<4sI", data, position)
        body = data[position + 8 : position + 8 + min(length, 16)].ljust(16, b"\x00")
        end = position + 8 + length + length % 2
        if chunk == b"VP8X" and not animation.width:
            animation.width, animation.height = _uint24(body, 4) + 1, _uint24(body, 7) + 1
        elif chunk == b"VP8 " and not animation.width:
            animation.width, animation.height = (size & 0x3FFF for size in struct.unpack_from("<HH", body, 6))
        elif chunk == b"VP8L" and not animation.width:
            bits = int.from_bytes(body[1:5], "little")
            animation.width, animation.height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif chunk == b"ANMF":
            animation.num_declared += 1
            budget.check_frame_count(animation.num_declared)
            if end > len(data):
                animation.data = b"RIFF" + (position - 8).to_bytes(4, "little") + data[8:position]
                break
            animation.delays_ms.append(_uint24(body, 12))
        position = end
    if animation.num_declared and not animation.delays_ms:
        raise UnreadableMedia(f"{budget.name} ends within its first frame; get the whole file.")
    return animation


def _uint24(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 3], "little")
