"""The baselines' definitions on cases whose result is known."""

import random

import numpy as np
import pytest

from gifqa.errors import ConfigError
from gifqa.evaluation.baselines import make_guesser
from gifqa.evaluation.question_model import ChoiceModel, OpenModel
from gifqa.evaluation.questions import Question


def opened(number, question, answer, kind="object"):
    return Question(str(number), "open", question, (answer,), (f"g{number}",), kind)


def choice(number, options, answer, question="what ?"):
    return Question(str(number), "choice", question, (answer,), (f"g{number}",), "what", tuple(options))


def count(number, answer):
    return Question(str(number), "count", "how many times ?", (str(answer),), (f"g{number}",), "how")


TRAIN = [
    opened(1, "what is the color ?", "red", "colour"),
    opened(2, "what is the color ?", "red", "colour"),
    opened(3, "what is it ?", "cat"),
    opened(4, "what is it ?", "cat"),
    opened(5, "what is it ?", "cat"),
]


def test_the_most_frequent_answer_overall_and_of_each_kind():
    overall = make_guesser("most-frequent", TRAIN, TRAIN)
    by_kind = make_guesser("most-frequent-per-kind", TRAIN, TRAIN)
    assert [overall.guess(question).text for question in TRAIN] == ["cat"] * 5
    assert [by_kind.guess(question).text for question in TRAIN] == ["red", "red", "cat", "cat", "cat"]
    assert by_kind.guess(opened(9, "where ?", "x", "unknown")).text == "cat"
    assert overall.guess(TRAIN[0]).confidence == pytest.approx(3 / 5)


def test_the_most_frequent_option_is_that_of_the_most_frequent_words_each_once():
    """The definition that gives TGIF-QA's published 31.40 % on repeating action."""
    train = [
        choice(1, ["wave hand", "run"], "wave hand"),
        choice(2, ["wave arm", "run"], "wave arm"),
        choice(3, ["jump", "run"], "jump"),
    ]
    guesser = make_guesser("most-frequent", train, train)
    assert guesser.guess(choice(9, ["jump jump jump jump", "wave"], "wave")).text == "wave"


def test_random_draws_depend_on_seed_and_id_only_and_know_their_expected_score():
    guesser = make_guesser("random", TRAIN, TRAIN, seed=1)
    assert [guesser.guess(q) for q in TRAIN] == [guesser.guess(q) for q in reversed(TRAIN)][::-1]
    assert guesser.expected_score(TRAIN[0]) == 1 / 2
    assert guesser.expected_score(opened(9, "what ?", "zebra")) == 0.0
    assert guesser.expected_score(choice(9, "abcde", "a")) == pytest.approx(0.2)


def test_the_expected_error_of_a_random_count_is_that_of_many_draws():
    """Uniform on 0..10 and rounded, so that 0 and 10 are half as likely."""
    guesser = make_guesser("random", [count(1, 3)], None)
    draws = np.rint(np.random.default_rng(0).uniform(0, 10, 400_000))
    assert guesser.expected_score(count(1, 3)) == pytest.approx(np.mean((draws - 3) ** 2), rel=0.01)
    guesses = [int(guesser.guess(count(number, 3)).text) for number in range(3000)]
    assert (min(guesses), max(guesses)) == (0, 10)
    assert np.mean(guesses) == pytest.approx(5, abs=0.2)


def test_without_training_data_the_test_answers_stand_in_for_open_questions_only():
    assert make_guesser("most-frequent", TRAIN, None).guess(TRAIN[0]).text == "cat"
    with pytest.raises(ConfigError, match=r"most-frequent was given without --train.*Give that file"):
        make_guesser("most-frequent", [choice(1, "ab", "a")], None)
    with pytest.raises(ConfigError, match=r"question-only was given without --train"):
        make_guesser("question-only", TRAIN, None)


def test_random_has_words_for_open_questions_when_the_training_file_has_choices_only():
    guesser = make_guesser("random", TRAIN, [choice(1, "ab", "a")])
    assert guesser.guess(TRAIN[0]).text in {"red", "cat"}


def test_baselines_of_text_do_not_describe():
    caption = Question("1", "caption", "", ("a cat",), ("g",))
    with pytest.raises(ConfigError, match=r"given for captions or retrieval; it answers questions"):
        make_guesser("random", [caption], None)


def test_the_question_only_model_learns_what_the_wording_gives_away():
    rng = random.Random(0)
    answers = {"dog": "brown", "sky": "blue", "grass": "green"}
    things = [rng.choice(list(answers)) for _ in range(300)]
    questions = [f"what is the color of the {thing} ?" for thing in things]
    model = OpenModel(questions, [answers[thing] for thing in things], seed=0)
    assert [model.predict(f"what is the color of the {t} ?")[0] for t in answers] == list(answers.values())
    assert model.predict("what is the color of the sky ?")[1] > 0.6
    assert model.probabilities("what ?").sum() == pytest.approx(1.0, abs=1e-5)


def test_the_choice_model_learns_which_options_are_right():
    rng = random.Random(1)
    options = [rng.sample(["wave hand", "eat food", "read book"], 3) for _ in range(300)]
    asked = [rng.choice(["what does the cook do ?", "what does the pupil do ?"]) for _ in options]
    right = ["eat food" if "cook" in question else "read book" for question in asked]
    answers = [choices.index(answer) for choices, answer in zip(options, right, strict=True)]
    model = ChoiceModel(asked, options, answers, seed=0)
    probabilities = model.probabilities("what does the pupil do ?", ["eat food", "read book", "wave hand"])
    assert int(probabilities.argmax()) == 1
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)


def test_training_twice_gives_the_same_model():
    data = [q.question for q in TRAIN] * 40, [q.answer for q in TRAIN] * 40
    first, second = OpenModel(*data, seed=3), OpenModel(*data, seed=3)
    assert np.array_equal(first.probabilities("what is it ?"), second.probabilities("what is it ?"))


def test_question_only_guesses_the_mean_count_which_the_squared_error_favours():
    train = [count(number, answer) for number, answer in enumerate([2] * 60 + [10] * 40)]
    guesser = make_guesser("question-only", train, train)
    assert guesser.guess(count(999, 2)).text in {"5", "6"}


def test_question_only_needs_questions_of_the_same_sort():
    guesser = make_guesser("question-only", TRAIN, TRAIN * 30)
    with pytest.raises(ConfigError, match=r"question '7' is a choice, and --train has no such question"):
        guesser.guess(choice(7, "ab", "a"))
