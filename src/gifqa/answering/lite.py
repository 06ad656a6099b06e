"""The shipped model, `gifqa-lite`, on ONNX Runtime: no torch, no network.

    question ──text tower──> token states ─┐
    keyframes' grids ──────────────────────┴─ reader (Q-Former + projection) ─> visual tokens ─> decoder
                                                       └─> answer head: the likely known answers

Three opinions make an answer. The answer head proposes the known answers it finds likely, the decoder writes
some of its own; both weigh all of them, the dual encoder says how well each fits the frames, and the three
are combined as the bundle's calibration says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.base import Alternative, Reply, Turn
from gifqa.answering.bundle import SURE, Bundle, Calibration, Floats
from gifqa.answering.decoder import Prefix, log_softmax
from gifqa.answering.lite_captions import MAX_CAPTION_TOKENS, NUM_BEAMS, Captions
from gifqa.answering.lite_runtime import LiteRuntime
from gifqa.answering.lite_text import answer_from_text
from gifqa.errors import ConfigError
from gifqa.prompt import (
    DESCRIBE_QUESTION,
    STATEMENT_ANSWERS,
    YES_NO_KINDS,
    as_statement,
    is_yes_no,
    normalise_answer,
    question_prompt,
    yes_no_kind,
)
from gifqa.retrieval.clip_cut import Keyframes
from gifqa.retrieval.embedder import FrameFeatures

__all__ = ["LiteAnswerer", "LiteEncoder", "LiteRuntime", "Opinions", "load_lite"]

NUM_CANDIDATES = 8
"""Known answers that the decoder weighs beside its own."""
NUM_WRITTEN = 1
"""Answers of the decoder's own."""
MAX_ANSWER_TOKENS = 10
NUM_ALTERNATIVES = 4
LEAST_SPREAD = 1e-6
"""Standard deviations are taken to be at least this."""


class LiteEncoder:
    """The bundle's dual encoder; its frame features carry the grids that the answerer reads."""

    def __init__(self, runtime: LiteRuntime) -> None:
        self._runtime = runtime
        bundle = runtime.bundle
        self.name = f"{bundle.config.name}-{bundle.encoder_digest[:12]}"

    def encode_frames(self, pixels: NDArray[np.uint8]) -> FrameFeatures:
        """Features of RGB frames, uint8 (N, H, W, 3)."""
        grid, embeddings = self._runtime.see(pixels)
        return FrameFeatures(embeddings=embeddings, grid=grid)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of sentences, float32 (M, D)."""
        embeddings: Floats = self._runtime.read_texts(texts)[3]
        return embeddings


@dataclass(frozen=True)
class Opinions:
    """The candidates for an answer and what each part of the model thinks of them."""

    kind: str
    """Of the question, one of `gifqa.answering.bundle.KINDS`; each has its own calibration."""
    candidates: tuple[str, ...]
    head: Floats
    """Log-probabilities by the answer head, (candidates,)."""
    language: Floats
    """Log-probabilities by the decoder, the end included, (candidates,)."""
    fit: Floats
    """How well the frames fit each, in standard deviations over other pictures, (candidates,)."""

    def shares(self, calibration: Calibration) -> Floats:
        """Softmax of their weighted sum, float32 (candidates,)."""
        scores = calibration.head_weight * self.head + calibration.language_weight * self.language
        scores = scores + calibration.fit_weight * self.fit
        if self.kind in YES_NO_KINDS:
            is_yes = [normalise_answer(word) == "yes" for word in self.candidates]
            scores = scores + calibration.yes_offset * np.array(is_yes)
        shares: Floats = np.exp(log_softmax(scores.astype(np.float32)))
        return shares


def _reply(opinions: Opinions, calibration: Calibration, warnings: tuple[str, ...]) -> Reply:
    """Weigh the opinions and say how sure the best answer is.

    The others share what confidence it leaves. An open question may have its answer elsewhere, so there none
    gets more than it would have as the best.
    """
    shares = opinions.shares(calibration)
    order = np.argsort(shares)[::-1]
    best = float(shares[order[0]])
    confidence = calibration.confidence(best)
    left = (1 - confidence) / max(1 - best, SURE)
    others = []
    for index in order[1 : NUM_ALTERNATIVES + 1]:
        share = float(shares[index])
        likely = calibration.confidence(share) if opinions.kind == "open" else confidence
        others.append(Alternative(opinions.candidates[index], min(share * left, likely)))
    return Reply(opinions.candidates[order[0]], confidence, tuple(others), warnings)


class LiteAnswerer:
    """Answers from the grids of the keyframes."""

    needs_pixels = False

    def __init__(self, runtime: LiteRuntime) -> None:
        self._runtime = runtime
        config = runtime.bundle.config
        self.name = f"{config.name} {config.version}"
        self.identity = f"{config.name}-{config.version}-{runtime.bundle.digest[:12]}"
        """Another one answers otherwise, also where the name is the same."""

    def answer(
        self,
        keyframes: Keyframes,
        question: str,
        *,
        pixels: NDArray[np.uint8] | None = None,
        options: Sequence[str] | None = None,
        history: Sequence[Turn] = (),
    ) -> Reply:
        """The likeliest answer, with the ones that were weighed beside it.

        Earlier turns are not read: the model was trained on single questions.

        Raises:
            ConfigError: if the keyframes carry no grids of this bundle's encoder.
        """
        grid, warnings = self._grid(keyframes)
        opinions = self.weigh(grid, keyframes.embeddings, question, options)
        return _reply(opinions, self._runtime.bundle.config.calibration[opinions.kind], warnings)

    def weigh(
        self,
        grid: NDArray[np.float16],
        embeddings: Floats | None,
        question: str,
        options: Sequence[str] | None = None,
    ) -> Opinions:
        """What answer head, decoder and dual encoder each think of the candidates, not yet combined.

        Args:
            grid: the keyframes' cells, (F, G, C).
            embeddings: the keyframes' unit vectors, (F, D); None leaves the third opinion at 0.
            question: one line.
            options: the candidates; None lets the question and the model choose them.
        """
        tokens, logits, state = self._runtime.read_frames(grid, question)
        prefix = self._read_prompt(tokens, question)
        if options is None and is_yes_no(question):
            options = STATEMENT_ANSWERS
        if options is not None:
            candidates = list(options)
            plain = [normalise_answer(option) or option for option in options]
            is_statement = sorted(plain) == sorted(STATEMENT_ANSWERS)
            kind = yes_no_kind(question) if is_statement else "options"
            scores = (
                self._known_scores(logits, state, plain) if is_statement else self._head_scores(state, plain)
            )
            head = log_softmax(scores)
        else:
            kind = "open"
            plain, head = self._open_candidates(prefix, logits, state)
            candidates = plain
        spoken = self._runtime.tokenizer.encode_batch([f" {answer}" for answer in plain])
        language = self._runtime.decoder.log_likelihoods(prefix, [encoding.ids for encoding in spoken])
        return Opinions(kind, tuple(candidates), head, language, self._fit(embeddings, question, plain))

    def _fit(self, embeddings: Floats | None, question: str, answers: Sequence[str]) -> Floats:
        """How much better these frames fit each answer than training photos do, in standard deviations.

        It is 0 for "no": what a GIF does not show says nothing of how it looks.
        """
        if embeddings is None:
            return np.zeros(len(answers), np.float32)
        statements = self._runtime.read_texts([as_statement(question, answer) for answer in answers])[3]
        usual = statements @ self._runtime.bundle.embeddings.references.T
        better = statements @ embeddings.mean(axis=0) - usual.mean(axis=1)
        fit: Floats = better / np.maximum(usual.std(axis=1), LEAST_SPREAD)
        return fit * np.array([answer != "no" for answer in answers], np.float32)

    def describe(self, keyframes: Keyframes, *, pixels: NDArray[np.uint8] | None = None) -> Reply:
        """A caption: of the likeliest sentences the one that fits the frames best.

        Raises:
            ConfigError: if the keyframes carry no grids of this bundle's encoder.
        """
        _, warnings = self._grid(keyframes)
        return Reply(text=self.weigh_captions(keyframes).best(), confidence=None, warnings=warnings)

    def weigh_captions(self, keyframes: Keyframes, num_beams: int = NUM_BEAMS) -> Captions:
        """The captions that the decoder finds likely, with what it and the dual encoder think of each.

        Raises:
            ConfigError: if the keyframes carry no grids of this bundle's encoder.
        """
        grid, _ = self._grid(keyframes)
        tokens, _, _ = self._runtime.read_frames(grid, DESCRIBE_QUESTION)
        prefix = self._read_prompt(tokens, DESCRIBE_QUESTION)
        found = self._runtime.decoder.search(prefix, num_beams, MAX_CAPTION_TOKENS)
        texts = [self._runtime.tokenizer.decode(list(caption.tokens)).strip() for caption in found]
        fits = np.zeros(len(texts), np.float32)
        if keyframes.embeddings is not None:
            fits = self._runtime.read_texts(texts)[3] @ keyframes.embeddings.mean(axis=0)
        return Captions(
            tuple(texts),
            np.array([caption.log_probability for caption in found]),
            np.array([len(caption.tokens) + 1 for caption in found]),
            fits,
        )

    def answer_from_text(
        self, text: str, question: str, *, options: Sequence[str] | None = None, history: Sequence[Turn] = ()
    ) -> Reply:
        """The decoder's answer to a question about a text; earlier turns are not read."""
        return answer_from_text(self._runtime, text, question, options)

    def _grid(self, keyframes: Keyframes) -> tuple[NDArray[np.float16], tuple[str, ...]]:
        """The keyframes' grids, and a warning if there are more than the model reads."""
        if keyframes.grid is None:
            raise ConfigError(
                f"the keyframes carry no features of {self.name}; its answers need frames encoded by its own "
                "encoder. Use the encoder of the same bundle."
            )
        limit = self._runtime.bundle.config.max_frames
        if len(keyframes.grid) <= limit:
            return keyframes.grid, ()
        return keyframes.grid, (
            f"the model reads at most {limit} frames: of the {len(keyframes.grid)} keyframes {limit}, spread "
            "evenly, were read",
        )

    def _read_prompt(self, tokens: Floats, question: str) -> Prefix:
        """Visual tokens, the question, and the first visual token again, as in training."""
        decoder = self._runtime.decoder
        prompt = decoder.embed(self._runtime.tokenizer.encode(question_prompt(question)).ids)
        return decoder.read(np.concatenate([tokens, prompt, tokens[:1]]))

    def _open_candidates(self, prefix: Prefix, logits: Floats, state: Floats) -> tuple[list[str], Floats]:
        """The likeliest known answers and the decoder's own, with the answer head's log-probabilities."""
        known = list(self._runtime.bundle.answers)
        candidates = [known[place] for place in np.argsort(logits)[::-1][:NUM_CANDIDATES]]
        for written in self._runtime.decoder.search(prefix, NUM_WRITTEN, MAX_ANSWER_TOKENS)[:NUM_WRITTEN]:
            text = normalise_answer(self._runtime.tokenizer.decode(list(written.tokens)))
            if text and text not in candidates:
                candidates.append(text)
        total = logits.max() + np.log(np.exp(logits - logits.max()).sum())
        return candidates, self._known_scores(logits, state, candidates) - total

    def _known_scores(self, logits: Floats, state: Floats, answers: Sequence[str]) -> Floats:
        """The answer head's scores, float32 (len(answers),): of known answers its logits."""
        places = self._runtime.bundle.answers
        unknown = [answer for answer in answers if answer not in places]
        scored = dict(zip(unknown, self._head_scores(state, unknown), strict=True)) if unknown else {}
        scores = [logits[places[answer]] if answer in places else scored[answer] for answer in answers]
        return np.array(scores, np.float32)

    def _head_scores(self, state: Floats, texts: Sequence[str]) -> Floats:
        """The answer head's scores of any texts by their sentence vectors, float32 (len(texts),)."""
        embeddings = self._runtime.bundle.embeddings
        sentences = self._runtime.read_texts(texts)[2]
        projected = sentences @ embeddings.answer_weight.T + embeddings.answer_bias
        return (projected @ state).astype(np.float32)


def load_lite(path: Path | None = None) -> tuple[LiteEncoder, LiteAnswerer]:
    """The encoder and the answerer of a bundle; they share its graphs.

    Args:
        path: the bundle's folder; None is the shipped one.

    Raises:
        CheckpointError: if a file is missing or damaged, or the bundle has another format.
    """
    runtime = LiteRuntime(Bundle(path))
    return LiteEncoder(runtime), LiteAnswerer(runtime)
