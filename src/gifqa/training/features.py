"""Vision features of every training picture, computed once: the frozen tower never runs in a training loop.

A photo is kept as `PHOTO_VIEWS` views, the whole picture and crops of it, so that one photo can be shown as a still
or, several views in a row, as a small camera move. A clip is kept as up to `CLIP_FRAMES` frames spread evenly in time.

    grid.npy    float16 (rows, 81, C)      pooled.npy  float16 (rows, 1280)
    index.json  {"items": {name: {"rows": [...], "flipped": [...], "pts_seconds": [...]}}, "done": rows written}
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageSequence

from gifqa.model.vision import GRID_SIDE, HEAD_CHANNELS, IMAGE_SIZE

PHOTO_VIEWS = 4
CLIP_FRAMES = 8
CROP_SIDE = (0.6, 0.95)
"""Side of a crop as a share of the photo's side, uniform in this range."""
JITTER = 0.2
"""Brightness and contrast of crops change by at most this share; hue never does: colours are answers."""
SAVE_EVERY = 2000


@dataclass(frozen=True)
class Picture:
    """One row to compute: a view of a photo, or one frame of a clip."""

    name: str
    path: Path
    view: int
    is_clip: bool


def list_pictures(photos: dict[str, Path], clips: dict[str, Path]) -> list[Picture]:
    """Every row of the cache in its order: the whole photos, the clips, then the photos' crops."""
    whole = [Picture(name, path, 0, False) for name, path in photos.items()]
    frames = [Picture(name, path, frame, True) for name, path in clips.items() for frame in range(CLIP_FRAMES)]
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
    """Up to `CLIP_FRAMES` frames of a clip, evenly spread, with their times in seconds."""
    with Image.open(path) as clip:
        count = getattr(clip, "n_frames", 1)
        kept = {int((index + 0.5) * count / min(count, CLIP_FRAMES)) for index in range(min(count, CLIP_FRAMES))}
        frames, seconds = [], 0.0
        for index, frame in enumerate(ImageSequence.Iterator(clip)):
            if index in kept:
                frames.append((frame.convert("RGB"), seconds))
            seconds += max(frame.info.get("duration", 100), 20) / 1000
    return frames


def square(image: Image.Image) -> NDArray[np.uint8]:
    """The picture squashed to the tower's input, uint8 (260, 260, 3)."""
    return np.asarray(image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))


def read_pictures(pictures: list[Picture]) -> Iterator[tuple[Picture, NDArray[np.uint8], bool, float]]:
    """Decode rows in order: (picture, pixels, mirrored, seconds); a clip is decoded once for its frames."""
    opened: tuple[Path | None, list[tuple[Image.Image, float]]] = (None, [])
    for picture in pictures:
        if not picture.is_clip:
            with Image.open(picture.path) as image:
                view, mirrored = photo_view(image.convert("RGB"), picture.view, picture.name)
            yield picture, square(view), mirrored, 0.0
            continue
        if opened[0] != picture.path:
            opened = picture.path, clip_frames(picture.path)
        if picture.view < len(opened[1]):
            image, seconds = opened[1][picture.view]
            yield picture, square(image), False, seconds


def extract(
    pictures: list[Picture], tower_path: Path, folder: Path, channels: int, *, threads: int = 2
) -> None:
    """Run the exported tower over all pictures and write the cache; goes on where an earlier run stopped.

    Args:
        pictures: from `list_pictures`.
        tower_path: the tower as ONNX, see `gifqa.model.export`.
        folder: where `grid.npy`, `pooled.npy` and `index.json` go.
        channels: C of the tower's grid.
        threads: threads of ONNX Runtime.
    """
    import onnxruntime as ort
    from rich.progress import track

    folder.mkdir(parents=True, exist_ok=True)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(tower_path, options, providers=["CPUExecutionProvider"])
    index_path = folder / "index.json"
    index = json.loads(index_path.read_text()) if index_path.exists() else {"items": {}, "done": 0, "seen": 0}
    shapes = {"grid": (len(pictures), GRID_SIDE**2, channels), "pooled": (len(pictures), HEAD_CHANNELS)}
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "r+" if index["seen"] else "w+", np.float16, None if index["seen"] else shape
        )
        for name, shape in shapes.items()
    }
    todo = pictures[index["seen"] :]
    for start in track(range(0, len(todo), SAVE_EVERY), description="features", total=None):
        chunk = todo[start : start + SAVE_EVERY]
        for batch in batches(read_pictures(chunk), 16):
            grid, pooled = session.run(None, {"pixels": np.stack([pixels for _, pixels, _, _ in batch])})
            row = index["done"]
            arrays["grid"][row : row + len(batch)] = grid
            arrays["pooled"][row : row + len(batch)] = pooled
            for offset, (picture, _, mirrored, seconds) in enumerate(batch):
                item = index["items"].setdefault(picture.name, {"rows": [], "flipped": [], "pts_seconds": []})
                item["rows"].append(row + offset)
                item["flipped"].append(mirrored)
                item["pts_seconds"].append(round(seconds, 3))
            index["done"] += len(batch)
        index["seen"] += len(chunk)
        for array in arrays.values():
            array.flush()
        partial = index_path.with_suffix(".tmp")
        partial.write_text(json.dumps(index))
        partial.replace(index_path)


Row = tuple[Picture, NDArray[np.uint8], bool, float]


def batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    """Lists of up to `size` rows."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
