"""Which rows of the feature cache the language model is shown for a question.

    random     frames drawn anew each time; evenly spread ones in validation
    uniform    frames spread evenly over the clip
    clip-cut   the frames that CLIP-Cut chooses for the question (`gifqa.retrieval.selection`), from vectors
               that were cached with the features

Photos have views, not frames: they are shown as a still or as a camera move, whatever the choice.
"""

import random
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import ConfigError
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.selection import Candidates, choose, is_global
from gifqa.training.data.batches import choose_rows, fixed_rows
from gifqa.training.data.samples import Sample
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.recipe import LanguageTraining

Vectors = NDArray[np.float32]
STILLS = (True, True, True, False)
"""How often a batch of `random` shows one frame of each picture, and how often several."""
_LEAST_NORM = 1e-12


class FrameVectors(Protocol):
    """Frames and questions in one space, from what is cached: unit vectors whose inner product says fit."""

    def frames(self, rows: list[int]) -> Vectors:
        """(len(rows), D) of rows of the feature cache."""
        ...

    def question(self, text: str) -> Vectors:
        """(D,) of a text of the text store."""
        ...


class PooledVectors:
    """Of CLIP or SigLIP: the cache holds image embeddings, the text store text embeddings of the same model.

    Raises:
        ConfigError: if the two have different widths, and so cannot be of one model.
    """

    def __init__(self, store: FeatureStore, texts: TextStore) -> None:
        if store.pooled_size != texts.size:
            raise ConfigError(
                'language.frame_choice is "clip-cut", but frames have vectors of width '
                f"{store.pooled_size} and texts of {texts.size}; both must come from one CLIP or SigLIP "
                "model, given as vision.tower and text.tower. Correct them, or choose uniform frames."
            )
        self._store, self._texts = store, texts

    def frames(self, rows: list[int]) -> Vectors:
        """See `FrameVectors`."""
        return _unit(self._store.pooled(rows).numpy())

    def question(self, text: str) -> Vectors:
        """See `FrameVectors`."""
        return _unit(self._texts.sentence([text])[0].numpy())


class HeadVectors:
    """Of the trained dual encoder of this project, on towers that were never trained together."""

    def __init__(self, heads: DualEncoderHeads, store: FeatureStore, texts: TextStore) -> None:
        self._heads, self._store, self._texts = heads.eval().requires_grad_(False), store, texts

    def frames(self, rows: list[int]) -> Vectors:
        """See `FrameVectors`."""
        grid, pooled = self._store.grid(rows).float(), self._store.pooled(rows)
        return _unit(self._heads.encode_frames(grid, pooled).numpy())

    def question(self, text: str) -> Vectors:
        """See `FrameVectors`."""
        return _unit(self._heads.encode_texts(self._texts.sentence([text]))[0].numpy())


class FrameChoice:
    """Chooses by the recipe's `language.frame_choice`.

    Args:
        store: the feature cache.
        settings: `frame_choice`, `num_frames` and `global_local` are used.
        vectors: what CLIP-Cut compares; the other choices leave them alone.

    Raises:
        ConfigError: if CLIP-Cut is to choose without vectors.
    """

    def __init__(self, store: FeatureStore, settings: LanguageTraining, vectors: FrameVectors | None) -> None:
        if settings.frame_choice == "clip-cut" and vectors is None:
            raise ConfigError(
                'language.frame_choice is "clip-cut", but there are no vectors of frames and questions; it '
                "needs the stage `dual-encoder`, or a CLIP or SigLIP tower. Add one of them, or choose "
                "uniform frames."
            )
        self.store, self.settings = store, settings
        self._vectors = vectors if settings.frame_choice == "clip-cut" else None

    def draw(self, samples: list[Sample], chance: random.Random) -> list[list[int]]:
        """Rows of the cache for each sample of a training batch."""
        is_still = chance.choice(STILLS) and not self.settings.global_local
        num_frames = 1 if is_still else self.settings.num_frames
        return [self._draw(sample, num_frames, chance) for sample in samples]

    def fixed(self, sample: Sample) -> list[int]:
        """The rows that validation looks at: without chance."""
        if self._vectors is not None and self.store.is_clip(sample.picture):
            return cut_rows(self.store, self._vectors, sample, self.settings.num_frames)
        return fixed_rows(self.store, sample.picture, self.settings.num_frames)

    def _draw(self, sample: Sample, num_frames: int, chance: random.Random) -> list[int]:
        if self.settings.frame_choice != "random" and self.store.is_clip(sample.picture):
            return self.fixed(sample)
        return choose_rows(self.store, sample.picture, num_frames, chance, sample.has_sides)


def cut_rows(store: FeatureStore, vectors: FrameVectors, sample: Sample, num_frames: int) -> list[int]:
    """The up to `num_frames` cached frames of a clip that CLIP-Cut would show, in time order."""
    rows = store.rows(sample.picture)
    if len(rows) <= num_frames:
        return list(rows)
    embeddings = vectors.frames(rows)
    pts_seconds = np.asarray(store.items[sample.picture]["pts_seconds"], dtype=np.float64)
    scores = embeddings @ vectors.question(sample.question)
    candidates = Candidates(scores, embeddings, pts_seconds, _duration(pts_seconds))
    chosen = choose(candidates, num_frames, ClipCutConfig(), whole=is_global(sample.question))
    return [rows[index] for index in chosen]


def _duration(pts_seconds: NDArray[np.float64]) -> float:
    """Seconds that a clip plays, its last frame taken to stay as long as the others; the cache has none."""
    return float(pts_seconds[-1] * len(pts_seconds) / (len(pts_seconds) - 1))


def _unit(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Vectors = (vectors / np.maximum(norms, _LEAST_NORM)).astype(np.float32)
    return unit
