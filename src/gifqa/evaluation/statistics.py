"""Uncertainty of scores: bootstrap intervals clustered by GIF, and tests between two runs.

Questions about one GIF stand or fall together (TGIF-QA asks 13,691 frame questions about 7,132 GIFs), so
whole GIFs are resampled. Reference: Efron and Tibshirani, 1993; for clusters, Field and Welsh, 2007,
https://doi.org/10.1111/j.1467-9868.2007.00593.x
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.evaluation.answers import require_pairs

NUM_RESAMPLES = 1000
_CHUNK = 64
Values = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A score with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, object]:
        """The score as it stands in `results.json`."""
        return {"value": self.value, "ci95": [self.low, self.high]}


@dataclass(frozen=True)
class PairedTest:
    """How far apart two runs are on the same questions."""

    difference: float
    """Mean of the second run minus mean of the first."""
    low: float
    high: float
    p_value: float
    """Two-sided."""


def bootstrap_mean(
    values: Values,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Interval:
    """Mean with its 95 % percentile interval.

    Args:
        values: one score for each question, (M,).
        groups: the GIF of each question; None takes each question for itself.
        seed: of the resampling.
        num_resamples: bootstrap samples.

    Returns:
        The mean and the 2.5th and 97.5th percentile of the resampled means.
    """
    scores = np.asarray(values, np.float64)
    means = _resampled_means(scores, groups, seed, num_resamples)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(scores.mean()), float(low), float(high))


def bootstrap_statistic(
    statistic: Callable[[NDArray[np.int64]], float],
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Interval:
    """A statistic that is no mean (BLEU, calibration error) with its 95 % percentile interval.

    Args:
        statistic: gives the value for row numbers, which may repeat.
        groups: the GIF of each row.
        seed: of the resampling.
        num_resamples: bootstrap samples.

    Returns:
        The value over all rows and the percentiles of the resampled ones.
    """
    require_pairs(groups, groups)
    members = _members(groups)
    rows, sizes = np.concatenate(members), np.array([len(found) for found in members])
    starts = np.cumsum(sizes) - sizes
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(num_resamples):
        picks = rng.integers(0, len(members), len(members))
        lengths = sizes[picks]
        shifts = np.repeat(starts[picks] - (np.cumsum(lengths) - lengths), lengths)
        values.append(statistic(rows[shifts + np.arange(len(shifts))]))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(float(statistic(np.arange(len(groups)))), float(low), float(high))


def bootstrap_counts(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    groups: Sequence[Hashable],
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> Interval:
    """A statistic of how often each row was drawn, with its 95 % percentile interval; many samples at once.

    Args:
        statistic: gives the values (R,) for R samples that hold each row so many times, (R, M).
        groups: the GIF of each row, (M,).
        seed: of the resampling.
        num_resamples: bootstrap samples.

    Returns:
        The value over all rows, each once, and the percentiles of the resampled ones.
    """
    members = _members(groups)
    group_of_row = np.zeros(len(groups), np.int64)
    for group, rows in enumerate(members):
        group_of_row[rows] = group
    rng = np.random.default_rng(seed)
    values = []
    for start in range(0, num_resamples, _CHUNK):
        picks = rng.integers(0, len(members), (min(_CHUNK, num_resamples - start), len(members)))
        places = picks + len(members) * np.arange(len(picks))[:, None]
        drawn = np.bincount(places.ravel(), minlength=picks.size).reshape(picks.shape)
        values.append(statistic(drawn[:, group_of_row]))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5])
    whole = statistic(np.ones((1, len(groups)), np.int64))[0]
    return Interval(float(whole), float(low), float(high))


def bootstrap_totals(
    columns: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> list[Interval]:
    """Statistics of column sums (corpus BLEU, calibration error) with their 95 % percentile intervals.

    Args:
        columns: what each row adds to the sums, (M, B).
        statistic: sums (R, B) to S values each, (R, S).
        groups: the GIF of each row; None takes each row for itself.
        seed: of the resampling.
        num_resamples: bootstrap samples.

    Returns:
        One interval for each of the S values.
    """
    members = _members(range(len(columns)) if groups is None else groups)
    require_pairs(columns, columns if groups is None else groups)
    sums = np.stack([columns[rows].sum(0) for rows in members])
    rng = np.random.default_rng(seed)
    drawn = [sums[rng.integers(0, len(sums), len(sums))].sum(0) for _ in range(num_resamples)]
    whole, values = statistic(columns.sum(0)[None])[0], statistic(np.stack(drawn))
    lows, highs = np.percentile(values, [2.5, 97.5], axis=0)
    return [
        Interval(float(v), float(low), float(high)) for v, low, high in zip(whole, lows, highs, strict=True)
    ]


def paired_bootstrap(
    first: Values,
    second: Values,
    groups: Sequence[Hashable] | None = None,
    *,
    seed: int = 0,
    num_resamples: int = NUM_RESAMPLES,
) -> PairedTest:
    """Difference of the means of two runs on the same questions, with interval and p-value.

    The p-value is twice the share of resamples on the far side of 0, at least 1 / `num_resamples`.
    Reference: Koehn, 2004, https://aclanthology.org/W04-3250

    Args:
        first: scores of the first run, (M,).
        second: scores of the second run, in the same order.
        groups: the GIF of each question.
        seed: of the resampling.
        num_resamples: bootstrap samples.

    Returns:
        The test; `difference` > 0 says that the second run is better.
    """
    require_pairs(first, second)
    changes = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    means = _resampled_means(changes, groups, seed, num_resamples)
    low, high = np.percentile(means, [2.5, 97.5])
    tail = min(float(np.mean(means <= 0)), float(np.mean(means >= 0)))
    p_value = min(1.0, max(2 * tail, 1 / num_resamples))
    return PairedTest(float(changes.mean()), float(low), float(high), p_value)


def mcnemar(first: Values, second: Values) -> PairedTest:
    """Exact McNemar test of two runs' right and wrong answers.

    Only questions that one run got right and the other wrong count; under the null hypothesis each falls
    either way with probability 1/2. The interval is Wald's for a difference of paired shares. GIFs with
    several questions make it too sure of itself: report `paired_bootstrap` beside it.
    Reference: McNemar, 1947, https://doi.org/10.1007/BF02295996

    Args:
        first: 0 or 1 for each question, (M,).
        second: the same of the second run.

    Returns:
        The test; `difference` is the second run's accuracy minus the first's.
    """
    require_pairs(first, second)
    before, after = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if not (np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all()):
        raise ValueError("McNemar's test was given partial credits; it takes 0 and 1. Use paired_bootstrap.")
    total = len(before)
    gained, lost = int(np.sum(after > before)), int(np.sum(after < before))
    difference = (gained - lost) / total
    spread = 1.96 * math.sqrt(max(0.0, gained + lost - (gained - lost) ** 2 / total)) / total
    return PairedTest(difference, difference - spread, difference + spread, _binomial_p_value(gained, lost))


def _binomial_p_value(gained: int, lost: int) -> float:
    """Two-sided exact p-value of a fair coin, summed in logarithms so that large counts do not overflow."""
    trials = gained + lost
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) - trials * math.log(2)
        for k in range(min(gained, lost) + 1)
    ]
    return min(1.0, 2 * math.fsum(math.exp(value) for value in logs))


def _members(groups: Sequence[Hashable]) -> list[NDArray[np.int64]]:
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return [np.array(found) for found in rows.values()]


def _resampled_means(
    values: NDArray[np.float64], groups: Sequence[Hashable] | None, seed: int, num_resamples: int
) -> NDArray[np.float64]:
    """Means over resampled groups, in chunks so that memory stays small."""
    members = _members(range(len(values)) if groups is None else groups)
    require_pairs(values, values if groups is None else groups)
    sums = np.array([values[rows].sum() for rows in members])
    sizes = np.array([len(rows) for rows in members])
    rng = np.random.default_rng(seed)
    means = []
    for start in range(0, num_resamples, _CHUNK):
        picks = rng.integers(0, len(sums), (min(_CHUNK, num_resamples - start), len(sums)))
        means.append(sums[picks].sum(1) / sizes[picks].sum(1))
    return np.concatenate(means)
