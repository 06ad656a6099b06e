"""Questions about time with their distractors, and triples with the questions made from them."""

import pytest

from gifqa.synthesis.temporal import NUM_DISTRACTORS, Event, events_of, temporal_drafts
from gifqa.synthesis.triples import TripleGenerator, read_triples, triples_of

POOL = [
    Event("b.gif", "man", "smoke", "smoke a cigarette", "smoking a cigarette"),
    Event("c.gif", "man", "dance", "dance on a stage", "dancing on a stage"),
    Event("d.gif", "man", "sing", "sing into a microphone", "singing into a microphone"),
    Event("e.gif", "man", "open", "open a door", "opening a door"),
    Event("f.gif", "dog", "bark", "bark at a cat", "barking at a cat"),
    Event("a.gif", "man", "eat", "eat an apple", "eating an apple"),
    Event("g.gif", "man", "point", "point at a sign", "pointing at a sign"),
]


def drafts(parse_gif, text, pool=POOL):
    return {draft.question: draft for draft in temporal_drafts(parse_gif(text)[0], pool, 0)}


def test_before_and_after(parse_gif):
    found = drafts(parse_gif, "a man tips his hat and then points at the camera")
    assert found["What does the man do after tipping his hat?"].answer == "point at the camera"
    assert found["What does the man do before pointing at the camera?"].answer == "tip his hat"


def test_how_often_and_what_is_repeated(parse_gif):
    found = drafts(parse_gif, "a girl claps three times")
    assert found["How many times does the girl clap?"].answer == "three"
    assert found["What does the girl do three times?"].answer == "clap"
    assert drafts(parse_gif, "a woman nods twice")["How many times does the woman nod?"].answer == "two"


def test_two_states_are_no_sequence(parse_gif):
    assert drafts(parse_gif, "a man sits on a chair and reads a book") == {}


def test_four_distractors_of_the_same_subject_and_none_of_this_gif(parse_gif):
    draft = drafts(parse_gif, "a man tips his hat and then points at the camera")[
        "What does the man do after tipping his hat?"
    ]
    assert len(draft.options) == 1 + NUM_DISTRACTORS == len(set(draft.options))
    assert draft.answer in draft.options
    assert set(draft.options) - {draft.answer} == {event.base for event in POOL[:4]}, (
        "what men do elsewhere; not eating, which is this GIF's, nor pointing, which is the answer"
    )


def test_no_distractor_is_a_synonym_of_the_answer(parse_gif):
    pool = [*POOL, Event("h.gif", "dog", "jog", "jog in a park", "jogging in a park")]
    draft = drafts(parse_gif, "a dog jumps and then runs", pool)["What does the dog do after jumping?"]
    assert draft.answer == "run"
    assert "jog in a park" not in draft.options


def test_a_pool_that_is_too_small_is_filled_up(parse_gif):
    draft = drafts(parse_gif, "a girl claps three times", [])["What does the girl do three times?"]
    assert len(set(draft.options)) == 1 + NUM_DISTRACTORS


def test_events_are_what_subjects_do(parse_gif):
    events = events_of(parse_gif("a man is tipping his hat", "the car is red"))
    assert [(e.subject, e.base, e.ing) for e in events] == [("man", "tip his hat", "tipping his hat")]


@pytest.mark.parametrize(
    ("text", "triple"),
    [
        ("a man in a red hat is riding a horse on the beach", ("man", "ride", "horse")),
        ("a man in a red hat is riding a horse on the beach", ("man", "wear", "hat")),
        ("a man in a red hat is riding a horse on the beach", ("hat", "be", "red")),
        ("a man in a red hat is riding a horse on the beach", ("man", "be on", "beach")),
        ("a boy picks up a ball", ("boy", "pick up", "ball")),
        ("a woman looks at a cat", ("woman", "look at", "cat")),
        ("a dog is chased by a cat", ("cat", "chase", "dog")),
        ("a man and a woman are eating pizza", ("woman", "eat", "pizza")),
    ],
)
def test_triples(parse_gif, text, triple):
    assert triple in {(t.subject, t.predicate, t.object) for t in triples_of(parse_gif(text)[0])}


def test_what_is_denied_is_no_fact(parse_gif):
    found = triples_of(parse_gif("a man with no hat is walking")[0])
    assert not [t for t in found if t.object == "hat"]


def test_questions_from_triples(parse_gif):
    (found,) = TripleGenerator().drafts(parse_gif("a woman carries two boxes"), 0)
    assert {d.question: d.answer for d in found} == {
        "Who carries the boxes?": "woman",
        "What does the woman carry?": "boxes",
    }


def test_triples_of_a_file_pass_over_bad_rows(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"gif": "a", "caption": "a man rides a horse"}\nnonsense\n{"gif": "b", "caption": ""}\n')
    first, second = read_triples(path)
    assert "c.jsonl:2: is no JSON" in str(first)
    assert (second.subject, second.predicate, second.object) == ("man", "ride", "horse")
