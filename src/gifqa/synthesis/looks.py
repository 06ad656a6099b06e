"""How things look: colours, numbers, materials, patterns and either-or attributes of a caption's nouns."""

from dataclasses import dataclass

from gifqa.synthesis.lexicon import Lexicon
from gifqa.synthesis.nouns import Token, compound_words, is_noun, kind_of, lemma, premodifiers

SAME_COLOUR = {"grey": "gray", "blond": "blonde", "golden": "gold"}


def colour_tokens(noun: Token, lexicon: Lexicon) -> list[Token]:
    """The colours that the caption gives the noun: before it, or behind "is"."""
    first = compound_words(noun)[0].i
    found = [
        token
        for token in noun.doc[noun.left_edge.i : first]
        if token.lower_ in lexicon.colours and _leads_to(token, noun, lexicon)
    ]
    while found and noun.doc[found[0].i - 1].lower_ in ("and", ",") and found[0].i >= 2:
        earlier = noun.doc[found[0].i - 2]
        if earlier.lower_ not in lexicon.colours:
            break
        found.insert(0, earlier)
    if found:
        behind = noun.doc[found[-1].i + 1].lower_
        before = noun.doc[found[0].i - 1].lower_ if found[0].i else ""
        return [] if "-" in (behind, before) else found
    if noun.dep_ == "nsubj" and noun.head.lemma_ == "be":
        return [c for c in noun.head.children if c.dep_ == "acomp" and c.lower_ in lexicon.colours]
    return []


def _leads_to(token: Token, noun: Token, lexicon: Lexicon) -> bool:
    """Whether the colour hangs on the noun, through colours and compounds: not in "a red haired girl"."""
    while token.i < noun.i:
        token = token.head
        if token.i == noun.i:
            return True
        part = is_noun(token) and lemma(token) not in lexicon.words("nouns", "body")
        if token.lower_ not in lexicon.colours and not part:
            return False
    return False


def worn_colour(person: Token, lexicon: Lexicon) -> Token | None:
    """The colour of somebody's clothes in "a woman in black", "wearing white", "dressed in red"."""
    for child in person.children:
        for prep in [child, *(g for g in child.children if lemma(child) == "dress")]:
            if prep.dep_ == "prep" and prep.lower_ == "in":
                for noun in prep.children:
                    if noun.dep_ == "pobj" and noun.lower_ in lexicon.colours and not list(noun.children):
                        return noun
        if child.dep_ == "acl" and lemma(child) == "wear":
            for noun in child.children:
                if noun.dep_ == "dobj" and noun.lower_ in lexicon.colours and not list(noun.children):
                    return noun
    return None


def colour_name(tokens: list[Token]) -> str:
    """The colours in one spelling, joined: "black and white", "gray"."""
    return " and ".join(dict.fromkeys(SAME_COLOUR.get(token.lower_, token.lower_) for token in tokens))


def number_token(noun: Token, lexicon: Lexicon) -> Token | None:
    """The number word before the noun, when it says how many there are: not "one of", not "about two"."""
    for child in noun.children:
        if child.dep_ == "nummod" and child.lower_ in lexicon.number_words and child.i < noun.i:
            return None if list(child.lefts) else child
    return None


@dataclass(frozen=True)
class Attribute:
    """One look of a noun that a question may ask for."""

    value: str
    """The answer: "young", "wood", "striped"."""
    other: str | None
    """The opposite, for an either-or question; None for material and pattern."""
    kind: str
    """either, material or pattern."""
    token: Token
    """The word of the caption."""


def attributes_of(noun: Token, lexicon: Lexicon) -> list[Attribute]:
    """Age, size, wetness, material and pattern, as far as the words before the noun say them."""
    materials = lexicon.words("attributes", "material")
    words = {t.lower_: t for t in premodifiers(noun)}
    words |= {t.lower_: t for t in noun.lefts if t.dep_ == "compound" and t.lower_ in materials}
    where = "hair" if lemma(noun) == "hair" else kind_of(noun, lexicon)[0]
    found = [] if not words else _either_or(noun, words, where, lexicon)
    if where == "object" and lemma(noun) not in lexicon.words("nouns", "empty"):
        material = [word for word in words if word in materials]
        if len(material) == 1 and lemma(noun) not in ("wood", "area", "field"):
            name = "wood" if material[0] == "wooden" else material[0]
            found.append(Attribute(name, None, "material", words[material[0]]))
        pattern = [word for word in words if word in lexicon.words("attributes", "pattern")]
        cloth = lemma(noun) in lexicon.clothing or lemma(noun) in lexicon.words("nouns", "patterned")
        if len(pattern) == 1 and cloth:
            found.append(Attribute(pattern[0], None, "pattern", words[pattern[0]]))
    return found


def _either_or(noun: Token, words: dict[str, Token], where: str, lexicon: Lexicon) -> list[Attribute]:
    found, word = [], lemma(noun)
    young = word in ("kid", "child", "baby", "toddler", "boy", "girl", "infant", "teenager", "teen")
    for entry in lexicon.tables["either"]:
        sides = [set(entry[side].split()) & set(words) for side in ("first", "second")]
        if where not in entry["on"].split() or bool(sides[0]) == bool(sides[1]):
            continue
        name = entry["name"]
        if word in lexicon.words("nouns", "empty") or (young and name[0] == "young"):
            continue
        if (
            name[0] == "big"
            and word not in lexicon.class_of
            and word not in lexicon.words("nouns", "wide_things")
        ):
            continue
        if name[0] in ("open", "full", "long") and word in lexicon.place_nouns:
            continue
        side = 0 if sides[0] else 1
        found.append(Attribute(name[side], name[1 - side], "either", words[sorted(sides[side])[0]]))
    return found


def owner_of(noun: Token, lexicon: Lexicon) -> Token | None:
    """Who wears or has it: the man in "a man in a black shirt" and in "a man wearing a hat"."""
    if noun.dep_ == "pobj" and noun.head.lower_ in ("in", "with"):
        person = noun.head.head
    elif noun.dep_ == "dobj" and lemma(noun.head) == "wear":
        verb = noun.head
        person = verb.head if verb.dep_ == "acl" else next((c for c in verb.lefts if c.dep_ == "nsubj"), None)
    else:
        return None
    return person if person is not None and is_noun(person) and lexicon.is_person(lemma(person)) else None
