"""The last stage of the lite recipe: how the bundle weighs its two opinions, and how sure it may be.

Fitted on validation questions, answered by the exported bundle itself, so that quantisation is part of what is
calibrated. For each kind of question: the weights by a grid search for accuracy, ties and near-ties by likelihood;
then the confidence by logistic regression on the winner's share (Platt, 1999).
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gifqa.answering.bundle import Calibration
from gifqa.answering.lite import LiteAnswerer, Opinions
from gifqa.prompt import normalise_answer
from gifqa.training.batches import fixed_rows
from gifqa.training.samples import Sample
from gifqa.training.store import FeatureStore

WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
NEAR_TIE = 0.004
"""Accuracies closer than this count as equal."""
PLATT_STEPS = 500


@dataclass(frozen=True)
class Judged:
    """The opinions on one validation question, and which candidate is right."""

    opinions: Opinions
    right: int | None
    """None where no candidate is: then every winner is wrong."""


def judge(answerer: LiteAnswerer, store: FeatureStore, samples: Iterable[Sample], num_frames: int) -> Iterator[Judged]:
    """Let the bundle weigh the candidates for each sample, from cached grids.

    Args:
        answerer: of the bundle to calibrate.
        store: grids by the same vision tower.
        samples: validation questions.
        num_frames: keyframes of a clip.
    """
    for sample in samples:
        grid = store.grid(fixed_rows(store, sample.picture, num_frames)).numpy()
        opinions = answerer.weigh(grid, sample.question, sample.options or None)
        compared = [normalise_answer(candidate) for candidate in opinions.candidates]
        yield Judged(opinions, compared.index(sample.answer) if sample.answer in compared else None)


def fit_calibration(judged: Sequence[Judged]) -> Calibration:
    """The calibration of one kind of question.

    Args:
        judged: at least one question, all of the kind.

    Returns:
        Weights, slope and offset.

    Raises:
        ValueError: if `judged` is empty.
    """
    if not judged:
        raise ValueError("a calibration needs at least one judged question; none was given")
    tried = [
        (accuracy(judged, weights), likelihood(judged, weights), weights)
        for head in WEIGHTS
        for language in WEIGHTS
        if head or language
        for weights in [Calibration(head_weight=head, language_weight=language, slope=1.0, offset=0.0)]
    ]
    best = max(entry[0] for entry in tried)
    weights = max((entry for entry in tried if entry[0] > best - NEAR_TIE), key=lambda entry: entry[1])[2]
    slope, offset = fit_platt(*winners(judged, weights))
    return weights.model_copy(update={"slope": slope, "offset": offset})


def winners(judged: Iterable[Judged], calibration: Calibration) -> tuple[list[float], list[bool]]:
    """The share of each winner, clipped into (0, 1), and whether it is right."""
    shares, right = [], []
    for one in judged:
        all_shares = one.opinions.shares(calibration)
        winner = int(all_shares.argmax())
        shares.append(float(np.clip(all_shares[winner], 1e-6, 1 - 1e-6)))
        right.append(winner == one.right)
    return shares, right


def accuracy(judged: Sequence[Judged], calibration: Calibration) -> float:
    """The share of questions whose winner is right."""
    return sum(winners(judged, calibration)[1]) / len(judged)


def likelihood(judged: Sequence[Judged], calibration: Calibration) -> float:
    """Mean log-share of the right candidate, over the questions that have one."""
    logs = [
        math.log(max(float(one.opinions.shares(calibration)[one.right]), 1e-6))
        for one in judged
        if one.right is not None
    ]
    return sum(logs) / max(1, len(logs))


def fit_platt(shares: Sequence[float], right: Sequence[bool]) -> tuple[float, float]:
    """Slope and offset that turn the logit of a winner's share into that of being right.

    Newton's method on the logistic loss with Platt's smoothed targets and a weak pull towards slope 1.
    """
    logits = np.array([math.log(share / (1 - share)) for share in shares])
    positives = sum(right)
    high, low = (positives + 1) / (positives + 2), 1 / (len(right) - positives + 2)
    target = np.where(np.array(right), high, low)
    inputs = np.stack([logits, np.ones_like(logits)], axis=1)
    weights, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    pull = np.diag([1.0, 0.01])
    for _ in range(PLATT_STEPS):
        predicted = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (predicted - target) + pull @ (weights - prior)
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + pull
        step = np.linalg.solve(curvature, gradient)
        weights = weights - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])
