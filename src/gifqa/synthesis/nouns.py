"""What the rules read off a dependency parse about nouns: which noun is meant, its name, its phrase.

Works on spaCy tokens with the English labels that `en_core_web_*` give (dobj, amod, compound ...).
"""

from collections.abc import Iterable
from typing import Any

from gifqa.synthesis.lexicon import Lexicon, load_lexicon

Token = Any  # spacy.tokens.Token; spaCy is an optional dependency
Doc = Any

_NOUNS = ("NOUN", "PROPN")
_LEMMAS = {
    "rid": "ride",
    "ridding": "ride",
    "sle": "sled",
    "lain": "lie",
    "woode": "wood",
    "skies": "ski",
    "star": "stare",
}
_FIXED_ADJECTIVES = frozenset(
    {
        ("hot", "dog"), ("polar", "bear"), ("stuffed", "animal"), ("stuffed", "bear"), ("remote", "control"),
        ("ice", "cream"), ("high", "chair"), ("electric", "guitar"), ("cell", "phone"), ("potted", "plant"),
        ("french", "fries"), ("hula", "hoop"), ("acoustic", "guitar"), ("martial", "arts"),
    }
)  # fmt: skip
_FRAMES = frozenset(["front", "top", "middle", "side", "edge", "back", "center", "corner", "bottom"])
_MAX_COMPOUND = 3
_PLURALS = frozenset(["people", "men", "women", "children", "sheep", "two", "three"])
_COUNTED_CLASSES = frozenset({"animal", "vehicle", "instrument", "clothing", "furniture", "device"})
_SINGULAR_DETERMINERS = ("a", "an", "this", "that", "each", "another")


def is_noun(token: Token) -> bool:
    """Whether the token is a common or proper noun."""
    return token.pos_ in _NOUNS


def lemma(token: Token) -> str:
    """Lower-case lemma, with the small model's known slips put right."""
    word = str(token.lemma_).lower()
    return _LEMMAS.get(word, word)


def conjuncts(head: Token) -> tuple[Token, ...]:
    """The noun and those joined to it by "and" (never by "or")."""
    if any(child.dep_ == "cc" and child.lower_ not in ("and", "&") for child in head.children):
        return (head,)
    found = [head]
    for child in head.children:
        if child.dep_ == "conj" and is_noun(child):
            found.extend(conjuncts(child))
    return tuple(found)


def through_quantity(head: Token, lexicon: Lexicon) -> Token:
    """The noun that is meant: people in "a group of people", cake in "a piece of cake"."""
    if lemma(head) not in lexicon.words("quantities", "transparent"):
        return head
    for child in head.children:
        if child.dep_ == "prep" and child.lower_ == "of" and child.i == head.i + 1:
            for noun in child.children:
                if noun.dep_ == "pobj" and is_noun(noun):
                    return through_quantity(noun, lexicon)
    return head


def quantity_of(noun: Token, lexicon: Lexicon) -> Token:
    """The way back: group for the people in "a group of people", or the noun itself."""
    outer = noun
    while (
        outer.dep_ == "pobj"
        and outer.head.lower_ == "of"
        and lemma(outer.head.head) in lexicon.words("quantities", "transparent")
        and is_noun(outer.head.head)
    ):
        outer = outer.head.head
    return outer


def compound_words(head: Token) -> list[Token]:
    """The tokens of the noun with its compounds, contiguous and ending at the head."""
    start, colours = head.i, load_lexicon().colours
    for child in sorted(head.lefts, key=lambda token: -token.i):
        if child.i != start - 1 or child.lower_ in colours:
            continue
        if (child.lower_, head.lower_) in _FIXED_ADJECTIVES:
            start = child.i
        elif child.dep_ in ("compound", "nmod") and child.is_alpha and is_noun(child):
            if child.pos_ == "PROPN" and child.is_title and child.i != child.sent.start:
                break
            start = compound_words(child)[0].i
    hyphenated = start >= 2 and head.doc[start - 1].text == "-" and head.doc[start - 2].is_alpha
    if hyphenated and not head.doc[start - 2].whitespace_:
        start -= 2
    return list(head.doc[start : head.i + 1])


def bare(head: Token) -> str:
    """The noun with its compounds, lower-case, without determiner or adjectives: "tennis racket"."""
    return text(compound_words(head))


def text(tokens: Iterable[Token]) -> str:
    """Tokens as lower-case text, with apostrophes, commas and hyphens closed up."""
    joined = ""
    for token in tokens:
        word = token.lower_
        tight = word in (",", ".", "-", ")", "'", "?", "!") or word.startswith(("'", "n't"))
        joined += word if not joined or tight or joined.endswith(("-", "(")) else f" {word}"
    return joined


def premodifiers(head: Token) -> list[Token]:
    """Adjectives and number words before the noun, in order, without determiners."""
    start = compound_words(head)[0].i
    return [
        child
        for child in head.lefts
        if child.i < start and child.dep_ in ("amod", "nummod") and child.is_alpha and not list(child.lefts)
    ]


def is_plural(heads: tuple[Token, ...]) -> bool:
    """Whether the nouns take "are"."""
    if len(heads) > 1:
        return True
    head = heads[0]
    if head.tag_ in ("NNS", "NNPS") or head.lower_ in _PLURALS:
        return True
    return any(child.dep_ == "nummod" and child.lower_ not in ("one", "1") for child in head.children)


def is_denied(noun: Token) -> bool:
    """Whether the caption says there is none: "no shirt", "without a hat"."""
    return noun.head.lower_ == "without" or any(
        child.lower_ in ("no", "without", "any") for child in noun.lefts
    )


def is_slip(noun: Token, lexicon: Lexicon) -> bool:
    """Whether the tagger took a verb for a noun: "in black crouches", "the zebra snacks", "a dog barks"."""
    words, head = compound_words(noun), lemma(noun)
    plural = noun.tag_ in ("NNS", "NNPS")
    singular = any(child.dep_ == "det" and child.lower_ in _SINGULAR_DETERMINERS for child in noun.lefts)
    if len(words) > _MAX_COMPOUND or (plural and singular):
        return True
    before = {lemma(word) for word in words[:-1]}
    if before & lexicon.clothing:
        return head not in lexicon.clothing and head not in ("store", "shop", "rack")
    if before and _is_odd_compound(before, head, lexicon, plural=plural):
        return True
    if head not in lexicon.words("nouns", "verbs_in_disguise"):
        return False
    return plural or not any(child.dep_ in ("det", "poss") for child in noun.lefts)


def _is_odd_compound(before: set[str], head: str, lexicon: Lexicon, *, plural: bool) -> bool:
    """Whether these words hardly make one thing: "hair salutes", "zebra snacks", "manes gallop"."""
    body = lexicon.words("nouns", "body")
    if not plural:
        return bool(before & body) and head in lexicon.words("verbs", "common")
    if before & body:
        return head not in lexicon.clothing and head not in body
    known = lexicon.is_person(head) or head in lexicon.class_of or head in lexicon.place_nouns
    return not known and any(lexicon.is_person(word) or lexicon.is_animal(word) for word in before)


def kind_of(noun: Token, lexicon: Lexicon) -> tuple[str, str]:
    """(answer type, category) of a noun: person, animal or object; living or noun."""
    word = lemma(noun)
    if lexicon.is_person(word):
        return "person", "living"
    return ("animal", "living") if lexicon.is_animal(word) else ("object", "noun")


def definite(head: Token, *, adjectives: bool = False) -> str:
    """The noun as a question refers to it: "the man", with adjectives "the little boy"."""
    words = [token.lower_ for token in premodifiers(head)] if adjectives else []
    return " ".join(["the", *words, bare(head)])


def namesakes(head: Token) -> list[Token]:
    """Other nouns of the caption with the same lemma."""
    return [t for t in head.doc if t.i != head.i and is_noun(t) and lemma(t) == lemma(head)]


def noun_phrase(head: Token, *, adjectives: bool = True, joined: bool = True) -> str:
    """The noun as an object reads: "a red frisbee", "a slice of pizza", "a hat and glasses".

    Args:
        head: the noun.
        adjectives: keep what stands between the determiner and the noun.
        joined: keep nouns joined by "and".
    """
    words = compound_words(head)
    left = [t for t in head.lefts if t.i < words[0].i and t.dep_ in ("det", "poss", "nummod")]
    plain = [t for child in left for t in (child.subtree if child.dep_ == "poss" else [child])]
    whole = list(head.doc[head.left_edge.i : head.i + 1])
    if not adjectives or not all(t.is_alpha or t.lower_ in ("'s", "-", ",", "'") for t in whole):
        whole = [*plain, *words]
    phrase = f"{_missing_article(head)}{text(whole)}"
    if not adjectives:
        phrase = _with_fitting_article(phrase)
    for child in head.rights:
        if child.dep_ == "prep" and child.lower_ == "of" and child.i == head.i + 1:
            inner = [noun for noun in child.children if noun.dep_ == "pobj"]
            if inner:
                phrase += " of " + noun_phrase(inner[0], adjectives=adjectives, joined=False)
    for other in conjuncts(head)[1:] if joined else ():
        if other.i - head.i <= 6:
            phrase += " and " + noun_phrase(other, adjectives=adjectives, joined=False)
    return phrase


def _with_fitting_article(phrase: str) -> str:
    """The phrase with "a" or "an" as its next word wants it: "an umbrella" is left of "a white umbrella"."""
    article, _, rest = phrase.partition(" ")
    return f"{load_lexicon().article(rest)} {rest}" if article in ("a", "an") and rest else phrase


def _missing_article(head: Token) -> str:
    """The article that the snowboard of "a man on snowboard" lacks, or nothing."""
    lexicon, word = load_lexicon(), lemma(head)
    counted = word in lexicon.class_of and word not in lexicon.words("articles", "mass")
    singular = head.tag_ in ("NN", "NNP") and not head.is_title
    if not singular or not counted or lexicon.class_of[word] not in _COUNTED_CLASSES:
        return ""
    if word in lexicon.concepts[lexicon.class_of[word]]["_generic"] or word in lexicon.words(
        "articles", "plural_only"
    ):
        return ""
    if any(child.dep_ in ("det", "poss", "nummod", "quantmod", "predet") for child in head.lefts):
        return ""
    first, following = head.doc[head.left_edge.i].lower_, head.doc[head.i + 1 : head.i + 2].text.lower()
    if first in ("a", "an", "the") or "of" in (following, head.head.lower_):
        return ""  # an article that the parser hung elsewhere; "on top of"; "some kind of seat"
    return f"{lexicon.article(first)} "


def prepositional_phrase(prep: Token, *, adjectives: bool = True) -> str | None:
    """From preposition to noun: "on a beach", "in front of a house", "next to a car"; None without a noun."""
    lead = [t for t in prep.lefts if t.i == prep.i - 1 and t.lower_ in ("next", "close")]
    for child in prep.children:
        if child.dep_ == "pobj" and is_noun(child):
            return f"{text([*lead, prep])} {noun_phrase(child, adjectives=adjectives, joined=False)}"
        if child.dep_ == "prep" and child.i == prep.i + 1:
            inner = prepositional_phrase(child, adjectives=adjectives)
            return None if inner is None else f"{text([*lead, prep])} {inner}"
    return None


def preposition_object(prep: Token) -> Token | None:
    """The noun that a preposition ends in, through "in front of" and "next to"."""
    for child in prep.children:
        if child.dep_ == "pobj":
            inner = [
                p for p in child.children if p.dep_ == "prep" and p.lower_ == "of" and p.i == child.i + 1
            ]
            return preposition_object(inner[0]) if child.lower_ in _FRAMES and inner else child
        if child.dep_ == "prep" and child.i == prep.i + 1:
            return preposition_object(child)
    return None


def direct_object(prep: Token) -> Token | None:
    """The noun right under a preposition, frames such as "front" included."""
    return next((child for child in prep.children if child.dep_ == "pobj"), None)
