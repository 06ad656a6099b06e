"""Prompts, the form of answers, and statements for the dual encoder."""

import pytest

from gifqa.prompt import (
    CAPTION_PROMPT,
    DESCRIBE_QUESTION,
    as_statement,
    is_yes_no,
    normalise_answer,
    question_prompt,
    yes_no_kind,
)


def test_a_prompt_holds_the_question_and_ends_where_the_answer_begins():
    prompt = question_prompt("Where is {it}?")

    assert "Where is {it}?" in prompt
    assert prompt.endswith("Answer:")


def test_the_question_of_describe_has_a_prompt_of_its_own():
    assert question_prompt(DESCRIBE_QUESTION) == CAPTION_PROMPT
    assert question_prompt(DESCRIBE_QUESTION.lower()) != CAPTION_PROMPT


@pytest.mark.parametrize(
    "question",
    ["Is there a dog?", " are they happy", "Isn't it red?", "DOES he run?", "Can you see a cat?", "was it?"],
)
def test_questions_for_yes_or_no(question):
    assert is_yes_no(question)


@pytest.mark.parametrize(
    "question",
    [
        "What is it?",
        "Is it red or blue?",
        "Is it red OR blue?",
        "island?",
        "Dogs are there?",
        "",
        "Who does?",
    ],
)
def test_questions_for_another_answer(question):
    assert not is_yes_no(question)


@pytest.mark.parametrize(
    "question",
    ["Is this a church?", "are these people asleep", "Could that be a boat?", "Isn't it raining?"],
)
def test_a_question_that_points_is_of_its_own_kind(question):
    assert yes_no_kind(question) == "is this"


@pytest.mark.parametrize(
    "question",
    ["Is the dog brown?", "Is there a dog in this?", "Are there any?", "Is Itchy here?", ""],
)
def test_a_question_that_names_its_subject_is_a_plain_one(question):
    assert yes_no_kind(question) == "yes/no"


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("A dog.", "dog"),
        ("The  man's   hat!", "man's hat"),
        ("3", "three"),
        ("10 dogs", "ten dogs"),
        ("11", "11"),
        ("t-shirt", "t-shirt"),
        ("-- 'red' --", "red"),
        ("café", "café"),
        ("the", ""),
        ("?!", ""),
        ("", ""),
    ],
)
def test_the_form_in_which_answers_are_compared(answer, form):
    assert normalise_answer(answer) == form
    assert normalise_answer(form) == form


def test_digits_that_are_no_numbers_are_left_as_they_are():
    """`"²".isdigit()` is true, and `int("²")` raised a ValueError."""
    assert normalise_answer("m ²") == "m ²"
    assert normalise_answer("9" * 5000) == "9" * 5000


@pytest.mark.parametrize(
    ("question", "answer", "statement"),
    [
        ("Is there a dog?", "yes", "a dog"),
        ("Are there any boats on the water?", "no", "boats on the water"),
        ("Is the man wearing a hat?", "yes", "the man wearing a hat"),
        ("Is this a kitchen?", "yes", "a kitchen"),
        ("Could this be winter?", "yes", "winter"),
        ("Is it?", "yes", "it"),
        ("A cat is on the bed.", "yes", "A cat is on the bed"),
        ("Who is riding a bike?", "man", "man riding a bike"),
        ("What is on the table?", "cup", "cup on the table"),
        ("What animal is on the bed?", "cat", "cat on the bed"),
        ("What kind of food is on the plate?", "pizza", "pizza food on the plate"),
        ("What type of dog is this?", "poodle", "poodle dog"),
        ("What room is this?", "kitchen", "kitchen"),
        ("What is it?", "cup", "cup"),
        ("What is on it?", "cup", "cup on it"),
        ("What is the man holding?", "cup", "the man holding cup"),
        ("Who is she with?", "man", "she with man"),
        ("What does the sign say?", "stop", "the sign say stop"),
        ("What is the man doing?", "riding", "the man riding"),
        ("What are the boys doing in the park?", "playing", "the boys playing in the park"),
        ("What color is the car?", "red", "red car"),
        ("What colour are the man's shoes?", "white", "white man's shoes"),
        ("What color is it?", "red", "red"),
        ("How many dogs are there?", "two", "two dogs"),
        ("How many people are in the boat?", "three", "three people in the boat"),
        ("Where is the dog?", "on a beach", "the dog on a beach"),
        ("Where are people sitting?", "bench", "people sitting bench"),
        ("Name the animal", "cat", "cat Name the animal"),
        ("  What   is  on the  bed ? ", "cup", "cup on the bed"),
        ("What?", "cup", "cup"),
    ],
)
def test_question_and_answer_as_a_statement(question, answer, statement):
    assert as_statement(question, answer) == statement


@pytest.mark.parametrize("question", ["", "?", "Is", "is there", "What is", "How many", "What colour"])
@pytest.mark.parametrize("answer", ["yes", "red"])
def test_a_statement_of_next_to_nothing_is_still_text(question, answer):
    statement = as_statement(question, answer)

    assert statement == " ".join(statement.split())
    assert answer == "yes" or statement.startswith("red") or statement.endswith("red")
