"""The masked pass of masked video modelling: whole visual tokens are dropped, the sequences close up.

Reference: ST-LLM (Liu et al., 2024), https://arxiv.org/abs/2404.00308. As there: one mask rate a batch, from
a normal distribution, clipped; exactly floor(rate * L) of the L visual tokens of each row are dropped, at
random, whichever frame they are of; text is never masked; the language-model loss is taken on the masked
sequences alone; the same weights read the full sequences as teacher, without gradient. Departures:

- the clip of the rate is a setting: the paper's 0.3-0.7 by default, where the published code has 0.1-0.7;
- a first visual token that stands a second time before the answer is never dropped;
- the teacher reads up to the last visual token and no further: the language model is causal, so what follows
  changes nothing at the visual places (ST-LLM reads and throws away the text's states);
- the teacher has no dropout, and neither has the student's language model, whose own weights are frozen;
- the visual tokens' places come with the batch; ST-LLM's code has 0 or 8 written into it.

From the original's notebook all of it differs: there single numbers were zeroed, each by its own coin, both
passes got the same tensor, and dropout was all that told them apart.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from gifqa.model.vision_language_model import LanguageBatch, VisionLanguageModel
from gifqa.training.recipe import MaskedVideoModelling


def draw_kept(
    num_tokens: int, rows: int, settings: MaskedVideoModelling, chance: random.Random, *, always_kept: int = 0
) -> Tensor:
    """Which visual tokens the masked pass sees, bool (rows, num_tokens).

    Args:
        num_tokens: L; floor(rate * L) of them are dropped in each row, but one at least stays.
        rows: of the whole batch, however it is split afterwards: they share the rate.
        settings: mean, spread and range of the rate.
        chance: draws the rate and the tokens.
        always_kept: so many first tokens are never dropped.
    """
    low, high = settings.rate_range
    rate = min(max(chance.gauss(settings.rate_mean, settings.rate_spread), low), high)
    droppable = range(always_kept, num_tokens)
    count = min(int(rate * num_tokens), num_tokens - max(always_kept, 1))
    kept = torch.ones(rows, num_tokens, dtype=torch.bool)
    for row in kept:
        row[chance.sample(droppable, count)] = False
    return kept


@dataclass(frozen=True)
class ReadSequences:
    """What a pass of the language model reads: S' = S - dropped places a row."""

    inputs_embeds: Tensor
    """(B, S', E)."""
    attention_mask: Tensor
    """int64 (B, S')."""
    labels: Tensor
    """(B, S')."""
    visual_mask: Tensor
    """bool (B, S'): where the kept visual tokens stand."""
    segments: Tensor | None
    """int64 (B, S'); see `LanguageBatch`."""

    @classmethod
    def of(cls, embeds: Tensor, batch: LanguageBatch) -> Self:
        """The whole sequences, nothing dropped."""
        return cls(embeds, batch.attention_mask, batch.labels, batch.visual_mask, batch.segments)


def drop_tokens(embeds: Tensor, batch: LanguageBatch, kept: Tensor) -> ReadSequences:
    """The sequences of a batch without the visual tokens that are not kept.

    Args:
        embeds: (B, S, E), with the visual tokens in their places.
        batch: says where those are.
        kept: bool (B, L), the same number true in each row.

    Raises:
        ValueError: if the rows of `kept` keep different numbers, or L is not the batch's number of tokens.
    """
    counts = kept.sum(1)
    if not bool((counts == counts[0]).all()) or not bool((batch.visual_mask.sum(1) == kept.shape[1]).all()):
        raise ValueError(
            f"kept must have {batch.visual_mask.sum(1).tolist()} columns and keep equally many in each row; "
            f"it has {kept.shape[1]} and keeps {counts.tolist()}"
        )
    stay = torch.ones_like(batch.visual_mask)
    stay[batch.visual_mask] = kept.flatten()
    shape = (len(embeds), int(stay[0].sum()))
    return ReadSequences(
        embeds[stay].view(*shape, -1),
        batch.attention_mask[stay].view(shape),
        batch.labels[stay].view(shape),
        batch.visual_mask[stay].view(shape),
        None if batch.segments is None else batch.segments[stay].view(shape),
    )


@torch.no_grad()
def teacher_states(model: VisionLanguageModel, embeds: Tensor, batch: LanguageBatch) -> Tensor:
    """Last hidden states (B, L, E) of the full sequences at the visual places: no gradient, no dropout.

    Args:
        model: the same weights as the student's.
        embeds: (B, S, E), with all visual tokens in their places.
        batch: says where those are.
    """
    end = int(batch.visual_mask.any(0).nonzero().max()) + 1
    with evaluating(model.language_model):
        hidden = model.last_hidden(embeds[:, :end].detach(), batch.attention_mask[:, :end])
    return hidden[batch.visual_mask[:, :end]].view(len(embeds), -1, hidden.shape[-1])


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode for a while; every part of it then gets the mode back that it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
