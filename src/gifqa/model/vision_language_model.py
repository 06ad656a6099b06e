"""The whole answerer: grids and question -> Q-Former -> projection -> language model.

    [visual tokens x K] Question: ... Answer: [first visual token again] answer <eos>

The first visual token is trained to lie near the answer's words; standing once more right before the answer,
it is one attention step away from where it is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.qformer import QFormer
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection
from gifqa.prompt import question_prompt

IGNORE_INDEX = -100


@dataclass(frozen=True)
class LanguageBatch:
    """Token sequences with room for the visual tokens, padded on the right."""

    input_ids: Tensor
    """(B, S); visual places hold 0."""
    attention_mask: Tensor
    """int64 (B, S)."""
    labels: Tensor
    """(B, S): the answer and <eos>, `IGNORE_INDEX` elsewhere."""
    hint_position: Tensor
    """(B,): where the first visual token stands again."""
    visual_mask: Tensor
    """bool (B, S): where the visual tokens stand, in one run, K of them a row."""


def build_language_batch(
    tokenizer: Any, questions: Sequence[str], answers: Sequence[str], num_visual: int, eos_token_id: int
) -> LanguageBatch:
    """Sequences for teacher forcing.

    Args:
        tokenizer: a `tokenizers.Tokenizer`.
        questions: B questions.
        answers: B answers; an empty one leaves the sequence at the hint.
        num_visual: K.
        eos_token_id: ends each answer.

    Returns:
        The batch.
    """
    rows, labels, hints = [], [], []
    for question, answer in zip(questions, answers, strict=True):
        prompt = [0] * num_visual + tokenizer.encode(question_prompt(question)).ids
        target = [*tokenizer.encode(" " + answer).ids, eos_token_id] if answer else []
        hints.append(len(prompt))
        rows.append([*prompt, 0, *target])
        labels.append([IGNORE_INDEX] * (len(prompt) + 1) + target)
    longest = max(len(row) for row in rows)
    pad = [longest - len(row) for row in rows]
    visual_mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    visual_mask[:, :num_visual] = True
    return LanguageBatch(
        torch.tensor([row + [0] * extra for row, extra in zip(rows, pad, strict=True)]),
        torch.tensor([[1] * len(row) + [0] * extra for row, extra in zip(rows, pad, strict=True)]),
        torch.tensor([row + [IGNORE_INDEX] * extra for row, extra in zip(labels, pad, strict=True)]),
        torch.tensor(hints),
        visual_mask,
    )


class VisionLanguageModel(nn.Module):
    """The Q-Former, its projection and answer head, and a causal language model."""

    def __init__(
        self,
        qformer: QFormer | PooledFrames,
        language_projection: LanguageProjection,
        answer_head: AnswerHead,
        language_model: Any,
    ) -> None:
        super().__init__()
        self.qformer = qformer
        self.language_projection = language_projection
        self.answer_head = answer_head
        self.language_model = language_model

    def inputs_embeds(self, visual_tokens: Tensor, batch: LanguageBatch) -> Tensor:
        """(B, S, E): word embeddings with the visual tokens in their places."""
        embeds: Tensor = self.language_model.get_input_embeddings()(batch.input_ids).clone()
        visual = visual_tokens.to(embeds.dtype)
        embeds[:, : visual.shape[1]] = visual
        embeds[torch.arange(len(embeds)), batch.hint_position] = visual[:, 0]
        return embeds

    def answer_logits(self, visual_tokens: Tensor, batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """Logits (M, V) at the M places whose next token is a label, and those labels (M,).

        The vocabulary is only scored where an answer stands: elsewhere its logits would be thrown away.
        """
        hidden = self.last_hidden(self.inputs_embeds(visual_tokens, batch), batch.attention_mask)
        labels = batch.labels[:, 1:]
        at = labels != IGNORE_INDEX
        return self.language_model.get_output_embeddings()(hidden[:, :-1][at]), labels[at]

    def last_hidden(self, embeds: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden states (B, S, E) of the language model, after its final norm."""
        model = self.language_model
        decoder = model.get_base_model() if hasattr(model, "peft_config") else model
        output = decoder.base_model(inputs_embeds=embeds, attention_mask=attention_mask, use_cache=False)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def forward(
        self, grid: Tensor, frame_mask: Tensor, question: Tensor, question_mask: Tensor, batch: LanguageBatch
    ) -> tuple[Tensor, Tensor]:
        """The language-model loss, a scalar, and the query states (B, K, D); inputs as of `QFormer`."""
        states = self.qformer(grid, frame_mask, question, question_mask)
        logits, labels = self.answer_logits(self.language_projection(states), batch)
        return F.cross_entropy(logits.float(), labels), states
