"""The whole answerer: grids and question -> connector -> projection -> language model.

    [visual tokens x K] Question: ... Answer: [first visual token again] answer <eos>

With a hint, the first visual token stands once more right before the answer: where it is trained to lie near
the answer's words, it is then one attention step away from where it is needed. Without, the prompt is plain.

A question may have several answers, such as the captions of a picture. They then share one row, and with it
the reading of prompt and visual tokens; no answer sees another:

    [visual tokens x K] Question: ... Answer: | [hint] answer <eos> | [hint] other answer <eos> | ...
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

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
    hint_mask: Tensor | None
    """bool (B, S): where the first visual token stands again, before each answer; None: nowhere."""
    visual_mask: Tensor
    """bool (B, S): where the visual tokens stand, in one run, K of them a row."""
    segments: Tensor | None = None
    """int64 (B, S): which of its row's answers a place belongs to, from 1; 0 for what all of them share, and
    -1 for padding. None: no row has more than one answer."""

    @property
    def label_weights(self) -> Tensor:
        """Of the labels, float (B, S): 1 divided by the number of the row's answers, and 0 elsewhere."""
        weights = (self.labels != IGNORE_INDEX).float()
        return weights if self.segments is None else weights / self.segments.amax(1, keepdim=True)


def build_language_batch(
    tokenizer: Any,
    questions: Sequence[str],
    answers: Sequence[str | Sequence[str]],
    num_visual: int,
    eos_token_id: int,
    *,
    hint: bool = True,
) -> LanguageBatch:
    """Sequences for teacher forcing.

    Args:
        tokenizer: a `tokenizers.Tokenizer`.
        questions: B questions.
        answers: an answer to each, or several; an empty one leaves the sequence where its answer would begin.
        num_visual: K.
        eos_token_id: ends each answer.
        hint: leave a place before each answer for the first visual token.

    Returns:
        The batch.
    """
    rows = [
        _row(tokenizer, question, given, num_visual, eos_token_id, hint)
        for question, given in zip(questions, answers, strict=True)
    ]
    ids, labels, hints, segments = (
        pad_sequence([torch.tensor(row[part]) for row in rows], batch_first=True, padding_value=padding)
        for part, padding in enumerate((0, IGNORE_INDEX, 0, -1))
    )
    visual_mask = torch.zeros_like(ids, dtype=torch.bool)
    visual_mask[:, :num_visual] = True
    is_packed = bool((segments > 1).any())
    return LanguageBatch(
        ids,
        (segments >= 0).long(),
        labels,
        hints.bool() if hint else None,
        visual_mask,
        segments if is_packed else None,
    )


def _row(
    tokenizer: Any,
    question: str,
    answers: str | Sequence[str],
    num_visual: int,
    eos_token_id: int,
    hint: bool,
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Ids, labels, places of hints and segments of one question; an answer's begins with the prompt's end."""
    prompt = [0] * num_visual + _encode(tokenizer, question_prompt(question)) + [0] * hint
    shared = len(prompt) - 1
    ids, labels, hints, segments = prompt[:-1], [IGNORE_INDEX] * shared, [0] * shared, [0] * shared
    for number, answer in enumerate([answers] if isinstance(answers, str) else answers, start=1):
        target = [*_encode(tokenizer, " " + answer), eos_token_id] if answer else []
        ids += [prompt[-1], *target]
        labels += [IGNORE_INDEX, *target]
        hints += [int(hint)] + [0] * len(target)
        segments += [number] * (1 + len(target))
    return ids, labels, hints, segments


def _encode(tokenizer: Any, text: str) -> list[int]:
    """Ids without what some tokenizers put around a text: it stands in the middle of a sequence."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def segment_attention(segments: Tensor) -> tuple[Tensor, Tensor]:
    """What each place of packed rows sees, bool (B, S, S), and its position, int64 (B, S).

    A place sees itself, what all answers share, and what stands before it in its own answer, as if that stood
    alone behind the prompt.

    Args:
        segments: see `LanguageBatch`.
    """
    places = torch.arange(segments.shape[1], device=segments.device)
    is_own = segments[:, :, None] == segments[:, None]
    causal = places[:, None] >= places
    sees = causal & (is_own | (segments[:, None] == 0))
    shared = (segments == 0).sum(1, keepdim=True)
    within = (is_own & causal).sum(-1) - 1
    return sees, torch.where(segments > 0, shared, 0) + within


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
        self, tokenizer: Any, questions: Sequence[str], answers: Sequence[str | Sequence[str]]
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
        if batch.hint_mask is not None:
            embeds = torch.where(batch.hint_mask[..., None], visual[:, :1], embeds)
        return embeds

    def answer_logits(self, visual_tokens: Tensor, batch: LanguageBatch) -> tuple[Tensor, Tensor]:
        """Logits (M, V) at the M places whose next token is a label, and those labels (M,).

        The vocabulary is only scored where an answer stands: elsewhere its logits would be thrown away.
        """
        embeds = self.inputs_embeds(visual_tokens, batch)
        hidden = self.last_hidden(embeds, batch.attention_mask, batch.segments)
        labels = batch.labels[:, 1:]
        at = labels != IGNORE_INDEX
        return self.language_model.get_output_embeddings()(hidden[:, :-1][at]), labels[at]

    def last_hidden(self, embeds: Tensor, attention_mask: Tensor, segments: Tensor | None = None) -> Tensor:
        """Last hidden states (B, S, E) of the language model, after its final norm.

        Args:
            embeds: (B, S, E).
            attention_mask: int64 (B, S), for rows of one answer.
            segments: see `LanguageBatch`; it takes the place of the mask.
        """
        model = self.language_model
        decoder = model.get_base_model() if hasattr(model, "peft_config") else model
        places = {"attention_mask": attention_mask}
        if segments is not None:
            sees, positions = segment_attention(segments)
            least = torch.finfo(embeds.dtype).min
            mask = torch.zeros(sees.shape, dtype=embeds.dtype, device=sees.device).masked_fill(~sees, least)
            places = {"attention_mask": mask[:, None], "position_ids": positions}
        output = decoder.base_model(inputs_embeds=embeds, use_cache=False, **places)
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
