"""Answer metrics: the benchmarks' rules on cases whose result is obvious, and F1 computed another way."""

import random

import pytest

from gifqa.evaluation.answers import (
    choice_matches,
    choose_option,
    count_matches,
    exact_match,
    parse_count,
    squared_errors,
    token_f1,
)
from gifqa.evaluation.metrics import Resampling, answer_scores, count_scores
from gifqa.evaluation.text import normalise_exact, normalise_squad, normalise_vqa


def test_exact_match_is_equality_after_lower_casing_on_a_thousand_random_pairs():
    """MSVD-QA's and MSRVTT-QA's published rule."""
    rng = random.Random(0)
    words = ["Man", "man", "woman", "MAN", "two", "2", "a man"]
    predictions, references = rng.choices(words, k=1000), rng.choices(words, k=1000)
    expected = [float(p.lower() == r.lower()) for p, r in zip(predictions, references, strict=True)]
    assert list(exact_match(predictions, references)) == expected


def test_an_empty_prediction_is_wrong_even_against_an_empty_reference():
    assert list(exact_match(["", " "], ["", "cat"])) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "exact", "squad", "vqa"),
    [
        ("A  Cat. ", "a cat.", "cat", "cat"),
        ("two", "two", "two", "2"),
        ("dont", "dont", "dont", "don't"),
        ("black/white", "black/white", "black white", "black white"),
        ("yes, sir", "yes, sir", "yes sir", "yes sir"),
        ("1,000", "1,000", "1 000", "1000"),
        ("3.5", "3.5", "3 5", "3.5"),
    ],
)
def test_normalisers(given, exact, squad, vqa):
    assert (normalise_exact(given), normalise_squad(given), normalise_vqa(given)) == (exact, squad, vqa)


def test_token_f1_equals_precision_and_recall_by_hand():
    rng = random.Random(1)
    for _ in range(1000):
        given, wanted = (rng.choices(["red", "blue", "cat", "dog"], k=rng.randint(1, 5)) for _ in range(2))
        left = list(wanted)
        shared = 0
        for word in given:
            if word in left:
                left.remove(word)
                shared += 1
        precision, recall = shared / len(given), shared / len(wanted)
        expected = 2 * precision * recall / (precision + recall) if shared else 0.0
        assert token_f1([" ".join(given)], [" ".join(wanted)])[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "count"),
    [
        ("3", 3),
        ("three times", 3),
        ("He does it 4 times.", 4),
        ("twice", 2),
        ("none", 0),
        ("many", None),
        ("", None),
    ],
)
def test_parse_count(answer, count):
    assert parse_count(answer) == count


def test_count_errors_are_squared_and_can_be_clipped_as_the_reference_code_does():
    assert list(squared_errors(["0", "12", "x"], ["3", "10", "2"])) == [9.0, 4.0, 4.0]
    assert list(squared_errors(["0", "12", "x"], ["3", "10", "2"], limits=(1, 10))) == [4.0, 0.0, 1.0]
    assert list(count_matches(["2", "no number"], ["2", "0"])) == [1.0, 0.0]


def test_count_scores_report_both_readings():
    scores = count_scores(["0", "0"], ["0", "0"])
    assert scores["mse"].value == 0.0
    assert scores["mse_clipped"].value == 1.0
    assert scores["accuracy"].value == 1.0


@pytest.mark.parametrize(
    ("prediction", "chosen"),
    [
        ("flap wings", 1),
        ("B", 1),
        ("(b) flap wings", 1),
        ("Option C.", 2),
        ("It will flap wings.", 1),
        ("talk and fall over", None),
        ("E", None),
        ("", None),
        ("a dog", None),
    ],
)
def test_choose_option(prediction, chosen):
    assert choose_option(prediction, ["talk", "flap wings", "fall over"]) == chosen


def test_choice_matches_counts_only_the_right_option():
    options = [["talk", "run"]] * 3
    assert list(choice_matches(["run", "A", "both"], options, [1, 1, 0])) == [1.0, 0.0, 0.0]


def test_answer_scores_name_the_metrics():
    scores = answer_scores(["two", "cat"], ["2", "cat"], resampling=Resampling(groups=["g1", "g2"]))
    assert scores["accuracy"].value == 0.5
    assert scores["accuracy_vqa"].value == 1.0
    assert set(scores) == {"accuracy", "accuracy_vqa", "token_f1"}


def test_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match=r"1 predictions and 2 references were given.*Pair them first"):
        exact_match(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="0 predictions"):
        token_f1([], [])
