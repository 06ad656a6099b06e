"""One request to an OpenAI-compatible `/chat/completions`, with retries, limits and errors of one line."""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gifqa.errors import CheckpointError

KEY_VARIABLE = "OPENAI_API_KEY"
_MAX_REPLY_BYTES = 4 * 2**20
_MAX_ATTEMPTS = 4
_MAX_WAIT_SECONDS = 20.0
_RETRIED = frozenset({429, 500, 502, 503, 504})
_NO_PROBABILITIES = frozenset({400, 422})
"""Statuses with which servers refuse a request for probabilities."""


@dataclass(frozen=True)
class TokenRow:
    """One token of a reply, as far as the server tells of it."""

    token: str
    log_probability: float
    top: Mapping[str, float]
    """Log-probabilities of the likeliest tokens at this place."""


@dataclass(frozen=True)
class Completion:
    """The first choice of a reply."""

    text: str
    tokens: tuple[TokenRow, ...]
    """Empty where the server gives no probabilities."""


class ChatClient:
    """Asks one model of one server. Every failure is a `CheckpointError`; safe with threads."""

    def __init__(
        self, base_url: str, model: str, *, timeout_seconds: float, first_wait_seconds: float
    ) -> None:
        """Nothing is sent yet.

        Args:
            base_url: for example `http://localhost:8000/v1`.
            model: the server's name for it.
            timeout_seconds: how long the server may be silent.
            first_wait_seconds: pause before the second of four attempts; it doubles each time.
        """
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._model = model
        self._timeout_seconds = timeout_seconds
        self._first_wait_seconds = first_wait_seconds
        self._gives_probabilities = True
        self.name = f"{model} at {urlsplit(base_url).netloc.rpartition('@')[2]}"

    def complete(
        self, messages: Sequence[Mapping[str, Any]], *, max_tokens: int, top_logprobs: int = 0
    ) -> Completion:
        """The model's reply, with probabilities if the server has them.

        Args:
            messages: as the API takes them.
            max_tokens: of the reply, at most.
            top_logprobs: likeliest tokens wanted at each place.

        Raises:
            CheckpointError: if the server cannot be reached, refuses, or sends what is no completion.
        """
        body = {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": max_tokens}
        if self._gives_probabilities:
            wanted = {"logprobs": True} | ({"top_logprobs": top_logprobs} if top_logprobs else {})
            status, data = self._post(body | wanted)
            if status not in _NO_PROBABILITIES:
                return self._read(status, data)
        completion = self._read(*self._post(body))
        self._gives_probabilities = False  # it took the same request without them, so it is not asked again
        return completion

    def _post(self, body: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body of the last of up to four attempts."""
        import httpx

        wait_seconds = self._first_wait_seconds
        for attempt in range(1, _MAX_ATTEMPTS + 1):
            is_last = attempt == _MAX_ATTEMPTS
            try:
                status, data, retry_after = self._post_once(body)
                if status not in _RETRIED or is_last:
                    return status, data
            except httpx.TimeoutException as error:
                raise CheckpointError(
                    f"{self.name} did not answer in time; {self._timeout_seconds:g} s are allowed. "
                    "Try again later, or ask a faster model."
                ) from error
            except httpx.TransportError as error:
                if is_last:
                    raise CheckpointError(
                        f"{self.name} cannot be reached after {attempt} attempts ({error}); a running "
                        "server is needed. Start it, or check the URL."
                    ) from error
                retry_after = 0.0
            time.sleep(min(max(wait_seconds, retry_after), _MAX_WAIT_SECONDS))
            wait_seconds *= 2
        raise AssertionError("the last attempt returns or raises")

    def _post_once(self, body: Mapping[str, Any]) -> tuple[int, bytes, float]:
        """Status, body and the pause that the server asks for in seconds."""
        import httpx

        key = os.environ.get(KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with (
            httpx.Client(timeout=self._timeout_seconds) as client,
            client.stream("POST", self._url, json=body, headers=headers) as response,
        ):
            data = bytearray()
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > _MAX_REPLY_BYTES:
                    raise CheckpointError(
                        f"{self.name} sent over {_MAX_REPLY_BYTES // 2**20} MiB; a reply is shorter. "
                        "Check the URL."
                    )
            pause = response.headers.get("retry-after", "")
            return response.status_code, bytes(data), float(pause) if pause.isdecimal() else 0.0

    def _read(self, status: int, data: bytes) -> Completion:
        excerpt = " ".join(data.decode("utf-8", "replace").split())[:200]
        if status != 200:
            raise CheckpointError(
                f"{self.name} refused with status {status} ({excerpt}); 200 is needed. "
                f"Check the URL, the model's name and ${KEY_VARIABLE}."
            )
        try:
            choice = json.loads(data)["choices"][0]
            content = choice["message"]["content"]
            text = content if isinstance(content, str) else ""
            tokens = _token_rows(choice)
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                f"{self.name} sent what is no chat completion ({excerpt}); the server must be "
                "OpenAI-compatible. Check the URL: it usually ends in /v1."
            ) from error
        return Completion(text, tokens)


def _token_rows(choice: Mapping[str, Any]) -> tuple[TokenRow, ...]:
    """The probabilities of a choice; empty where there are none or they are not numbers."""
    rows = (choice.get("logprobs") or {}).get("content") or []
    tokens = []
    for row in rows:
        top = {other["token"]: float(other["logprob"]) for other in row.get("top_logprobs") or []}
        tokens.append(TokenRow(str(row["token"]), float(row["logprob"]), top))
    values = [value for row in tokens for value in (row.log_probability, *row.top.values())]
    return () if any(math.isnan(value) for value in values) else tuple(tokens)
