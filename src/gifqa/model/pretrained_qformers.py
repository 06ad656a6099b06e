"""The pretrained Q-Formers of BLIP-2 and InstructBLIP as a connector, with their trained query tokens.

Each frame is read by itself, as ST-LLM does. The cells of another vision tower than their own come through a
new norm and linear layer. Their weights are the keys `query_tokens` and `qformer.*` of a whole BLIP-2
checkpoint; every one must be there and no other. (The original loaded that checkpoint into a bare Q-Former,
whose keys have no such prefix: its Q-Former stayed random.)

References: BLIP-2 (Li et al., 2023), https://arxiv.org/abs/2301.12597; InstructBLIP (Dai et al., 2023),
https://arxiv.org/abs/2305.06500; ST-LLM (Liu et al., 2024), https://arxiv.org/abs/2404.00308
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.model.connectors import ReadsQuestion, spread_frames, take_frames
from gifqa.model.sources import find_file, load_exactly, open_tokenizer, read_tensors, short
from gifqa.model.text import encode_ids

Kind = Literal["blip2", "instructblip"]
MODEL_TYPES: dict[Kind, str] = {"blip2": "blip-2", "instructblip": "instructblip"}
EXAMPLES: dict[Kind, str] = {
    "blip2": "Salesforce/blip2-opt-2.7b",
    "instructblip": "Salesforce/instructblip-flan-t5-xl",
}
CLASSES: dict[Kind, str] = {"blip2": "Blip2QFormerModel", "instructblip": "InstructBlipQFormerModel"}
CONFIGS: dict[Kind, str] = {"blip2": "Blip2QFormerConfig", "instructblip": "InstructBlipQFormerConfig"}
WEIGHTS = ("query_tokens", "qformer.")
"""How the keys begin that are read of a checkpoint."""


@dataclass(frozen=True)
class QFormerShape:
    """What a pretrained Q-Former is built from."""

    kind: Kind
    config: dict[str, Any]
    """Of `Blip2QFormerConfig` or `InstructBlipQFormerConfig`."""
    num_query_tokens: int


class PretrainedQFormer(nn.Module):
    """BLIP-2's Q-Former, or InstructBLIP's, which reads the question beside the queries; frame by frame.

    Args:
        shape: of the Q-Former.
        grid_channels: C.
        num_frames: places for frames.
        tokenizer: InstructBLIP's `tokenizers.Tokenizer` for questions; None for BLIP-2.
    """

    def __init__(
        self, shape: QFormerShape, grid_channels: int, num_frames: int, tokenizer: Any = None
    ) -> None:
        super().__init__()
        transformers = require("transformers", "train")
        config = getattr(transformers, CONFIGS[shape.kind]).from_dict(shape.config)
        self.shape, self.num_frames, self.tokenizer = shape, num_frames, tokenizer
        self.cell_norm = nn.LayerNorm(grid_channels)
        self.cell_projection = nn.Linear(grid_channels, config.encoder_hidden_size)
        self.query_tokens = nn.Parameter(torch.zeros(1, shape.num_query_tokens, config.hidden_size))
        self.qformer: Any = getattr(transformers, CLASSES[shape.kind])(config)

    @property
    def hidden_size(self) -> int:
        """D."""
        return int(self.query_tokens.shape[2])

    @property
    def tokens_per_frame(self) -> int:
        """Q."""
        return int(self.query_tokens.shape[1])

    @property
    def num_visual_tokens(self) -> int:
        """K."""
        return self.num_frames * self.tokens_per_frame

    @property
    def reads_question(self) -> ReadsQuestion:
        """InstructBLIP's reads ids, made by `encode_questions`."""
        return "nothing" if self.shape.kind == "blip2" else "ids"

    def encode_questions(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids int64 (B, T), cut at what the Q-Former has positions for, and their bool mask."""
        input_ids, attention_mask = encode_ids(self.tokenizer, list(questions))
        limit = int(self.qformer.config.max_position_embeddings)
        return input_ids[:, :limit], attention_mask[:, :limit].bool()

    def forward(self, grid: Tensor, frame_mask: Tensor, question: Tensor, question_mask: Tensor) -> Tensor:
        """See `gifqa.model.connectors.Connector`."""
        batch, num_frames = grid.shape[:2]
        places = spread_frames(frame_mask, self.num_frames)
        if num_frames > self.num_frames:  # the ones that get no place need not be read
            grid, num_frames = take_frames(grid, places), self.num_frames
            places = torch.arange(num_frames, device=grid.device).expand(batch, -1)
        cells = self.cell_projection(self.cell_norm(grid)).flatten(0, 1)
        queries = self.query_tokens.expand(len(cells), -1, -1)
        if self.reads_question == "ids":
            states = self._read_with_question(queries, cells, question, question_mask)
        else:
            states = self.qformer(query_embeds=queries, encoder_hidden_states=cells).last_hidden_state
        by_frame = states.reshape(batch, num_frames, self.tokens_per_frame, self.hidden_size)
        return take_frames(by_frame, places).flatten(1, 2)

    def _read_with_question(
        self, queries: Tensor, cells: Tensor, question: Tensor, question_mask: Tensor
    ) -> Tensor:
        """Query states (B * F, Q, D); every frame is read with its clip's question."""
        num_frames = len(cells) // len(question)
        seen = torch.ones(len(question), queries.shape[1], dtype=torch.long, device=question.device)
        mask = torch.cat([seen, question_mask.long()], dim=1)
        output = self.qformer(
            input_ids=question.repeat_interleave(num_frames, dim=0),
            attention_mask=mask.repeat_interleave(num_frames, dim=0),
            query_embeds=queries,
            encoder_hidden_states=cells,
        )
        states: Tensor = output.last_hidden_state[:, : queries.shape[1]]
        return states


def load_pretrained_qformer(
    kind: Kind, source: str, *, grid_channels: int, num_frames: int
) -> PretrainedQFormer:
    """The Q-Former and the query tokens of a BLIP-2 or InstructBLIP checkpoint; no other part of it is read.

    Args:
        kind: which of the two.
        source: id such as `Salesforce/blip2-opt-2.7b`, or folder, with safetensors.
        grid_channels: C of the vision tower; cells come to the Q-Former through a new linear layer.
        num_frames: places for frames.

    Raises:
        CheckpointError: if it is of another architecture, or keys are missing, unknown or of another shape.
        MissingExtra: if transformers is not installed.
    """
    shape = _read_shape(kind, source)
    tokenizer = read_question_tokenizer(source) if kind == "instructblip" else None
    connector = PretrainedQFormer(shape, grid_channels, num_frames, tokenizer)
    weights = read_tensors(source, WEIGHTS)
    part = nn.Module()
    part.query_tokens, part.qformer = connector.query_tokens, connector.qformer
    load_exactly(part, {key: value.float() for key, value in weights.items()}, f"the Q-Former of {source}")
    return connector


def read_question_tokenizer(source: str) -> Any:
    """InstructBLIP's `tokenizers.Tokenizer` for questions.

    Raises:
        CheckpointError: if it is not there.
    """
    path = find_file(source, "tokenizer.json", subfolder="qformer_tokenizer")
    if path is None:
        raise CheckpointError(
            f"{source} has no qformer_tokenizer/tokenizer.json; InstructBLIP's Q-Former reads the question "
            "by it. Give the whole checkpoint, with its processor."
        )
    tokenizer = open_tokenizer(path)
    tokenizer.no_padding()
    return tokenizer


def _read_shape(kind: Kind, source: str) -> QFormerShape:
    transformers = require("transformers", "train")
    try:
        config = transformers.AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{source} cannot be loaded ({short(error)}); connector.source is the Hugging Face id or folder "
            f"of a {MODEL_TYPES[kind]} model. Check it."
        ) from error
    if config.model_type != MODEL_TYPES[kind]:
        raise CheckpointError(
            f"{source} is a {config.model_type} model; the connector {kind!r} needs the Q-Former of a "
            f"{MODEL_TYPES[kind]} model, such as {EXAMPLES[kind]}. Correct "
            "connector.source or connector.kind."
        )
    return QFormerShape(kind, config.qformer_config.to_dict(), int(config.num_query_tokens))
