"""A trained checkpoint as an answerer of `GifQA`, on torch, before or instead of its export to a bundle.

    answerer = TorchAnswerer.from_pretrained("runs/seed/checkpoint")
    GifQA(answerer=answerer, encoder=answerer.encoder).ask("cat.gif", "What is the cat doing?")

Open questions are decoded greedily; options, and yes or no, are weighed by the log-likelihood of their tokens
and of the end. Confidences are not calibrated: of an open answer the geometric mean of its tokens'
probabilities, of a choice its share among the options.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from gifqa.answering.base import Alternative, Reply, Turn
from gifqa.answering.lite_runtime import spread
from gifqa.errors import CheckpointError
from gifqa.model.checkpoint import Checkpoint, from_pretrained
from gifqa.model.generation import write_greedily
from gifqa.model.hugging_face_vision import HuggingFaceVision
from gifqa.model.text import encode_ids
from gifqa.model.vision import IMAGE_SIZE
from gifqa.model.vision_language_model import IGNORE_INDEX
from gifqa.prompt import DESCRIBE_QUESTION, STATEMENT_ANSWERS, is_yes_no, normalise_answer, text_prompt
from gifqa.retrieval.clip_cut import Keyframes
from gifqa.retrieval.embedder import DualEncoder, FrameFeatures, HuggingFaceEncoder, unit_rows

MAX_ANSWER_TOKENS = 16
MAX_CAPTION_TOKENS = 32
OPTIONS_AT_ONCE = 8
FRAMES_AT_ONCE = 16
NUM_ALTERNATIVES = 4
Pixels = NDArray[np.uint8]


class TorchAnswerer:
    """Answers from the pixels of the keyframes; not for several threads at once."""

    needs_pixels = True

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._model = checkpoint.model
        self.name = f"{checkpoint.name} {checkpoint.version}"
        self.num_frames = checkpoint.num_frames
        """Keyframes that it reads at most."""

    @classmethod
    def from_pretrained(cls, source: str | Path) -> "TorchAnswerer":
        """The answerer of a checkpoint's folder or Hugging Face id; raises what `from_pretrained` does."""
        return cls(from_pretrained(source))

    @property
    def encoder(self) -> DualEncoder | None:
        """What chooses keyframes as in training: CLIP's or SigLIP's own texts, or heads trained for it.

        None where there is neither; then the shipped encoder can.
        """
        checkpoint = self._checkpoint
        if isinstance(checkpoint.vision, HuggingFaceVision) and checkpoint.vision.kind != "dinov2":
            return TowerEncoder(checkpoint)
        return None if checkpoint.dual_encoder is None else HeadsEncoder(checkpoint)

    def answer(
        self,
        keyframes: Keyframes,
        question: str,
        *,
        pixels: Pixels | None = None,
        options: Sequence[str] | None = None,
        history: Sequence[Turn] = (),
    ) -> Reply:
        """The answer; arguments as those of `Answerer.answer`, `pixels` required.

        Earlier turns are not read: the model is trained on single questions.

        Raises:
            CheckpointError: if the model writes nothing.
        """
        tokens, warnings = self._look(pixels, question)
        if options is None and not is_yes_no(question):
            return self._write(self._prompt(tokens, question), MAX_ANSWER_TOKENS, warnings)
        return self._choose(
            options or STATEMENT_ANSWERS,
            lambda answers: self._log_likelihoods(tokens, question, answers),
            warnings,
        )

    def answer_from_text(
        self, text: str, question: str, *, options: Sequence[str] | None = None, history: Sequence[Turn] = ()
    ) -> Reply:
        """The language model's answer to a question about a text, without visual tokens.

        Raises:
            CheckpointError: if the model writes nothing.
        """
        prompt = self._encode(text_prompt(text, question))
        if options is None and not is_yes_no(question):
            return self._write(self._embed(prompt), MAX_ANSWER_TOKENS, ())
        return self._choose(
            options or STATEMENT_ANSWERS,
            lambda answers: torch.stack([self._log_likelihood(prompt, answer) for answer in answers]),
            (),
        )

    def describe(self, keyframes: Keyframes, *, pixels: Pixels | None = None) -> Reply:
        """A sentence about the frames; `pixels` required.

        Raises:
            CheckpointError: if the model writes nothing.
        """
        tokens, warnings = self._look(pixels, DESCRIBE_QUESTION)
        reply = self._write(self._prompt(tokens, DESCRIBE_QUESTION), MAX_CAPTION_TOKENS, warnings)
        return replace(reply, confidence=None)

    @torch.inference_mode()
    def _look(self, pixels: Pixels | None, question: str) -> tuple[Tensor, tuple[str, ...]]:
        """Visual tokens (1, K, E) of the frames, read for the question."""
        if pixels is None:
            raise ValueError("pixels is None; this answerer reads the frames' pixels. Give them.")
        warnings: tuple[str, ...] = ()
        if len(pixels) > self.num_frames:
            warnings = (
                f"the model reads at most {self.num_frames} frames: of the {len(pixels)} keyframes "
                f"{self.num_frames}, spread evenly, were read",
            )
        grid, _ = see(self._checkpoint, pixels[spread(len(pixels), self.num_frames)])
        mask = torch.ones(1, len(grid), dtype=torch.bool)
        states = self._model.connector(grid.unsqueeze(0), mask, *self._read(question))
        return self._model.visual_tokens(states), warnings

    def _read(self, question: str) -> tuple[Tensor, Tensor]:
        """The question as the connector takes it, and its mask."""
        connector: Any = self._model.connector
        if connector.reads_question == "ids":
            ids, mask = connector.encode_questions([question])
            return ids, mask
        if connector.reads_question == "nothing":
            return torch.empty(1, 0), torch.empty(1, 0, dtype=torch.bool)
        states, mask, _ = read_texts(self._checkpoint, [question])
        return states, mask

    @torch.inference_mode()
    def _prompt(self, tokens: Tensor, question: str) -> Tensor:
        """Visual tokens and question as the language model reads them, (1, S, E)."""
        batch = self._model.language_batch(self._checkpoint.tokenizer, [question], [""])
        return self._model.inputs_embeds(tokens, batch)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._checkpoint.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    @torch.inference_mode()
    def _embed(self, ids: Sequence[int]) -> Tensor:
        """(1, S, E)."""
        embeds: Tensor = self._model.language_model.get_input_embeddings()(torch.tensor([ids]))
        return embeds

    @torch.inference_mode()
    def _write(self, prompt: Tensor, limit: int, warnings: tuple[str, ...]) -> Reply:
        written = write_greedily(self._model.language_model, prompt, self._model.eos_token_id, limit)
        text = " ".join(self._checkpoint.tokenizer.decode(written.tokens).split())
        if not text:
            raise CheckpointError(
                f"{self.name} answered without a word; an answer is text. Train it longer, or use another."
            )
        return Reply(text, float(np.exp(written.log_probability)), (), warnings)

    @torch.inference_mode()
    def _choose(
        self,
        options: Sequence[str],
        log_likelihoods: Callable[[Sequence[str]], Tensor],
        warnings: tuple[str, ...],
    ) -> Reply:
        """The likeliest option; its confidence is its share among the options."""
        plain = [normalise_answer(option) or option for option in options]
        parts = [plain[start : start + OPTIONS_AT_ONCE] for start in range(0, len(plain), OPTIONS_AT_ONCE)]
        scores = torch.cat([log_likelihoods(part) for part in parts])
        shares = scores.double().softmax(dim=0).tolist()
        ranked = sorted(zip(shares, options, strict=True), key=lambda pair: -pair[0])
        others = tuple(Alternative(text, share) for share, text in ranked[1 : NUM_ALTERNATIVES + 1])
        return Reply(ranked[0][1], ranked[0][0], others, warnings)

    def _log_likelihoods(self, tokens: Tensor, question: str, answers: Sequence[str]) -> Tensor:
        """Log-probability of each answer and of its end, (len(answers),)."""
        batch = self._model.language_batch(self._checkpoint.tokenizer, [question] * len(answers), answers)
        logits, labels = self._model.answer_logits(tokens.expand(len(answers), -1, -1), batch)
        found = -F.cross_entropy(logits.float(), labels, reduction="none")
        owner = (batch.labels[:, 1:] != IGNORE_INDEX).nonzero()[:, 0]
        return torch.zeros(len(answers)).index_add(0, owner, found)

    def _log_likelihood(self, prompt: Sequence[int], answer: str) -> Tensor:
        """Log-probability of an answer and of its end after a prompt of text, a scalar."""
        following = [*self._encode(f" {answer}"), self._model.eos_token_id]
        embeds = self._embed([*prompt, *following])
        hidden = self._model.last_hidden(embeds, torch.ones(embeds.shape[:2], dtype=torch.long))
        logits = self._model.language_model.get_output_embeddings()(hidden[0, len(prompt) - 1 : -1])
        return -F.cross_entropy(logits.float(), torch.tensor(following), reduction="sum")


class TowerEncoder:
    """A CLIP or SigLIP tower and the texts of its checkpoint.

    Frames are squashed as the tower reads them in training, so that keyframes are those of training.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._texts = HuggingFaceEncoder(checkpoint.vision_source or "")
        self.name = f"{self._texts.name} squashed"

    def encode_frames(self, pixels: Pixels) -> FrameFeatures:
        """The frames as unit vectors, without a grid; `pixels` are RGB, uint8 (N, H, W, 3), N >= 1."""
        return FrameFeatures(unit_rows(see(self._checkpoint, pixels)[1].numpy()))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The texts as unit rows, float32 (M, D)."""
        return self._texts.encode_texts(texts)


class HeadsEncoder:
    """The dual encoder's heads of a checkpoint, on its vision and text towers."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._heads: Any = checkpoint.dual_encoder
        self.name = f"{checkpoint.name}-{checkpoint.version}-{_digest(self._heads)}"

    @torch.inference_mode()
    def encode_frames(self, pixels: Pixels) -> FrameFeatures:
        """The frames as unit vectors, without a grid; `pixels` are RGB, uint8 (N, H, W, 3), N >= 1."""
        return FrameFeatures(unit_rows(self._heads.encode_frames(*see(self._checkpoint, pixels)).numpy()))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The texts as unit rows, float32 (M, D)."""
        _, _, sentences = read_texts(self._checkpoint, texts)
        return unit_rows(self._heads.encode_texts(sentences).numpy())


@torch.inference_mode()
def see(checkpoint: Checkpoint, pixels: Pixels) -> tuple[Tensor, Tensor]:
    """Grids (N, G, C) and pooled vectors (N, P) of RGB frames, uint8 (N, H, W, 3)."""
    from PIL import Image

    tower = checkpoint.vision
    side = tower.image_size if isinstance(tower, HuggingFaceVision) else IMAGE_SIZE
    grids, vectors = [], []
    for start in range(0, len(pixels), FRAMES_AT_ONCE):
        images = [Image.fromarray(frame) for frame in pixels[start : start + FRAMES_AT_ONCE]]
        squares = np.stack([np.asarray(i.resize((side, side), Image.Resampling.BICUBIC)) for i in images])
        grid, pooled = tower(torch.from_numpy(squares))
        grids.append(grid.float())
        vectors.append(pooled.float())
    return torch.cat(grids), torch.cat(vectors)


@torch.inference_mode()
def read_texts(checkpoint: Checkpoint, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Token states (B, T, 384), their bool mask (B, T) and sentence vectors (B, 384).

    Raises:
        CheckpointError: if the checkpoint has no text tower.
    """
    if checkpoint.text is None:
        raise CheckpointError(
            f"the checkpoint {checkpoint.name} has no text tower, but its connector or its heads "
            "read texts by one. Save it with its text tower."
        )
    ids, mask = encode_ids(checkpoint.text_tokenizer, list(texts))
    states, sentences = checkpoint.text(ids, mask)
    return states, mask.bool(), sentences


def _digest(heads: Any) -> str:
    """What tells one set of heads from another: features are cached under it."""
    import hashlib

    digest = hashlib.sha256()
    for value in heads.state_dict().values():
        digest.update(value.detach().float().numpy().tobytes())
    return digest.hexdigest()[:12]
