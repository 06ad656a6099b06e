"""The bundle's language model on ONNX Runtime: prompts as vectors, a key-value cache, likelihoods and beams."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.bundle import Bundle

Floats = NDArray[np.float32]


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

    def __init__(self, bundle: Bundle, session: Any) -> None:
        config = bundle.config
        self._session = session
        self._eos = config.eos_token_id
        self._empty_shape = (config.num_key_value_heads, 0, config.head_size)
        self._past_names = [
            f"past_key_values.{layer}.{part}"
            for layer in range(config.num_layers)
            for part in ("key", "value")
        ]
        with np.load(bundle.path("embeddings.npz"), allow_pickle=False) as arrays:
            self._words = arrays["words"]
            self._scales = arrays["scales"]

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
        """Log-probability of each answer with its end token, float32 (len(answers),).

        Token by token: the graph's attention takes a batch or several new tokens after a cache, not both.
        """
        totals = np.zeros(len(answers), np.float32)
        rows = np.arange(len(answers))
        past = tuple(np.repeat(part, len(answers), axis=0) for part in prefix.past)
        scores = np.broadcast_to(log_softmax(prefix.logits), (len(answers), len(prefix.logits)))
        for step in range(max(len(answer) for answer in answers) + 1):
            following = [answers[row][step] if step < len(answers[row]) else self._eos for row in rows]
            totals[rows] += scores[range(len(rows)), following]
            going_on = np.array([step < len(answers[row]) for row in rows])
            if not going_on.any():
                break
            past = tuple(part[going_on] for part in past)
            tokens = [token for token, goes_on in zip(following, going_on, strict=True) if goes_on]
            rows = rows[going_on]
            logits, past = self._run(self.embed(tokens)[:, None], past, prefix.length + step)
            scores = log_softmax(logits[:, 0])
        return totals

    def search(self, prefix: Prefix, num_beams: int, max_new_tokens: int) -> list[Continuation]:
        """Beam search; finished continuations, the best per token first. One beam is greedy decoding."""
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
            best = _largest(table.reshape(-1), 2 * num_beams)
            following, origin = [], []
            for flat in best:
                beam, token = beams[flat // vocabulary], int(flat % vocabulary)
                score = float(table.reshape(-1)[flat])
                if token == self._eos:
                    finished.append(Continuation(beam.tokens, score))
                elif len(following) < num_beams:
                    following.append(Continuation((*beam.tokens, token), score))
                    origin.append(flat // vocabulary)
            beams = following
            if len(finished) >= num_beams and max(f.per_token for f in finished) >= beams[0].per_token:
                break
            past = tuple(part[origin] for part in past)
        return sorted(finished or beams, key=lambda found: found.per_token, reverse=True)

    def _run(
        self, embeds: Floats, past: tuple[Floats, ...], length: int
    ) -> tuple[Floats, tuple[Floats, ...]]:
        """One pass: embeds (B, S, E) after `length` cached places -> logits (B, S, V) and the longer cache."""
        mask = np.ones((embeds.shape[0], length + embeds.shape[1]), np.int64)
        feeds = {"inputs_embeds": embeds.astype(np.float32), "attention_mask": mask}
        logits, *present = self._session.run(None, feeds | dict(zip(self._past_names, past, strict=True)))
        return logits, tuple(present)


def log_softmax(logits: Floats) -> Floats:
    """Along the last axis, in float32."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def _largest(values: Floats, count: int) -> NDArray[np.int64]:
    """Positions of the `count` largest values, the largest first."""
    found = np.argpartition(values, -count)[-count:]
    order: NDArray[np.int64] = found[np.argsort(values[found])[::-1]]
    return order
