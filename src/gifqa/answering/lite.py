"""The shipped model, `gifqa-lite`, on ONNX Runtime: no torch, no network.

    question ──text tower──> token states ─┐
    keyframes' grids ──────────────────────┴─ reader (Q-Former + projection) ─> visual tokens ─> decoder
                                                       └─> answer head: the likely known answers

Three opinions make an answer. The answer head proposes the known answers it finds likely, the decoder writes some of
its own; both weigh all of them, the dual encoder says how well each fits the frames, and the three are combined as
the bundle's calibration says.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.base import Alternative, Reply, Turn
from gifqa.answering.bundle import Bundle, Calibration
from gifqa.answering.decoder import Decoder, Floats, log_softmax
from gifqa.errors import CheckpointError, ConfigError
from gifqa.prompt import (
    DESCRIBE_QUESTION,
    STATEMENT_ANSWERS,
    as_statement,
    is_yes_no,
    normalise_answer,
    question_prompt,
)
from gifqa.retrieval.clip_cut import Keyframes
from gifqa.retrieval.embedder import FrameFeatures

NUM_CANDIDATES = 12
"""Known answers that the decoder weighs beside its own."""
NUM_BEAMS = 4
MAX_ANSWER_TOKENS = 10
MAX_CAPTION_TOKENS = 24
FIT_WEIGHT = 3.0
"""Of a caption's cosine with the frames, beside its mean log-probability of a token."""
NUM_ALTERNATIVES = 4
FRAMES_AT_ONCE = 8
MAX_THREADS = 8


class LiteRuntime:
    """The four graphs of a bundle, each opened when it is first needed."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def _open(self, name: str) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
        options.log_severity_level = 3
        try:
            return ort.InferenceSession(self.bundle.path(name), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CheckpointError(
                f"{self.bundle.path(name)} cannot be opened ({error}); export it again."
            ) from error

    @cached_property
    def _vision(self) -> Any:
        return self._open("vision.onnx")

    @cached_property
    def _text(self) -> Any:
        return self._open("text.onnx")

    @cached_property
    def _reader(self) -> Any:
        return self._open("reader.onnx")

    @cached_property
    def decoder(self) -> Decoder:
        """The language model."""
        return Decoder(self.bundle, self._open("decoder.onnx"))

    @cached_property
    def tokenizer(self) -> Any:
        """Of the language model."""
        return self._tokenizer("tokenizer.json")

    @cached_property
    def _text_tokenizer(self) -> Any:
        tokenizer = self._tokenizer("text_tokenizer.json")
        tokenizer.enable_truncation(self.bundle.config.max_text_tokens)
        tokenizer.enable_padding()
        return tokenizer

    def _tokenizer(self, name: str) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_file(str(self.bundle.path(name)))

    def see(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float16], Floats]:
        """Grids float16 (N, G, C) and unit embeddings (N, D) of RGB frames (N, H, W, 3)."""
        from PIL import Image

        size = (self.bundle.config.image_size,) * 2
        grids, embeddings = [], []
        for start in range(0, len(pixels), FRAMES_AT_ONCE):
            images = [Image.fromarray(frame) for frame in pixels[start : start + FRAMES_AT_ONCE]]
            squares = np.stack([np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image in images])
            grid, embedding = self._vision.run(None, {"pixels": squares})
            grids.append(grid.astype(np.float16))
            embeddings.append(embedding)
        return np.concatenate(grids), np.concatenate(embeddings)

    def read_texts(self, texts: Sequence[str]) -> tuple[Floats, NDArray[np.bool_], Floats, Floats]:
        """Token states (B, T, 384), their mask (B, T), sentence vectors (B, 384), embeddings (B, D)."""
        encodings = self._text_tokenizer.encode_batch(list(texts))
        feeds = {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
        }
        states, sentence, embedding = self._text.run(None, feeds)
        return states, feeds["attention_mask"].astype(bool), sentence, embedding

    def read_frames(self, grid: NDArray[np.float16], question: str) -> tuple[Floats, Floats, Floats]:
        """Visual tokens (K, E), answer logits (A,) and answer state (D,) of the keyframes' grids (F, G, C)."""
        states, mask, _, _ = self.read_texts([question])
        frames = grid[: self.bundle.config.max_frames].astype(np.float32)
        feeds = {
            "grid": frames[None],
            "frame_mask": np.ones((1, len(frames)), bool),
            "question": states,
            "question_mask": mask,
        }
        tokens, logits, state = self._reader.run(None, feeds)
        return tokens[0], logits[0], state[0]


class LiteEncoder:
    """The bundle's dual encoder; its frame features carry the grids that the answerer reads."""

    def __init__(self, runtime: LiteRuntime) -> None:
        self._runtime = runtime
        config = runtime.bundle.config
        self.name = f"{config.name}-{config.version}-{runtime.bundle.digest[:12]}"

    def encode_frames(self, pixels: NDArray[np.uint8]) -> FrameFeatures:
        """Features of RGB frames, uint8 (N, H, W, 3)."""
        grid, embeddings = self._runtime.see(pixels)
        return FrameFeatures(embeddings=embeddings, grid=grid)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of sentences, float32 (M, D)."""
        return self._runtime.read_texts(texts)[3]


@dataclass(frozen=True)
class Opinions:
    """The candidates for an answer and what each part of the model thinks of them."""

    kind: str
    """Of the question: "open", "yes/no" or "options"; each has its own calibration."""
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
        if self.kind == "yes/no":
            scores = scores + calibration.yes_offset * np.array([word == "yes" for word in self.candidates])
        shares: Floats = np.exp(log_softmax(scores.astype(np.float32)))
        return shares


def _reply(opinions: Opinions, calibration: Calibration) -> Reply:
    """Weigh the opinions and say how sure the best answer is."""
    shares = opinions.shares(calibration)
    order = np.argsort(shares)[::-1]
    best = float(np.clip(shares[order[0]], 1e-6, 1 - 1e-6))
    confidence = calibration.confidence(best)
    left = (1 - confidence) / (1 - best)
    others = tuple(
        Alternative(opinions.candidates[index], min(float(shares[index]) * left, confidence))
        for index in order[1 : NUM_ALTERNATIVES + 1]
    )
    return Reply(text=opinions.candidates[order[0]], confidence=confidence, alternatives=others)


class LiteAnswerer:
    """Answers from the grids of the keyframes."""

    needs_pixels = False

    def __init__(self, runtime: LiteRuntime) -> None:
        self._runtime = runtime
        config = runtime.bundle.config
        self.name = f"{config.name} {config.version}"

    @cached_property
    def _answers(self) -> list[str]:
        import json

        answers: list[str] = json.loads(self._runtime.bundle.path("answers.json").read_text(encoding="utf-8"))
        return answers

    @cached_property
    def _references(self) -> Floats:
        """The dual encoder's unit vectors of some training photos, (R, D)."""
        with np.load(self._runtime.bundle.path("embeddings.npz"), allow_pickle=False) as arrays:
            return arrays["references"].astype(np.float32)

    @cached_property
    def _projection(self) -> tuple[Floats, Floats]:
        """Weight (D, 384) and bias (D,) that carry a sentence vector into the answer head's space."""
        with np.load(self._runtime.bundle.path("embeddings.npz"), allow_pickle=False) as arrays:
            return arrays["answer_weight"].astype(np.float32), arrays["answer_bias"].astype(np.float32)

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
        opinions = self.weigh(self._grid(keyframes), keyframes.embeddings, question, options)
        return _reply(opinions, self._runtime.bundle.config.calibration[opinions.kind])

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
        if options is not None:
            kind, candidates = "options", list(options)
            head = log_softmax(
                self._head_scores(state, [normalise_answer(option) or option for option in options])
            )
        elif is_yes_no(question):
            kind, candidates = "yes/no", list(STATEMENT_ANSWERS)
            head = log_softmax(logits[[self._answers.index(answer) for answer in candidates]])
        else:
            kind = "open"
            candidates, head = self._open_candidates(prefix, logits, state)
        spoken = [" " + (normalise_answer(candidate) or candidate) for candidate in candidates]
        language = self._runtime.decoder.log_likelihoods(
            prefix, [encoding.ids for encoding in self._runtime.tokenizer.encode_batch(spoken)]
        )
        return Opinions(kind, tuple(candidates), head, language, self._fit(embeddings, question, candidates))

    def _fit(self, embeddings: Floats | None, question: str, candidates: Sequence[str]) -> Floats:
        """How much better the frames fit each candidate than training photos do, in standard deviations; 0 for "no"."""
        if embeddings is None:
            return np.zeros(len(candidates), np.float32)
        statements = self._runtime.read_texts(
            [as_statement(question, candidate) for candidate in candidates]
        )[3]
        usual = statements @ self._references.T
        fit: Floats = (statements @ embeddings.mean(axis=0) - usual.mean(axis=1)) / usual.std(axis=1)
        return fit * np.array([candidate != "no" for candidate in candidates], np.float32)

    def describe(self, keyframes: Keyframes, *, pixels: NDArray[np.uint8] | None = None) -> Reply:
        """A caption: of the likeliest sentences the one that fits the frames best.

        Raises:
            ConfigError: if the keyframes carry no grids of this bundle's encoder.
        """
        tokens, _, _ = self._runtime.read_frames(self._grid(keyframes), DESCRIBE_QUESTION)
        prefix = self._read_prompt(tokens, DESCRIBE_QUESTION)
        found = self._runtime.decoder.search(prefix, NUM_BEAMS, MAX_CAPTION_TOKENS)
        texts = [self._runtime.tokenizer.decode(list(caption.tokens)).strip() for caption in found]
        scores = np.array([caption.per_token for caption in found])
        if keyframes.embeddings is not None:
            scores += FIT_WEIGHT * (self._runtime.read_texts(texts)[3] @ keyframes.embeddings.mean(axis=0))
        return Reply(text=texts[int(scores.argmax())], confidence=None)

    def _grid(self, keyframes: Keyframes) -> NDArray[np.float16]:
        if keyframes.grid is None:
            raise ConfigError(
                "the keyframes carry no features of gifqa-lite; its answers need frames encoded by its own encoder. "
                "Use the encoder of the same bundle."
            )
        return keyframes.grid

    def _read_prompt(self, tokens: Floats, question: str) -> Any:
        decoder = self._runtime.decoder
        prompt = decoder.embed(self._runtime.tokenizer.encode(question_prompt(question)).ids)
        return decoder.read(np.concatenate([tokens, prompt, tokens[:1]]))

    def _open_candidates(self, prefix: Any, logits: Floats, state: Floats) -> tuple[list[str], Floats]:
        """The likeliest known answers and the decoder's own, with their log-probabilities by the answer head."""
        likely = np.argsort(logits)[::-1][:NUM_CANDIDATES]
        candidates = [self._answers[index] for index in likely]
        scores = logits[likely]
        for written in self._runtime.decoder.search(prefix, 2, MAX_ANSWER_TOKENS)[:2]:
            text = normalise_answer(self._runtime.tokenizer.decode(list(written.tokens)))
            if text and text not in candidates:
                candidates.append(text)
                known = text in self._answers
                own = logits[self._answers.index(text)] if known else self._head_scores(state, [text])[0]
                scores = np.append(scores, own)
        total = logits.max() + np.log(np.exp(logits - logits.max()).sum())
        return candidates, (scores - total).astype(np.float32)

    def _head_scores(self, state: Floats, texts: Sequence[str]) -> Floats:
        """The answer head's scores of any texts, float32 (len(texts),)."""
        weight, bias = self._projection
        sentences = self._runtime.read_texts(texts)[2]
        scores: Floats = (sentences @ weight.T + bias) @ state
        return scores


def load_lite(path: Path | None = None) -> tuple[LiteEncoder, LiteAnswerer]:
    """The encoder and the answerer of a bundle; they share its graphs.

    Args:
        path: the bundle's folder; None is the shipped one.

    Raises:
        CheckpointError: if a file is missing or damaged, or the bundle has another format.
    """
    runtime = LiteRuntime(Bundle(path))
    return LiteEncoder(runtime), LiteAnswerer(runtime)
