"""Yes/no questions in pairs: for each "yes" a "no" of the same form, about something no caption has.

A "no" is made by swapping a thing, an action, a colour, a place or man for woman. It is left out, and its
"yes" with it, where the captions leave room for doubt: "Is there a dog?" is not asked of a caption with "an
animal", nor "Is a woman riding?" where somebody is just "a person". So yes and no are balanced.
"""

from collections.abc import Iterator, Sequence
from random import Random

from gifqa.synthesis.base import Draft
from gifqa.synthesis.clauses import Clause, action_of, object_of, particles_of, predicate, verb_words
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.lexicon import Lexicon
from gifqa.synthesis.looks import colour_name, colour_tokens
from gifqa.synthesis.nouns import (
    Token,
    bare,
    is_denied,
    is_plural,
    lemma,
    namesakes,
    noun_phrase,
    preposition_object,
    prepositional_phrase,
)
from gifqa.synthesis.places import is_place, place_prepositions

Pair = tuple[Draft, Draft]

_NEAR_COLOURS = (
    {"white", "gray"}, {"black", "gray"}, {"red", "orange"}, {"red", "pink"}, {"purple", "pink"},
    {"orange", "yellow"}, {"orange", "brown"}, {"blue", "purple"}, {"yellow", "white"},
)  # fmt: skip
_COLOURS_NEAR = {
    "beige": {"white", "brown", "yellow"}, "tan": {"brown", "yellow", "orange"}, "gold": {"yellow", "brown"},
    "golden": {"yellow", "brown"}, "silver": {"gray", "white"}, "maroon": {"red", "brown", "purple"},
    "turquoise": {"blue", "green"}, "teal": {"blue", "green"}, "violet": {"purple", "blue", "pink"},
    "navy": {"blue", "black"}, "khaki": {"brown", "green", "gray"}, "cream": {"white", "yellow"},
    "blonde": {"yellow", "white", "brown"},
}  # fmt: skip
_COAT_COLOURS = ("white", "black", "brown", "gray", "orange")
_HAIR_COLOURS = ("black", "brown", "blonde", "red", "gray")
_RELATED_ACTIONS = (
    {"sit", "lie", "stand"}, {"run", "walk", "jump", "throw", "kick", "fight"},
    {"sing", "dance", "play-music", "talk", "laugh"}, {"eat", "drink", "cook"}, {"swim", "surf"},
    {"ski", "snowboard"}, {"read", "type"}, {"climb", "walk"},
)  # fmt: skip
_PLAYING = {"play-music", "run", "throw", "kick", "dance"}
_ANIMAL_ACTIONS = frozenset(
    {"sit", "stand", "lie", "run", "walk", "jump", "swim", "eat", "drink", "dig", "climb", "fly", "crawl"}
)
_HARD_TO_TELL = ("laugh", "talk", "wave")
_RELATED_SCENES = ({"water", "shore"}, {"snow", "high"}, {"grass", "sport", "high"})
_OTHER_SEX = {"man": "woman", "woman": "man", "boy": "girl", "girl": "boy", "lady": "man", "guy": "woman"}
_POSSESSIVES = frozenset({"his", "her", "himself", "herself"})
_SWAPPED_CLASSES = ("animal", "vehicle", "instrument", "food", "device", "sport", "furniture")
_SEEN_WHEN_THERE = ("animal", "vehicle", "instrument")


def yes_no_pairs(caption: ParsedCaption, seed: int) -> list[Pair]:
    """Pairs of a question with the answer "yes" and one with "no", about one caption."""
    random = Random(f"{seed}|yes/no|{caption.gif}|{caption.text}")
    return [
        *_existence(caption, random),
        *_clause_swaps(caption, random),
        *_colour_swaps(caption, random),
        *_place_swaps(caption, random),
    ]


def _pair(yes: str, no: str, rule: str) -> Iterator[Pair]:
    if yes != no:
        yield (
            Draft(yes, "yes", "yes/no", "yes/no", rule),
            Draft(no, "no", "yes/no", "yes/no", rule),
        )


def _pick(random: Random, items: Sequence[str], power: float) -> str | None:
    """One item, the first ones more often: weight 1 / (rank + 2) ** power."""
    if not items:
        return None
    return random.choices(items, [1 / (rank + 2) ** power for rank in range(len(items))])[0]


def _existence(caption: ParsedCaption, random: Random) -> Iterator[Pair]:
    """Is there a dog?"""
    lexicon, mentioned = caption.lexicon, caption.context.lemmas
    ambiguous = lexicon.words("nouns", "ambiguous")
    things = []
    for noun in caption.nouns:
        word = lemma(noun)
        known = lexicon.class_of.get(word) in _SWAPPED_CLASSES and lexicon.concept_of(word) is not None
        if known and word not in ambiguous and not is_denied(noun):
            things.append(word)
    if not things:
        return
    there = random.choice(things)
    absent = _pick(random, lexicon.rivals(there, mentioned), 0.6) if random.random() < 0.4 else None
    absent = absent or _salient_absent(caption, random)
    if absent is not None and absent not in ambiguous:
        yes, no = (f"Is there {lexicon.with_article(word)}?" for word in (there, absent))
        yield from _pair(yes, no, "exists")


def _salient_absent(caption: ParsedCaption, random: Random) -> str | None:
    """A thing whose whole class no caption mentions, drawn by how often captions have it."""
    lexicon, mentioned = caption.lexicon, caption.context.lemmas
    weights: dict[str, int] = lexicon.tables["salient"]
    free = {
        name
        for name, members in lexicon.concepts.items()
        if not any(words & mentioned for words in members.values())
    }
    if caption.context.num_captions < 3:
        free &= set(_SEEN_WHEN_THERE)
    names = [name for name in weights if lexicon.class_of[name] in free]
    return random.choices(names, [weights[name] for name in names])[0] if names else None


def _clause_swaps(caption: ParsedCaption, random: Random) -> Iterator[Pair]:
    lexicon = caption.lexicon
    for clause in caption.clauses[:3]:
        action = action_of(clause, lexicon)
        rest = predicate(clause, lexicon, adjectives=False)
        noun = object_of(clause.verb)
        if not clause.living or clause.passive or action is None or rest is None:
            continue
        if noun is not None and lemma(clause.verb) in lexicon.words("verbs", "intransitive"):
            continue
        if noun is not None:
            yield from _object_swap(clause, noun, caption, random)
        yield from _action_swap(clause, action, caption, random)
        yield from _sex_swap(clause, rest, caption, random)


def _object_swap(clause: Clause, noun: Token, caption: ParsedCaption, random: Random) -> Iterator[Pair]:
    """Is the man riding a horse? For somebody on a bike."""
    lexicon = caption.lexicon
    other = _pick(random, lexicon.rivals(lemma(noun), caption.context.lemmas), 0.6)
    words = verb_words(clause, lexicon)
    if other is None or not words or noun.tag_ != "NN" or is_denied(noun):
        return
    light = lemma(clause.verb) in lexicon.words("verbs", "light")
    if other in ("swing", "trampoline", "guitar-case", "remote") or light:
        return
    said = " ".join([clause.be.capitalize(), clause.subject, *words, *particles_of(clause.verb)])
    thing = noun_phrase(noun, adjectives=False, joined=False)
    yield from _pair(f"{said} {thing}?", f"{said} {lexicon.with_article(other)}?", "object-swap")


def _action_swap(clause: Clause, action: str, caption: ParsedCaption, random: Random) -> Iterator[Pair]:
    """Is the man sleeping? For somebody who runs."""
    lexicon = caption.lexicon
    form = action.split(maxsplit=1)[0]
    known = form == "playing" or any(form in words for words in lexicon.actions.values())
    animal = all(lexicon.is_animal(lemma(head)) for head in clause.meant)
    other = _other_action(caption, random, animal=animal)
    if known and other is not None and random.random() < 0.6:
        said = f"{clause.be.capitalize()} {clause.subject}"
        yield from _pair(f"{said} {action}?", f"{said} {other}?", "action-swap")


def _other_action(caption: ParsedCaption, random: Random, *, animal: bool) -> str | None:
    lexicon, gerunds = caption.lexicon, caption.context.gerunds
    taken = {
        group
        for group, words in lexicon.actions.items()
        if any(word in gerunds or word.split("-")[0] in gerunds for word in words)
    }
    for related in _RELATED_ACTIONS:
        if related & taken:
            taken = taken | related
    if "playing" in gerunds:
        taken = taken | _PLAYING
    free = [group for group in lexicon.actions if group not in taken and group not in _HARD_TO_TELL]
    if animal:
        free = [group for group in free if group in _ANIMAL_ACTIONS]
    group = _pick(random, free, 0.3)
    return None if group is None else _say_action(group, caption, random, animal=animal)


def _say_action(group: str, caption: ParsedCaption, random: Random, *, animal: bool) -> str | None:
    """A group of actions in words that a caption could have."""
    lexicon, mentioned = caption.lexicon, caption.context.lemmas
    choices = list(lexicon.tables["action_phrases"].get(group, lexicon.actions[group][:1]))
    if animal and group in ("run", "lie", "sit"):
        choices = lexicon.actions[group][:1]
    wheels = {"bike", "bicycle", "motorcycle", "motorbike"}
    if mentioned & wheels:
        choices = [phrase for phrase in choices if not set(phrase.split()) & wheels]
    if mentioned & {"ball", "game", "player", "racket", "bat", "goal"}:
        choices = [phrase for phrase in choices if not phrase.startswith(("playing", "kicking", "throwing"))]
    choices = [phrase for phrase in choices if not (set(phrase.split()) - {"a", "the"}) & mentioned]
    return random.choice(choices) if choices else None


def _sex_swap(clause: Clause, rest: str, caption: ParsedCaption, random: Random) -> Iterator[Pair]:
    """Is a woman riding a bike? For a man, where nobody else is about."""
    lexicon = caption.lexicon
    word = lemma(clause.meant[0])
    if len(clause.meant) > 1 or clause.meant[0].tag_ != "NN" or word not in _OTHER_SEX:
        return
    if set(rest.split()) & _POSSESSIVES or random.random() > 0.4:
        return
    own = lexicon.persons[word]
    seen = {lexicon.persons[name] for name in caption.context.lemmas if name in lexicon.persons}
    unknown = any(
        lexicon.is_person(name) and lexicon.persons.get(name, "neutral") == "neutral"
        for name in caption.context.lemmas
    )
    if seen == {own} and not unknown:
        yield from _pair(f"Is a {word} {rest}?", f"Is a {_OTHER_SEX[word]} {rest}?", "sex-swap")


def _colour_swaps(caption: ParsedCaption, random: Random) -> Iterator[Pair]:
    """Is the shirt blue? For a red one."""
    lexicon, context = caption.lexicon, caption.context
    for noun in caption.nouns:
        word, colours = lemma(noun), colour_tokens(noun, lexicon)
        if len(colours) != 1 or namesakes(noun) or lexicon.is_person(word) or random.random() < 0.5:
            continue
        if word in lexicon.words("nouns", "empty") or word in lexicon.colours:
            continue
        if len(context.colours.get(word, ())) != 1 or (
            word in lexicon.place_nouns and word not in lexicon.class_of
        ):
            continue
        colour = colour_name(colours)
        other = _pick(random, _other_colours(word, colour, lexicon, context.lemmas), 0.7)
        if other is not None:
            be = "Are" if is_plural((noun,)) and word != "hair" else "Is"
            yes, no = (f"{be} the {bare(noun)} {name}?" for name in (colour, other))
            yield from _pair(yes, no, "colour-swap")


def _other_colours(word: str, colour: str, lexicon: Lexicon, mentioned: frozenset[str]) -> list[str]:
    """Colours that the thing may have and that nobody would call it by."""
    choices: Sequence[str] = lexicon.ordered("colours", "swap")
    if word == "hair":
        choices = _HAIR_COLOURS
    elif lexicon.is_animal(word):
        choices = _COAT_COLOURS
    near = _COLOURS_NEAR.get(colour, set())
    return [
        other
        for other in choices
        if other not in mentioned
        and other != colour
        and other not in near
        and {other, colour} not in _NEAR_COLOURS
    ]


def _place_swaps(caption: ParsedCaption, random: Random) -> Iterator[Pair]:
    """Is the man on a beach? For somebody in a kitchen."""
    lexicon = caption.lexicon
    phrases: dict[str, list[str]] = lexicon.tables["place_phrases"]
    for clause in caption.clauses[:2]:
        if not clause.living or random.random() < 0.5:
            continue
        for prep in place_prepositions(clause, lexicon)[:2]:
            noun = preposition_object(prep)
            phrase = prepositional_phrase(prep, adjectives=False)
            if noun is None or phrase is None or not is_place(prep, lexicon):
                continue
            own = {group for group in phrases if lemma(noun) in lexicon.scenes[group]}
            free = _other_scenes(own, caption) if own else []
            if free:
                said = f"{clause.be.capitalize()} {clause.subject}"
                other = random.choice(phrases[random.choice(free)])
                yield from _pair(f"{said} {phrase}?", f"{said} {other}?", "place-swap")
                break


def _other_scenes(own: set[str], caption: ParsedCaption) -> list[str]:
    """Groups of scenes that exclude the caption's own, none of whose words a caption mentions."""
    excluded = set(own)
    for related in _RELATED_SCENES:
        if related & own:
            excluded |= related
    lexicon, mentioned = caption.lexicon, caption.context.lemmas
    groups: list[str] = list(lexicon.tables["place_phrases"])
    return [group for group in groups if group not in excluded and not lexicon.scenes[group] & mentioned]
