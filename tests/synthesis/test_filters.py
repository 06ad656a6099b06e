"""Filters: each bad pair is rejected, and for the reason that is written down."""

import pytest

from gifqa.synthesis.base import Draft
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.filters import Filters, Judge, Pair
from gifqa.synthesis.parsing import parse
from gifqa.synthesis.roundtrip import agrees, find_answer

CAPTION = "A man in a red shirt is riding a brown horse on the beach."


def draft(question, answer, kind="object", rule="test"):
    return Draft(question, answer, kind, "noun", rule)


def judged(parse_gif, *drafts, caption=CAPTION, language_model=None, **config):
    (parsed,) = parse_gif(caption)
    filters = Filters(SynthesisConfig(**config), language_model or Judge())
    return filters.apply([Pair(d, parsed, "test") for d in drafts])


def reason(parse_gif, *arguments, **options):
    return judged(parse_gif, draft(*arguments), **options)[0].reason


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("What is the man riding?", "horse", "object"),
        ("Who is riding a horse?", "man", "person"),
        ("What color is the shirt?", "red", "colour"),
        ("Where is the man?", "on the beach", "place"),
        ("What is the man doing?", "riding a brown horse", "action"),
        ("Is there a horse?", "yes", "yes/no"),
        ("Is there a zebra?", "no", "yes/no"),
    ],
)
def test_good_pairs_pass_with_a_score(parse_gif, question, answer, kind):
    kind = "animal" if answer == "horse" else kind
    (pair,) = judged(parse_gif, draft(question, answer, kind))
    assert pair.reason is None
    assert 0 < pair.score <= 1


@pytest.mark.parametrize(
    ("question", "answer", "kind", "expected"),
    [
        ("What is the man riding?", "", "object", "no answer"),
        ("What is the man riding?", "a " * 11, "object", "answer too long"),
        ("What?", "horse", "animal", "ungrammatical: too few or too many words"),
        ("The man is riding what.", "horse", "animal", "ungrammatical: no question"),
        ("Who who is riding a horse?", "man", "person", "ungrammatical: a word stands twice"),
        ("What is the man riding a?", "horse", "animal", "ungrammatical: ends in the middle of a phrase"),
        ("Who the horse by the beach?", "man", "person", "ungrammatical: no verb"),
        ("What is the men riding?", "horse", "animal", 'ungrammatical: "is" with several'),
        ("What is the man on the horse riding?", "horse", "animal", "answer in the question"),
        ("Where is the man on the beach?", "on the beach", "place", "answer in the question"),
        ("What is the nude man riding?", "horse", "animal", "unsafe word"),
        ("What is the man riding?", "thing", "object", "trivial: vague answer"),
        ("Who is riding a horse?", "person", "person", "trivial: the answer says no more than who"),
        ("What is there?", "horse", "object", "trivial: nothing in the question"),
        ("What color is the horse?", "red", "colour", "round trip: the caption says brown"),
        ("Who is riding a horse?", "woman", "person", "round trip: the caption says man"),
        ("Is there a zebra?", "yes", "yes/no", "round trip: the caption says no"),
        ("Is the man riding a horse?", "no", "yes/no", "round trip: the caption says yes"),
        ("How many men are there?", "two", "number", "round trip: the caption says nothing"),
    ],
)
def test_bad_pairs_have_their_reason(parse_gif, question, answer, kind, expected):
    assert reason(parse_gif, question, answer, kind) == expected


def test_own_unsafe_words_take_the_place_of_the_list(parse_gif):
    assert (
        reason(parse_gif, "What is the man riding?", "horse", "animal", unsafe_words=("horse",))
        == "unsafe word"
    )


def test_doubles_and_other_answers(parse_gif):
    (parsed,) = parse_gif("A man in a hat and a scarf is holding a cup.")
    drafts = [
        draft("What is the man wearing?", "hat"),
        draft("What is the man wearing?", "scarf"),
        draft("what is the man wearing?", "scarf"),
    ]
    pairs = [Pair(d, parsed, "test") for d in drafts]
    one = [pair.reason for pair in Filters(SynthesisConfig()).apply(pairs)]
    assert one == ["other answer kept: scarf", None, "duplicate"]
    every = [pair.reason for pair in Filters(SynthesisConfig(one_answer=False)).apply(pairs)]
    assert every == [None, None, "duplicate"]


def test_a_yes_no_pair_is_rejected_whole(parse_gif):
    (parsed,) = parse_gif(CAPTION)
    pairs = [
        Pair(draft("Is there a zebra?", "yes", "yes/no"), parsed, "test", partner=1),
        Pair(draft("Is there a lion?", "no", "yes/no"), parsed, "test", partner=1),
        Pair(draft("Is there a horse?", "yes", "yes/no"), parsed, "test", partner=2),
        Pair(draft("Is there a cow?", "no", "yes/no"), parsed, "test", partner=2),
    ]
    reasons = [pair.reason for pair in Filters(SynthesisConfig()).apply(pairs)]
    assert reasons == ["round trip: the caption says no", "its yes/no partner was rejected", None, None]


def test_per_caption_takes_the_types_in_turn_and_yes_no_by_pairs(parse_gif):
    (parsed,) = parse_gif(CAPTION)
    pairs = [
        Pair(draft("What is the man riding?", "horse", "animal"), parsed, "test"),
        Pair(draft("What animal is there?", "horse", "animal"), parsed, "test"),
        Pair(draft("What color is the shirt?", "red", "colour"), parsed, "test"),
        Pair(draft("Is there a horse?", "yes", "yes/no"), parsed, "test", partner=1),
        Pair(draft("Is there a cow?", "no", "yes/no"), parsed, "test", partner=1),
    ]
    kept = [p for p in Filters(SynthesisConfig(per_caption=4)).apply(pairs) if p.reason is None]
    assert sorted(p.draft.answer_type for p in kept) == ["animal", "colour", "yes/no", "yes/no"]


def test_a_language_model_may_judge(parse_gif):
    judge = Judge(
        answers=lambda captions, questions: ["Horse." if "riding" in q else "a zebra" for q in questions],
        perplexities=lambda questions: [900.0 if "shirt" in q else 20.0 for q in questions],
    )
    pairs = judged(
        parse_gif,
        draft("What is the man riding?", "horse", "animal"),
        draft("What animal is there?", "horse", "animal"),
        draft("What color is the shirt?", "red", "colour"),
        language_model=judge,
        round_trip="lm",
        judge="some-model",
        max_perplexity=100,
    )
    assert [pair.reason for pair in pairs] == [
        None,
        "round trip: the language model says a zebra",
        "ungrammatical: perplexity 900",
    ]


def test_the_answerer_takes_the_nearer_of_two_answers(parse_gif):
    (caption,) = parse_gif("A boy is holding a cup while a woman is holding a phone.")
    first, second = parse(["Who is holding a cup?", "Who is holding a phone?"])
    assert find_answer(first, caption).answer == "boy"
    assert find_answer(second, caption).answer == "woman"


def test_answers_agree_by_their_words():
    assert agrees("hat", "hat and glasses") and agrees("on the beach", "beach on")
    assert not agrees("", "hat") and not agrees("cat", "dog")
