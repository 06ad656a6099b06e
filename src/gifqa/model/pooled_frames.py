"""What stands in for the Q-Former in the baseline of the original's design: one vector a frame, its mean.

The question is not looked at and no cell is: a frame's vector is all that the language model gets of it.
"""

import torch
from torch import Tensor, nn

from gifqa.model.qformer import QFormerConfig


class PooledFrames(nn.Module):
    """Frames as K vectors, with the interface of `QFormer`.

    Args:
        config: of the Q-Former it replaces; K is `num_query_tokens`.
    """

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.grid_channels)
        self.projection = nn.Linear(config.grid_channels, config.hidden_size)

    def forward(self, grid: Tensor, frame_mask: Tensor, question: Tensor, question_mask: Tensor) -> Tensor:
        """Frame vectors, in time order and spread evenly over the K places: fewer frames than places repeat.

        Args:
            grid: (B, F, G, C) in time order.
            frame_mask: bool (B, F), false for padding, which stands at the end.
            question: not looked at.
            question_mask: not looked at.

        Returns:
            (B, K, D).
        """
        places = torch.arange(self.config.num_query_tokens, device=grid.device)
        frames = places * frame_mask.sum(1, keepdim=True) // self.config.num_query_tokens
        pooled = grid.mean(dim=2)
        chosen = pooled.gather(1, frames.unsqueeze(-1).expand(-1, -1, pooled.shape[-1]))
        projected: Tensor = self.projection(self.norm(chosen))
        return projected
