"""The Q-Former: a few query tokens read the frames' grids with the question at hand.

    grid (B, F, G, C) of F frames in time order, question (B, T, 384)
        -> cells: linear + where in the frame + when in the GIF
        -> L layers: queries and question words attend to each other, then to the cells
        -> query states (B, K, D)

References: BLIP-2 (Li et al., 2023), https://arxiv.org/abs/2301.12597; the question as an input of the
Q-Former is InstructBLIP's (Dai et al., 2023), https://arxiv.org/abs/2305.06500. Unlike both, the question
words attend to the cells too, as in ALBEF's multimodal encoder (Li et al., 2021),
https://arxiv.org/abs/2107.07651.
"""

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.model.connectors import ReadsQuestion

HIDDEN_SCORE = -1e4
"""Attention score of a masked place."""


class QFormerConfig(BaseModel):
    """Shape of a Q-Former."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid_channels: int = 710
    """C, the width of a cell."""
    grid_size: int = 81
    """G, the cells of a frame."""
    text_size: int = 384
    """Width of the question's token states."""
    hidden_size: int = 384
    """D."""
    num_hidden_layers: int = 4
    num_attention_heads: int = 6
    num_query_tokens: int = 16
    """K."""
    max_frames: int = 8
    """The time embedding knows this many places."""
    dropout: float = 0.1


class Attention(nn.Module):
    """Multi-head attention of `hidden` over `context`.

    Written out: on a CPU this is 2.5 times as fast in bfloat16 as `scaled_dot_product_attention` at these
    sizes.
    """

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(size, size)
        self.key_value = nn.Linear(size, 2 * size)
        self.output = nn.Linear(size, size)

    def forward(self, hidden: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """One reading of the context by each state.

        Args:
            hidden: (B, Q, D).
            context: (B, S, D).
            mask: bool (B, S), true where to look.

        Returns:
            (B, Q, D).
        """
        batch, length, size = hidden.shape
        head = size // self.num_heads
        query = self.query(hidden).view(batch, length, self.num_heads, head).transpose(1, 2)
        key, value = (
            part.view(batch, -1, self.num_heads, head).transpose(1, 2)
            for part in self.key_value(context).chunk(2, dim=-1)
        )
        scores = query @ key.transpose(-1, -2) / head**0.5
        scores = scores.masked_fill(~mask[:, None, None, :], HIDDEN_SCORE)
        read = scores.softmax(dim=-1) @ value
        output: Tensor = self.output(read.transpose(1, 2).reshape(batch, length, size))
        return output


class SharedDropout(nn.Module):
    """Dropout whose mask all tokens of a row share: on a CPU one for each takes a seventh of a step."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        if not self.training or not self.rate:
            return hidden
        return hidden * F.dropout(hidden.new_ones(len(hidden), 1, hidden.shape[-1]), self.rate)


class QFormerLayer(nn.Module):
    """Self-attention of queries and question, cross-attention to the cells, feed-forward; norms first."""

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.self_norm, self.cross_norm, self.feed_norm = (nn.LayerNorm(size) for _ in range(3))
        self.self_attention = Attention(config)
        self.cross_attention = Attention(config)
        self.feed_forward = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))
        self.drop = SharedDropout(config.dropout)

    def forward(self, hidden: Tensor, hidden_mask: Tensor, cells: Tensor, cell_mask: Tensor) -> Tensor:
        """States (B, K + T, D) and their mask, cells (B, F * G, D) and theirs -> (B, K + T, D)."""
        normed = self.self_norm(hidden)
        hidden = hidden + self.drop(self.self_attention(normed, normed, hidden_mask))
        hidden = hidden + self.drop(self.cross_attention(self.cross_norm(hidden), cells, cell_mask))
        fed: Tensor = self.drop(self.feed_forward(self.feed_norm(hidden)))
        return hidden + fed


class QFormer(nn.Module):
    """Reads the cells of some frames into K query states, with the question in view.

    It is a `gifqa.model.connectors.Connector`.
    """

    reads_question: ReadsQuestion = "states"
    tokens_per_frame: int | None = None

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.query_tokens = nn.Parameter(torch.randn(config.num_query_tokens, size) * 0.02)
        self.cell_norm = nn.LayerNorm(config.grid_channels)
        self.cell_projection = nn.Linear(config.grid_channels, size)
        self.place_embedding = nn.Parameter(torch.randn(config.grid_size, size) * 0.02)
        self.time_embedding = nn.Parameter(torch.randn(config.max_frames, size) * 0.02)
        self.context_norm = nn.LayerNorm(size)
        self.text_projection = nn.Linear(config.text_size, size)
        self.layers = nn.ModuleList(QFormerLayer(config) for _ in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(size)

    @property
    def num_visual_tokens(self) -> int:
        """K."""
        return self.config.num_query_tokens

    @property
    def hidden_size(self) -> int:
        """D."""
        return self.config.hidden_size

    def forward(self, grid: Tensor, frame_mask: Tensor, question: Tensor, question_mask: Tensor) -> Tensor:
        """Query states.

        Args:
            grid: (B, F, G, C) in time order, F <= max_frames.
            frame_mask: bool (B, F), false for padding.
            question: token states of the text tower, (B, T, text_size).
            question_mask: bool (B, T); all false where there is no question.

        Returns:
            (B, K, D).
        """
        batch, num_frames, num_cells, _ = grid.shape
        cells = self.cell_projection(self.cell_norm(grid)) + self.place_embedding
        cells = self.context_norm(cells + self.time_embedding[:num_frames, None]).flatten(1, 2)
        cell_mask = frame_mask.unsqueeze(-1).expand(-1, -1, num_cells).flatten(1)
        queries = self.query_tokens.expand(batch, -1, -1)
        hidden = torch.cat([queries, self.text_projection(question)], dim=1)
        seen = torch.ones(batch, queries.shape[1], dtype=torch.bool, device=grid.device)
        hidden_mask = torch.cat([seen, question_mask], dim=1)
        for layer in self.layers:
            hidden = layer(hidden, hidden_mask, cells, cell_mask)
        states: Tensor = self.final_norm(hidden[:, : queries.shape[1]])
        return states
