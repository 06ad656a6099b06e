"""Predictions to scores: each benchmark's metrics with intervals, by question type and by first word."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.evaluation import metrics
from gifqa.evaluation.answers import choose_option, exact_match, squared_errors
from gifqa.evaluation.benchmarks import Benchmark
from gifqa.evaluation.calibration import ReliabilityBin, reliability_bins, risk_coverage
from gifqa.evaluation.metrics import Resampling, Scores, mean_scores
from gifqa.evaluation.predictions import Prediction
from gifqa.evaluation.questions import first_word
from gifqa.evaluation.statistics import Interval
from gifqa.evaluation.text import normalise_exact
from gifqa.evaluation.wordnet import WordNet

Values = NDArray[np.float64]
HEADLINES = {
    "open": "accuracy",
    "choice": "accuracy",
    "count": "mse",
    "caption": "cider_d",
    "retrieval": "segment_recall",
}
"""The metric that stands first, by task."""
_CONFUSED_ANSWERS = 12
_CURVE_POINTS = 100


@dataclass(frozen=True)
class Group:
    """The headline score of one question type, or of the questions that begin with one word."""

    name: str
    count: int
    score: Interval


@dataclass(frozen=True)
class ScoreCard:
    """Everything that is counted in a run."""

    headline: str
    """Name of the metric that stands first."""
    metrics: Scores
    by_kind: tuple[Group, ...] = ()
    by_first_word: tuple[Group, ...] = ()
    reliability: tuple[ReliabilityBin, ...] = ()
    risk_curve: tuple[tuple[float, float], ...] = ()
    """Coverage and risk."""
    confusion: tuple[tuple[str, str, int], ...] = ()
    """Right answer, given answer and how often, among the commonest answers."""
    values: Values = field(default_factory=lambda: np.zeros(0))
    """The headline's value for each prediction, in their order."""

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain values, without the value of each question."""
        groups = (("by_kind", self.by_kind), ("by_first_word", self.by_first_word))
        return {
            "headline": self.headline,
            "metrics": {name: score.to_dict() for name, score in self.metrics.items()},
            **{
                key: {group.name: {"count": group.count, **group.score.to_dict()} for group in found}
                for key, found in groups
            },
            "reliability": [vars(bin_) for bin_ in self.reliability],
            "risk_coverage": [list(point) for point in self.risk_curve],
            "confusion": [list(entry) for entry in self.confusion],
        }


def correctness(predictions: Sequence[Prediction], rule: str) -> Values:
    """1 for a right answer and 0 for a wrong one; for counts and captions see `headline_values`.

    Args:
        predictions: answered ones.
        rule: how open answers are compared.

    Returns:
        One value a prediction, (M,).
    """
    values = np.zeros(len(predictions))
    for row, prediction in enumerate(predictions):
        question = prediction.question
        if question.options:
            chosen = choose_option(prediction.text, question.options)
            given = question.options[chosen] if chosen is not None else ""
            values[row] = float(normalise_exact(given) == normalise_exact(question.answer) != "")
        elif question.task in ("open", "count"):
            values[row] = exact_match([prediction.text], [question.answer], rule)[0]
    return values


def headline_values(predictions: Sequence[Prediction], benchmark: Benchmark) -> Values:
    """The headline metric's value for each prediction: what two runs are compared by.

    Returns:
        Right or wrong; squared errors of counts; for captions ROUGE-L, since CIDEr of one caption depends on
        the others; for retrieval 1 where a keyframe lies in the span.
    """
    if benchmark.task == "count":
        return squared_errors([p.text for p in predictions], [p.question.answer for p in predictions])
    if benchmark.task == "retrieval":
        return np.array([float(_inside(prediction).any()) for prediction in predictions])
    if benchmark.task == "caption":
        return metrics.caption_rouge([p.text for p in predictions], [p.question.answers for p in predictions])
    return correctness(predictions, benchmark.rule)


def score_predictions(
    predictions: Sequence[Prediction],
    benchmark: Benchmark,
    *,
    wordnet: WordNet | None = None,
    seed: int = 0,
    num_resamples: int = 1000,
) -> ScoreCard:
    """The scores of a run.

    Args:
        predictions: those without an error, at least one.
        benchmark: whose questions they answer.
        wordnet: for METEOR and WUPS.
        seed: of the bootstrap.
        num_resamples: bootstrap samples.

    Returns:
        The score card.
    """
    resampling = Resampling([p.question.gif for p in predictions], seed, num_resamples)
    values = headline_values(predictions, benchmark)
    scores = _task_scores(predictions, benchmark, values, wordnet, resampling)
    confident = [row for row, prediction in enumerate(predictions) if prediction.confidence is not None]
    right = correctness(predictions, benchmark.rule)
    reliability: tuple[ReliabilityBin, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()
    if confident and benchmark.task in ("open", "choice", "count"):
        sure = np.clip([predictions[row].confidence or 0.0 for row in confident], 0.0, 1.0)
        groups = [predictions[row].question.gif for row in confident]
        scores |= metrics.confidence_scores(
            sure.tolist(), right[confident], resampling=Resampling(groups, seed, num_resamples)
        )
        reliability = tuple(reliability_bins(sure, right[confident]))
        curve = _thinned(*risk_coverage(sure, right[confident]))
    return ScoreCard(
        headline=HEADLINES[benchmark.task],
        metrics=scores,
        by_kind=_grouped(predictions, values, [p.question.kind for p in predictions], resampling),
        by_first_word=_grouped(
            predictions, values, [first_word(p.question.question) for p in predictions], resampling
        ),
        reliability=reliability,
        risk_curve=curve,
        confusion=_confusion(predictions) if benchmark.task in ("open", "count") else (),
        values=values,
    )


def _task_scores(
    predictions: Sequence[Prediction],
    benchmark: Benchmark,
    values: Values,
    wordnet: WordNet | None,
    resampling: Resampling,
) -> Scores:
    texts = [prediction.text for prediction in predictions]
    if benchmark.task == "caption":
        references = [prediction.question.answers for prediction in predictions]
        return metrics.caption_scores(texts, references, wordnet=wordnet, resampling=resampling)
    if benchmark.task == "retrieval":
        return mean_scores(_retrieval_values(predictions), resampling)
    answers = [prediction.question.answer for prediction in predictions]
    if benchmark.task == "count":
        scores = metrics.count_scores(texts, answers, resampling=resampling)
        scores = {"mse": scores.pop("mse")} | scores
    elif benchmark.task == "choice":
        scores = mean_scores({"accuracy": values}, resampling)
    else:
        scores = metrics.answer_scores(
            texts, answers, rule=benchmark.rule, wordnet=wordnet, resampling=resampling
        )
        scores = scores | mean_scores({"accuracy": values}, resampling)
    expected = [p.expected_score for p in predictions if p.expected_score is not None]
    if len(expected) == len(predictions):
        name = "expected_mse" if benchmark.task == "count" else "expected_accuracy"
        scores |= mean_scores({name: expected}, resampling)
    return scores


def _inside(prediction: Prediction) -> NDArray[np.bool_]:
    """Which keyframes lie in the span that the question is about."""
    start, end = prediction.question.span or (0.0, 0.0)
    times = np.array([float(keyframe["pts_seconds"]) for keyframe in prediction.keyframes])
    return (times >= start) & (times < end)


def _retrieval_values(predictions: Sequence[Prediction]) -> dict[str, Sequence[float] | Values]:
    """Recall, precision and, to compare with, the recall of as many frames drawn at random moments."""
    recall, precision, chance = [], [], []
    for prediction in predictions:
        inside = _inside(prediction)
        start, end = prediction.question.span or (0.0, 0.0)
        duration = prediction.duration_seconds or end
        share = min(1.0, (min(end, duration) - start) / duration) if duration > start else 0.0
        recall.append(float(inside.any()))
        precision.append(float(inside.mean()) if inside.size else 0.0)
        chance.append(1 - (1 - share) ** max(1, inside.size))
    return {"segment_recall": recall, "segment_precision": precision, "random_moments_recall": chance}


def _grouped(
    predictions: Sequence[Prediction], values: Values, names: Sequence[str], resampling: Resampling
) -> tuple[Group, ...]:
    """The headline of each group, the largest first; nothing where there is one group only."""
    counts = Counter(names)
    if len(counts) < 2:
        return ()
    groups = []
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        rows = [row for row, other in enumerate(names) if other == name]
        gifs = [predictions[row].question.gif for row in rows]
        within = Resampling(gifs, resampling.seed, resampling.num_resamples)
        groups.append(Group(name, count, mean_scores({"": values[rows]}, within)[""]))
    return tuple(groups)


def _confusion(predictions: Sequence[Prediction]) -> tuple[tuple[str, str, int], ...]:
    """How often each of the commonest right answers got each of them as the answer; the rest is "other"."""
    opened = [prediction for prediction in predictions if not prediction.question.options]
    pairs = [(normalise_exact(p.question.answer), normalise_exact(p.text)) for p in opened]
    common = [answer for answer, _ in Counter(right for right, _ in pairs).most_common(_CONFUSED_ANSWERS)]
    known = set(common)
    table = Counter((right, given if given in known else "other") for right, given in pairs if right in known)
    columns = [*common, "other"]
    return tuple((row, column, table[row, column]) for row in common for column in columns)


def _thinned(coverage: Values, risk: Values) -> tuple[tuple[float, float], ...]:
    rows = np.unique(np.linspace(0, len(coverage) - 1, min(len(coverage), _CURVE_POINTS)).round().astype(int))
    return tuple((float(coverage[row]), float(risk[row])) for row in rows)
