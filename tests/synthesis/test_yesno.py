"""Yes/no pairs: balanced, and a "no" never where a caption leaves room for doubt."""

import pytest

from gifqa.synthesis.yesno import yes_no_pairs


def pairs(parse_gif, *texts, seeds=25):
    """Every pair that some seed gives for the first caption."""
    caption = parse_gif(*texts)[0]
    return {(yes.question, no.question) for seed in range(seeds) for yes, no in yes_no_pairs(caption, seed)}


def negatives(parse_gif, *texts):
    return {no for _, no in pairs(parse_gif, *texts)}


def test_each_yes_has_its_no(parse_gif):
    caption = parse_gif("A man in a red shirt is riding a horse on the beach.")[0]
    found = yes_no_pairs(caption, 0)
    assert found
    for yes, no in found:
        assert (yes.answer, no.answer) == ("yes", "no")
        assert yes.question != no.question and yes.rule == no.rule


def test_the_swaps(parse_gif):
    found = pairs(parse_gif, "A man in a red shirt is riding a horse on the beach.")
    rules = {yes for yes, _ in found}
    assert {
        "Is there a horse?",
        "Is the man riding a horse?",
        "Is the shirt red?",
        "Is the man on the beach?",
    } <= rules


@pytest.mark.parametrize(
    ("texts", "never"),
    [
        (("A man is walking a dog.", "A person with a puppy"), "Is a woman"),
        (("A man is walking.", "A person is outside"), "Is a woman"),
        (("A dog is running.", "A dog chases a cat"), "Is there a cat?"),
        (("A dog is running.", "An animal in the grass"), "Is there a horse?"),
        (("A boy is sitting.", "A kid reads a book"), "Is the boy reading"),
        (("A boy is sitting.", "A boy sits"), "Is the boy standing"),
        (("A man is on the beach.", "A man near the ocean"), "Is the man in the ocean?"),
        (("The car is gray.", "A car"), "Is the car black?"),
        (("A man plays with no hat.", "a man"), "a hat"),
    ],
)
def test_no_false_no(parse_gif, texts, never):
    assert not [question for question in negatives(parse_gif, *texts) if never in question]


def test_nobody_is_denied_where_people_are(parse_gif):
    assert not [q for q in negatives(parse_gif, "A man is riding a bike.") if "person" in q or "people" in q]


def test_dogs_are_not_asked_whether_they_cook(parse_gif):
    asked = negatives(parse_gif, "A dog is running in the grass.")
    assert not [q for q in asked if any(word in q for word in ("cooking", "reading", "singing", "surfing"))]
