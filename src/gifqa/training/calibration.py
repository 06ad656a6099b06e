"""The last stage of the lite recipe: how the bundle weighs its three opinions, and how sure it may be.

Fitted on validation questions, answered by the exported bundle itself, so that quantisation is part of what
is calibrated. For each kind of question: the weights by a grid search for accuracy, ties and near-ties by
likelihood (of yes/no questions by logistic regression); then the confidence by logistic regression on the
winner's share.

Reference: Probabilistic outputs for support vector machines (Platt, 1999).
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from gifqa.answering.bundle import SURE, Calibration
from gifqa.answering.decoder import log_softmax
from gifqa.answering.lite import LiteAnswerer, Opinions
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.prompt import YES_NO_KINDS, normalise_answer
from gifqa.training.data.batches import fixed_rows
from gifqa.training.data.samples import Sample
from gifqa.training.data.store import FeatureStore

WEIGHTS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)
FIT_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.8, 1.2)
NEAR_TIE = 0.004
"""Accuracies closer than this count as equal."""
NEWTON_STEPS = 500

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """The opinions on one validation question, and which candidate is right."""

    opinions: Opinions
    right: int | None
    """None where no candidate is: then every winner is wrong."""


def judge(
    answerer: LiteAnswerer,
    heads: DualEncoderHeads,
    store: FeatureStore,
    samples: Iterable[Sample],
    num_frames: int,
) -> Iterator[Judged]:
    """Let the bundle weigh the candidates for each sample, from cached features.

    Args:
        answerer: of the bundle to calibrate.
        heads: of its dual encoder.
        store: features by its vision tower.
        samples: validation questions.
        num_frames: keyframes of a clip.
    """
    for sample in samples:
        rows = fixed_rows(store, sample.picture, num_frames)
        grid = store.grid(rows)
        with torch.no_grad():
            embeddings = heads.encode_frames(grid.float(), store.pooled(rows)).numpy()
        opinions = answerer.weigh(grid.numpy(), embeddings, sample.question, sample.options or None)
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
    weights = fit_yes_no(judged) if judged[0].opinions.kind in YES_NO_KINDS else search_weights(judged)
    slope, offset = fit_platt(*winners(judged, weights))
    return weights.model_copy(update={"slope": slope, "offset": offset})


def fit_yes_no(judged: Sequence[Judged]) -> Calibration:
    """Weights of the three opinions on "yes" against "no", by logistic regression pulled towards 0."""
    inputs = np.array([[*_yes_minus_no(one.opinions), 1.0] for one in judged])
    target = np.array([one.right == one.opinions.candidates.index("yes") for one in judged], np.float64)
    head, language, fit, offset = newton(inputs, target, np.zeros(4), np.diag([1.0, 1.0, 1.0, 0.01]))
    return _weights(head, language, fit).model_copy(update={"yes_offset": offset})


def _yes_minus_no(opinions: Opinions) -> tuple[float, float, float]:
    yes, no = opinions.candidates.index("yes"), opinions.candidates.index("no")
    head, language, fit = (
        float(part[yes] - part[no]) for part in (opinions.head, opinions.language, opinions.fit)
    )
    return head, language, fit


def search_weights(judged: Sequence[Judged]) -> Calibration:
    """Of a grid of weights the most accurate; among near-ties the likeliest."""
    stacked = _stack(judged)
    grid = [weights for weights in itertools.product(WEIGHTS, WEIGHTS, FIT_WEIGHTS) if any(weights)]
    tried = [(*_measure(*stacked, weights), weights) for weights in grid]
    best = max(share for share, _, _ in tried)
    near = [(likelihood, weights) for share, likelihood, weights in tried if share > best - NEAR_TIE]
    return _weights(*max(near)[1])


def _stack(judged: Sequence[Judged]) -> tuple[Numbers, NDArray[np.int64]]:
    """The opinions on N questions, (3, N, C), and which candidate is right, (N,), -1 for none.

    Where a question has fewer than C candidates, its opinions are filled up with -inf.
    """
    most = max(len(one.opinions.candidates) for one in judged)
    opinions = np.full((3, len(judged), most), -np.inf)
    for row, one in enumerate(judged):
        given = (one.opinions.head, one.opinions.language, one.opinions.fit)
        opinions[:, row, : len(one.opinions.candidates)] = given
    return opinions, np.array([-1 if one.right is None else one.right for one in judged])


def _measure(opinions: Numbers, right: NDArray[np.int64], weights: tuple[float, ...]) -> tuple[float, float]:
    """Accuracy over all questions, and the mean log-share of the right candidate where there is one."""
    scores = sum(weight * part for weight, part in zip(weights, opinions, strict=True) if weight)
    log_shares = log_softmax(np.asarray(scores))
    answered = np.flatnonzero(right >= 0)
    likelihoods = np.maximum(log_shares[answered, right[answered]], math.log(SURE))
    share_right = float((log_shares.argmax(axis=1) == right).mean())
    return share_right, float(likelihoods.mean()) if len(answered) else 0.0


def _weights(head: float, language: float, fit: float) -> Calibration:
    return Calibration(head_weight=head, language_weight=language, fit_weight=fit, slope=1.0, offset=0.0)


def winners(judged: Iterable[Judged], calibration: Calibration) -> tuple[list[float], list[bool]]:
    """The share of each winner, clipped into (0, 1), and whether it is right."""
    shares, right = [], []
    for one in judged:
        all_shares = one.opinions.shares(calibration)
        winner = int(all_shares.argmax())
        shares.append(float(np.clip(all_shares[winner], SURE, 1 - SURE)))
        right.append(winner == one.right)
    return shares, right


def accuracy(judged: Sequence[Judged], calibration: Calibration) -> float:
    """The share of questions whose winner is right."""
    return sum(winners(judged, calibration)[1]) / len(judged)


def fit_platt(shares: Sequence[float], right: Sequence[bool]) -> tuple[float, float]:
    """Slope and offset that turn the logit of a winner's share into that of being right.

    With Platt's smoothed targets and a weak pull towards slope 1.
    """
    logits = np.array([math.log(share / (1 - share)) for share in shares])
    positives = sum(right)
    high, low = (positives + 1) / (positives + 2), 1 / (len(right) - positives + 2)
    inputs = np.stack([logits, np.ones_like(logits)], axis=1)
    slope, offset = newton(
        inputs, np.where(np.array(right), high, low), np.array([1.0, 0.0]), np.diag([1.0, 0.01])
    )
    return slope, offset


def newton(inputs: Numbers, target: Numbers, prior: Numbers, pull: Numbers) -> list[float]:
    """Logistic regression by Newton's method.

    Args:
        inputs: (N, P), a column of ones for the offset.
        target: (N,), in [0, 1].
        prior: (P,), where the weights are drawn to.
        pull: (P, P), how strongly.

    Returns:
        The P weights.
    """
    weights = prior.astype(np.float64)
    for _ in range(NEWTON_STEPS):
        predicted = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (predicted - target) + pull @ (weights - prior)
        curvature = (inputs * (predicted * (1 - predicted))[:, None]).T @ inputs + pull
        step = np.linalg.solve(curvature, gradient)
        weights = weights - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return [float(weight) for weight in weights]
