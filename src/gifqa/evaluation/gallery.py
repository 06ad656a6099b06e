"""Examples of a run for the report: the moving picture, the keyframes, what was asked and answered."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gifqa.errors import MediaError
from gifqa.evaluation.predictions import Prediction
from gifqa.frames import decode_frames
from gifqa.limits import MediaLimits
from gifqa.media import load_media

if TYPE_CHECKING:
    from PIL import Image

_CLIP_HEIGHT = 112
_CLIP_FRAMES = 14
_STRIP_HEIGHT = 56
_QUALITY = 55
_LONGEST_WIDTH = 4


@dataclass(frozen=True)
class Example:
    """One card of the gallery; the pictures are data URLs."""

    prediction: Prediction
    is_right: bool
    clip: str
    """The animation, at most a few frames, small."""
    keyframes: tuple[str, ...]


def choose_rows(values: Sequence[float], kinds: Sequence[str], size: int, seed: int) -> list[int]:
    """Rows for the gallery: right and wrong ones and the question types in equal parts, drawn with the seed.

    Args:
        values: 1 for a right answer, less for a wrong one.
        kinds: question types.
        size: rows at most.
        seed: of the draw.

    Returns:
        Row numbers in order.
    """
    rng = np.random.default_rng(seed)
    pools: dict[tuple[bool, str], list[int]] = {}
    for row in rng.permutation(len(values)).tolist():
        pools.setdefault((values[row] >= 1.0, kinds[row]), []).append(row)
    chosen: list[int] = []
    while len(chosen) < size and any(pools.values()):
        for key in sorted(pools):
            if pools[key] and len(chosen) < size:
                chosen.append(pools[key].pop())
    return sorted(chosen)


def make_example(prediction: Prediction, is_right: bool, path: Path, limits: MediaLimits) -> Example | None:
    """A card of the gallery, or None if the media cannot be read any more."""
    indices = sorted({int(keyframe["index"]) for keyframe in prediction.keyframes})
    try:
        media = load_media(path, limits)
        frames = decode_frames(media, limits)
        shown = decode_frames(media, limits, indices=indices) if indices else frames
    except (MediaError, ValueError):
        return None
    by_index = dict(zip(shown.frame_indices.tolist(), shown.pixels, strict=True))
    strip = [
        _picture(by_index[int(k["index"])], _STRIP_HEIGHT)
        for k in prediction.keyframes
        if int(k["index"]) in by_index
    ]
    rows = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), _CLIP_FRAMES)).round().astype(int))
    pictures = [_picture(frames.pixels[row], _CLIP_HEIGHT) for row in rows]
    delay = 1000 * frames.duration_seconds / len(pictures)
    return Example(
        prediction, is_right, _animate(pictures, delay), tuple(_animate([image], 0) for image in strip)
    )


def _picture(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", height: int) -> "Image.Image":
    from PIL import Image

    image = Image.fromarray(pixels)
    width = min(max(1, round(image.width * height / image.height)), _LONGEST_WIDTH * height)
    return image.resize((width, height))


def _animate(pictures: Sequence["Image.Image"], delay_ms: float) -> str:
    """A WebP of one or more pictures as a data URL."""
    buffer = io.BytesIO()
    extra = {
        "save_all": True,
        "append_images": list(pictures[1:]),
        "duration": max(20, round(delay_ms)),
        "loop": 0,
    }
    pictures[0].save(buffer, "WEBP", quality=_QUALITY, **(extra if len(pictures) > 1 else {}))
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
