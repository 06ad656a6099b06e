"""PIL images and NumPy arrays -> RGB arrays; transparent pixels are shown on white, as on a web page."""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gifqa.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia
from gifqa.limits import Budget, MediaLimits, how_to_raise

BACKDROP = (255, 255, 255)
"""What is seen through transparent pixels."""
PILLOW_ERRORS = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,
)
"""What Pillow was seen to raise on damaged files; warnings, where a caller turns them into errors."""

Rgb = NDArray[np.uint8]


def rgb_on_white(image: Image.Image) -> Rgb:
    """The pixels of a PIL image of any mode.

    Args:
        image: its current frame is taken; 16-bit grey is scaled to 8 bits.

    Returns:
        RGB, uint8 (H, W, 3).
    """
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.int64)
        scaled = np.clip(grey // 257 if grey.max(initial=0) > 255 else grey, 0, 255).astype(np.uint8)
        return np.repeat(scaled[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        if rgba.getchannel("A").getextrema() == (255, 255):
            return np.asarray(rgba.convert("RGB"))
        canvas = Image.new("RGB", image.size, BACKDROP)
        canvas.paste(rgba, mask=rgba)
        return np.asarray(canvas)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def frames_from_images(source: Any, limits: MediaLimits) -> tuple[list[Rgb], tuple[float, ...] | None]:
    """RGB frames of PIL images and NumPy arrays.

    Args:
        source: a PIL image (all its frames), an array (H, W, 3) or (N, H, W, 3), uint8 RGB, or a sequence of
            PIL images and arrays, each one frame.
        limits: how many frames and pixels are allowed.

    Returns:
        The frames, each uint8 (H, W, 3), and their delays in milliseconds where the image has such.

    Raises:
        UnsupportedMedia: if `source` is of no such type, shape or dtype.
        UnreadableMedia: if it is empty or does not decode.
        MediaTooLarge: if it is over a limit.
    """
    budget = Budget(f"the given {type(source).__name__}", limits)
    if isinstance(source, Image.Image):
        return _frames_of_image(source, budget)
    if isinstance(source, np.ndarray):
        items = list(source) if source.ndim == 4 else [source]
    elif isinstance(source, Sequence):
        items = list(source)
    else:
        raise UnsupportedMedia(
            f"media of type {type(source).__name__} cannot be read; give a path, a URL, bytes, a binary file "
            "object, PIL images or uint8 RGB arrays."
        )
    if not items:
        raise UnreadableMedia(f"{budget.name} holds no frames; give at least one.")
    budget.check_frame_count(len(items))
    return [_frame_of_item(item, position) for position, item in enumerate(items)], None


def _frame_of_item(item: Any, position: int) -> Rgb:
    if isinstance(item, Image.Image):
        try:
            return rgb_on_white(item)
        except PILLOW_ERRORS as error:
            raise UnreadableMedia(f"frame {position} does not decode ({error}); leave it out.") from error
    if not isinstance(item, np.ndarray):
        raise UnsupportedMedia(
            f"frame {position} is of type {type(item).__name__}; frames are PIL images or uint8 RGB arrays."
        )
    if item.dtype != np.uint8 or item.ndim != 3 or item.shape[-1] != 3 or not item.size:
        raise UnsupportedMedia(
            f"frame {position} is an array of shape {item.shape} and type {item.dtype}; frames are uint8 "
            "RGB, (height, width, 3). Convert it, for example (255 * frame).astype('uint8')."
        )
    return item


def _frames_of_image(image: Image.Image, budget: Budget) -> tuple[list[Rgb], tuple[float, ...] | None]:
    """All frames of an opened animation; its position is put back afterwards."""
    budget.check_canvas(*image.size)
    try:
        num_frames = getattr(image, "n_frames", 1)
        if num_frames == 1:
            return [rgb_on_white(image)], None
        budget.check_frame_count(num_frames)
        if num_frames * image.width * image.height > budget.limits.max_pixels_kept:
            raise MediaTooLarge(
                f"{budget.name} has {num_frames} frames of {image.width}x{image.height} pixels, too many "
                f"to keep at once. Give its path or bytes, or {how_to_raise('max_pixels_kept')}."
            )
        position, frames, delays = image.tell(), [], []
        for index in range(num_frames):
            budget.check_time()
            image.seek(index)
            frames.append(rgb_on_white(image))
            delays.append(float(image.info.get("duration", 0)))
        image.seek(position)
    except PILLOW_ERRORS as error:
        raise UnreadableMedia(f"{budget.name} does not decode ({error}); open it anew.") from error
    return frames, tuple(delays)
