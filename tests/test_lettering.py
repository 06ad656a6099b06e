"""Letters that the font has, in lines that fit. What pictures look like is in test_evidence.py."""

import pytest

from gifqa.lettering import drawable, font_of, wrapped


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("¿Qué está haciendo?", "Que esta haciendo?"),
        ("Łódź – Ångström", "Lodz - Angstrom"),
        ("straße", "strasse"),
        ("猫 “cat” …", "猫 “cat” …"),
        ("a\x00b\ud800c", "a b c"),
    ],
)
def test_accents_that_the_font_lacks_are_left_out(drawn, text):
    """Every accented letter was a box."""
    assert drawable(text) == drawn


def test_the_font_has_what_is_made_of_latin_letters():
    font = font_of(18)
    box = bytes(font.getmask("\uffff"))
    assert bytes(font.getmask("é")) == box, "then accents need not be left out any more"
    assert box not in [bytes(font.getmask(char)) for char in drawable("àéîõüçñšžåØß–—−")]


def test_lines_fit_and_an_ellipsis_stands_for_the_rest():
    text = "one two three " * 20
    lines = wrapped(text, 18, 100, 3)

    assert len(lines) == 3 and lines[-1].endswith("…")
    assert all(font_of(18).getlength(line) <= 100 for line in lines)
    assert wrapped("short", 18, 100, 3) == ["short"]
    assert wrapped("", 18, 100, 3) == [""]
