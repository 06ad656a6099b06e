"""The scores of a set of answers or captions, each with its interval: the one place where metrics are added.

What each metric is stands in its own module: `answers`, `captions`, `wordnet`, `calibration`; how the
intervals are made in `statistics`.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.evaluation.answers import count_matches, exact_match, require_pairs, squared_errors, token_f1
from gifqa.evaluation.calibration import calibration_columns, error_of_columns, risk_area_of_counts
from gifqa.evaluation.captions import bleu_of_columns, bleu_statistics, cider, rouge_l
from gifqa.evaluation.statistics import (
    NUM_RESAMPLES,
    Interval,
    Values,
    bootstrap_counts,
    bootstrap_mean,
    bootstrap_totals,
)
from gifqa.evaluation.text import caption_tokens
from gifqa.evaluation.wordnet import WordNet, Wups, meteor

Scores = dict[str, Interval]


@dataclass(frozen=True)
class Resampling:
    """How the intervals are made."""

    groups: Sequence[Hashable] | None = None
    """The GIF of each question; None takes each question for itself."""
    seed: int = 0
    num_resamples: int = NUM_RESAMPLES


_PLAIN = Resampling()


def answer_scores(
    predictions: Sequence[str],
    references: Sequence[str],
    *,
    rule: str = "exact",
    wordnet: WordNet | None = None,
    resampling: Resampling = _PLAIN,
) -> Scores:
    """Accuracy after the benchmark's rule and after VQA's, token F1, and WUPS where there is a WordNet.

    Args:
        predictions: the model's answers.
        references: the right answers, one each.
        rule: the benchmark's rule, a key of `gifqa.evaluation.text.NORMALISERS`.
        wordnet: for WUPS at 0.9 and 0.0; None or the stand-in leaves it out.
        resampling: how the intervals are made.

    Returns:
        `accuracy`, `accuracy_vqa`, `token_f1`, `wups_0.9`, `wups_0.0`, each 0..1.
    """
    values: dict[str, Values] = {
        "accuracy": exact_match(predictions, references, rule),
        "accuracy_vqa": exact_match(predictions, references, "vqa"),
        "token_f1": token_f1(predictions, references),
    }
    if wordnet is not None and wordnet.is_complete:
        for threshold in (0.9, 0.0):
            values[f"wups_{threshold}"] = Wups(wordnet, threshold)(predictions, references)
    return mean_scores(values, resampling)


def count_scores(
    predictions: Sequence[str], references: Sequence[str], *, resampling: Resampling = _PLAIN
) -> Scores:
    """Mean squared error and accuracy of counts.

    Returns:
        `mse` (TGIF-QA's "L2"), `mse_clipped` (predictions clipped to 1..10, as the reference code does) and
        `accuracy`.
    """
    return mean_scores(
        {
            "accuracy": count_matches(predictions, references),
            "mse": squared_errors(predictions, references),
            "mse_clipped": squared_errors(predictions, references, limits=(1, 10)),
        },
        resampling,
    )


def caption_scores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    wordnet: WordNet | None = None,
    resampling: Resampling = _PLAIN,
) -> Scores:
    """BLEU-1..4, ROUGE-L, CIDEr-D, CIDEr and METEOR of captions after the COCO evaluation's tokenisation.

    Args:
        predictions: one caption for each GIF.
        references: one or more captions for each GIF.
        wordnet: from `load_wordnet`; None leaves METEOR out. Its name tells whether synonyms took part.
        resampling: how the intervals are made; CIDEr's document frequencies stay those of the whole set.

    Returns:
        `bleu_1`..`bleu_4`, `rouge_l`, `meteor` or `meteor_no_synonyms` (0..1), `cider_d` and `cider` (0..10).
    """
    require_pairs(predictions, references)
    given = [caption_tokens(text) for text in predictions]
    wanted = [[caption_tokens(text) for text in texts] for texts in references]
    intervals = bootstrap_totals(
        bleu_statistics(given, wanted).columns,
        bleu_of_columns,
        resampling.groups,
        seed=resampling.seed,
        num_resamples=resampling.num_resamples,
    )
    scores = {f"bleu_{size}": interval for size, interval in enumerate(intervals, start=1)}
    values: dict[str, Values] = {
        "rouge_l": rouge_l(given, wanted),
        "cider_d": cider(given, wanted),
        "cider": cider(given, wanted, "plain"),
    }
    if wordnet is not None:
        name = "meteor" if wordnet.is_complete else "meteor_no_synonyms"
        values[name] = meteor(given, wanted, wordnet)
    return scores | mean_scores(values, resampling)


def caption_rouge(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """ROUGE-L of each caption after the COCO evaluation's tokenisation, 0..1."""
    given = [caption_tokens(text) for text in predictions]
    return rouge_l(given, [[caption_tokens(text) for text in texts] for texts in references])


def confidence_scores(
    confidences: Sequence[float], correct: Values, *, resampling: Resampling = _PLAIN
) -> Scores:
    """Calibration error, Brier score and area under the risk-coverage curve.

    Args:
        confidences: 0..1 for each question.
        correct: 0..1 for each question.
        resampling: how the intervals are made.

    Returns:
        `ece`, `brier` and `aurc`, all 0..1, lower is better.
    """
    sure, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    settings: dict[str, Any] = {"seed": resampling.seed, "num_resamples": resampling.num_resamples}
    groups = range(len(sure)) if resampling.groups is None else resampling.groups
    return {
        "ece": bootstrap_totals(calibration_columns(sure, right), error_of_columns, groups, **settings)[0],
        "brier": bootstrap_mean(np.square(sure - right), groups, **settings),
        "aurc": bootstrap_counts(risk_area_of_counts(sure, right), groups, **settings),
    }


def mean_scores(values: dict[str, Values], resampling: Resampling = _PLAIN) -> Scores:
    """The mean of each metric's values with its interval."""
    return {
        name: bootstrap_mean(
            scores, resampling.groups, seed=resampling.seed, num_resamples=resampling.num_resamples
        )
        for name, scores in values.items()
    }
