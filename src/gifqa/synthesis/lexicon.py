"""What the rules know about words: people, animals, colours, places, and which swap makes a fair "no".

The lists stand in `lexicon.toml`, by frequency in image captions. They cover what captions name, not English.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any

_PERSON_SUFFIXES = (
    "man", "men", "woman", "women", "boarder", "skater", "cyclist", "biker", "player", "rider",
)  # fmt: skip
_THINGS_IN_IST = frozenset({"playlist", "checklist"})
Members = Mapping[str, frozenset[str]]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The word lists of `lexicon.toml`, looked up by lower-case lemma."""

    tables: Mapping[str, Any]
    """The file's tables as read."""

    @cached_property
    def _sets(self) -> dict[tuple[str, str], frozenset[str]]:
        return {
            (table, key): frozenset(value.split())
            for table, entries in self.tables.items()
            if isinstance(entries, dict)
            for key, value in entries.items()
            if isinstance(value, str)
        }

    def words(self, table: str, key: str) -> frozenset[str]:
        """The words of one list of the file."""
        return self._sets[table, key]

    def ordered(self, table: str, key: str) -> list[str]:
        """The words of one list, most frequent first."""
        return str(self.tables[table][key]).split()

    @cached_property
    def persons(self) -> dict[str, str]:
        """Word of a person -> "male", "female" or "neutral"."""
        sexes = ("neutral", "male", "female")
        return {word: sex for sex in sexes for word in self.ordered("persons", sex)}

    @cached_property
    def concepts(self) -> dict[str, Members]:
        """Class -> concept -> words that name it; the key "_generic" has the words for the whole class."""
        return {
            name: {key: frozenset(str(words).split()) for key, words in members.items()}
            for name, members in self.tables["concepts"].items()
        }

    @cached_property
    def class_of(self) -> dict[str, str]:
        """Concept or word -> the class it is of (the first that lists it)."""
        found: dict[str, str] = {}
        for name, members in self.concepts.items():
            for key, words in members.items():
                for word in (*words, *([] if key == "_generic" else [key])):
                    found.setdefault(word, name)
        return found

    @cached_property
    def colours(self) -> frozenset[str]:
        """Every colour word."""
        return self.words("colours", "words")

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number word -> value."""
        return {word: int(value) for word, value in self.tables["numbers"].items()}

    @cached_property
    def number_words(self) -> dict[str, str]:
        """Digits or number word -> number word."""
        return {str(value): word for word, value in self.numbers.items()} | {
            word: word for word in self.numbers
        }

    @cached_property
    def scenes(self) -> dict[str, frozenset[str]]:
        """Group of scenes -> its nouns; scenes of two groups exclude each other."""
        return {group: frozenset(str(words).split()) for group, words in self.tables["places"].items()}

    @cached_property
    def open_scenes(self) -> frozenset[str]:
        """Nouns of scenes that a whole action takes place in, vehicles and the air left out."""
        return frozenset(
            w for group, words in self.scenes.items() if group not in ("air", "vehicle") for w in words
        )

    @cached_property
    def place_nouns(self) -> frozenset[str]:
        """Every noun that may end a phrase of place."""
        scenes = frozenset(word for words in self.scenes.values() for word in words)
        return scenes | self.words("place_nouns", "words")

    @cached_property
    def actions(self) -> dict[str, list[str]]:
        """Group of actions -> gerunds; a negative takes a group that no caption mentions."""
        return {group: str(words).split() for group, words in self.tables["actions"].items()}

    @cached_property
    def clothing(self) -> frozenset[str]:
        """Words for what a person wears."""
        return frozenset(word for words in self.concepts["clothing"].values() for word in words)

    @cached_property
    def animals(self) -> frozenset[str]:
        """Words for animals."""
        return frozenset(word for words in self.concepts["animal"].values() for word in words)

    def is_person(self, word: str) -> bool:
        """Whether the noun names a person or people."""
        if word in self.persons:
            return True
        if word.endswith("ist") and len(word) > 6:
            return word not in _THINGS_IN_IST
        return word.endswith(_PERSON_SUFFIXES) and word not in self.animals

    def is_animal(self, word: str) -> bool:
        """Whether the noun names an animal."""
        return word in self.animals

    def concept_of(self, word: str) -> tuple[str, str] | None:
        """(class, concept) of a noun, or None when the lists do not have it or have only its class."""
        name = self.class_of.get(word)
        if name is None:
            return None
        for key, words in self.concepts[name].items():
            if key != "_generic" and (word == key or word in words):
                return name, key
        return None

    def rivals(self, word: str, mentioned: frozenset[str]) -> list[str]:
        """Concepts of the noun's class that no caption mentions, by frequency; none where a caption is vague.

        Args:
            word: a noun of the caption.
            mentioned: lemmas of all captions of the same GIF.
        """
        found = self.concept_of(word)
        if found is None:
            return []
        name, own = found
        members = self.concepts[name]
        if members["_generic"] & mentioned:
            return []
        return [
            key
            for key, words in members.items()
            if key not in ("_generic", own)
            and key not in mentioned
            and word not in words
            and not words & mentioned
        ]

    def with_article(self, concept: str) -> str:
        """The concept as a question names it: "a dog", "an apple", "bread", "scissors"."""
        word = concept.replace("-", " ")
        plural_only = self.words("articles", "plural_only")
        if f"{word}s" in plural_only:
            return f"{word}s"
        if word in plural_only or word in self.words("articles", "mass"):
            return word
        return f"{self.article(word)} {word}"

    def article(self, word: str) -> str:
        """The indefinite article before a word, by its letters."""
        vowel = word[0] in "aeiou" and word.split(maxsplit=1)[0] not in self.words("articles", "consonant_u")
        return "an" if vowel else "a"


@lru_cache(maxsize=1)
def load_lexicon() -> Lexicon:
    """The lexicon that the package ships."""
    text = files("gifqa.synthesis").joinpath("lexicon.toml").read_text(encoding="utf-8")
    return Lexicon(tomllib.loads(text))


@lru_cache(maxsize=8192)
def gerund(lemma: str) -> str:
    """The -ing form of a verb: ride -> riding, sit -> sitting, lie -> lying."""
    lexicon = load_lexicon()
    irregular: dict[str, str] = lexicon.tables["gerunds"]
    if lemma in irregular:
        return irregular[lemma]
    if lemma in lexicon.words("verbs", "doubling"):
        return f"{lemma}{lemma[-1]}ing"
    if lemma.endswith("e") and not lemma.endswith(("ee", "oe", "ye")):
        return f"{lemma[:-1]}ing"
    return f"{lemma}ing"
