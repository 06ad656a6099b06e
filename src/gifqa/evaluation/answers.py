"""Metrics of short answers: accuracy, token F1, multiple choice and counts.

Every function returns one value for each question, so that a caller can average them, split them by type and
resample them by GIF (see `gifqa.evaluation.statistics`).
"""

import re
from collections import Counter
from collections.abc import Sequence, Sized

import numpy as np
from numpy.typing import NDArray

from gifqa.evaluation.text import NORMALISERS, normalise_squad

_NUMBER = re.compile(r"\d+")
_COUNT_WORDS = {
    **dict.fromkeys(("zero", "none", "never"), 0),
    **dict.fromkeys(("one", "once"), 1),
    **dict.fromkeys(("two", "twice"), 2),
    **dict.fromkeys(("three", "thrice"), 3),
    **{
        "four": 4,
        "five": 5,
        "six": 6,
        "seven": 7,
        "eight": 8,
        "nine": 9,
        "ten": 10,
        "eleven": 11,
        "twelve": 12,
    },
}
_LETTER_ANSWER = re.compile(r"^\W*(?:(?:option|answer)\W+)?([a-e])\s*(?:[).:,]|$)", re.IGNORECASE)


def require_pairs(predictions: Sized, references: Sized) -> None:
    """Check that there is one reference for each prediction, and at least one.

    Raises:
        ValueError: if the lengths differ or are 0.
    """
    if len(predictions) != len(references) or len(predictions) == 0:
        raise ValueError(
            f"{len(predictions)} predictions and {len(references)} references were given; "
            "a metric needs as many of the one as of the other, and at least one. Pair them first."
        )


def exact_match(
    predictions: Sequence[str], references: Sequence[str], rule: str = "exact"
) -> NDArray[np.float64]:
    """1 where prediction and reference are the same after the rule's clean-up, else 0.

    Args:
        predictions: the model's answers.
        references: the right answers, one each.
        rule: a key of `gifqa.evaluation.text.NORMALISERS`.

    Returns:
        0 or 1 for each question. An empty prediction is wrong.
    """
    require_pairs(predictions, references)
    clean = NORMALISERS[rule]
    return np.array(
        [
            float(bool(cleaned := clean(prediction)) and cleaned == clean(reference))
            for prediction, reference in zip(predictions, references, strict=True)
        ]
    )


def token_f1(predictions: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """Harmonic mean of word precision and recall, as in SQuAD.

    Reference: Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250

    Args:
        predictions: the model's answers.
        references: the right answers, one each.

    Returns:
        0..1 for each question; two answers that are both empty after the clean-up score 0, unlike in SQuAD 2.
    """
    require_pairs(predictions, references)
    scores = []
    for prediction, reference in zip(predictions, references, strict=True):
        given, wanted = normalise_squad(prediction).split(), normalise_squad(reference).split()
        shared = sum((Counter(given) & Counter(wanted)).values())
        scores.append(2 * shared / (len(given) + len(wanted)) if shared else 0.0)
    return np.array(scores)


def parse_count(answer: str) -> int | None:
    """The number that an answer names, in digits or words, or None.

    The first number counts: "3", "three times", "He does it 4 times." give 3, 3 and 4.
    """
    for word in re.findall(r"\d+|[a-z]+", answer.lower()):
        if _NUMBER.fullmatch(word):
            return int(word) if len(word) <= 9 else None
        if word in _COUNT_WORDS:
            return _COUNT_WORDS[word]
    return None


def squared_errors(
    predictions: Sequence[str], references: Sequence[str], limits: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Squared distance between predicted and true count; its mean is TGIF-QA's "L2" of the count task.

    Args:
        predictions: answers; numbers in digits or words. One that names no number is taken as 0.
        references: true counts.
        limits: clip predictions to this range first. The reference code clips to (1, 10) although the labels
            include 0; None leaves them alone.

    Returns:
        One value >= 0 for each question.
    """
    require_pairs(predictions, references)
    given = np.array([float(parse_count(prediction) or 0) for prediction in predictions])
    wanted = np.array([float(parse_count(reference) or 0) for reference in references])
    if limits is not None:
        given = np.clip(given, *limits)
    errors: NDArray[np.float64] = np.square(given - wanted)
    return errors


def count_matches(predictions: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """1 where the predicted count equals the true one, else 0; an answer without a number is wrong."""
    require_pairs(predictions, references)
    return np.array(
        [
            float((given := parse_count(prediction)) is not None and given == parse_count(reference))
            for prediction, reference in zip(predictions, references, strict=True)
        ]
    )


def choose_option(prediction: str, options: Sequence[str]) -> int | None:
    """Which option a free-text answer names, or None when it names none or several.

    In this order: the option's own words; a letter ("B", "(b)", "Option B:"); the one option that
    the answer contains.
    """
    cleaned = [normalise_squad(option) for option in options]
    given = normalise_squad(prediction)
    if given and given in cleaned:
        return cleaned.index(given)
    letter = _LETTER_ANSWER.match(prediction)
    if letter and (index := ord(letter.group(1).lower()) - ord("a")) < len(options):
        return index
    contained = [index for index, option in enumerate(cleaned) if option and f" {option} " in f" {given} "]
    return contained[0] if len({cleaned[index] for index in contained}) == 1 else None


def choice_matches(
    predictions: Sequence[str], options: Sequence[Sequence[str]], answers: Sequence[int]
) -> NDArray[np.float64]:
    """1 where the prediction names the right option, else 0.

    Args:
        predictions: the model's answers.
        options: the options of each question.
        answers: index of the right option of each question.

    Returns:
        0 or 1 for each question; an answer that names no option, or more than one, is wrong.
    """
    require_pairs(predictions, answers)
    return np.array(
        [
            float(choose_option(prediction, choices) == answer)
            for prediction, choices, answer in zip(predictions, options, answers, strict=True)
        ]
    )
