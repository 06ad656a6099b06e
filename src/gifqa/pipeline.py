"""One question's way: media, frames, keyframes, answer. `GifQA` is the door for one GIF or many."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.base import Answer, Answerer, Reply, Turn
from gifqa.answering.captions import Approach
from gifqa.answering.english import looks_english
from gifqa.answering.models import LITE, Models
from gifqa.answering.question import check_options, check_question, check_top_k
from gifqa.errors import GifQAError
from gifqa.frames import decode_frames
from gifqa.limits import MediaLimits
from gifqa.media import Media, load_media
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.retrieval.cache import FeatureCache, feature_key
from gifqa.retrieval.clip_cut import EncodedFrames, Keyframes, encode_frames, select_keyframes
from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.embedder import DualEncoder
from gifqa.stopwatch import Stopwatch

Pixels = NDArray[np.uint8]

STAGES = ("model", "load", "decode", "encode", "select", "answer")
"""Keys of `Answer.timings` beside `total`; `model` is the loading of a model that was not loaded before."""

ENGLISH_ONLY = "the question does not look English, the only language that the shipped model knows"

MAX_TURNS = 8
"""Earlier turns of a chat that the answerer is given."""


class Item(NamedTuple):
    """One question of `GifQA.ask_many`."""

    media: Any
    """What `load_media` takes."""
    question: str
    options: Sequence[str] | None = None
    description: str | None = None


class GifQA:
    """Answers questions about GIFs, other animations, images and short videos.

    Making one loads nothing: the model is loaded with the first question. One object serves many threads.
    """

    def __init__(  # noqa: PLR0913  (each parameter is a choice of the caller)
        self,
        model: str | Path = LITE,
        *,
        limits: MediaLimits | None = None,
        clip_cut: ClipCutConfig | None = None,
        cache: FeatureCache | None = None,
        encoder: DualEncoder | str | None = None,
        answerer: Answerer | None = None,
        approach: Approach = "frames",
    ) -> None:
        """Choose the model and the settings.

        Args:
            model: `lite` (shipped), a bundle's folder, `hf:` and a Hugging Face id or folder, or the URL of
                an OpenAI-compatible server, `#` and the name of its model.
            limits: what is read and decoded at most; None is the default limits.
            clip_cut: how keyframes are chosen; None is the default settings.
            cache: where the features of frames are kept between questions; None is memory and the user's
                disk.
            encoder: a dual encoder to choose keyframes with, or `hf:` and the name of one; None is the
                bundle's.
            answerer: an answerer made by the caller, which then stands for `model`.
            approach: what the model answers from: `frames`, or `captions` that it writes of each keyframe.

        Raises:
            CheckpointError: if `model` or `encoder` names nothing.
            ConfigError: if `approach` is another one.
        """
        self.limits = limits or MediaLimits()
        self.clip_cut = clip_cut or ClipCutConfig()
        self._models = Models(model, encoder=encoder, answerer=answerer, approach=approach)
        self._cache = cache or FeatureCache()

    def load(self) -> None:
        """Load the model now rather than with the first question.

        Raises:
            CheckpointError: if it cannot be loaded.
            MissingExtra: if it needs a package that is not installed.
        """
        _ = self._models.encoder, self._models.answerer

    def ask(
        self,
        media: Any,
        question: str,
        options: Sequence[str] | None = None,
        top_k: int | None = None,
        description: str | None = None,
    ) -> Answer:
        """The answer to one question about one GIF.

        Args:
            media: a path, URL, `-` (standard input), bytes, file object, PIL image or list of them, NumPy
                array (H, W, 3) or (N, H, W, 3), a folder of frames, or a loaded `Media`.
            question: in words; the shipped model knows English.
            options: at least two answers to choose from.
            top_k: keyframes to answer from; None is the setting of `clip_cut`.
            description: what is known about the GIF; helps to find the keyframes.

        Returns:
            The answer with its confidence, alternatives, keyframes and timings.

        Raises:
            ConfigError: if the question, the options or `top_k` are out of bounds.
            MediaError: if the media cannot be read.
            CheckpointError: if the model cannot be loaded or does not answer.
        """
        return self.ask_item(Item(media, question, options, description), top_k)

    def ask_many(
        self, items: Iterable[Item | tuple[Any, ...]], *, top_k: int | None = None
    ) -> Iterator[Answer | GifQAError]:
        """The answers to many questions, one after another, in the order of `items`.

        An item that fails gives its error in its place and the others go on. Questions about the same media
        are cheapest side by side: the frames are embedded once.

        Args:
            items: `Item`s, or tuples `(media, question)`, `(media, question, options)`,
                `(media, question, options, description)`; read as the answers are.
            top_k: keyframes to answer each from; None is the setting of `clip_cut`.

        Yields:
            An answer, or the error that stands in its place.
        """
        for item in items:
            try:
                yield self.ask_item(Item(*item), top_k)
            except GifQAError as error:
                yield error

    def chat(self, media: Any) -> "Chat":
        """A dialogue about one GIF, which is read now; models that follow dialogues know the earlier turns.

        Raises:
            MediaError: if the media cannot be read.
        """
        return Chat(self, self.open(media))

    def ask_item(self, item: Item, top_k: int | None = None, *, history: Sequence[Turn] = ()) -> Answer:
        """The answer to one item, after `history`; arguments, result and errors as those of `ask`."""
        check_top_k(top_k)
        question, warnings = self._checked(item.question)
        options = check_options(item.options)

        def reply(answerer: Answerer, keyframes: Keyframes, pixels: Pixels | None) -> Reply:
            return answerer.answer(keyframes, question, pixels=pixels, options=options, history=history)

        return self._answer(item._replace(question=question), top_k, warnings, reply)

    def describe(self, media: Any, top_k: int | None = None) -> Answer:
        """A sentence that says what the GIF shows; arguments, result and errors as those of `ask`."""
        check_top_k(top_k)

        def reply(answerer: Answerer, keyframes: Keyframes, pixels: Pixels | None) -> Reply:
            return answerer.describe(keyframes, pixels=pixels)

        return self._answer(Item(media, DESCRIBE_QUESTION), top_k, (), reply)

    def keyframes(
        self, media: Any, question: str, top_k: int | None = None, description: str | None = None
    ) -> Keyframes:
        """The frames that the question is about, in time order; arguments and errors as those of `ask`."""
        check_top_k(top_k)
        question, warnings = self._checked(question)
        item = Item(self.open(media), question, None, description)
        keyframes = self._look(item, top_k, Stopwatch(STAGES))
        return replace(keyframes, warnings=keyframes.warnings + warnings)

    def open(self, media: Any) -> Media:
        """The media read and checked once, for several calls about them; takes what `ask` does.

        Raises:
            MediaError: if the media cannot be read.
        """
        return load_media(media, self.limits)

    def pixels(self, media: Any, keyframes: Keyframes) -> Pixels:
        """The pixels of the keyframes, RGB uint8 (K, H, W, 3), decoded anew from `media`.

        Raises:
            MediaError: if the media cannot be read.
        """
        indices = [int(index) for index in keyframes.indices]
        return decode_frames(self.open(media), self.limits, indices=indices).pixels

    def _checked(self, question: str) -> tuple[str, tuple[str, ...]]:
        """The question as the models get it, and warnings about it."""
        question, warnings = check_question(question)
        if self._models.knows_english_only and not looks_english(question):
            warnings += (ENGLISH_ONLY,)
        return question, warnings

    def _answer(
        self,
        item: Item,
        top_k: int | None,
        warnings: tuple[str, ...],
        reply_to: Callable[[Answerer, Keyframes, Pixels | None], Reply],
    ) -> Answer:
        """The whole line: media, frames, keyframes, reply; `warnings` are those of the question."""
        clock = Stopwatch(STAGES)
        with clock.stage("load"):
            media = self.open(item.media)
        keyframes = self._look(item._replace(media=media), top_k, clock)
        with clock.stage("model"):
            answerer = self._models.answerer
        pixels = None
        if answerer.needs_pixels:
            with clock.stage("decode"):
                pixels = self.pixels(media, keyframes)
        with clock.stage("answer"):
            reply = reply_to(answerer, keyframes, pixels)
        return Answer(
            text=reply.text,
            confidence=reply.confidence,
            alternatives=tuple(other for other in reply.alternatives if other.answer != reply.text),
            keyframes=keyframes,
            model=answerer.name,
            timings=clock.read(),
            warnings=keyframes.warnings + warnings + reply.warnings,
            captions=reply.captions,
        )

    def _look(self, item: Item, top_k: int | None, clock: Stopwatch) -> Keyframes:
        """The keyframes of the item's open media that its question is about."""
        with clock.stage("model"):
            encoder = self._models.encoder
        encoded = self._encoded(item.media, encoder, top_k or 1, clock)
        with clock.stage("select"):
            return select_keyframes(
                encoded, item.question, encoder, self.clip_cut, description=item.description, top_k=top_k
            )

    def _encoded(self, media: Media, encoder: DualEncoder, top_k: int, clock: Stopwatch) -> EncodedFrames:
        """The embedded frames, from the cache where it has them; as many as the settings ask for, or more."""
        config = self.clip_cut.model_copy(update={"top_k": max(top_k, self.clip_cut.top_k)})
        key = feature_key(media.content_hash, encoder.name, config, self.limits)
        with clock.stage("load"):
            encoded = self._cache.get(key)
        if encoded is None:
            with clock.stage("decode"):
                frames = decode_frames(media, self.limits)
            with clock.stage("encode"):
                encoded = encode_frames(frames, encoder, config)
                self._cache.put(key, encoded)
        return encoded


class Chat:
    """A dialogue about one GIF. Not for several threads at once."""

    def __init__(self, qa: GifQA, media: Media) -> None:
        """Begin a dialogue; `GifQA.chat` does this."""
        self.media = media
        self.history: list[Turn] = []
        """Every turn so far, oldest first."""
        self._qa = qa

    def ask(
        self,
        question: str,
        options: Sequence[str] | None = None,
        top_k: int | None = None,
        description: str | None = None,
    ) -> Answer:
        """The answer to the next question; arguments, result and errors as those of `GifQA.ask`.

        The answerer is given the last `MAX_TURNS` turns. A question that fails leaves no turn.
        """
        item = Item(self.media, question, options, description)
        answer = self._qa.ask_item(item, top_k, history=tuple(self.history[-MAX_TURNS:]))
        self.history.append(Turn(" ".join(question.split()), answer.text))
        return answer
