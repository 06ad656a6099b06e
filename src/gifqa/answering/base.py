"""What every answerer takes and gives, and the answer that a user gets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gifqa.retrieval.clip_cut import Keyframes

DIGITS = 4
"""Decimals of the numbers in JSON: a tenth of a millisecond, a hundredth of a per cent."""


class Turn(NamedTuple):
    """One earlier question of a dialogue and the answer it got."""

    question: str
    answer: str


@dataclass(frozen=True)
class Alternative:
    """An answer that the model weighed but did not give."""

    answer: str
    confidence: float
    """In [0, 1], on the same scale as the answer's."""


@dataclass(frozen=True)
class Reply:
    """What an answerer gives back: words and how sure it is of them."""

    text: str
    confidence: float | None
    """In [0, 1]; None where the model gives no probabilities."""
    alternatives: tuple[Alternative, ...] = ()
    """Most probable first, without the answer itself."""
    warnings: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    """Of each keyframe, where the answer rests on captions."""


class Answerer(Protocol):
    """A model that answers a question about keyframes."""

    @property
    def name(self) -> str:
        """Name and version, shown with each answer."""
        ...

    @property
    def needs_pixels(self) -> bool:
        """Whether it reads the frames' pixels; if not, `Keyframes.grid` is enough for it."""
        ...

    def answer(
        self,
        keyframes: Keyframes,
        question: str,
        *,
        pixels: NDArray[np.uint8] | None = None,
        options: Sequence[str] | None = None,
        history: Sequence[Turn] = (),
    ) -> Reply:
        """The answer to `question`; one of `options`, where they are given.

        Args:
            keyframes: K frames in time order.
            question: one line, checked, not empty.
            pixels: the same frames, RGB uint8 (K, H, W, 3); given if `needs_pixels`.
            options: at least two distinct answers to choose from.
            history: earlier turns about the same media, oldest first.
        """

    def describe(self, keyframes: Keyframes, *, pixels: NDArray[np.uint8] | None = None) -> Reply:
        """A sentence that says what the keyframes show."""


@dataclass(frozen=True)
class Answer:
    """The answer to one question, with what it rests on."""

    text: str
    confidence: float | None
    """In [0, 1]; None where the model gives no probabilities."""
    alternatives: tuple[Alternative, ...]
    """Most probable first."""
    keyframes: Keyframes
    """The frames the model looked at, in time order."""
    model: str
    """Name and version of the model, for example `gifqa-lite 0.2.1`."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage: model, load, decode, encode, select, answer, and total."""
    warnings: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    """Of each keyframe, where the answer rests on captions; else none."""

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain values, ready for `json.dumps`."""
        captions = {"captions": list(self.captions)} if self.captions else {}
        return {
            "answer": self.text,
            "confidence": _rounded(self.confidence),
            "alternatives": [
                {"answer": other.answer, "confidence": _rounded(other.confidence)}
                for other in self.alternatives
            ],
            "keyframes": keyframes_to_list(self.keyframes),
            "model": self.model,
            "timings": {stage: _rounded(seconds) for stage, seconds in self.timings.items()},
            "warnings": list(self.warnings),
            **captions,
        }


def keyframes_to_list(keyframes: Keyframes) -> list[dict[str, Any]]:
    """One object a keyframe: its index in the source, its time in seconds and its score."""
    rows = zip(keyframes.indices, keyframes.pts_seconds, keyframes.scores, strict=True)
    return [
        {"index": int(index), "pts_seconds": _rounded(pts), "score": _rounded(score)}
        for index, pts, score in rows
    ]


def _rounded(value: float | None) -> float | None:
    """`value` with `DIGITS` decimals; None for what JSON cannot hold."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), DIGITS)
