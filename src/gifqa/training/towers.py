"""The frozen towers' part of a run: the vision tower fitted and exported, every text of the data encoded."""

import random
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gifqa.model.vision import IMAGE_SIZE, VisionTower, fit_reduction
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.training.checkpoints import save_weights
from gifqa.training.features import square
from gifqa.training.samples import Annotations

OPSET = 17


def fit_tower(tower: VisionTower, photos: Sequence[Path], count: int, seed: int) -> float:
    """Fit the tower's reduction on `count` of the photos; returns the share of variance it keeps."""
    chosen = list(photos)
    random.Random(seed).shuffle(chosen)
    pixels = []
    for path in chosen[:count]:
        with Image.open(path) as photo:
            pixels.append(square(photo))
    return fit_reduction(tower, torch.from_numpy(np.stack(pixels)))


def save_tower(tower: VisionTower, folder: Path) -> None:
    """Write the tower as tower.safetensors and, for `gifqa.training.features`, as tower.onnx."""
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


def files_of(names: Iterable[str], folder: Path) -> Mapping[str, Path]:
    """Name -> file of each picture of a folder."""
    return {name: folder / name for name in names}
