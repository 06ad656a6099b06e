"""How the language stage is judged: nats a token, whole answers, and a few answers to look at."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional as F

from gifqa.model.vision_language_model import IGNORE_INDEX
from gifqa.training.data.samples import Sample
from gifqa.training.learner import LanguageLearner
from gifqa.training.parts import Pass

Figure = tuple[str, float, bool]
"""A sample's group, nats a token of its answer, and whether its every token is the likeliest in its place."""
MOST_SHOWN_TOKENS = 24


@torch.no_grad()
def token_figures(learner: LanguageLearner, samples: Sequence[Sample], part: Pass) -> list[Figure]:
    """The figures of some samples; `learner` is in evaluation mode.

    Args:
        learner: the model.
        samples: B of them.
        part: their tensors, without a mask.
    """
    logits, labels = learner.scores(part)
    nats = F.cross_entropy(logits.float(), labels, reduction="none")
    right = logits.argmax(-1) == labels
    owner = (part.sequences.labels[:, 1:] != IGNORE_INDEX).nonzero()[:, 0]
    return [
        (sample.group, nats[owner == row].mean().item(), bool(right[owner == row].all()))
        for row, sample in enumerate(samples)
    ]


def summary(figures: Sequence[Figure]) -> dict[str, float]:
    """Mean nats a token and share of whole answers by group, and "mean nats" over the groups."""
    groups: dict[str, list[tuple[float, bool]]] = defaultdict(list)
    for group, nats, exact in figures:
        groups[group].append((nats, exact))
    found: dict[str, float] = {}
    for name, rows in sorted(groups.items()):
        found[f"{name} nats"] = round(sum(nats for nats, _ in rows) / len(rows), 4)
        found[f"{name} exact"] = round(sum(exact for _, exact in rows) / len(rows), 4)
    means = [value for name, value in found.items() if name.endswith("nats")]
    return found | {"mean nats": round(sum(means) / len(means), 4)}


def pick_shown(samples: Sequence[Sample], count: int) -> list[Sample]:
    """The first `count` samples, one of each group in turn."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.group].append(sample)
    longest = max(map(len, groups.values()), default=0)
    turns = [group[turn] for turn in range(longest) for group in groups.values() if turn < len(group)]
    return turns[:count]


@torch.no_grad()
def greedy_answer(learner: LanguageLearner, tokenizer: Any, part: Pass, agree: Callable[[int], int]) -> str:
    """What the model says to one question: at each place the likeliest token.

    Args:
        learner: the model, in evaluation mode.
        tokenizer: of the language model.
        part: one sample's tensors, its sequence without an answer.
        agree: as of `LanguageLearner.write`.
    """
    return str(tokenizer.decode(learner.write(part, MOST_SHOWN_TOKENS, agree))).strip()
