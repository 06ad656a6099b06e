"""GIF: this module reads the blocks, Pillow decompresses each image, browsers' rules compose them.

Composing here and not in Pillow gives what a browser shows where Pillow differs (disposal to the background
clears to transparent, later frames are clipped to the canvas, a screen of 0x0 takes the first frame's size),
keeps one damaged frame from ending the animation, and decodes only what the wanted frames need.

GIF89a: https://www.w3.org/Graphics/GIF/spec-gif89a.txt. Not covered: plain text extensions, loop counts, the
background colour (no browser draws it).
"""

import os
import struct
from collections import deque
from collections.abc import Collection, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from PIL import Image

from gifqa.decoding import FrameSource, IndexedFrames, times_from_delays
from gifqa.errors import UnreadableMedia
from gifqa.frame_arrays import BACKDROP, PILLOW_ERRORS
from gifqa.limits import Budget

IMAGE, EXTENSION, TRAILER, PADDING = 0x2C, 0x21, 0x3B, 0x00
GRAPHIC_CONTROL = 0xF9
CLEAR, RESTORE = "clear", "restore"
DISPOSALS = {2: CLEAR, 3: RESTORE, 4: RESTORE}
NUM_THREADS = min(4, os.cpu_count() or 1)
NUM_AHEAD = 2 * NUM_THREADS
"""Images that may be decompressed before their turn to be drawn."""
WORTH_THREADS = 10**6
"""Pixels that take as long to decompress, about 10 ms, as threads may take to start."""
GREYS = bytes(value for grey in range(256) for value in (grey,) * 3)


@dataclass(frozen=True)
class GifImage:
    """One image block and the control block before it."""

    left: int
    top: int
    width: int
    height: int
    interlaced: bool
    palette: bytes
    """RGB triples."""
    min_code_size: int
    start: int
    """Where its compressed blocks begin in the file."""
    end: int
    delay_ms: int = 0
    disposal: str = ""
    """What happens to its rectangle when its time is over: "" nothing, CLEAR, RESTORE."""
    transparent: int | None = None

    def fills(self, width: int, height: int) -> bool:
        """Whether its rectangle is the whole canvas."""
        return self.left == 0 and self.top == 0 and self.width >= width and self.height >= height

    @property
    def has_holes(self) -> bool:
        """Whether pixels may show what is below: those of the transparent index or of no colour."""
        return self.transparent is not None or 3 << self.min_code_size > len(self.palette)


def open_gif(data: bytes, budget: Budget) -> FrameSource:
    """Scan a GIF.

    Args:
        data: the file.
        budget: its limits.

    Returns:
        The frames that `read` composes as a browser does, on white.

    Raises:
        UnreadableMedia: if there is no image in it.
        MediaTooLarge: if it is over a limit.
    """
    images, warnings = _scan(data, budget)
    if not images:
        raise UnreadableMedia(
            f"{budget.name} is a GIF without one image ({len(data)} bytes); get the whole file."
        )
    width, height = _canvas_size(data, images, warnings)
    budget.check_canvas(width, height)
    pts_seconds, duration_seconds = times_from_delays([image.delay_ms for image in images])

    def read(wanted: Sequence[int]) -> IndexedFrames:
        yield from _compose(data, images, (width, height), wanted, budget)

    return FrameSource(width, height, pts_seconds, duration_seconds, read, warnings)


def _scan(data: bytes, budget: Budget) -> tuple[list[GifImage], list[str]]:
    """The image blocks of the file, and what is wrong with it; nothing is decompressed."""
    if len(data) < 13:
        raise UnreadableMedia(
            f"{budget.name} ends within its header ({len(data)} bytes); get the whole file."
        )
    position = 13
    palette, position = _colour_table(data, position, data[10])
    images: list[GifImage] = []
    control: tuple[int, str, int | None] = (0, "", None)
    try:
        while data[position] != TRAILER:
            budget.check_time()
            block = data[position]
            if block == IMAGE:
                image, position = _image_block(data, position, palette or GREYS, control)
                budget.check_canvas(max(1, image.width), max(1, image.height))
                images.append(image)
                budget.check_frame_count(len(images))
                control = (0, "", None)
            elif block == EXTENSION:
                if data[position + 1] == GRAPHIC_CONTROL:
                    packed, delay_cs, index = struct.unpack_from("<BHB", data, position + 3)
                    control = (
                        delay_cs * 10,
                        DISPOSALS.get(packed >> 2 & 7, ""),
                        index if packed & 1 else None,
                    )
                position = _skip_sub_blocks(data, position + 2)
            elif block == PADDING:
                position += 1
            else:
                return images, [f"the file is damaged after frame {len(images)}; the rest is left out"]
    except (IndexError, struct.error):
        begun = f"{len(images)} frame{'s' * (len(images) != 1)}"
        return images, [f"the file ends before its end mark, after {begun}; others may be missing"]
    return images, []


def _image_block(
    data: bytes, position: int, palette: bytes, control: tuple[int, str, int | None]
) -> tuple[GifImage, int]:
    left, top, width, height, flags = struct.unpack_from("<HHHHB", data, position + 1)
    own_palette, position = _colour_table(data, position + 10, flags)
    min_code_size, start = data[position], position + 1
    try:
        end = _skip_sub_blocks(data, start)
    except IndexError:
        end = len(data)
    delay_ms, disposal, transparent = control
    image = GifImage(
        left=left,
        top=top,
        width=width,
        height=height,
        interlaced=bool(flags & 0x40),
        palette=own_palette or palette,
        min_code_size=min_code_size,
        start=start,
        end=end,
        delay_ms=delay_ms,
        disposal=disposal,
        transparent=transparent,
    )
    return image, end


def _colour_table(data: bytes, position: int, flags: int) -> tuple[bytes, int]:
    """The colour table at `position`, empty if the flags say there is none, and what follows it."""
    end = position + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    return data[position:end], end


def _skip_sub_blocks(data: bytes, position: int) -> int:
    """What follows a chain of blocks: a length and so many bytes each, a length of zero at the end."""
    length = data[position]
    while length:
        position += length + 1
        length = data[position]
    return position + 1


def _canvas_size(data: bytes, images: Sequence[GifImage], warnings: list[str]) -> tuple[int, int]:
    """The screen, enlarged to the first frame where that is larger, as browsers do."""
    width, height = struct.unpack_from("<HH", data, 6)
    first = images[0]
    if not width or not height:
        warnings.append(f"the file declares a screen of {width}x{height}; its first frame's size is used")
    return max(width, first.left + first.width), max(height, first.top + first.height)


def _images_to_draw(images: Sequence[GifImage], size: tuple[int, int], wanted: Collection[int]) -> list[bool]:
    """Which images must be decompressed so that the wanted frames come out right, up to the last of these.

    Going backwards: a canvas that nobody sees need not be drawn, and what stood before an image that covers
    everything is seen by nobody.
    """
    draw = [False] * (max(wanted, default=-1) + 1)
    is_needed_later = False
    for index in range(len(draw) - 1, -1, -1):
        image = images[index]
        hides_all = image.fills(*size) and not image.has_holes
        clears_all = image.fills(*size) and image.disposal == CLEAR
        draw[index] = index in wanted or (is_needed_later and not image.disposal)
        is_uncovered_later = is_needed_later and bool(image.disposal) and not clears_all
        is_needed_later = is_uncovered_later or (draw[index] and not hides_all)
    return draw


def _compose(
    data: bytes, images: Sequence[GifImage], size: tuple[int, int], wanted: Sequence[int], budget: Budget
) -> IndexedFrames:
    """Draw the images one over the other and give the canvas at the wanted ones; damaged ones are left out.

    Transparency in GIF is all or nothing, so drawing on a white canvas is exact and needs no alpha channel.
    """
    draw = _images_to_draw(images, size, frozenset(wanted))
    needed = [image for image, is_needed in zip(images, draw, strict=False) if is_needed]
    drawn_pixels = sum(image.width * image.height for image in needed)
    budget.check_pixels(drawn_pixels + size[0] * size[1] * len(wanted))
    shown = frozenset(wanted)
    canvas = Image.new("RGB", size, BACKDROP)
    with closing(_decompressed(data, needed)) as decompressed:
        for index, is_needed in enumerate(draw):
            budget.check_time()
            image = images[index]
            box = (image.left, image.top, image.left + image.width, image.top + image.height)
            before = canvas.crop(box) if is_needed and image.disposal == RESTORE else None
            pixels = next(decompressed) if is_needed else None
            if pixels is not None:
                _draw(canvas, pixels, image)
                if index in shown:
                    yield index, np.asarray(canvas)
            if image.disposal == CLEAR:
                canvas.paste(BACKDROP, box)
            elif before is not None:
                canvas.paste(before, box)


def _decompressed(data: bytes, images: Sequence[GifImage]) -> Generator[Image.Image | None]:
    """Each image in palette indices, or None if it is damaged; where there is much to do, threads work ahead.

    An image is compressed by itself, whatever it is drawn over, and Pillow lets other threads run meanwhile.
    """
    if sum(image.width * image.height for image in images) < WORTH_THREADS:
        yield from (_decompress(data, image) for image in images)
        return
    with ThreadPoolExecutor(NUM_THREADS) as threads:
        ahead: deque[Future[Image.Image | None]] = deque()
        for image in images:
            ahead.append(threads.submit(_decompress, data, image))
            if len(ahead) > NUM_AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _decompress(data: bytes, image: GifImage) -> Image.Image | None:
    """The palette indices of one image, (width, height); None if it is damaged."""
    size, blocks = (image.width, image.height), data[image.start : image.end]
    try:
        return Image.frombytes("P", size, blocks, "gif", image.min_code_size, image.interlaced, -1)
    except PILLOW_ERRORS:
        return None


def _draw(canvas: Image.Image, pixels: Image.Image, image: GifImage) -> None:
    """Draw the palette indices of an image onto the canvas, but for its holes."""
    pixels.putpalette(image.palette)
    mask = None
    if image.has_holes:
        opaque = [255] * 256
        opaque[len(image.palette) // 3 :] = [0] * (256 - len(image.palette) // 3)
        if image.transparent is not None:
            opaque[image.transparent] = 0
        mask = pixels.point(opaque, "1")
    canvas.paste(pixels.convert("RGB"), (image.left, image.top), mask)
