"""Questions from an OpenAI-compatible server: one request a caption, structured output, retries, a cost cap.

A reply that is no JSON of the asked shape is asked for again; after the last attempt the caption goes without
questions, so that one bad reply does not end a run. A server that refuses or cannot be reached does end it:
finished shards are kept, and `--resume` goes on.
"""

import json
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from gifqa.errors import CheckpointError, ConfigError, GifQAError
from gifqa.synthesis.base import Draft, draft_of
from gifqa.synthesis.candidates import Candidate
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.lm import asked_candidates, tidy_question

KEY_VARIABLE = "OPENAI_API_KEY"
_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
_MAX_ATTEMPTS = 5
_MAX_WAIT_SECONDS = 30.0
_MAX_REPLY_BYTES = 2**20
_REQUESTS_AT_ONCE = 4
_INSTRUCTIONS = (
    "You write questions about a GIF from its caption. For each answer in the list write one short question "
    "in English that the caption answers with exactly these words. Never use the answer's words in its "
    "question. "
    'Reply with JSON: {"questions": [{"answer": "...", "question": "...?"}]}.'
)
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["questions"],
    "properties": {
        "questions": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["answer", "question"],
                "properties": {"answer": {"type": "string"}, "question": {"type": "string"}},
            },
        }
    },
}


class _GarbageError(GifQAError):
    """A reply that is not of the asked shape; asked for again."""


@dataclass
class Meter:
    """What the replies have cost; safe with threads."""

    price_per_million_tokens: float
    """Price of a million tokens."""
    max_cost: float | None
    """The cap; None is no cap."""
    tokens: int = 0
    """Tokens of prompts and replies so far."""
    lock: Any = field(default_factory=threading.Lock, repr=False)

    @property
    def cost(self) -> float:
        """The cost so far."""
        return self.tokens * self.price_per_million_tokens / 1e6

    def add(self, tokens: int) -> None:
        """Count the tokens of a reply."""
        with self.lock:
            self.tokens += tokens

    def check(self) -> None:
        """Stop before the next request when the cap is reached.

        Raises:
            ConfigError: when it is.
        """
        if self.max_cost is not None and self.cost >= self.max_cost:
            raise ConfigError(
                f"the replies have cost {self.cost:.2f}; --max-cost is {self.max_cost:.2f}. "
                "Finished shards are kept; raise --max-cost and go on with --resume."
            )


@dataclass(frozen=True)
class RemoteGenerator:
    """Asks a server for the questions of each caption."""

    url: str
    """Base URL, such as `http://localhost:8000/v1`."""
    model: str
    """The server's name for the model."""
    meter: Meter
    """Counts the cost."""
    timeout_seconds: float = 60.0
    """How long the server may be silent."""
    first_wait_seconds: float = 0.5
    """Pause before the second attempt; it doubles each time."""

    @property
    def name(self) -> str:
        """The name in the records."""
        return f"remote:{self.model}"

    def drafts(self, captions: Sequence[ParsedCaption], seed: int) -> list[list[Draft]]:
        """The questions of each caption; see `QuestionGenerator`. The server gets the seed."""
        with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as threads:
            futures = [threads.submit(self._of_caption, caption, seed) for caption in captions]
            try:
                return [future.result() for future in futures]
            finally:
                threads.shutdown(cancel_futures=True)

    def _of_caption(self, caption: ParsedCaption, seed: int) -> list[Draft]:
        candidates = {candidate.answer.lower(): candidate for candidate in asked_candidates(caption)}
        if not candidates:
            return []
        body = self._body(caption.text, list(candidates.values()), seed)
        wait_seconds = self.first_wait_seconds
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            self.meter.check()
            try:
                return _drafts(self._ask(body), candidates)
            except _GarbageError:
                if attempt == _MAX_ATTEMPTS:
                    return []
            except _BusyError as busy:
                if attempt == _MAX_ATTEMPTS:
                    raise CheckpointError(
                        f"{self.url} did not serve after {attempt} attempts ({busy}); a running server is "
                        "needed. Finished shards are kept; check the server, then go on with --resume."
                    ) from busy
                wait_seconds = max(wait_seconds, busy.retry_after_seconds)
            time.sleep(min(wait_seconds, _MAX_WAIT_SECONDS))
            wait_seconds *= 2
        raise AssertionError("the last attempt returns or raises")

    def _body(self, caption: str, candidates: Sequence[Candidate], seed: int) -> dict[str, Any]:
        asked = json.dumps(
            {"caption": caption, "answers": [c.answer for c in candidates]}, ensure_ascii=False
        )
        return {
            "model": self.model,
            "messages": [{"role": "system", "content": _INSTRUCTIONS}, {"role": "user", "content": asked}],
            "temperature": 0,
            "seed": seed,
            "max_tokens": 64 * len(candidates) + 64,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "questions", "strict": True, "schema": _SCHEMA},
            },
        }

    def _ask(self, body: dict[str, Any]) -> str:
        """The text of one reply."""
        import httpx

        key = os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            response = httpx.post(
                f"{self.url}/chat/completions", json=body, headers=headers, timeout=self.timeout_seconds
            )
        except httpx.HTTPError as error:
            raise _BusyError(f"{type(error).__name__}: {error}") from error
        if response.status_code in _RETRIED:
            pause = response.headers.get("retry-after", "")
            raise _BusyError(f"status {response.status_code}", float(pause) if pause.isdecimal() else 0.0)
        if response.status_code != 200:
            said = " ".join(response.text.split())[:200]
            raise CheckpointError(
                f"{self.url} refused with status {response.status_code} ({said}); 200 is needed. "
                f"Check the URL, the model's name and ${KEY_VARIABLE}."
            )
        return self._text(response.content)

    def _text(self, data: bytes) -> str:
        try:
            if len(data) > _MAX_REPLY_BYTES:
                raise ValueError("too long")
            reply = json.loads(data)
            self.meter.add(int((reply.get("usage") or {}).get("total_tokens") or 0))
            return str(reply["choices"][0]["message"]["content"])
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise _GarbageError(f"{self.url} sent what is no chat completion") from error


class _BusyError(GifQAError):
    """The server asks for patience or did not answer."""

    def __init__(self, message: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def _drafts(text: str, candidates: dict[str, Candidate]) -> list[Draft]:
    """The questions in a reply, for the answers that were asked for."""
    try:
        rows = json.loads(text[text.index("{") : text.rindex("}") + 1])["questions"]
        pairs = [(str(row["answer"]).lower(), str(row["question"])) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _GarbageError("the reply is not of the asked shape") from error
    found = []
    for answer, question in pairs:
        candidate, tidy = candidates.get(answer), tidy_question(question)
        if candidate is not None and tidy:
            found.append(draft_of(candidate, tidy, candidate.role))
    return found


def make_remote_generator(config: SynthesisConfig) -> RemoteGenerator:
    """The generator for `http(s)://HOST/v1#MODEL`.

    Raises:
        ConfigError: if the model is not written so.
    """
    url, _, model = str(config.model).partition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise ConfigError(
            f"{config.model!r} names no server and model; a server is written http(s)://HOST/v1#MODEL. "
            "Correct --model."
        )
    return RemoteGenerator(url.rstrip("/"), model, Meter(config.price_per_million_tokens, config.max_cost))
