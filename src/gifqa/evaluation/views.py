"""Which frames the model is shown: CLIP-Cut's, or those of a baseline that looks with less sense.

    clip-cut          the frames that the question is about (no baseline)
    uniform-frames    evenly spread, whatever the question
    top-frames        the best-scoring ones alone, however alike
    middle-frame      one frame from the middle
    shuffled-frames   CLIP-Cut's frames in random order: does order matter?
    blank-frame       one grey frame: what the model says without seeing anything
    original-frames   the original project's retrieval: every second frame, red and blue swapped, the best
                      three in order of similarity, the last frame again where there are fewer

The baselines hand the model their frames as a list of pictures, all of which it then sees, in that order. The
times of the frames are lost to it by that; the frames themselves are what CLIP-Cut would hand over.
"""

import copy
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.base import Answer
from gifqa.frames import decode_frames
from gifqa.media import Media
from gifqa.pipeline import GifQA
from gifqa.retrieval.clip_cut import Keyframes
from gifqa.retrieval.config import ClipCutConfig

View = Literal[
    "clip-cut",
    "uniform-frames",
    "top-frames",
    "middle-frame",
    "shuffled-frames",
    "blank-frame",
    "original-frames",
]
VIEWS: tuple[View, ...] = View.__args__  # type: ignore[attr-defined]

Pixels = NDArray[np.uint8]
Ask = Callable[[GifQA, Any, int | None], Answer]
"""Puts the question: the pipeline, the media, and how many keyframes."""

_ORIGINAL_STRIDE = 2
_ORIGINAL_TOP_K = 3
_GREY = 128
_BLANK_SIDE = 64
_EVERY_FRAME = {"group_size": 1, "duplicate_threshold": 0.0, "unlike_distance": 0.0, "strategy": "uniform"}


def clip_cut_for(view: View, config: ClipCutConfig) -> ClipCutConfig:
    """The retrieval settings of a view: a strategy of CLIP-Cut, or all frames of those handed over."""
    if view in ("clip-cut", "shuffled-frames"):
        return config
    if view == "uniform-frames":
        return config.model_copy(update={"strategy": "uniform"})
    return config.model_copy(update={"strategy": "relevance"})


class Viewer:
    """Answers questions through one view of the media."""

    def __init__(self, qa: GifQA, view: View, *, top_k: int | None = None, seed: int = 0) -> None:
        """Take a pipeline.

        Args:
            qa: answers; made with `clip_cut_for(view, ...)`.
            view: what it is shown.
            top_k: keyframes; None is the pipeline's setting.
            seed: of the shuffling.
        """
        self._qa = qa
        self._view = view
        self._top_k = top_k
        self._seed = seed

    def answer(self, media: Any, question: str, ask: Ask) -> Answer:
        """The answer through the view; its keyframes are in the source's frame numbers and times.

        Args:
            media: what `GifQA.open` takes.
            question: what keyframes are chosen by.
            ask: puts the question to the pipeline about the media it is given.
        """
        if self._view in ("clip-cut", "uniform-frames", "top-frames"):
            return ask(self._qa, media, self._top_k)
        opened = self._qa.open(media)
        pixels, keyframes = self._look(opened, question)
        answer = ask(self._with_every_frame(), pixels, len(pixels))
        return replace(answer, keyframes=keyframes)

    def _with_every_frame(self) -> GifQA:
        """The same model, told to look at all frames that it is handed."""
        every = copy.copy(self._qa)
        every.clip_cut = self._qa.clip_cut.model_copy(update=_EVERY_FRAME)
        return every

    def _look(self, media: Media, question: str) -> tuple[Pixels, Keyframes]:
        if self._view == "blank-frame":
            nothing = _reordered(self._qa.keyframes(media, question, 1), np.zeros(0, np.int64))
            return np.full((1, _BLANK_SIDE, _BLANK_SIDE, 3), _GREY, np.uint8), nothing
        if self._view == "middle-frame":
            return self._middle(media, question)
        if self._view == "shuffled-frames":
            keyframes = self._qa.keyframes(media, question, self._top_k)
            rng = np.random.default_rng([self._seed, zlib.crc32(f"{media.content_hash} {question}".encode())])
            order = rng.permutation(len(keyframes))
            return self._qa.pixels(media, keyframes)[order], _reordered(keyframes, order)
        return self._original(media, question)

    def _middle(self, media: Media, question: str) -> tuple[Pixels, Keyframes]:
        keyframes = self._qa.keyframes(media, question, 1)
        middle = keyframes.num_frames // 2
        frames = decode_frames(media, self._qa.limits, indices=[middle])
        return frames.pixels, replace(keyframes, indices=frames.frame_indices, pts_seconds=frames.pts_seconds)

    def _original(self, media: Media, question: str) -> tuple[Pixels, Keyframes]:
        """The original's retriever on this model's encoder; L2 of unit vectors ranks as the cosine does."""
        keyframes = self._qa.keyframes(media, question, 1)
        indices = list(range(0, keyframes.num_frames, _ORIGINAL_STRIDE))
        frames = decode_frames(media, self._qa.limits, indices=indices)
        swapped = np.ascontiguousarray(frames.pixels[..., ::-1])
        scored = self._with_every_frame().keyframes(swapped, question, len(swapped))
        best = scored.indices[np.argsort(-scored.scores, kind="stable")][:_ORIGINAL_TOP_K]
        padding = [len(swapped) - 1] * (_ORIGINAL_TOP_K - len(best))
        order = np.concatenate([best, np.array(padding, np.int64)]).astype(np.int64)
        scores = np.zeros(len(swapped), np.float32)
        scores[scored.indices] = scored.scores
        chosen = replace(
            keyframes,
            indices=frames.frame_indices[order],
            pts_seconds=frames.pts_seconds[order],
            scores=scores[order],
            grid=None,
        )
        return swapped[order], chosen


def _reordered(keyframes: Keyframes, order: NDArray[np.int64]) -> Keyframes:
    return replace(
        keyframes,
        indices=keyframes.indices[order],
        pts_seconds=keyframes.pts_seconds[order],
        scores=keyframes.scores[order],
        grid=None,
    )
