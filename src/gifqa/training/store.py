"""What the training stages read: cached vision features by picture, cached text states by sentence."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gifqa.model.text import TextTower, encode_ids


class FeatureStore:
    """The cache that `gifqa.training.features.extract` wrote."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text())
        self.items: dict[str, dict[str, list[Any]]] = index["items"]
        self._grid = np.load(folder / "grid.npy", mmap_mode="r")
        self._pooled = np.load(folder / "pooled.npy", mmap_mode="r")

    def rows(self, name: str) -> list[int]:
        """The rows of a picture: a photo's views (the whole first), or a clip's frames in time order."""
        return self.items[name]["rows"]

    def grid(self, rows: Sequence[int]) -> Tensor:
        """float16 (len(rows), G, C)."""
        return torch.from_numpy(self._grid[np.asarray(rows)])

    def pooled(self, rows: Sequence[int]) -> Tensor:
        """float32 (len(rows), 1280)."""
        return torch.from_numpy(self._pooled[np.asarray(rows)].astype(np.float32))


class TextStore:
    """Token states (float16) and sentence vectors of every text that training will ask for, computed once."""

    def __init__(self, tower: TextTower, tokenizer: Any, texts: Sequence[str], batch_size: int = 128) -> None:
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        self.index = {text: row for row, text in enumerate(unique)}
        self.sentences = torch.empty(len(unique), 384)
        states, lengths = [], []
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for start in range(0, len(unique), batch_size):
                ids, mask = encode_ids(tokenizer, unique[start : start + batch_size])
                hidden, sentence = tower(ids, mask)
                self.sentences[start : start + len(ids)] = sentence.float()
                states.append(hidden[mask.bool()].half())
                lengths.append(mask.sum(1))
        self._states = torch.cat(states)
        self._lengths = torch.cat(lengths)
        self._starts = self._lengths.cumsum(0) - self._lengths

    def sentence(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors (B, 384)."""
        return self.sentences[[self.index[text] for text in texts]]

    def states(self, texts: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Token states (B, T, 384), float32, and their bool mask (B, T); None gives a row of padding."""
        rows = [None if text is None else self.index[text] for text in texts]
        longest = max([int(self._lengths[row]) for row in rows if row is not None], default=1)
        states = torch.zeros(len(rows), longest, self._states.shape[1])
        mask = torch.zeros(len(rows), longest, dtype=torch.bool)
        for place, row in enumerate(rows):
            if row is not None:
                start, length = int(self._starts[row]), int(self._lengths[row])
                states[place, :length] = self._states[start : start + length]
                mask[place, :length] = True
        return states, mask
