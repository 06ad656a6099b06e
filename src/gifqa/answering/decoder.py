"""The bundle's language model on ONNX Runtime: prompts as vectors, a cache, likelihoods and beams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.bundle import Bundle, Floats
from gifqa.answering.graphs import Graph

Real = TypeVar("Real", bound=np.floating[Any])

CACHED_PLACES = 4096
"""Rows times places of the cache that are scored in one go: less than 200 MB of keys and values."""


@dataclass(frozen=True)
class Prefix:
    """A prompt that was read once, to be continued many times."""

    logits: Floats
    """Of the next token, (V,)."""
    past: tuple[Floats, ...]
    """Keys and values of all layers, each (1, heads, length, head size)."""
    length: int


@dataclass(frozen=True)
class Continuation:
    """Tokens after a prefix, without the end token, and their log-probability with it."""

    tokens: tuple[int, ...]
    log_probability: float

    @property
    def per_token(self) -> float:
        """The mean log-probability of a token, the end included."""
        return self.log_probability / (len(self.tokens) + 1)


class Decoder:
    """`decoder.onnx` and the word embeddings of a bundle."""

    def __init__(self, bundle: Bundle, graph: Graph) -> None:
        config = bundle.config
        self._graph = graph
        self._eos = config.eos_token_id
        self._empty_shape = (config.num_key_value_heads, 0, config.head_size)
        self._past_names = [
            f"past_key_values.{layer}.{part}"
            for layer in range(config.num_layers)
            for part in ("key", "value")
        ]
        # by name: the builder's graphs list all keys before all values
        self._outputs = ["logits", *(name.replace("past_key_values", "present") for name in self._past_names)]
        self._words = bundle.embeddings.words
        self._scales = bundle.embeddings.scales

    def embed(self, tokens: Sequence[int]) -> Floats:
        """Word embeddings, float32 (len(tokens), E)."""
        index = np.asarray(tokens, dtype=np.int64)
        embedded: Floats = self._words[index].astype(np.float32) * self._scales[index, None]
        return embedded

    def read(self, embeds: Floats) -> Prefix:
        """Read a prompt, float32 (S, E)."""
        past = tuple(np.zeros((1, *self._empty_shape), np.float32) for _ in self._past_names)
        logits, past = self._run(embeds[None], past, 0)
        return Prefix(logits[0, -1], past, embeds.shape[0])

    def log_likelihoods(self, prefix: Prefix, answers: Sequence[Sequence[int]]) -> Floats:
        """Log-probability of each answer with its end token, float32 (len(answers),); at least one answer."""
        longest = prefix.length + max(map(len, answers)) + 1
        at_once = max(1, CACHED_PLACES // longest)
        parts = [answers[start : start + at_once] for start in range(0, len(answers), at_once)]
        return np.concatenate([self._score_together(prefix, part) for part in parts])

    def _score_together(self, prefix: Prefix, answers: Sequence[Sequence[int]]) -> Floats:
        """`log_likelihoods` in one batch, whose cache is copied for every answer.

        Token by token: the graph's attention takes a batch or several new tokens after a cache, not both.
        """
        totals = np.zeros(len(answers), np.float32)
        rows = list(range(len(answers)))
        past = tuple(np.repeat(part, len(answers), axis=0) for part in prefix.past)
        scores = np.broadcast_to(log_softmax(prefix.logits), (len(answers), len(prefix.logits)))
        for step in range(max(map(len, answers)) + 1):
            following = [answers[row][step] if step < len(answers[row]) else self._eos for row in rows]
            totals[rows] += scores[range(len(rows)), following]
            going_on = [place for place, row in enumerate(rows) if step < len(answers[row])]
            if not going_on:
                break
            if len(going_on) < len(rows):
                past = tuple(part[going_on] for part in past)
            embeds = self.embed([following[place] for place in going_on])[:, None]
            rows = [rows[place] for place in going_on]
            logits, past = self._run(embeds, past, prefix.length + step)
            scores = log_softmax(logits[:, 0])
        return totals

    def search(self, prefix: Prefix, num_beams: int, max_new_tokens: int) -> list[Continuation]:
        """Beam search with at most half as many beams as the vocabulary has tokens; one is greedy decoding.

        Returns:
            The finished continuations, the best per token first; the unfinished ones where none is finished.
        """
        if num_beams == 1:
            return [self._greedy(prefix, max_new_tokens)]
        vocabulary = prefix.logits.shape[0]
        scores = log_softmax(prefix.logits)
        order = _largest(scores, num_beams + 1)
        finished = [Continuation((), float(scores[self._eos]))] if self._eos in order[:num_beams] else []
        order = order[order != self._eos][:num_beams]
        beams = [Continuation((int(token),), float(scores[token])) for token in order]
        past = tuple(np.repeat(part, len(beams), axis=0) for part in prefix.past)
        for step in range(max_new_tokens - 1):
            embeds = self.embed([beam.tokens[-1] for beam in beams])[:, None]
            logits, past = self._run(embeds, past, prefix.length + step)
            table = np.array([beam.log_probability for beam in beams])[:, None] + log_softmax(logits[:, 0])
            following: list[Continuation] = []
            origin: list[int] = []
            for flat in _largest(table.reshape(-1), 2 * num_beams):
                row, token = divmod(int(flat), vocabulary)
                score = float(table[row, token])
                if token == self._eos:
                    finished.append(Continuation(beams[row].tokens, score))
                elif len(following) < num_beams:
                    following.append(Continuation((*beams[row].tokens, token), score))
                    origin.append(row)
            beams = following
            if len(finished) >= num_beams and max(f.per_token for f in finished) >= beams[0].per_token:
                break
            past = tuple(part[origin] for part in past)
        return sorted(finished or beams, key=lambda found: found.per_token, reverse=True)

    def _greedy(self, prefix: Prefix, max_new_tokens: int) -> Continuation:
        """The likeliest next token, again and again, until that is the end."""
        tokens: list[int] = []
        scores, past, total = log_softmax(prefix.logits), prefix.past, 0.0
        while True:
            token = int(scores.argmax())
            total += float(scores[token])
            if token == self._eos:
                return Continuation(tuple(tokens), total)
            tokens.append(token)
            if len(tokens) == max_new_tokens:
                return Continuation(tuple(tokens), total)
            logits, past = self._run(self.embed([token])[None], past, prefix.length + len(tokens) - 1)
            scores = log_softmax(logits[0, 0])

    def _run(
        self, embeds: Floats, past: tuple[Floats, ...], length: int
    ) -> tuple[Floats, tuple[Floats, ...]]:
        """One pass: embeds (B, S, E) after `length` cached places -> logits (B, S, V) and a longer cache."""
        mask = np.ones((embeds.shape[0], length + embeds.shape[1]), np.int64)
        feeds = {"inputs_embeds": embeds.astype(np.float32), "attention_mask": mask}
        logits, *present = self._graph.run(
            self._outputs, feeds | dict(zip(self._past_names, past, strict=True))
        )
        return logits, tuple(present)


def log_softmax(logits: NDArray[Real]) -> NDArray[Real]:
    """Along the last axis, in the precision of the input."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: NDArray[Real] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _largest(values: NDArray[np.floating[Any]], count: int) -> NDArray[np.int64]:
    """Positions of the `count` largest values, the largest first."""
    found = np.argpartition(values, -count)[-count:]
    order: NDArray[np.int64] = found[np.argsort(values[found])[::-1]]
    return order
