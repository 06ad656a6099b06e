"""What every form of the report shows: names, scores beside each other, the judge in a sentence."""

from collections.abc import Mapping
from typing import Any

from gifqa.evaluation.plots import format_score
from gifqa.evaluation.run import Evaluation
from gifqa.evaluation.statistics import Interval

_NOT_SHARES = frozenset({"mse", "mse_clipped", "expected_mse", "cider_d", "cider"})
_LOWER_IS_BETTER = frozenset({"mse", "mse_clipped", "expected_mse", "ece", "brier", "aurc"})
MOST_GROUPS = 24
"""Question types or first words shown."""


def title_of(evaluation: Evaluation) -> str:
    """Who answered: the model, or the baseline, or both."""
    config = evaluation.config
    return " with ".join(part for part in (config.baseline, config.model) if part)


def is_share(metric: str) -> bool:
    """Whether a metric is 0..1 and shown in per cent."""
    return metric not in _NOT_SHARES


def better(metric: str) -> str:
    """Which way a metric is good."""
    return "lower is better" if metric in _LOWER_IS_BETTER else "higher is better"


def score_rows(evaluation: Evaluation) -> list[tuple[str, Interval, bool, str]]:
    """The headline of the run and of what stands beside it: name, score, whether it is the own one, note."""
    own = evaluation.scores.metrics[evaluation.scores.headline]
    rows = [(title_of(evaluation), own, True, f"{evaluation.coverage.answered:,} questions")]
    return rows + [(other.name, other.score, False, other.note) for other in evaluation.beside]


def judge_line(judged: Mapping[str, Any]) -> str:
    """The judge's figures in a sentence, with what makes them doubtful."""
    accuracy, score = (
        Interval(judged[name]["value"], *judged[name]["ci95"]) for name in ("accuracy", "score")
    )
    return (
        f"Judge {', '.join(judged['models'])}: {format_score(accuracy, as_percent=True)} right, score "
        f"{format_score(score, as_percent=False)} of 5; verdicts agree with each other in "
        f"{judged['agreement']:.0%}, {judged['unusable']} unusable, {judged['tokens']:,} tokens"
        f"{', cost ' + format(judged['cost'], '.2f') if 'cost' in judged else ''}."
    )
