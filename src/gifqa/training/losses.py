"""Masked video modelling: the second loss of the language stage, a switch of the recipe.

The language model reads a sequence twice: once with some visual tokens dropped (the student, on which the
language-model loss is taken), once with all of them (the teacher). This loss pulls the student's reading of
the tokens it kept towards the teacher's.

Reference: ST-LLM (Liu et al., 2024), https://arxiv.org/abs/2404.00308
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Distance = Literal["cosine", "rmse", "mse"]
ROUNDING = 1e-3
"""A root mean square of this size is rounding: below it the root's slope, infinite at zero, levels off.

Rows whose dropped tokens all stand behind the kept ones have no other distance: the model is causal.
"""


class MVMDecoder(nn.Module):
    """What ST-LLM's code (`mvm_decoder`) puts after the student's states: a linear layer, then a norm.

    Only training has use for it: no checkpoint of the model holds it. The teacher's states do not pass it.

    Args:
        hidden_size: E, of the language model.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(hidden_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., E) -> (..., E)."""
        decoded: Tensor = self.norm(self.linear(hidden))
        return decoded


def mvm_loss(masked: Tensor, unmasked: Tensor, kept: Tensor, distance: Distance = "cosine") -> Tensor:
    """Distance between the two readings of the visual tokens that the mask kept.

        cosine   mean over rows and kept tokens of 2 - 2 cos(masked, unmasked), as ST-LLM's code has it
        rmse     mean over rows of the root of mse within the row, sqrt(mse + r^2) - r with r = `ROUNDING`:
                 the distance of the original's readme
        mse      mean over rows, kept tokens and dimensions of (masked - unmasked)^2

    The original's notebook sums squares over the tokens it zeroed, divides by the number of the others, and
    lets the gradient through both readings. Here only the first reading gets one. A root a row, not one a
    batch, makes the loss of a batch the mean of its parts' losses, however it is split.

    Args:
        masked: last hidden states of the masked pass at the visual places, (B, K, E), K tokens kept.
        unmasked: last hidden states of the full pass at the visual places, (B, N, E).
        kept: which of the N tokens the masked pass saw, bool (B, N), K true a row.
        distance: which of the three.

    Returns:
        The loss, a scalar >= 0.

    Raises:
        ValueError: if a row of `kept` has not exactly K true entries.
    """
    counts = kept.sum(1)
    if not bool((counts == masked.shape[1]).all()):
        raise ValueError(
            f"every row of kept must have {masked.shape[1]} true entries; they have {counts.tolist()}"
        )
    target = unmasked.detach()[kept].view_as(masked)
    if distance == "cosine":
        return (2 - 2 * F.cosine_similarity(masked, target, dim=-1)).mean()
    squares = (masked - target).square().flatten(1).mean(1)
    return ((squares + ROUNDING**2).sqrt() - ROUNDING if distance == "rmse" else squares).mean()


def summed_cross_entropy(
    logits: Tensor, labels: Tensor, ignore_index: int = -100, *, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy summed, not averaged: parts of a batch may then be divided by the count of the whole.

    Args:
        logits: (M, V), any floating dtype; computed in float32.
        labels: (M,).
        ignore_index: rows with this label count nothing.
        weights: of the rows, (M,); None: all count alike.
    """
    losses = F.cross_entropy(logits.float(), labels, ignore_index=ignore_index, reduction="none")
    return (losses if weights is None else losses * weights).sum()
