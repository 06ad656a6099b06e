"""Intervals and tests: against closed forms, brute force, and cases with one possible result."""

import math
import random

import numpy as np
import pytest

from gifqa.evaluation.calibration import (
    area_under_risk_coverage,
    brier_score,
    calibration_columns,
    error_of_columns,
    expected_calibration_error,
    reliability_bins,
    risk_area_of_counts,
    risk_coverage,
)
from gifqa.evaluation.metrics import confidence_scores
from gifqa.evaluation.statistics import (
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_statistic,
    bootstrap_totals,
    mcnemar,
    paired_bootstrap,
)


def test_bootstrap_interval_is_near_the_normal_one():
    values = np.random.default_rng(0).integers(0, 2, 2000).astype(float)
    interval = bootstrap_mean(values, num_resamples=4000)
    half_width = 1.96 * values.std() / math.sqrt(len(values))
    assert interval.value == values.mean()
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.1 * half_width)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.1 * half_width)


def test_questions_of_one_gif_are_resampled_together():
    """Ten equal answers about each of 40 GIFs carry the information of 40 answers, not of 400."""
    by_gif = np.random.default_rng(1).integers(0, 2, 40).astype(float)
    clustered = bootstrap_mean(np.repeat(by_gif, 10), np.repeat(np.arange(40), 10).tolist(), seed=3)
    alone = bootstrap_mean(by_gif, seed=3)
    assert clustered == alone


def test_bootstrap_is_the_same_for_the_same_seed_and_has_no_width_for_constant_values():
    values = [0.0, 1.0, 1.0, 0.0, 1.0]
    assert bootstrap_mean(values, seed=5) == bootstrap_mean(values, seed=5)
    constant = bootstrap_mean([0.25] * 9)
    assert (constant.low, constant.value, constant.high) == (0.25, 0.25, 0.25)
    assert constant.to_dict() == {"value": 0.25, "ci95": [0.25, 0.25]}


def test_bootstrap_of_a_statistic_agrees_with_the_bootstrap_of_the_mean():
    values = np.random.default_rng(2).random(300)
    general = bootstrap_statistic(lambda rows: float(values[rows].mean()), range(300), num_resamples=3000)
    direct = bootstrap_mean(values, num_resamples=3000)
    assert general.value == pytest.approx(direct.value)
    assert general.low == pytest.approx(direct.low, abs=0.003)
    assert general.high == pytest.approx(direct.high, abs=0.003)


def test_bootstrap_of_totals_agrees_with_the_bootstrap_of_the_statistic():
    """The calibration error by sums and by rows; GIFs of different numbers of questions."""
    rng = np.random.default_rng(6)
    sure, right = rng.random(300), rng.integers(0, 2, 300).astype(float)
    groups = rng.integers(0, 60, 300).tolist()
    columns = calibration_columns(sure, right)
    by_sums = bootstrap_totals(columns, error_of_columns, groups, num_resamples=2000)[0]
    by_rows = bootstrap_statistic(
        lambda rows: expected_calibration_error(sure[rows], right[rows]), groups, num_resamples=2000
    )
    assert by_sums.value == pytest.approx(by_rows.value, abs=1e-12)
    assert (by_sums.low, by_sums.high) == pytest.approx((by_rows.low, by_rows.high), abs=0.004)


def test_paired_bootstrap_sees_a_constant_gain_and_no_gain():
    first = np.random.default_rng(3).random(200)
    better = paired_bootstrap(first, first + 0.1)
    assert better.difference == pytest.approx(0.1)
    assert better.low == pytest.approx(0.1)
    assert better.p_value == pytest.approx(1 / 1000)
    same = paired_bootstrap(first, first)
    assert (same.difference, same.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 1), (10, 10), (3, 9), (400, 300)])
def test_mcnemar_equals_the_binomial_sum(gained, lost):
    trials = gained + lost
    tail = sum(math.comb(trials, k) for k in range(min(gained, lost) + 1))
    expected = min(1.0, 2 * tail / 2**trials)
    first = [0.0] * gained + [1.0] * lost + [1.0] * 7
    second = [1.0] * gained + [0.0] * lost + [1.0] * 7
    test = mcnemar(first, second)
    assert test.p_value == pytest.approx(expected, rel=1e-9)
    assert test.difference == pytest.approx((gained - lost) / (trials + 7))


def test_mcnemar_refuses_partial_credit():
    with pytest.raises(ValueError, match=r"takes 0 and 1. Use paired_bootstrap"):
        mcnemar([0.5], [1.0])


def test_calibration_error_equals_the_sum_over_bins():
    rng = np.random.default_rng(4)
    sure, right = rng.random(1000), rng.integers(0, 2, 1000).astype(float)
    expected = 0.0
    for step in range(10):
        inside = (sure >= step / 10) & (sure < (step + 1) / 10)
        expected += abs(sure[inside].sum() - right[inside].sum()) / 1000
    assert expected_calibration_error(sure, right) == pytest.approx(expected, abs=1e-12)
    assert brier_score(sure, right) == pytest.approx(
        sum((s - r) ** 2 for s, r in zip(sure, right, strict=True)) / 1000
    )


def test_a_calibrated_model_has_no_error_and_a_sure_wrong_one_has_all():
    assert expected_calibration_error([0.5, 0.5], [0, 1]) == 0.0
    assert expected_calibration_error([1.0, 1.0], [0, 0]) == 1.0
    assert [bin_.count for bin_ in reliability_bins([1.0, 0.0, 0.05], [1, 0, 0])] == [2, 1]


def test_risk_coverage_equals_the_mean_over_all_orders_of_the_ties():
    rng = random.Random(5)
    sure = [rng.choice([0.2, 0.5, 0.9]) for _ in range(12)]
    right = [float(rng.random() < s) for s in sure]
    areas = []
    for _ in range(20000):
        order = sorted(range(12), key=lambda row: (-sure[row], rng.random()))
        errors = np.cumsum([1 - right[row] for row in order]) / np.arange(1, 13)
        areas.append(errors.mean())
    assert area_under_risk_coverage(sure, right) == pytest.approx(np.mean(areas), abs=0.002)
    coverage, risk = risk_coverage(sure, right)
    assert coverage[-1] == 1.0
    assert risk[-1] == pytest.approx(1 - np.mean(right))


def test_the_area_of_counts_is_that_of_the_rows_drawn():
    """With ties, rows that are not drawn, and rows drawn several times."""
    rng = np.random.default_rng(8)
    sure, right = rng.integers(0, 6, 40) / 5, rng.integers(0, 2, 40).astype(float)
    counts = rng.integers(0, 4, (30, 40))
    areas = risk_area_of_counts(sure, right)(counts)
    drawn = [np.repeat(np.arange(40), row) for row in counts]
    assert areas == pytest.approx([area_under_risk_coverage(sure[rows], right[rows]) for rows in drawn])


def test_bootstrap_of_counts_agrees_with_the_bootstrap_of_the_statistic():
    rng = np.random.default_rng(9)
    sure, right = rng.random(300), rng.integers(0, 2, 300).astype(float)
    groups = rng.integers(0, 60, 300).tolist()
    by_counts = bootstrap_counts(risk_area_of_counts(sure, right), groups, num_resamples=2000)
    by_rows = bootstrap_statistic(
        lambda rows: area_under_risk_coverage(sure[rows], right[rows]), groups, num_resamples=2000
    )
    assert by_counts.value == pytest.approx(by_rows.value, abs=1e-12)
    assert (by_counts.low, by_counts.high) == pytest.approx((by_rows.low, by_rows.high), abs=0.01)


def test_a_good_ranking_beats_none_and_a_bad_one_is_worse():
    right = [1.0] * 5 + [0.0] * 5
    good = area_under_risk_coverage(np.linspace(1, 0, 10), right)
    bad = area_under_risk_coverage(np.linspace(0, 1, 10), right)
    assert good < area_under_risk_coverage([0.5] * 10, right) < bad
    assert area_under_risk_coverage([0.5] * 10, right) == pytest.approx(0.5)


def test_confidence_scores_have_intervals():
    scores = confidence_scores([0.9, 0.8, 0.3, 0.6] * 10, [1, 1, 0, 0] * 10)
    assert set(scores) == {"ece", "brier", "aurc"}
    assert all(0 <= s.low <= s.high <= 1 for s in scores.values())


def test_confidences_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"confidences has 0.5 to 70.0; 0 to 1 is allowed"):
        expected_calibration_error([0.5, 70.0], [1, 1])
