"""What the training stages read: cached vision features by picture, cached text states by sentence."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gifqa.errors import CheckpointError
from gifqa.model.precision import autocast
from gifqa.model.text import TextTower, encode_ids
from gifqa.training.loop.checkpoints import READ_ERRORS, reason, save_state

PART_SIZE = 160 * 128
"""Texts between two points from which an interrupted `TextStore.build` goes on."""


class FeatureStore:
    """The cache that `gifqa.training.features.extract` wrote.

    Raises:
        CheckpointError: if the folder holds none.
    """

    def __init__(self, folder: Path) -> None:
        try:
            index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            self._grid = np.load(folder / "grid.npy", mmap_mode="r")
            self._pooled = np.load(folder / "pooled.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{folder} holds no vision features ({error}); it needs index.json, grid.npy and pooled.npy. "
                "Run the stage `features` first."
            ) from error
        self.items: dict[str, dict[str, list[Any]]] = index["items"]

    @property
    def grid_shape(self) -> tuple[int, int]:
        """(G, C): cells of a frame and channels of a cell."""
        return self._grid.shape[1], self._grid.shape[2]

    @property
    def pooled_size(self) -> int:
        """Width of the tower's pooled head."""
        return int(self._pooled.shape[1])

    def rows(self, name: str) -> list[int]:
        """The rows of a picture: a photo's views (the whole first), or a clip's frames in time order."""
        return self.items[name]["rows"]

    def is_clip(self, name: str) -> bool:
        """Whether the rows of the picture are frames, not views."""
        return bool(self.items[name].get("is_clip", name.endswith(".webp")))

    def grid(self, rows: Sequence[int]) -> Tensor:
        """float16 (len(rows), G, C)."""
        return torch.from_numpy(self._grid[np.asarray(rows)])

    def pooled(self, rows: Sequence[int]) -> Tensor:
        """float32 (len(rows), P)."""
        return torch.from_numpy(self._pooled[np.asarray(rows)].astype(np.float32))


class TextStore:
    """Token states (float16) and sentence vectors of every text that training will ask for, computed once.

    Args:
        tower: the frozen text tower.
        tokenizer: its `tokenizers.Tokenizer`.
        texts: duplicates are computed once.
        batch_size: texts at a time, of about one length.
    """

    def __init__(
        self, tower: TextTower, tokenizer: Any, texts: Collection[str], batch_size: int = 128
    ) -> None:
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        sentences, states, lengths = [], [], []
        with torch.no_grad(), autocast():
            for start in range(0, len(unique), batch_size):
                ids, mask = encode_ids(tokenizer, unique[start : start + batch_size])
                hidden, sentence = tower(ids, mask)
                sentences.append(sentence.float())
                states.append(hidden[mask.bool()].half())
                lengths.append(mask.sum(1))
        self._set(unique, torch.cat(sentences), torch.cat(states), torch.cat(lengths))

    def _set(self, texts: Sequence[str], sentences: Tensor, states: Tensor, lengths: Tensor) -> None:
        self.index = {text: row for row, text in enumerate(texts)}
        self.sentences = sentences
        self._states = states
        self._lengths = lengths
        self._starts = lengths.cumsum(0) - lengths

    @classmethod
    def build(
        cls, tower: TextTower, tokenizer: Any, texts: Collection[str], path: Path, part_size: int = PART_SIZE
    ) -> Self:
        """Compute a store and save it; goes on where an interrupted build of the same texts stopped.

        Args:
            tower: see `TextStore`.
            tokenizer: see `TextStore`.
            texts: see `TextStore`.
            path: the file; parts stand beside it until it is whole.
            part_size: texts to a part.
        """
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        parts = []
        for start in range(0, len(unique), part_size):
            chunk = unique[start : start + part_size]
            part_path = path.with_name(f"{path.stem}-{start:08d}.part")
            part = cls.load(part_path) if part_path.exists() else None
            if part is None or list(part.index) != chunk:
                part = cls(tower, tokenizer, chunk)
                part.save(part_path)
            parts.append(part)
        store = cls.__new__(cls)
        sentences = torch.cat([part.sentences for part in parts])
        states = torch.cat([part._states for part in parts])
        store._set(unique, sentences, states, torch.cat([part._lengths for part in parts]))
        store.save(path)
        del parts, part  # on Windows a mapped file cannot be removed
        for part_path in path.parent.glob(f"{path.stem}-*.part"):
            part_path.unlink()
        return store

    @classmethod
    def of_sentences(cls, texts: Sequence[str], vectors: Tensor) -> Self:
        """A store of sentence vectors (len(texts), D) alone: `states` gives padding."""
        store = cls.__new__(cls)
        empty = torch.zeros(len(texts), dtype=torch.long)
        store._set(texts, vectors, torch.zeros(0, vectors.shape[1], dtype=torch.float16), empty)
        return store

    def save(self, path: Path) -> None:
        """Write the store, whole or not at all.

        Raises:
            CheckpointError: if the disk is full or the folder cannot be written.
        """
        values = {
            "index": self.index,
            "sentences": self.sentences,
            "states": self._states,
            "lengths": self._lengths,
            "starts": self._starts,
        }
        save_state(path, values)

    @classmethod
    def load(cls, path: Path) -> Self:
        """A saved store; the states stay on disk and are read as they are asked for.

        Raises:
            CheckpointError: if the file is missing or damaged.
        """
        try:
            values = torch.load(path, weights_only=True, mmap=True)
            store = cls.__new__(cls)
            texts = sorted(values["index"], key=values["index"].__getitem__)
            store._set(texts, values["sentences"], values["states"], values["lengths"])
        except READ_ERRORS as error:
            raise CheckpointError(
                f"{path} holds no text states ({reason(error)}); `TextStore.save` writes them. "
                "Run the stage `texts` first."
            ) from error
        return store

    @property
    def size(self) -> int:
        """Width of a sentence vector and of a token state."""
        return self.sentences.shape[1]

    def sentence(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (B, 384), float32.

        Raises:
            CheckpointError: if one was not computed.
        """
        return self.sentences[[self._row(text) for text in texts]].float()

    def states(self, texts: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Token states (B, T, 384), float32, and their bool mask (B, T); None gives a row of padding.

        Raises:
            CheckpointError: if one was not computed.
        """
        rows = [None if text is None else self._row(text) for text in texts]
        longest = max([int(self._lengths[row]) for row in rows if row is not None], default=1)
        states = torch.zeros(len(rows), longest, self._states.shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        for place, row in enumerate(rows):
            if row is not None:
                start, length = int(self._starts[row]), int(self._lengths[row])
                states[place, :length] = self._states[start : start + length]
                mask[place, :length] = True
        return states, mask

    def _row(self, text: str) -> int:
        try:
            return self.index[text]
        except KeyError as error:
            raise CheckpointError(
                f"the text {error} has no vector; the stage `texts` makes one of every text of the same data "
                "and recipe. Run that stage again."
            ) from error
