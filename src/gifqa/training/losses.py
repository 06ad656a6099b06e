"""Masked video modelling: the second loss of training, a switch of the language stage.

Reference: ST-LLM (Liu et al., 2024), https://arxiv.org/abs/2404.00308
"""

import random

import torch
from torch import Tensor
from torch.nn import functional as F

MASK_RATE_MEAN, MASK_RATE_SPREAD = 0.5, 0.1
MASK_RATE_RANGE = (0.3, 0.7)
"""The paper's range; its published code clips to (0.1, 0.7)."""


def draw_kept(num_tokens: int, batch: int, chance: random.Random) -> Tensor:
    """Which visual tokens the masked pass sees, bool (batch, num_tokens).

    One rate a batch, drawn from a normal distribution and clipped; exactly floor(rate * N) whole tokens of
    each row are dropped, at random. The original's notebook zeroed single numbers, each by its own coin.

    Args:
        num_tokens: N.
        batch: rows.
        chance: draws the rate and the tokens.
    """
    rate = min(max(chance.gauss(MASK_RATE_MEAN, MASK_RATE_SPREAD), MASK_RATE_RANGE[0]), MASK_RATE_RANGE[1])
    kept = torch.ones(batch, num_tokens, dtype=torch.bool)
    for row in kept:
        row[chance.sample(range(num_tokens), int(rate * num_tokens))] = False
    return kept


def mvm_loss(masked: Tensor, unmasked: Tensor, kept: Tensor) -> Tensor:
    """Distance between the two readings of the visual tokens that the mask kept: 2 - 2 cos, averaged.

    The language model reads the visual tokens twice, once with some dropped; this pulls the first reading
    towards the second, which gets no gradient. This is the form of ST-LLM's code, without the linear layer
    and norm that it puts after the first reading.

    Args:
        masked: last hidden states of the masked pass at the visual places, (B, K, D), K tokens kept.
        unmasked: last hidden states of the full pass at the visual places, (B, N, D).
        kept: which of the N tokens the masked pass saw, bool (B, N), K true a row.

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
    return (2 - 2 * F.cosine_similarity(masked, target, dim=-1)).mean()
