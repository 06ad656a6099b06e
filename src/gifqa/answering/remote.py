"""Models behind an OpenAI-compatible server: vLLM, llama.cpp, Ollama, LM Studio, or a hosted one."""

import base64
import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.base import Alternative, Reply, Turn
from gifqa.answering.completions import ChatClient, Completion
from gifqa.answering.messages import DESCRIBE, SHORT, Message, clean_reply, question_messages
from gifqa.errors import CheckpointError
from gifqa.retrieval.clip_cut import Keyframes

_MAX_SIDE = 768  # pixels of the longer side of a frame as it is sent
_JPEG_QUALITY = 85
_MAX_TOKENS = 512  # of a reply; models that think aloud need more than the answer
_TOP_TOKENS = 20  # the most that the API gives
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class RemoteAnswerer:
    """Asks a server's `/chat/completions` with the frames as JPEG data URLs, each after its time.

    The key, if the server wants one, is in the environment variable `OPENAI_API_KEY`. Confidence is the
    geometric mean of the token probabilities where the server gives them, else None. Of options, each gets
    a letter and the server is asked for one; if it tells the probabilities of letters, the options share
    them.
    """

    needs_pixels = True

    def __init__(
        self, base_url: str, model: str, *, timeout_seconds: float = 60.0, first_wait_seconds: float = 0.5
    ) -> None:
        """Nothing is sent yet; arguments as those of `ChatClient`."""
        self._client = ChatClient(
            base_url, model, timeout_seconds=timeout_seconds, first_wait_seconds=first_wait_seconds
        )
        self.name = self._client.name

    def answer(
        self,
        keyframes: Keyframes,
        question: str,
        *,
        pixels: NDArray[np.uint8] | None = None,
        options: Sequence[str] | None = None,
        history: Sequence[Turn] = (),
    ) -> Reply:
        """The answer; arguments as those of `Answerer.answer`, `pixels` required.

        Raises:
            CheckpointError: if the server cannot be reached, refuses, or gives no answer.
        """
        return self._ask(keyframes, question, pixels, options, history)

    def answer_from_text(
        self, text: str, question: str, *, options: Sequence[str] | None = None, history: Sequence[Turn] = ()
    ) -> Reply:
        """The answer without frames; arguments as those of `gifqa.answering.captions.TextAnswerer`.

        Raises:
            CheckpointError: if the server cannot be reached, refuses, or gives no answer.
        """
        return self._ask(text, question, None, options, history)

    def _ask(
        self,
        shown: Keyframes | str,
        question: str,
        pixels: NDArray[np.uint8] | None,
        options: Sequence[str] | None,
        history: Sequence[Turn],
    ) -> Reply:
        if options is None:
            return self._open_reply(question_messages(shown, f"{question} {SHORT}", history), pixels)
        labels = _labels(len(options))
        listed = "\n".join(f"{label}. {option}" for label, option in zip(labels, options, strict=True))
        request = f"{question}\n{listed}\nAnswer with {labels[0]} to {labels[-1]} and nothing else."
        messages = question_messages(shown, request, history)
        completion = self._complete(messages, pixels, top_logprobs=_TOP_TOKENS)
        return self._choice(completion, dict(zip(labels, options, strict=True)))

    def describe(self, keyframes: Keyframes, *, pixels: NDArray[np.uint8] | None = None) -> Reply:
        """A sentence about the frames; `pixels` required.

        Raises:
            CheckpointError: if the server cannot be reached, refuses, or gives no answer.
        """
        return self._open_reply(question_messages(keyframes, DESCRIBE), pixels)

    def _open_reply(self, messages: list[Message], pixels: NDArray[np.uint8] | None) -> Reply:
        completion = self._complete(messages, pixels)
        values = [row.log_probability for row in completion.tokens]
        confidence = math.exp(min(0.0, sum(values) / len(values))) if values else None
        return Reply(text=self._text(completion), confidence=confidence)

    def _choice(self, completion: Completion, options: Mapping[str, str]) -> Reply:
        """The option that the completion names, by label or in words; `options` by label."""
        text = self._text(completion)
        label = _find_label(text, options)
        if label is None:
            raise CheckpointError(
                f"{self.name} answered {text[:80]!r}; it must name one of the {len(options)} options. "
                "Ask without options, or use another model."
            )
        shares = _label_shares(completion, label, options)
        others = sorted(shares.keys() - {label}, key=lambda other: -shares[other])
        return Reply(
            text=options[label],
            confidence=shares.get(label),
            alternatives=tuple(Alternative(options[other], shares[other]) for other in others),
        )

    def _text(self, completion: Completion) -> str:
        text = clean_reply(completion.text)
        if not text:
            raise CheckpointError(
                f"{self.name} sent a reply without text; an answer is text. "
                "Check the model, or use another one."
            )
        return text

    def _complete(
        self, messages: list[Message], pixels: NDArray[np.uint8] | None, *, top_logprobs: int = 0
    ) -> Completion:
        if pixels is None and any(message.has_frames for message in messages):
            raise ValueError("pixels is None; this answerer reads the frames' pixels. Give them.")
        urls = [] if pixels is None else [_data_url(frame) for frame in pixels]
        written = [{"role": message.role, "content": _content(message, urls)} for message in messages]
        return self._client.complete(written, max_tokens=_MAX_TOKENS, top_logprobs=top_logprobs)


def _labels(count: int) -> list[str]:
    """A letter for each option, or a number where letters do not suffice."""
    if count <= len(_LETTERS):
        return list(_LETTERS[:count])
    return [str(number) for number in range(1, count + 1)]


def _find_label(text: str, options: Mapping[str, str]) -> str | None:
    """The label that a reply such as `B`, `(b)`, `B. a dog` or `a dog` means; None if it is none of them."""
    bare = text.casefold().strip(" .")
    for label, option in options.items():
        if bare == option.casefold().strip(" ."):
            return label
    marked = re.match(r"\W*(\w+)\W*$|\W*(\w+)[.):]", text)
    if marked and (marked[1] or marked[2]).upper() in options:
        return (marked[1] or marked[2]).upper()
    for named in (
        [label for label, option in options.items() if option.casefold() in bare],
        [label for label in options if re.search(rf"\b{label}\b", text)],
    ):
        if len(named) == 1:
            return named[0]
    return None


def _label_shares(completion: Completion, label: str, options: Mapping[str, str]) -> dict[str, float]:
    """The probability of each option, 1 in all; empty where the server does not tell it.

    Read where the label stands in the reply. Labels of several characters can be several tokens, so only
    letters are read; one that is not among the likeliest tokens counts as 0.
    """
    if max(map(len, options)) > 1:
        return {}
    for row in completion.tokens:
        if row.token.strip().upper() == label and row.top:
            weights = dict.fromkeys(options, 0.0)
            for token, log_probability in row.top.items():
                letter = token.strip().upper()
                if letter in weights:
                    weights[letter] += math.exp(min(0.0, log_probability))
            total = sum(weights.values())
            return {letter: weight / total for letter, weight in weights.items()} if total else {}
    return {}


def _content(message: Message, urls: Sequence[str]) -> str | list[dict[str, Any]]:
    """The message as the API writes it: plain text, or a list of texts and pictures."""
    if all(isinstance(part, str) for part in message.parts):
        return "\n".join(str(part) for part in message.parts)
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": urls[part]}}
        for part in message.parts
    ]


def _data_url(frame: NDArray[np.uint8]) -> str:
    """A frame, RGB (H, W, 3), as a JPEG data URL, shrunk to `_MAX_SIDE`."""
    from PIL import Image

    image = Image.fromarray(frame)
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
