"""What may be true of a GIF beside what its captions say: no question about it is answered "no".

Meanings are words, and groups of words with a mark: "@dog" for every word for dogs, "@ride" for driving.
"""

from collections.abc import Iterable
from functools import lru_cache

from gifqa.synthesis.context import GifContext
from gifqa.synthesis.lexicon import Lexicon, gerund, load_lexicon

Meanings = frozenset[str]

_SMALL_WORDS = frozenset(
    {"a", "an", "the", "in", "on", "at", "of", "to", "with", "and", "his", "her", "their", "its"}
)
_SEEN_WHEN_THERE = ("animal", "vehicle", "instrument")
_MANY_CAPTIONS = 3
_REMEMBERED = 64
"""A GIF's claims follow each other, so what is open in it is found once."""
_NEAR_COLOURS = {
    "white": {"gray", "yellow"}, "black": {"gray"}, "red": {"orange", "pink"}, "purple": {"pink", "blue"},
    "orange": {"yellow", "brown"}, "beige": {"white", "brown", "yellow"},
    "tan": {"brown", "yellow", "orange"}, "gold": {"yellow", "brown", "orange"},
    "silver": {"gray", "white"}, "maroon": {"red", "brown", "purple"},
    "turquoise": {"blue", "green"}, "teal": {"blue", "green"}, "violet": {"purple", "blue", "pink"},
    "navy": {"blue", "black"}, "khaki": {"brown", "green", "gray"}, "cream": {"white", "yellow"},
    "blonde": {"yellow", "white", "brown"},
}  # fmt: skip
_BASIC_COLOURS = frozenset(
    {"white", "black", "red", "brown", "blue", "green", "yellow", "pink", "orange", "purple", "gray"}
)


def content_of(words: Iterable[str]) -> Meanings:
    """The words that say something, with their singular as far as dropping an s gives it."""
    return frozenset(
        form for word in words if word not in _SMALL_WORDS for form in (word, word.removesuffix("s"))
    )


@lru_cache(maxsize=4096)
def senses_of(word: str, lexicon: Lexicon) -> Meanings:
    """The concepts that a noun may name; a scooter is a motorcycle or a bicycle."""
    return frozenset(
        f"@{key}"
        for members in lexicon.concepts.values()
        for key, words in members.items()
        if key != "_generic" and (word == key or word in words)
    )


@lru_cache(maxsize=_REMEMBERED)
def things_named(context: GifContext, lexicon: Lexicon) -> Meanings:
    """Concepts that captions name; every one of a class where a caption names the class."""
    return _marked(
        key
        for members in lexicon.concepts.values()
        for named in [
            [key for key, words in members.items() if key in context.lemmas or words & context.lemmas]
        ]
        for key in (members if "_generic" in named else named)
    )


@lru_cache(maxsize=_REMEMBERED)
def things_open(context: GifContext, lexicon: Lexicon) -> Meanings:
    """Concepts that a GIF may show: those that captions name, and what they may have passed over."""
    named = things_named(context, lexicon)
    found = set(named)
    for name, members in lexicon.concepts.items():
        is_told = name in _SEEN_WHEN_THERE or context.num_captions >= _MANY_CAPTIONS
        if not is_told or (name not in _SEEN_WHEN_THERE and not named.isdisjoint(_marked(members))):
            found |= _marked(members)
    scenes = _scenes_of(context.lemmas - lexicon.words("swaps", "vague_places"), lexicon)
    for key in lexicon.tables["passed_over"]:
        if not scenes & lexicon.words("passed_over", key):
            found.add(f"@{key}")
    return frozenset(found)


def _scenes_of(words: Meanings, lexicon: Lexicon) -> set[str]:
    return {name for name, scene in lexicon.scenes.items() if words & scene}


def groups_of_action(action: str, lexicon: Lexicon) -> Meanings:
    """Groups of a verb phrase; none where one cannot tell by looking whether somebody does it."""
    form, *rest = action.split()
    if form in lexicon.words("swaps", "vague_actions"):
        return frozenset()
    groups = {name for name, words in lexicon.actions.items() if form in words}
    if form == "riding":
        groups = {name for name in groups - {"ride"} if lexicon.words("action_signs", name) & set(rest)} or {
            "ride"
        }
    elif form == "playing":
        music = lexicon.concepts["instrument"]
        groups = {"play-music" if any(word in words for words in music.values() for word in rest) else "play"}
    return frozenset() if groups & lexicon.words("swaps", "untold_actions") else _marked(groups)


@lru_cache(maxsize=_REMEMBERED)
def actions_open(context: GifContext, lexicon: Lexicon) -> Meanings:
    """Groups of actions that may be going on: those mentioned, those expected, what goes on beside."""
    seen = _groups_of_verbs(context)
    expected = {
        name
        for name in lexicon.tables["action_signs"]
        if lexicon.words("action_signs", name) & context.lemmas
    }
    company = _company("action_company")
    return _marked(seen | expected | {other for name in seen for other in company.get(name, ())})


def _groups_of_verbs(context: GifContext) -> set[str]:
    agents = (word for word in context.lemmas if word.endswith("er") and len(word) > 4)
    forms = context.gerunds.union(gerund(_verb_of_agent(word)) for word in agents)
    return {name for form in forms for name in _groups_by_form().get(form, ())}


@lru_cache(maxsize=1)
def _groups_by_form() -> dict[str, set[str]]:
    """-ing form -> groups; riding is of one group, for what else is ridden is told by its noun."""
    found: dict[str, set[str]] = {"playing": {"play"}}
    for name, words in load_lexicon().actions.items():
        for form in (word.split("-")[0] for word in words):
            if form != "riding" or name == "ride":
                found.setdefault(form, set()).add(name)
    return found


def _verb_of_agent(word: str) -> str:
    """Surf for surfer, run for runner; nonsense for nouns that are no agents."""
    stem = word.removesuffix("er")
    return stem[:-1] if stem[-1] == stem[-2] else stem


@lru_cache(maxsize=4)
def _company(table: str) -> dict[str, set[str]]:
    """The pairs of a table in both directions."""
    found: dict[str, set[str]] = {}
    for name, others in load_lexicon().tables[table].items():
        for other in others.split():
            found.setdefault(name, set()).add(other)
            found.setdefault(other, set()).add(name)
    return found


def groups_of_place(word: str, lexicon: Lexicon) -> Meanings:
    """Groups of scenes of a noun; none where it is nowhere in particular, in the air or in a vehicle."""
    if word in lexicon.words("swaps", "vague_places"):
        return frozenset()
    return _marked(
        name for name, words in lexicon.scenes.items() if word in words and name not in ("air", "vehicle")
    )


@lru_cache(maxsize=_REMEMBERED)
def places_open(context: GifContext, lexicon: Lexicon) -> Meanings:
    """Groups of scenes that the GIF may show: those that captions name, and what may be the same."""
    seen = _scenes_of(context.lemmas, lexicon)
    signs = {
        name for name in lexicon.tables["scene_signs"] if lexicon.words("scene_signs", name) & context.lemmas
    }
    company = _company("scene_company")
    return _marked(seen | signs | {other for name in seen for other in company.get(name, ())})


def colours_open(colour: str, context: GifContext, lexicon: Lexicon) -> Meanings:
    """The colour, those that somebody might call it, and those that a caption mentions."""
    names = {other for other in lexicon.colours if _is_near(colour, other)}
    return frozenset(names | (context.lemmas & lexicon.colours) | {colour})


def _is_near(first: str, second: str) -> bool:
    near = _NEAR_COLOURS.get(first, set()), _NEAR_COLOURS.get(second, set())
    if second in near[0] or first in near[1]:
        return True
    return not {first, second} & _BASIC_COLOURS and bool(near[0] & near[1])


@lru_cache(maxsize=_REMEMBERED)
def sexes_open(context: GifContext, lexicon: Lexicon) -> Meanings:
    """The sexes of the persons mentioned; "neutral" where somebody's is not said."""
    persons = [word for word in context.lemmas if lexicon.is_person(word)]
    return frozenset(lexicon.persons.get(word, "neutral") for word in persons)


def _marked(names: Iterable[str]) -> Meanings:
    return frozenset(f"@{name}" for name in names)
