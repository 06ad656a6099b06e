"""The global-local residual input of ST-LLM: few frames in detail, all frames in their mean.

    visual tokens (B, T * Q, E) of T frames -> (B, R * Q, E): the tokens of R frames, each plus what an
    adapter makes of the mean of all T

    out_i = V[frame_i] + W_up relu(W_down mean_t V[t])

W_up and both biases begin at zero, so training begins from the R frames alone.
Reference: ST-LLM (Liu et al., 2024), https://arxiv.org/abs/2404.00308; 64 frames of which 16 are local.
"""

import torch
from torch import Tensor, nn

from gifqa.errors import ConfigError

BOTTLENECK = 4
"""The adapter's inner width is E divided by this, as 1024 of 4096 in ST-LLM."""


class GlobalLocal(nn.Module):
    """Tokens of all frames in, tokens of some frames out.

    Args:
        size: E, the width of a visual token.
        num_frames: T.
        tokens_per_frame: Q.
        num_local: R.

    Raises:
        ConfigError: if R is not within 1 and T.
    """

    def __init__(self, size: int, num_frames: int, tokens_per_frame: int, num_local: int) -> None:
        super().__init__()
        if not 1 <= num_local <= num_frames:
            raise ConfigError(
                f"language.global_local is {num_local}, but a clip has {num_frames} frames; the local part "
                f"is 1 to {num_frames} of them. Lower it, or show more frames."
            )
        self.num_frames, self.tokens_per_frame, self.num_local = num_frames, tokens_per_frame, num_local
        self.down = nn.Linear(size, max(1, size // BOTTLENECK))
        self.up = nn.Linear(max(1, size // BOTTLENECK), size)
        for values in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(values)

    @property
    def num_visual_tokens(self) -> int:
        """R * Q."""
        return self.num_local * self.tokens_per_frame

    def forward(self, visual_tokens: Tensor) -> Tensor:
        """(B, T * Q, E) in time order -> (B, R * Q, E)."""
        batch, _, size = visual_tokens.shape
        frames = visual_tokens.reshape(batch, self.num_frames, self.tokens_per_frame, size)
        residual = self.up(torch.relu(self.down(frames.mean(dim=1, keepdim=True))))
        chosen = frames[:, local_frames(self.num_frames, self.num_local)]
        local: Tensor = (chosen + residual).flatten(1, 2)
        return local


def local_frames(num_frames: int, num_local: int) -> list[int]:
    """The middles of `num_local` equal segments of the frames, as ST-LLM's code chooses them."""
    segment = num_frames / num_local
    return [min(int(segment / 2) + round(segment * index), num_frames - 1) for index in range(num_local)]
