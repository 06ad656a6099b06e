"""Vision features of every training picture, computed once: the frozen tower never runs in a training loop.

A photo is kept as `PHOTO_VIEWS` views, the whole picture and crops of it, so that one photo can be shown as a
still or, several views in a row, as a small camera move. A clip is kept as up to `CLIP_FRAMES` frames spread
evenly in time.

    grid.npy    float16 (rows, G, C)       pooled.npy  float16 (rows, P)
    index.json  {"items": {name: {"rows": [...], "flipped": [...], "pts_seconds": [...], "is_clip": ...}},
                 "done": rows written, "seen": pictures read, "failed": {name: why}}
"""

import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from gifqa.errors import ConfigError, MediaError
from gifqa.frames import decode_frames
from gifqa.media import load_media
from gifqa.model.vision import IMAGE_SIZE
from gifqa.training.data.frame_encoders import FrameEncoder

PHOTO_VIEWS = 3
CLIP_FRAMES = 8
CROP_SIDE = (0.6, 0.95)
"""Side of a crop as a share of the photo's side, uniform in this range."""
JITTER = 0.2
"""Brightness and contrast of crops change by at most this share; hue never does: colours are answers."""
BATCH_SIZE = 16
SAVE_EVERY = 2000
UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    IndexError,
    EOFError,
    Image.DecompressionBombError,
    MediaError,
)
"""What damaged photos and clips raise."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Picture:
    """One row to compute: a view of a photo, or one frame of a clip."""

    name: str
    path: Path
    view: int
    is_clip: bool


class Row(NamedTuple):
    """A decoded picture."""

    picture: Picture
    pixels: NDArray[np.uint8]
    """RGB (S, S, 3), S the side that the encoder takes."""
    mirrored: bool
    pts_seconds: float


def list_pictures(photos: Mapping[str, Path], clips: Mapping[str, Path]) -> list[Picture]:
    """Every row of the cache in its order: the whole photos, the clips, then the photos' crops."""
    whole = [Picture(name, path, 0, False) for name, path in photos.items()]
    frames = [
        Picture(name, path, frame, True) for name, path in clips.items() for frame in range(CLIP_FRAMES)
    ]
    crops = [
        Picture(name, path, view, False) for view in range(1, PHOTO_VIEWS) for name, path in photos.items()
    ]
    return whole + frames + crops


def photo_view(image: Image.Image, view: int, name: str) -> tuple[Image.Image, bool]:
    """The view of a photo, and whether it is mirrored.

    View 0 is the photo as it is. Others are random crops, the same for the same name; odd ones are mirrored.
    """
    if view == 0:
        return image, False
    chance = random.Random(f"{name}:{view}")
    width, height = image.size
    side = chance.uniform(*CROP_SIDE)
    left, top = chance.uniform(0, 1 - side) * width, chance.uniform(0, 1 - side) * height
    image = image.crop((int(left), int(top), int(left + side * width), int(top + side * height)))
    image = ImageEnhance.Brightness(image).enhance(chance.uniform(1 - JITTER, 1 + JITTER))
    image = ImageEnhance.Contrast(image).enhance(chance.uniform(1 - JITTER, 1 + JITTER))
    mirrored = view % 2 == 1
    return (image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image), mirrored


def clip_frames(path: Path) -> list[tuple[Image.Image, float]]:
    """Up to `CLIP_FRAMES` frames of a clip, evenly spread, with their times in seconds.

    Decoded as they are when a question is asked about the clip; damaged frames are left out.

    Raises:
        MediaError: if the clip is missing, over a limit, or none of its frames decodes.
    """
    media = load_media(path)
    count = decode_frames(media, indices=[0]).num_frames
    kept_count = min(count, CLIP_FRAMES)
    kept = [int((index + 0.5) * count / kept_count) for index in range(kept_count)]
    frames = decode_frames(media, indices=kept)
    images = map(Image.fromarray, frames.pixels)
    return list(zip(images, frames.pts_seconds.tolist(), strict=True))


def square(image: Image.Image, side: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """The picture squashed to an encoder's input, uint8 (side, side, 3)."""
    return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


@dataclass
class PictureReader:
    """Decodes pictures in order; a file that cannot be decoded is left out and noted."""

    failed: dict[str, str] = field(default_factory=dict)
    """Name of a picture -> why it was left out."""
    side: int = IMAGE_SIZE
    """Of the square that pictures become."""
    _clip: tuple[Path | None, list[tuple[Image.Image, float]]] = (None, [])
    """The clip at hand, decoded once for all its frames."""

    def read(self, pictures: Sequence[Picture]) -> Iterator[Row]:
        """The rows of the pictures; none for a frame that a short clip does not have."""
        for picture in pictures:
            if picture.name in self.failed:
                continue
            try:
                row = self._row(picture)
            except UNREADABLE as error:
                self.failed[picture.name] = f"{type(error).__name__}: {error}"
                logger.warning("%s is left out: %s", picture.path, self.failed[picture.name])
                continue
            if row is not None:
                yield row

    def _row(self, picture: Picture) -> Row | None:
        if not picture.is_clip:
            with Image.open(picture.path) as photo:
                view, mirrored = photo_view(photo.convert("RGB"), picture.view, picture.name)
            return Row(picture, square(view, self.side), mirrored, 0.0)
        if self._clip[0] != picture.path:
            self._clip = picture.path, clip_frames(picture.path)
        frames = self._clip[1]
        if picture.view >= len(frames):
            return None
        image, seconds = frames[picture.view]
        return Row(picture, square(image, self.side), False, seconds)


def extract(pictures: Sequence[Picture], encoder: FrameEncoder, folder: Path) -> dict[str, Any]:
    """Encode all pictures and write the cache; goes on where an earlier run stopped.

    Args:
        pictures: from `list_pictures`.
        encoder: the frozen tower.
        folder: where `grid.npy`, `pooled.npy` and `index.json` go.

    Returns:
        The index, as index.json holds it.

    Raises:
        ConfigError: if the folder holds the features of other pictures or of another tower, or if no picture
            can be decoded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index_path = folder / "index.json"
    index: dict[str, Any] = {"items": {}, "done": 0, "seen": 0}
    if index_path.exists():
        index = json.loads(index_path.read_text(encoding="utf-8"))
    arrays = _open_arrays(folder, len(pictures), encoder, is_new=not index["seen"])
    reader = PictureReader(index.setdefault("failed", {}), encoder.image_size)
    while index["seen"] < len(pictures):
        chunk = pictures[index["seen"] : index["seen"] + SAVE_EVERY]
        rows = reader.read(chunk)
        while batch := list(islice(rows, BATCH_SIZE)):
            grid, pooled = encoder.encode(np.stack([row.pixels for row in batch]))
            arrays["grid"][index["done"] : index["done"] + len(batch)] = grid
            arrays["pooled"][index["done"] : index["done"] + len(batch)] = pooled
            _enter(index, batch)
        index["seen"] += len(chunk)
        for array in arrays.values():
            array.flush()
        partial = index_path.with_suffix(".tmp")
        partial.write_text(json.dumps(index), encoding="utf-8")
        partial.replace(index_path)
        logger.info("features: %d of %d pictures", index["seen"], len(pictures))
    if not index["items"]:
        name, why = next(iter(index["failed"].items()), ("none was given", "the data folder names no file"))
        raise ConfigError(
            f"none of {len(index['failed'])} pictures can be decoded ({name}: {why}); training needs some. "
            "Check the data folder."
        )
    return index


def _open_arrays(
    folder: Path, num_rows: int, encoder: FrameEncoder, *, is_new: bool
) -> dict[str, np.memmap[Any, Any]]:
    shapes = {"grid": (num_rows, *encoder.grid_shape), "pooled": (num_rows, encoder.pooled_size)}
    arrays = {}
    for name, shape in shapes.items():
        path = folder / f"{name}.npy"
        if is_new:
            arrays[name] = np.lib.format.open_memmap(path, "w+", np.float16, shape)
            continue
        arrays[name] = np.lib.format.open_memmap(path, "r+")
        if arrays[name].shape != shape:
            raise ConfigError(
                f"{path} has the shape {arrays[name].shape}, but these pictures and this tower need {shape}. "
                "Give another folder, or delete this one to compute the features again."
            )
    return arrays


def _enter(index: dict[str, Any], batch: Sequence[Row]) -> None:
    """Put the rows of a batch into the index."""
    for offset, row in enumerate(batch):
        empty: dict[str, Any] = {"rows": [], "flipped": [], "pts_seconds": [], "is_clip": row.picture.is_clip}
        item = index["items"].setdefault(row.picture.name, empty)
        item["rows"].append(index["done"] + offset)
        item["flipped"].append(row.mirrored)
        item["pts_seconds"].append(round(row.pts_seconds, 3))
    index["done"] += len(batch)
