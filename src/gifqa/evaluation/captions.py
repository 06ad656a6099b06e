"""Metrics of captions, as the COCO caption evaluation defines them, in pure Python and NumPy.

All take tokens (`gifqa.evaluation.text.caption_tokens`), so that another tokenisation can be had by passing
other tokens. Reference: Chen et al., 2015, https://arxiv.org/abs/1504.00325
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.evaluation.answers import require_pairs

Tokens = Sequence[str]
NGramCounts = Counter[tuple[str, ...]]
_LONGEST = 4
_ROUGE_BETA = 1.2
_CIDER_SIGMA = 6.0
_SMALL, _TINY = 1e-9, 1e-15


@dataclass(frozen=True)
class BleuStatistics:
    """What BLEU needs of each segment: sums over any of them give their score, as a bootstrap wants."""

    matches: NDArray[np.int64]
    """Clipped n-gram matches, (M, 4)."""
    totals: NDArray[np.int64]
    """n-grams of the predictions, (M, 4)."""
    lengths: NDArray[np.int64]
    """Words of the predictions, (M,)."""
    reference_lengths: NDArray[np.int64]
    """Words of the reference closest in length, the shorter one if two are, (M,)."""

    @property
    def columns(self) -> NDArray[np.float64]:
        """All of them side by side, (M, 10), as `bleu_of_columns` wants their sums."""
        lengths = np.stack([self.lengths, self.reference_lengths], axis=1)
        return np.concatenate([self.matches, self.totals, lengths], axis=1).astype(np.float64)

    def score(self) -> NDArray[np.float64]:
        """Corpus BLEU-1 to BLEU-4: 0..1, (4,)."""
        return np.asarray(bleu_of_columns(self.columns.sum(0)[None])[0])


def bleu_of_columns(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corpus BLEU-1 to BLEU-4 from sums of `BleuStatistics.columns`, (R, 10) to (R, 4)."""
    matches, totals, lengths = np.split(sums, [_LONGEST, 2 * _LONGEST], axis=1)
    precisions = (matches + _TINY) / (totals + _SMALL)
    means = np.exp(np.cumsum(np.log(precisions), axis=1) / np.arange(1, _LONGEST + 1))
    ratios = (lengths[:, :1] + _TINY) / (lengths[:, 1:] + _SMALL)
    return np.asarray(means * np.exp(np.minimum(0.0, 1 - 1 / ratios)))


def count_ngrams(tokens: Tokens, longest: int = _LONGEST) -> NGramCounts:
    """How often each n-gram of 1 to `longest` words occurs."""
    return Counter(
        tuple(tokens[start : start + size])
        for size in range(1, longest + 1)
        for start in range(len(tokens) - size + 1)
    )


def bleu_statistics(predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> BleuStatistics:
    """Matches and lengths for corpus BLEU.

    Reference: Papineni et al., 2002, https://aclanthology.org/P02-1040

    Args:
        predictions: tokens of M captions.
        references: tokens of one or more references for each.

    Returns:
        The statistics; `.score()` is corpus BLEU without smoothing, equal to the COCO caption evaluation's
        to 1e-9, and to sacrebleu's (tokenize="none") where no n-gram count is 0.
    """
    require_pairs(predictions, references)
    matches = np.zeros((len(predictions), _LONGEST), np.int64)
    totals = np.zeros_like(matches)
    reference_lengths = []
    for row, (tokens, candidates) in enumerate(zip(predictions, references, strict=True)):
        limits: NGramCounts = Counter()
        for reference in candidates:
            limits |= count_ngrams(reference)
        for ngram, count in count_ngrams(tokens).items():
            matches[row, len(ngram) - 1] += min(count, limits[ngram])
        totals[row] = [max(0, len(tokens) - size) for size in range(_LONGEST)]
        reference_lengths.append(min((abs(len(r) - len(tokens)), len(r)) for r in candidates)[1])
    lengths = np.array([len(tokens) for tokens in predictions])
    return BleuStatistics(matches, totals, lengths, np.array(reference_lengths))


def longest_common_subsequence(left: Tokens, right: Tokens) -> int:
    """Length of the longest common subsequence of two token lists."""
    previous = [0] * (len(right) + 1)
    for word in left:
        current = [0]
        for column, other in enumerate(right):
            current.append(
                previous[column] + 1 if word == other else max(previous[column + 1], current[column])
            )
        previous = current
    return previous[-1]


def rouge_l(predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> NDArray[np.float64]:
    """ROUGE-L with beta = 1.2; best precision and best recall over the references, as COCO takes them.

    Reference: Lin, 2004, https://aclanthology.org/W04-1013. COCO's beta weighs recall above precision; the
    package rouge-score uses beta = 1 and the best reference, so its values differ.

    Args:
        predictions: tokens of M captions.
        references: tokens of one or more references for each.

    Returns:
        0..1 for each caption, (M,).
    """
    require_pairs(predictions, references)
    scores = []
    for tokens, candidates in zip(predictions, references, strict=True):
        lengths = [longest_common_subsequence(tokens, reference) for reference in candidates]
        precision = max(lengths) / max(1, len(tokens))
        recall = max(length / max(1, len(r)) for length, r in zip(lengths, candidates, strict=True))
        weighted = recall + _ROUGE_BETA**2 * precision
        scores.append((1 + _ROUGE_BETA**2) * precision * recall / weighted if precision and recall else 0.0)
    return np.array(scores)


class _TfIdf:
    """TF-IDF vectors of n-grams; the document frequency counts images whose references have the n-gram."""

    def __init__(self, references: Sequence[Sequence[NGramCounts]]) -> None:
        self.frequency = Counter(ngram for counts in references for ngram in set().union(*counts))
        self.log_images = math.log(len(references))

    def weigh(self, counts: NGramCounts) -> tuple[list[dict[tuple[str, ...], float]], list[float]]:
        """Vectors and norms of the 1- to 4-grams."""
        vectors: list[dict[tuple[str, ...], float]] = [{} for _ in range(_LONGEST)]
        for ngram, count in counts.items():
            inverse = self.log_images - math.log(max(1, self.frequency[ngram]))
            vectors[len(ngram) - 1][ngram] = count * inverse
        return vectors, [math.sqrt(sum(value * value for value in vector.values())) for vector in vectors]


def cider(
    predictions: Sequence[Tokens], references: Sequence[Sequence[Tokens]], variant: str = "d"
) -> NDArray[np.float64]:
    """CIDEr-D (what COCO and most papers report as CIDEr), or CIDEr as first defined.

    Mean cosine similarity of TF-IDF vectors of 1- to 4-grams, times 10. CIDEr-D clips the prediction's
    weights at the reference's and multiplies by exp(-d^2 / 72), d the difference in length, so that repeating
    a rare word gains nothing. d counts bigrams, as in the published code (words, but for captions of one).
    Reference: Vedantam et al., 2015, https://arxiv.org/abs/1411.5726

    Args:
        predictions: tokens of M captions.
        references: tokens of one or more references for each. They also give the document frequencies, so the
            score depends on the whole set: with 1 image every weight is 0.
        variant: `"d"` for CIDEr-D, `"plain"` for CIDEr without clipping, penalty and stemming.

    Returns:
        0..10 for each caption, (M,); their mean is the score.
    """
    require_pairs(predictions, references)
    if variant not in ("d", "plain"):
        raise ValueError(f"the CIDEr variant {variant!r} was given; it is 'd' or 'plain'. Pass one of them.")
    counted = [[count_ngrams(reference) for reference in candidates] for candidates in references]
    weights = _TfIdf(counted)
    scores = []
    for tokens, candidates, counts in zip(predictions, references, counted, strict=True):
        vectors, norms = weights.weigh(count_ngrams(tokens))
        total = 0.0
        for reference, ngrams in zip(candidates, counts, strict=True):
            others, other_norms = weights.weigh(ngrams)
            shared = [_overlap(a, b, clip=variant == "d") for a, b in zip(vectors, others, strict=True)]
            pairs = zip(shared, norms, other_norms, strict=True)
            similarity = sum(dot / (a * b) for dot, a, b in pairs if a and b)
            difference = max(0, len(tokens) - 1) - max(0, len(reference) - 1)
            total += similarity * (
                math.exp(-(difference**2) / (2 * _CIDER_SIGMA**2)) if variant == "d" else 1.0
            )
        scores.append(10.0 * total / _LONGEST / len(candidates))
    return np.array(scores)


def _overlap(left: dict[tuple[str, ...], float], right: dict[tuple[str, ...], float], *, clip: bool) -> float:
    """Dot product of two sparse vectors; `clip` limits the left one's weights to the right one's."""
    shared = left.keys() & right.keys()
    return sum(
        (min(left[ngram], right[ngram]) if clip else left[ngram]) * right[ngram] for ngram in sorted(shared)
    )
