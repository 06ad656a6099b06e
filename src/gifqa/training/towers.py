"""The frozen towers' part of a run: the vision tower fitted and exported, every text of the data encoded."""

import logging
import random
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from gifqa.errors import ConfigError
from gifqa.model.hugging_face_vision import load_hugging_face_vision
from gifqa.model.vision import IMAGE_SIZE, VisionTower, fit_reduction
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.training.data.features import UNREADABLE, square
from gifqa.training.data.samples import Annotations
from gifqa.training.loop.checkpoints import save_weights

OPSET = 17

logger = logging.getLogger(__name__)


class TorchTower:
    """A vision tower of Hugging Face, as stage `features` runs it.

    Args:
        source: id or folder of a CLIP, SigLIP or DINOv2 model.

    Raises:
        CheckpointError: if it cannot be loaded, or is another model.
    """

    def __init__(self, source: str) -> None:
        self._tower = load_hugging_face_vision(source)
        self.image_size = self._tower.image_size
        self.grid_shape = (self._tower.grid_size, self._tower.channels)
        self.pooled_size = self._tower.pooled_size

    @torch.inference_mode()
    def encode(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `gifqa.training.frame_encoders.FrameEncoder`."""
        grid, pooled = self._tower(torch.from_numpy(pixels))
        return grid.half().numpy(), pooled.half().numpy()


def fit_tower(tower: VisionTower, photos: Sequence[Path], count: int, seed: int) -> float:
    """Fit the tower's reduction on `count` of the photos, or first frames of clips, that can be decoded.

    Returns:
        The share of variance that it keeps.

    Raises:
        ConfigError: if none can be decoded.
    """
    shuffled = list(photos)
    random.Random(seed).shuffle(shuffled)
    pixels = list(islice(_decoded(shuffled), count))
    if not pixels:
        raise ConfigError(
            f"none of {len(shuffled)} training pictures can be decoded, and the vision tower is fitted on "
            "some. Check the data folder."
        )
    return fit_reduction(tower, torch.from_numpy(np.stack(pixels)))


def _decoded(paths: Iterable[Path]) -> Iterator[NDArray[np.uint8]]:
    """The pictures as the tower reads them; those that cannot be decoded are left out."""
    for path in paths:
        try:
            with Image.open(path) as photo:
                yield square(photo)
        except UNREADABLE:
            logger.warning("%s is left out: it cannot be decoded", path)


def save_tower(tower: VisionTower, folder: Path) -> None:
    """Write the tower as tower.safetensors and, for `gifqa.training.data.features`, as tower.onnx."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / "tower.safetensors", tower.state_dict())
    partial = folder / "tower.tmp"
    with (
        warnings.catch_warnings()
    ):  # the exporter of TorchScript is deprecated; the new one unrolls the batch
        warnings.simplefilter("ignore")
        torch.onnx.export(
            tower,
            (torch.zeros(2, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8),),
            str(partial),
            input_names=["pixels"],
            output_names=["grid", "pooled"],
            dynamic_axes={name: {0: "n"} for name in ("pixels", "grid", "pooled")},
            opset_version=OPSET,
            dynamo=False,
        )
    partial.replace(folder / "tower.onnx")


def texts_of(annotations: Iterable[Annotations]) -> set[str]:
    """Every text that training and validation will ask the text tower for."""
    texts = {DESCRIBE_QUESTION}
    for split in annotations:
        for sample in split.samples:
            texts.update((sample.question, sample.answer, *sample.options))
        for captions in split.captions.values():
            texts.update(captions)
    return texts
