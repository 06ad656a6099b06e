"""Do confidences mean what they say: calibration error and risk against coverage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.evaluation.answers import require_pairs

Values = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class ReliabilityBin:
    """One bar of a reliability diagram."""

    lower: float
    upper: float
    count: int
    mean_confidence: float
    accuracy: float


def reliability_bins(confidences: Values, correct: Values, num_bins: int = 10) -> list[ReliabilityBin]:
    """Confidence and accuracy in bins of equal width; empty bins are left out.

    Args:
        confidences: 0..1, (M,).
        correct: 0..1 (partial credit allowed), (M,).
        num_bins: bins between 0 and 1; a confidence on an edge falls into the upper bin, 1 into the last.

    Returns:
        The bins from low to high confidence.
    """
    sure, right = _checked(confidences, correct)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    places = np.minimum(np.searchsorted(edges, sure, side="right") - 1, num_bins - 1)
    return [
        ReliabilityBin(
            float(edges[place]),
            float(edges[place + 1]),
            int(inside.sum()),
            float(sure[inside].mean()),
            float(right[inside].mean()),
        )
        for place in range(num_bins)
        if (inside := places == place).any()
    ]


def expected_calibration_error(confidences: Values, correct: Values, num_bins: int = 10) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by their sizes, 0..1.

    Reference: Naeini et al., 2015; Guo et al., 2017, https://arxiv.org/abs/1706.04599 (equation 3)
    """
    bins = reliability_bins(confidences, correct, num_bins)
    total = sum(bin_.count for bin_ in bins)
    return sum(bin_.count * abs(bin_.mean_confidence - bin_.accuracy) for bin_ in bins) / total


def calibration_columns(confidences: Values, correct: Values, num_bins: int = 10) -> NDArray[np.float64]:
    """What each answer adds to the calibration error's sums: its share of surplus confidence by bin, and 1.

    Args:
        confidences: 0..1, (M,).
        correct: 0..1, (M,).
        num_bins: bins between 0 and 1, as in `reliability_bins`.

    Returns:
        Confidence minus correctness in the column of its bin, and the count in the last, (M, bins + 1).
    """
    sure, right = _checked(confidences, correct)
    edges = np.linspace(0.0, 1.0, num_bins + 1)
    places = np.minimum(np.searchsorted(edges, sure, side="right") - 1, num_bins - 1)
    columns = np.zeros((len(sure), num_bins + 1))
    columns[np.arange(len(sure)), places] = sure - right
    columns[:, -1] = 1.0
    return columns


def error_of_columns(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The calibration error from sums of `calibration_columns`, (R, bins + 1) to (R, 1)."""
    error: NDArray[np.float64] = np.abs(sums[:, :-1]).sum(1, keepdims=True) / sums[:, -1:]
    return error


def brier_score(confidences: Values, correct: Values) -> float:
    """Mean squared distance between confidence and correctness, 0..1 (Brier, 1950)."""
    sure, right = _checked(confidences, correct)
    return float(np.mean(np.square(sure - right)))


def risk_coverage(confidences: Values, correct: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of wrong answers when only the most confident ones are given.

    Questions of equal confidence are taken together, each at the mean risk of its tie, so the order of the
    input does not matter.
    Reference: Geifman and El-Yaniv, 2017, https://arxiv.org/abs/1705.08500

    Args:
        confidences: 0..1, (M,).
        correct: 0..1, (M,).

    Returns:
        Coverage 1/M..1 and risk 0..1, both (M,).
    """
    sure, right = _checked(confidences, correct)
    levels, places, counts = np.unique(-sure, return_inverse=True, return_counts=True)
    means = np.bincount(places, weights=1.0 - right, minlength=len(levels)) / counts
    errors = np.repeat(means, counts)
    given = np.arange(1, len(sure) + 1)
    return given / len(sure), np.cumsum(errors) / given


def area_under_risk_coverage(confidences: Values, correct: Values) -> float:
    """Mean risk over all coverages (AURC), 0..1, lower is better; without a ranking it is the error rate."""
    return float(risk_coverage(confidences, correct)[1].mean())


def risk_area_of_counts(
    confidences: Values, correct: Values
) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
    """AURC of samples that hold each answer any number of times: sorted once, not once a sample.

    The answers of one confidence, k of them with w wrong, after K others with W wrong, add the risks
    (W + j w/k) / (K + j), j = 1..k, which sum to w + (W - K w/k) (H(K+k) - H(K)) with the harmonic numbers H.

    Args:
        confidences: 0..1, (M,).
        correct: 0..1, (M,).

    Returns:
        A function from how often each answer is in each sample, (R, M), to the areas, (R,).
    """
    sure, right = _checked(confidences, correct)
    order = np.argsort(-sure, kind="stable")
    wrong = 1.0 - right[order]
    starts = np.flatnonzero(np.diff(sure[order], prepend=np.inf))

    def area(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        drawn = counts[:, order]
        total = drawn.sum(1)
        harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, total.max() + 1))])
        given = np.add.reduceat(drawn, starts, axis=1)
        missed = np.add.reduceat(drawn * wrong, starts, axis=1)
        after = np.cumsum(given, axis=1)
        before = after - given
        surplus = np.cumsum(missed, axis=1) - missed - before * missed / np.maximum(given, 1)
        areas: NDArray[np.float64] = (missed + surplus * (harmonic[after] - harmonic[before])).sum(1) / total
        return areas

    return area


def _checked(confidences: Values, correct: Values) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    require_pairs(confidences, correct)
    sure, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    for name, values in (("confidences", sure), ("correct", right)):
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError(
                f"{name} has {values.min()} to {values.max()}; 0 to 1 is allowed. Rescale it first."
            )
    return sure, right
