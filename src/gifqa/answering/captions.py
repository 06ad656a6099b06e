"""Answers from captions: each keyframe is described by itself, and the question put to the descriptions.

    keyframe 1 ──describe──> "a cat sits on a sofa"  ─┐
    keyframe 2 ──describe──> "a cat jumps down"      ─┴─ with their times, as text ──> answer

The answering model sees no frame then, only what was said of them: an answer can be checked against the
captions that it rests on, and what no caption mentions is lost. It is the second way of the original, beside
keyframes as visual tokens; `docs/training.md` has what each is worth.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.base import Answerer, Reply, Turn
from gifqa.errors import ConfigError
from gifqa.retrieval.clip_cut import Keyframes

Approach = Literal["frames", "captions"]
"""What a question is answered from: the keyframes themselves, or captions of them."""


@runtime_checkable
class TextAnswerer(Protocol):
    """An answerer that can also answer from what it is told of the frames."""

    def answer_from_text(
        self, text: str, question: str, *, options: Sequence[str] | None = None, history: Sequence[Turn] = ()
    ) -> Reply:
        """The answer to `question`; one of `options`, where they are given.

        Args:
            text: what is known of the GIF, one line or several.
            question: one line, checked, not empty.
            options: at least two distinct answers to choose from.
            history: earlier turns about the same media, oldest first.
        """


class CaptionsAnswerer:
    """Another answerer, asked for a caption of each keyframe and then about these captions.

    Args:
        answerer: describes the keyframes and reads the captions; a `TextAnswerer`.

    Raises:
        ConfigError: if it cannot answer from text.
    """

    def __init__(self, answerer: Answerer) -> None:
        if not isinstance(answerer, TextAnswerer):
            raise ConfigError(
                f"the approach is captions, but {answerer.name} cannot answer from text; the shipped model, "
                "checkpoints, hf: and servers can. Leave --approach out, or use one of them."
            )
        self._describer: Answerer = answerer
        self._reader: TextAnswerer = answerer
        self.name = f"{answerer.name}, from captions"
        self.needs_pixels = answerer.needs_pixels

    def answer(
        self,
        keyframes: Keyframes,
        question: str,
        *,
        pixels: NDArray[np.uint8] | None = None,
        options: Sequence[str] | None = None,
        history: Sequence[Turn] = (),
    ) -> Reply:
        """The answer that the captions give, with them; arguments as those of `Answerer.answer`."""
        captions, warnings = self._captions(keyframes, pixels)
        text = told(keyframes, captions)
        reply = self._reader.answer_from_text(text, question, options=options, history=history)
        return replace(reply, captions=captions, warnings=warnings + reply.warnings)

    def describe(self, keyframes: Keyframes, *, pixels: NDArray[np.uint8] | None = None) -> Reply:
        """The captions in a row; what is said twice is said once."""
        captions, warnings = self._captions(keyframes, pixels)
        return Reply("; ".join(dict.fromkeys(captions)), None, warnings=warnings, captions=captions)

    def _captions(
        self, keyframes: Keyframes, pixels: NDArray[np.uint8] | None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """A caption of each keyframe, and the warnings about any of them."""
        replies = [
            self._describer.describe(
                single_frame(keyframes, place), pixels=None if pixels is None else pixels[place : place + 1]
            )
            for place in range(len(keyframes))
        ]
        warnings = dict.fromkeys(warning for reply in replies for warning in reply.warnings)
        return tuple(reply.text for reply in replies), tuple(warnings)


def single_frame(keyframes: Keyframes, place: int) -> Keyframes:
    """The keyframe at `place` as a still image of its own."""
    kept = slice(place, place + 1)
    return Keyframes(
        indices=keyframes.indices[kept],
        pts_seconds=keyframes.pts_seconds[kept],
        scores=keyframes.scores[kept],
        grid=None if keyframes.grid is None else keyframes.grid[kept],
        num_frames=1,
        duration_seconds=keyframes.duration_seconds,
        embeddings=None if keyframes.embeddings is None else keyframes.embeddings[kept],
    )


def told(keyframes: Keyframes, captions: Sequence[str]) -> str:
    """The captions as the answering model is told them, a line each, with their times."""
    if keyframes.num_frames == 1:
        return f"An image shows: {captions[0]}"
    lines = [
        f"{pts_seconds:.2f} s: {caption}"
        for pts_seconds, caption in zip(keyframes.pts_seconds, captions, strict=True)
    ]
    heading = f"Frames of a GIF, {keyframes.duration_seconds:.2f} s long, show in this order:"
    return "\n".join([heading, *lines])
