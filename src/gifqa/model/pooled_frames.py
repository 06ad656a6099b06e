"""What stands in for the Q-Former in the baseline of the original's design: one vector a frame, its mean.

The question is not looked at and no cell is: a frame's vector is all that the language model gets of it.
"""

from torch import Tensor, nn

from gifqa.model.connectors import ReadsQuestion, spread_frames, take_frames
from gifqa.model.qformer import QFormerConfig


class PooledFrames(nn.Module):
    """Frames as K vectors; see `gifqa.model.connectors.Connector`.

    Args:
        config: of the Q-Former it replaces; K is `num_query_tokens`.
    """

    reads_question: ReadsQuestion = "nothing"
    tokens_per_frame = 1

    def __init__(self, config: QFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.grid_channels)
        self.projection = nn.Linear(config.grid_channels, config.hidden_size)

    @property
    def num_visual_tokens(self) -> int:
        """K."""
        return self.config.num_query_tokens

    @property
    def hidden_size(self) -> int:
        """D."""
        return self.config.hidden_size

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
        chosen = take_frames(grid.mean(dim=2), spread_frames(frame_mask, self.num_visual_tokens))
        projected: Tensor = self.projection(self.norm(chosen))
        return projected
