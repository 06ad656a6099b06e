"""A verb that the tagger takes for a noun is parsed again, and positions lead back to the caption."""

import pytest

from gifqa.synthesis.parsing import DEFAULT_PIPELINE
from gifqa.synthesis.repair import Edit, parse_captions


def test_a_verb_in_disguise_is_found(parse_gif, lexicon):
    """Regression: "A dog splashes in the water" gave no question about what the dog does."""
    ((doc, edit),) = parse_captions(["A dog splashes in the water"], lexicon, DEFAULT_PIPELINE)
    assert edit is not None, "choose another caption if a new model tags this one right"
    assert doc.text == "A dog is splashing in the water"
    assert [(c.meant[0].text, c.verb.text) for c in parse_gif("A dog splashes in the water")[0].clauses] == [
        ("dog", "splashing")
    ]


def test_a_caption_that_is_parsed_right_stays_as_it_is(lexicon):
    ((doc, edit),) = parse_captions(["A man is riding a horse."], lexicon, DEFAULT_PIPELINE)
    assert edit is None and doc.text == "A man is riding a horse."


@pytest.mark.parametrize("word", ["dog", "splashes", "the water"])
def test_spans_lead_back(word):
    old, new = "A dog splashes in the water", "A dog is splashing in the water"
    edit = Edit(start=6, old_end=14, new_end=18)
    assert (old[6:14], new[6:18]) == ("splashes", "is splashing")
    said = "is splashing" if word == "splashes" else word
    start = new.index(said)
    back = edit.back((start, start + len(said)))
    assert old[back[0] : back[1]] == word


def test_a_span_inside_the_replacement_becomes_the_word():
    assert Edit(6, 14, 18).back((9, 18)) == (6, 14)
