"""What the stages of a run share: recipe, data, folder, and what earlier stages left in it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gifqa.answering.bundle import Bundle
from gifqa.data.clip_folder import CLIPS_FILE, TABLES
from gifqa.errors import ConfigError, RecordError
from gifqa.extras import require
from gifqa.training.data.samples import Annotations
from gifqa.training.data.sources import CLIPS, IMAGES, PHOTOS, Dataset, read_dataset
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.data.targets import Targets
from gifqa.training.recipe import Recipe
from gifqa.training.run_folder import checksum, read_json

Figures = dict[str, Any]
"""What a stage measured."""


@dataclass(frozen=True)
class Inputs:
    """Where a run's data are; they are never part of a recipe."""

    data: Path
    """Folder of photos, clips or both; see `gifqa.training.data.sources`."""
    pairs: tuple[Path, ...] = ()
    """What `gifqa synthesize` made of the captions."""
    language_model: str | None = None
    """Folder or `.gguf` file of the recipe's language model; None takes the recipe's Hugging Face id."""
    start: Path | None = None
    """A bundle whose parts are taken where stages would train them; see `gifqa.training.starting`."""

    @property
    def media(self) -> tuple[Path, ...]:
        """Folders that pictures are in."""
        return (self.data / IMAGES, self.data / CLIPS, self.data)

    def checksums(self) -> dict[str, str]:
        """Of the annotation files and pairs; pictures are told by their names alone."""
        clips = self.data / CLIPS if (self.data / CLIPS).is_dir() else self.data
        tables = [path for name in (CLIPS_FILE, *TABLES) if (path := clips / name).is_file()]
        named = {"photos": [self.data / PHOTOS] if (self.data / PHOTOS).is_file() else []}
        named["clips"] = tables[:1] or sorted(clips.rglob("*.txt"))
        for number, path in enumerate(self.pairs, start=1):
            named[f"pairs {number}"] = sorted(path.rglob("*.*")) if path.is_dir() else [path]
        return {name: _checksum_of(paths) for name, paths in named.items() if paths}


def _checksum_of(paths: Sequence[Path]) -> str:
    """SHA-256 of a file, or of the names and checksums of several."""
    if len(paths) == 1:
        return checksum(paths[0])
    lines = [f"{path.name} {checksum(path)}" for path in paths if path.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class Run:
    """One run: what its stages share is loaded when the first of them asks for it.

    Args:
        recipe: the settings.
        inputs: the data; None where only what is trained is looked at.
        folder: of the run.
        threads: of ONNX Runtime.
    """

    def __init__(self, recipe: Recipe, inputs: Inputs | None, folder: Path, *, threads: int) -> None:
        self.recipe, self.folder, self.threads = recipe, folder, threads
        self._inputs = inputs

    @property
    def inputs(self) -> Inputs:
        """The data.

        Raises:
            ConfigError: if none were given.
        """
        if self._inputs is None:
            raise ConfigError(
                f"{self.folder} is looked at without data, and this needs those it was trained on. Give them "
                "with --data and --pairs."
            )
        return self._inputs

    @cached_property
    def start(self) -> Bundle | None:
        """The bundle that the run starts from, its checksums compared once."""
        return None if self.inputs.start is None else Bundle(self.inputs.start)

    @cached_property
    def dataset(self) -> Dataset:
        """The pictures, and what is said and asked about them."""
        return read_dataset(self.inputs.data, self.inputs.pairs, self.recipe.data.weights)

    @property
    def annotations(self) -> dict[str, Annotations]:
        """By split, of all pictures."""
        return self.dataset.annotations

    @cached_property
    def store(self) -> FeatureStore:
        """The vision features."""
        return FeatureStore(self.folder / "features")

    @cached_property
    def texts(self) -> TextStore:
        """The text tower's states; without such a tower, the vision tower's sentence vectors, or nothing."""
        if self.recipe.reads_text_states:
            return TextStore.load(self.folder / "texts" / "texts.pt")
        if self.recipe.compares_by_tower:
            return self.tower_texts
        return TextStore.of_sentences([], torch.zeros(0, 1))

    @cached_property
    def tower_texts(self) -> TextStore:
        """Sentence vectors in the space of the vision tower's pooled ones."""
        return TextStore.load(self.folder / "texts" / "tower_texts.pt")

    @cached_property
    def seen(self) -> dict[str, Annotations]:
        """By split, of the pictures that have features.

        Raises:
            RecordError: if nothing is left to train on.
        """
        found = {name: split.only(self.store.items.keys()) for name, split in self.annotations.items()}
        for name in ("train", "val"):
            if not found[name].captions and not found[name].samples:
                raise RecordError(_nothing_left(name, self.annotations[name], self.folder))
        return found

    @cached_property
    def tokenizer(self) -> Any:
        """Of the language model."""
        path = self.folder / "language-model" / "tokenizer.json"
        return require("tokenizers", "train").Tokenizer.from_file(str(path))

    @cached_property
    def vocabulary(self) -> dict[str, Any]:
        """Known answers and words, and the mean length of the language model's word embeddings."""
        return read_json(self.folder / "vocabulary.json")

    @property
    def targets(self) -> Targets:
        """Of the training split."""
        return Targets(self.vocabulary["answers"], self.vocabulary["words"], self.seen["train"])


def _nothing_left(split: str, annotations: Annotations, folder: Path) -> str:
    questions, pictures = len(annotations.samples), len(annotations.captions)
    if not questions and not pictures:
        return (
            f'the data have no caption and no question of the split "{split}"; a run needs some of "train" '
            'and of "val". Correct the field "split" of their lines.'
        )
    return (
        f'none of the {pictures} captioned pictures of the split "{split}" could be used, nor any of its '
        f"{questions} questions; {folder / 'features' / 'done.json'} lists why. Check that the files stand "
        "below the data folder."
    )
