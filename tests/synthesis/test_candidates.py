"""Answer candidates: the right words, their type, and where they stand in the caption."""

import pytest

from gifqa.synthesis.candidates import find_candidates


def found(caption):
    return {(c.answer, c.answer_type) for c in find_candidates(caption)}


def test_all_categories_in_one_caption(parse_gif):
    (caption,) = parse_gif("A young man in a red cap is riding two horses on a beach.")
    assert found(caption) >= {
        ("man", "person"),
        ("cap", "object"),
        ("horses", "animal"),
        ("red", "colour"),
        ("two", "number"),
        ("on a beach", "place"),
        ("beach", "place"),
        ("riding two horses", "action"),
        ("young", "attribute"),
    }
    for candidate in find_candidates(caption):
        start, end = candidate.span
        if candidate.role in ("noun", "colour", "number", "place", "attribute"):
            assert caption.text[start:end].lower() == candidate.answer


@pytest.mark.parametrize(
    ("text", "answer", "kind"),
    [
        ("a group of people are standing near a piece of cake", "people", "person"),
        ("a group of people are standing near a piece of cake", "cake", "object"),
        ("a man swings a tennis racket", "tennis racket", "object"),
        ("a woman holds a black and white cat", "black and white", "colour"),
        ("a woman dressed in black is dancing", "black", "colour"),
        ("3 dogs are running", "three", "number"),
        ("a boy sits in front of a house", "in front of a house", "place"),
        ("a child stands next to a car", "next to a car", "place"),
    ],
)
def test_what_is_meant(parse_gif, text, answer, kind):
    assert (answer, kind) in found(parse_gif(text)[0])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("a man with no hat looks at the camera", "hat"),
        ("a man in a red shirt is dancing", "in a red shirt"),
        ("a man looks at the camera", "at the camera"),
        ("two women dance in unison", "in unison"),
        ("a red haired girl is smiling", "red"),
    ],
)
def test_what_is_not_meant(parse_gif, text, answer):
    assert answer not in {answer for answer, _ in found(parse_gif(text)[0])}


def test_a_group_is_no_answer_for_the_people_in_it(parse_gif):
    (caption,) = parse_gif("a group of people are standing in a room")
    assert "group" not in {answer for answer, _ in found(caption)}
