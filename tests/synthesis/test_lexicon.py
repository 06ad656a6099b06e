"""Word knowledge: forms of verbs, classes of nouns, and which swaps are fair."""

import pytest

from gifqa.synthesis.lexicon import gerund, load_lexicon


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("ride", "riding"),
        ("sit", "sitting"),
        ("lie", "lying"),
        ("ski", "skiing"),
        ("see", "seeing"),
        ("play", "playing"),
    ],
)
def test_gerunds(verb, form):
    assert gerund(verb) == form


def test_people_are_told_from_animals_and_things(lexicon):
    assert [lexicon.is_person(word) for word in ("fireman", "guitarist", "skateboarder", "dog", "list")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert lexicon.is_animal("poodle") and not lexicon.is_animal("poodles")


def test_a_rival_is_of_the_same_class_and_in_no_caption(lexicon):
    rivals = lexicon.rivals("puppy", frozenset({"puppy", "kitten"}))
    assert "horse" in rivals
    assert "dog" not in rivals, "a puppy is a dog"
    assert "cat" not in rivals, "a caption has a kitten"


def test_a_vague_caption_leaves_no_rivals(lexicon):
    assert lexicon.rivals("dog", frozenset({"dog", "animal"})) == []
    assert lexicon.rivals("rainbow", frozenset()) == []


def test_articles(lexicon):
    words = ("dog", "elephant", "jeans", "wine", "hot-dog", "unicycle", "scissor", "luggage")
    said = [lexicon.with_article(word) for word in words]
    assert said == ["a dog", "an elephant", "jeans", "wine", "a hot dog", "a unicycle", "scissors", "luggage"]


def test_tables_name_each_other():
    lexicon = load_lexicon()
    groups, scenes = {*lexicon.actions, "play"}, set(lexicon.scenes)
    for name, others in lexicon.tables["action_company"].items():
        assert {name, *others.split()} <= groups, name
    assert set(lexicon.tables["action_signs"]) <= groups
    for name, others in lexicon.tables["scene_company"].items():
        assert {name, *others.split()} <= scenes, name
    assert set(lexicon.tables["scene_signs"]) <= scenes
    for name, others in lexicon.tables["passed_over"].items():
        assert lexicon.class_of[name] and set(others.split()) <= scenes, name
