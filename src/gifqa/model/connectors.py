"""What reads the frames' grids into the states that become visual tokens: one protocol, several ways.

    grid (B, F, G, C), question -> states (B, K, D)

    QFormer                from scratch, all frames at once (`gifqa.model.qformer`)
    PooledFrames           a vector a frame (`gifqa.model.pooled_frames`)
    MLPConnector           cells pooled, then a layer, as LLaVA does
    PretrainedQFormer      BLIP-2's or InstructBLIP's Q-Former and query tokens, frame by frame as ST-LLM
                           does; InstructBLIP's reads the question's token ids (`.pretrained_qformers`)

Those that go frame by frame give `num_frames` times `tokens_per_frame` states in time order, so the language
model's own positions tell what came first. Of a picture with fewer frames, frames repeat; of one with more,
they are chosen evenly.
"""

import math
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from gifqa.errors import ConfigError
from gifqa.model.vision import area_pool

ReadsQuestion = Literal["states", "ids", "nothing"]


class Connector(Protocol):
    """The part between the vision tower and the projection into the language model; an `nn.Module`."""

    @property
    def num_visual_tokens(self) -> int:
        """K."""
        ...

    @property
    def hidden_size(self) -> int:
        """D."""
        ...

    @property
    def tokens_per_frame(self) -> int | None:
        """Q, where the K states are those of K / Q frames in time order; None where frames are mixed."""
        ...

    @property
    def reads_question(self) -> ReadsQuestion:
        """What it takes as the question: token states of the text tower, token ids of its own, or nothing."""
        ...

    def __call__(self, grid: Tensor, frame_mask: Tensor, question: Tensor, question_mask: Tensor) -> Tensor:
        """States.

        Args:
            grid: (B, F, G, C) in time order.
            frame_mask: bool (B, F), false for padding, which stands at the end.
            question: (B, T, text_size) float where states are read, int64 (B, T) where ids are; else unread.
            question_mask: bool (B, T), false for padding.

        Returns:
            (B, K, D).
        """


def spread_frames(frame_mask: Tensor, num_places: int) -> Tensor:
    """Which frame stands in which place: in time order, spread evenly; fewer frames than places repeat.

    Args:
        frame_mask: bool (B, F), padding at the end.
        num_places: P.

    Returns:
        int64 (B, P), indices of frames that are no padding.
    """
    places = torch.arange(num_places, device=frame_mask.device)
    return places * frame_mask.sum(1, keepdim=True) // num_places


def take_frames(values: Tensor, frames: Tensor) -> Tensor:
    """Rows of `values` (B, F, ...) by the indices `frames` (B, P) -> (B, P, ...)."""
    return values[torch.arange(len(values), device=values.device).unsqueeze(1), frames]


class MLPConnector(nn.Module):
    """Cells pooled to a smaller square, normed, and a layer with GELU; the projection is the second layer.

    Reference: LLaVA-1.5 (Liu et al., 2023), https://arxiv.org/abs/2310.03744; its projector is two layers
    with GELU between them. Pooling keeps several frames within a language model's reach.

    Args:
        grid_channels: C.
        grid_size: G, a square number.
        num_frames: places for frames.
        tokens_per_frame: at most so many; the largest square number that is not more is taken.
        hidden_size: D.

    Raises:
        ConfigError: if the grid is not square.
    """

    reads_question: ReadsQuestion = "nothing"

    def __init__(
        self, grid_channels: int, grid_size: int, *, num_frames: int, tokens_per_frame: int, hidden_size: int
    ) -> None:
        super().__init__()
        self.grid_side = math.isqrt(grid_size)
        if self.grid_side**2 != grid_size:
            raise ConfigError(
                f'the vision tower gives {grid_size} cells a frame; connector.kind "mlp" pools square grids '
                "only. Choose another connector or tower."
            )
        self.token_side = min(self.grid_side, math.isqrt(tokens_per_frame))
        self.num_frames, self.hidden_size = num_frames, hidden_size
        self.cell_norm = nn.LayerNorm(grid_channels)
        self.cell_projection = nn.Linear(grid_channels, hidden_size)

    @property
    def tokens_per_frame(self) -> int:
        """Q."""
        return self.token_side**2

    @property
    def num_visual_tokens(self) -> int:
        """K."""
        return self.num_frames * self.tokens_per_frame

    def forward(self, grid: Tensor, frame_mask: Tensor, question: Tensor, question_mask: Tensor) -> Tensor:
        """See `Connector`; the question is not looked at."""
        cells = take_frames(grid, spread_frames(frame_mask, self.num_frames)).flatten(0, 1)
        image = cells.transpose(1, 2).reshape(len(cells), -1, self.grid_side, self.grid_side)
        tokens = area_pool(image, self.token_side).flatten(2).transpose(1, 2)
        states: Tensor = nn.functional.gelu(self.cell_projection(self.cell_norm(tokens)))
        return states.reshape(len(grid), self.num_visual_tokens, self.hidden_size)
