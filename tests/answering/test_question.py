"""Checks of questions and options."""

import pytest

from gifqa.answering.question import (
    MAX_OPTION_CHARS,
    MAX_OPTIONS,
    check_options,
    check_question,
    check_top_k,
)
from gifqa.errors import ConfigError
from gifqa.prompt import MAX_QUESTION_CHARACTERS


def test_a_plain_question_stays_as_it_is():
    assert check_question("What is the cat doing?") == ("What is the cat doing?", ())


def test_a_question_becomes_one_line():
    assert check_question(" What\nis\t it? ") == ("What is it?", ())


@pytest.mark.parametrize(
    ("question", "clean", "count"),
    [
        ("Is\x00 it?", "Is it?", 1),
        ("a\x1b[31m b\x7f", "a[31m b", 2),
        ("x\u202ey", "xy", 1),
        ("\ud800a", "a", 1),
    ],
)
def test_control_characters_are_taken_out_and_counted(question, clean, count):
    text, warnings = check_question(question)

    assert text == clean
    assert len(warnings) == 1 and warnings[0].startswith(f"{count} control character")


def test_other_scripts_and_emoji_are_kept():
    assert check_question("猫は何を? 🐈 ¿qué?") == ("猫は何を? 🐈 ¿qué?", ())


def test_the_longest_question_is_allowed_and_one_more_character_is_not():
    assert check_question("x" * MAX_QUESTION_CHARACTERS)[0] == "x" * MAX_QUESTION_CHARACTERS
    with pytest.raises(ConfigError, match=r"has 2,001 characters; at most 2,000 are allowed. Shorten it"):
        check_question("x" * (MAX_QUESTION_CHARACTERS + 1))


def test_options_are_stripped_and_none_stays_none():
    assert check_options([" a ", "b  c"]) == ("a", "b c")
    assert check_options(None) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "0 options given; a choice needs 2 to 100. Give more"),
        (["cat"], "1 option given; a choice needs 2 to 100. Give more"),
        ([str(i) for i in range(MAX_OPTIONS + 1)], "101 options given"),
        (["cat", " "], "one of the options is empty; each needs at least one character. Take it out"),
        (["Cat", "dog", "cat"], "the options 'Cat' and 'cat' are the same; each must differ. Take one out"),
        (
            ["cat", "x" * (MAX_OPTION_CHARS + 1)],
            "an option has 501 characters; at most 500 are read. Shorten",
        ),
        ("cat,dog", "the options are the string 'cat,dog'; a list of answers is needed. Split it"),
    ],
)
def test_options_that_are_no_choice_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        check_options(options)


def test_top_k_has_bounds():
    for top_k in (None, 1, 64):
        check_top_k(top_k)
    for top_k in (0, 65):
        with pytest.raises(ConfigError, match=f"--top-k is {top_k}; 1 to 64 keyframes can be kept. Choose"):
            check_top_k(top_k)
