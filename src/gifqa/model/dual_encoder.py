"""The two projection heads that put frames and sentences into one space (CLIP's idea on frozen towers).

References: CLIP (Radford et al., 2021), https://arxiv.org/abs/2103.00020; attention pooling as in Set
Transformer (Lee et al., 2019), https://arxiv.org/abs/1810.00825. Unlike CLIP, both towers are frozen and were
never trained together.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOL_QUERIES, POOL_SIZE = 4, 160
"""Of the attention pooling of a grid: how many queries, and the width of what each reads."""
START_LOG_TEMPERATURE = 2.66
"""CLIP's: log(1 / 0.07)."""


class ResidualHead(nn.Module):
    """Linear to the common space, then one residual two-layer block."""

    def __init__(self, input_size: int, output_size: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(input_size, output_size)
        self.block = nn.Sequential(
            nn.LayerNorm(output_size),
            nn.Linear(output_size, 2 * output_size),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * output_size, output_size),
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        """(..., input_size) -> (..., output_size)."""
        hidden: Tensor = self.linear(self.drop(inputs))
        residual: Tensor = self.block(hidden)
        return hidden + residual


class AttentionPool(nn.Module):
    """A few learned queries look at all cells; their readings are put side by side."""

    def __init__(self, channels: int, num_queries: int, size: int) -> None:
        super().__init__()
        self.score = nn.Linear(channels, num_queries)
        self.value = nn.Linear(channels, size)

    def forward(self, grid: Tensor) -> Tensor:
        """(N, G, C) -> (N, num_queries * size)."""
        weights: Tensor = self.score(grid).softmax(dim=1)
        values: Tensor = self.value(grid)
        return (weights.transpose(1, 2) @ values).flatten(1)


class DualEncoderHeads(nn.Module):
    """Frames and sentences as unit vectors whose inner product says how well they fit.

    Args:
        grid_channels: C of the vision tower's cells.
        pooled_size: width of the tower's pooled head.
        text_size: width of the sentence vectors.
        size: D, width of the common space.
        dropout: of the heads.
    """

    def __init__(
        self, grid_channels: int, pooled_size: int, text_size: int, size: int = 384, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.shape = {"grid_channels": grid_channels, "pooled_size": pooled_size, "text_size": text_size}
        self.pool = AttentionPool(grid_channels, POOL_QUERIES, POOL_SIZE)
        self.grid_norm = nn.LayerNorm(grid_channels)
        self.pooled_norm = nn.LayerNorm(pooled_size)
        self.frame_head = ResidualHead(POOL_QUERIES * POOL_SIZE + pooled_size, size, dropout)
        self.text_head = ResidualHead(text_size, size, dropout)
        self.log_temperature = nn.Parameter(torch.tensor(START_LOG_TEMPERATURE))

    def encode_frames(self, grid: Tensor, pooled: Tensor) -> Tensor:
        """Grids (N, G, C) and pooled heads (N, P) -> unit vectors (N, D)."""
        parts = [self.pool(self.grid_norm(grid)), self.pooled_norm(pooled)]
        return F.normalize(self.frame_head(torch.cat(parts, dim=-1)), dim=-1)

    def encode_texts(self, sentence: Tensor) -> Tensor:
        """Sentence vectors (M, text_size) -> unit vectors (M, D)."""
        return F.normalize(self.text_head(sentence), dim=-1)

    def forward(self, grid: Tensor, pooled: Tensor, sentence: Tensor) -> Tensor:
        """Scaled similarities (N, M) of every frame with every sentence."""
        return self.log_temperature.exp() * self.encode_frames(grid, pooled) @ self.encode_texts(sentence).T
