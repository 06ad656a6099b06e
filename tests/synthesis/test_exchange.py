"""Yes/no questions: a "no" never where a caption leaves room for doubt, and nothing to learn from wording."""

import random

import numpy as np
import pytest

from gifqa.evaluation.question_model import OpenModel
from gifqa.synthesis.exchange import exchanges, yes_no_drafts


@pytest.fixture(scope="module")
def exchange(parse_gif):
    """{gif: captions} -> {gif: {(question, answer)}} by every exchange that some seed makes."""

    def found(seeds=5, splits=None, **gifs):
        captions = [caption for gif, texts in gifs.items() for caption in parse_gif(*texts, gif=gif)]
        asked = {gif: set() for gif in gifs}
        for seed in range(seeds):
            for caption, drafts in zip(captions, yes_no_drafts(captions, splits or {}, seed), strict=True):
                asked[caption.gif] |= {(draft.question, draft.answer) for _, draft in drafts}
        return asked

    return found


def test_two_gifs_are_asked_the_same_questions_and_answer_them_in_opposite_ways(exchange):
    asked = exchange(
        a=["A man in a red shirt is riding a horse on the beach."],
        b=["A man in a blue shirt is sleeping in a kitchen."],
    )
    questions = ["Is the man riding a horse?", "Is the shirt red?", "Is the man on the beach?"]
    others = ["Is the man sleeping?", "Is the shirt blue?", "Is the man in a kitchen?"]
    for question in questions:
        assert (question, "yes") in asked["a"] and (question, "no") in asked["b"]
    for question in others:
        assert (question, "yes") in asked["b"] and (question, "no") in asked["a"]


def test_what_is_there_and_who_it_is(exchange):
    asked = exchange(
        a=["A man is riding a horse."], b=["A woman is riding a horse."], c=["A dog sits.", "A dog is wet."]
    )
    assert {("Is a man riding a horse?", "yes"), ("Is a woman riding a horse?", "no")} <= asked["a"]
    assert {("Is a man riding a horse?", "no"), ("Is a woman riding a horse?", "yes")} <= asked["b"]
    assert {("Is there a dog?", "yes"), ("Is there a horse?", "no")} <= asked["c"]


def test_what_has_no_singular_is_asked_for_as_it_is_said(exchange):
    asked = exchange(
        a=["The scissors are on a table.", "The scissors are open."],
        b=["A horse runs on a beach.", "A horse is running.", "A horse is wet."],
    )
    assert ("Are there scissors?", "yes") in asked["a"] and ("Are there scissors?", "no") in asked["b"]


def test_an_object_is_asked_for_too(exchange):
    asked = exchange(a=["A boy is holding an old umbrella."], b=["A boy is holding a phone."])
    assert asked["a"] == {("Is the boy holding an umbrella?", "yes"), ("Is the boy holding a phone?", "no")}


def test_partners_are_of_one_split(exchange):
    gifs = {"a": ["A man is running."], "b": ["A man is sleeping."]}
    assert exchange(**gifs)["a"]
    assert not exchange(splits={"a": "train", "b": "test"}, **gifs)["a"]


def test_each_gif_has_as_many_yes_as_no_and_so_has_each_statement(parse_gif):
    captions = [caption for gif, texts in drawn(60).items() for caption in parse_gif(*texts, gif=gif)]
    found = exchanges(captions, {}, 0)
    assert len(found) > 30
    assert len({id(claim) for pair in found for claim in pair}) == 2 * len(found), "a claim is exchanged once"
    for drafts in yes_no_drafts(captions, {}, 0):
        answers = [draft.answer for _, draft in drafts]
        assert answers.count("yes") == answers.count("no")


@pytest.mark.parametrize(
    ("own", "other", "never"),
    [
        (["A man is walking a dog.", "A person with a puppy."], ["A woman is walking a dog."], "Is a woman"),
        (["A dog is running.", "A dog chases a cat."], ["A cat is sleeping."], "Is there a cat?"),
        (["A dog is running.", "An animal in the grass."], ["A horse is eating."], "Is there a horse?"),
        (["A puppy is running."], ["A dog is sleeping."], "Is there a dog?"),
        (["A boy is running.", "A kid reads a book."], ["A boy is reading."], "Is the boy reading?"),
        (["A boy is sitting."], ["A boy is eating."], "Is the boy eating?"),
        (["A surfer is sitting."], ["A surfer is surfing."], "Is the surfer surfing?"),
        (["A man is in the ocean."], ["A man is on the beach."], "Is the man on the beach?"),
        (["A gray car."], ["A black car."], "Is the car black?"),
        (["A man is wearing a shirt."], ["A man is wearing a hat."], "Is the man wearing a hat?"),
        (["A man walks down the street."], ["A car is parked."], "Is there a car?"),
    ],
)
def test_no_false_no(exchange, own, other, never):
    asked = exchange(a=own, b=other, c=["A zebra sleeps in the snow."], d=["A man swims."], e=["A red hat."])
    assert not [question for question, answer in asked["a"] if answer == "no" and never in question]


def drawn(count):
    """Captions of GIFs as unlike each other as real ones: some things far more often than others."""
    draw = random.Random(0)
    subjects = ["man", "man", "man", "woman", "woman", "boy", "dog", "dog", "cat", "panda"]
    actions = ["running", "running", "running", "sleeping", "swimming", "eating", "sitting", "climbing"]
    human = ["riding a bike", "reading a book", "playing a guitar", "cooking", "driving a car"]
    places = ["on the beach", "in a field", "in a kitchen", "on the street", "in the snow"]
    gifs = {}
    for number in range(count):
        subject, place = draw.choice(subjects), draw.choice(places)
        known = actions if subject in ("dog", "cat", "panda") else [*actions, *human]
        colour, thing = draw.choice(["red", "red", "blue", "white"]), draw.choice(["hat", "ball", "collar"])
        caption = f"A {subject} with a {colour} {thing} is {draw.choice(known)} {place}."
        gifs[f"{number}.gif"] = [caption]
    return gifs


def test_wording_gives_nothing_away(parse_gif):
    """Once a model that saw no GIF had 75 % of such questions right: it learnt what only a "no" asks for."""
    captions = [caption for gif, texts in drawn(400).items() for caption in parse_gif(*texts, gif=gif)]
    splits = {caption.gif: "test" if number % 4 == 0 else "train" for number, caption in enumerate(captions)}
    asked = {"train": [], "test": []}
    for caption, drafts in zip(captions, yes_no_drafts(captions, splits, 0), strict=True):
        asked[splits[caption.gif]] += [draft for _, draft in drafts]
    assert min(len(drafts) for drafts in asked.values()) > 200
    train = asked["train"] * 5  # as if it were longer: a model that learns more than it would
    model = OpenModel([draft.question for draft in train], [draft.answer for draft in train])
    right = np.mean([model.predict(draft.question)[0] == draft.answer for draft in asked["test"]])
    assert right <= 0.55


def test_the_seed_draws_the_partners(parse_gif):
    captions = [caption for gif, texts in drawn(60).items() for caption in parse_gif(*texts, gif=gif)]
    first, again, other = (yes_no_drafts(captions, {}, seed) for seed in (0, 0, 1))
    assert first == again != other
