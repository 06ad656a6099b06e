"""The whole answerer: grids and question -> connector -> projection -> language model.

    [visual tokens x K] Question: ... Answer: [first visual token again] answer <eos>

With a hint, the first visual token stands once more right before the answer: where it is trained to lie near
the answer's words, it is then one attention step away from where it is needed. Without, the prompt is plain.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.errors import ConfigError
from gifqa.model.connectors import Connector
from gifqa.model.global_local import GlobalLocal
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection
from gifqa.prompt import question_prompt

IGNORE_INDEX = -100
LEAST_TEXT_TOKENS = 64
"""So many places of the language model are left for the question and the answer."""


@dataclass(frozen=True)
class LanguageBatch:
    """Token sequences with room for the visual tokens, padded on the right."""

    input_ids: Tensor
    """(B, S); visual places hold 0."""
    attention_mask: Tensor
    """int64 (B, S)."""
    labels: Tensor
    """(B, S): the answer and <eos>, `IGNORE_INDEX` elsewhere."""
    hint_position: Tensor | None
    """(B,): where the first visual token stands again; None: nowhere."""
    visual_mask: Tensor
    """bool (B, S): where the visual tokens stand, in one run, K of them a row."""


def build_language_batch(
    tokenizer: Any,
    questions: Sequence[str],
    answers: Sequence[str],
    num_visual: int,
    eos_token_id: int,
    *,
    hint: bool = True,
) -> LanguageBatch:
    """Sequences for teacher forcing.

    Args:
        tokenizer: a `tokenizers.Tokenizer`.
        questions: B questions.
        answers: B answers; an empty one leaves the sequence where its answer would begin.
        num_visual: K.
        eos_token_id: ends each answer.
        hint: leave a place before the answer for the first visual token.

    Returns:
        The batch.
    """
    rows, labels, hints = [], [], []
    for question, answer in zip(questions, answers, strict=True):
        prompt = [0] * num_visual + _encode(tokenizer, question_prompt(question)) + [0] * hint
        target = [*_encode(tokenizer, " " + answer), eos_token_id] if answer else []
        hints.append(len(prompt) - 1)
        rows.append(prompt + target)
        labels.append([IGNORE_INDEX] * len(prompt) + target)
    longest = max(len(row) for row in rows)
    pad = [longest - len(row) for row in rows]
    visual_mask = torch.zeros(len(rows), longest, dtype=torch.bool)
    visual_mask[:, :num_visual] = True
    return LanguageBatch(
        torch.tensor([row + [0] * extra for row, extra in zip(rows, pad, strict=True)]),
        torch.tensor([[1] * len(row) + [0] * extra for row, extra in zip(rows, pad, strict=True)]),
        torch.tensor([row + [IGNORE_INDEX] * extra for row, extra in zip(labels, pad, strict=True)]),
        torch.tensor(hints) if hint else None,
        visual_mask,
    )


def _encode(tokenizer: Any, text: str) -> list[int]:
    """Ids without what some tokenizers put around a text: it stands in the middle of a sequence."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


class VisionLanguageModel(nn.Module):
    """A connector, a projection and a causal language model; an answer head, if the connector is given one.

    Args:
        connector: see `gifqa.model.connectors`.
        language_projection: its states (B, K, D) to the language model's input space (B, K, E).
        answer_head: scores known answers by the connector's states; None: the language model answers alone.
        language_model: a `transformers` causal language model, with or without LoRA.
        global_local: between projection and language model; None: all frames' tokens are read as they are.
        hint: whether sequences have the first visual token again before the answer.

    Raises:
        ConfigError: if the dimensions of two parts do not fit.
    """

    def __init__(
        self,
        connector: Connector,
        language_projection: LanguageProjection | nn.Linear,
        answer_head: AnswerHead | None,
        language_model: Any,
        *,
        global_local: GlobalLocal | None = None,
        hint: bool = True,
    ) -> None:
        super().__init__()
        self.connector = connector
        self.language_projection = language_projection
        self.answer_head = answer_head
        self.language_model = language_model
        self.global_local = global_local
        self.hint = hint
        self._check_dimensions()

    @property
    def num_visual_tokens(self) -> int:
        """How many visual tokens the language model reads."""
        if self.global_local is not None:
            return self.global_local.num_visual_tokens
        return self.connector.num_visual_tokens

    @property
    def eos_token_id(self) -> int:
        """The token that ends an answer: of several the first."""
        eos = self.language_model.config.eos_token_id
        return int(eos[0] if isinstance(eos, list) else eos)

    def visual_tokens(self, states: Tensor) -> Tensor:
        """The connector's states (B, K, D) as the language model reads them, (B, `num_visual_tokens`, E)."""
        tokens: Tensor = self.language_projection(states)
        return tokens if self.global_local is None else self.global_local(tokens)

    def language_batch(
        self, tokenizer: Any, questions: Sequence[str], answers: Sequence[str]
    ) -> LanguageBatch:
        """`build_language_batch` for this model."""
        return build_language_batch(
            tokenizer, questions, answers, self.num_visual_tokens, self.eos_token_id, hint=self.hint
        )

    def inputs_embeds(self, visual_tokens: Tensor, batch: LanguageBatch) -> Tensor:
        """(B, S, E): word embeddings with the visual tokens in their places."""
        embeds: Tensor = self.language_model.get_input_embeddings()(batch.input_ids).clone()
        visual = visual_tokens.to(embeds.dtype)
        embeds[:, : visual.shape[1]] = visual
        if batch.hint_position is not None:
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
        """The language-model loss, a scalar, and the states (B, K, D); inputs as of `Connector`."""
        states = self.connector(grid, frame_mask, question, question_mask)
        logits, labels = self.answer_logits(self.visual_tokens(states), batch)
        return F.cross_entropy(logits.float(), labels), states

    def _check_dimensions(self) -> None:
        connector, config = self.connector, self.language_model.config
        linear = getattr(self.language_projection, "linear", self.language_projection)
        if linear.in_features != connector.hidden_size:
            raise ConfigError(
                f"the projection reads states of width {linear.in_features}, but the connector "
                f"{type(connector).__name__} gives {connector.hidden_size}; they must be the same. "
                "Build the projection for the connector."
            )
        width = self.language_model.get_input_embeddings().weight.shape[1]
        if linear.out_features != width:
            raise ConfigError(
                f"the projection gives tokens of width {linear.out_features}, but the language model's "
                f"word embeddings have {width}; they must be the same. Build the projection for that model."
            )
        if self.global_local is not None and connector.tokens_per_frame is None:
            raise ConfigError(
                "language.global_local needs a connector that goes frame by frame; "
                f"{type(connector).__name__} mixes the frames. Set language.global_local to 0, or choose "
                "another connector."
            )
        places = getattr(config, "max_position_embeddings", None)
        if places is not None and self.num_visual_tokens + LEAST_TEXT_TOKENS > places:
            raise ConfigError(
                f"the connector gives {self.num_visual_tokens} visual tokens, but the language model has "
                f"{places} places and {LEAST_TEXT_TOKENS} are needed for text. Show fewer frames or fewer "
                "tokens a frame."
            )
