"""What a caption claims that a yes/no question may ask: there is a dog; the man is riding a bike; it is red.

A claim is true of its own GIF. Its words are asked about another GIF, too, to be answered "no" (`exchange`),
so it knows what it means, and what may be true of its own GIF beside it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gifqa.synthesis.base import Draft
from gifqa.synthesis.clauses import Clause, action_of, object_of, particles_of, verb_words
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.doubts import (
    actions_open,
    colours_open,
    content_of,
    groups_of_action,
    groups_of_place,
    places_open,
    senses_of,
    sexes_open,
    things_named,
    things_open,
)
from gifqa.synthesis.lexicon import Lexicon
from gifqa.synthesis.looks import colour_name, colour_tokens
from gifqa.synthesis.nouns import (
    Token,
    bare,
    compound_words,
    is_denied,
    is_plural,
    lemma,
    namesakes,
    noun_phrase,
    preposition_object,
    prepositional_phrase,
)
from gifqa.synthesis.places import is_place, place_prepositions

_SHOWN_CLASSES = ("animal", "vehicle", "instrument", "food", "device", "sport", "furniture")
_POSSESSIVES = frozenset({"his", "her", "their", "its"})
_AGES = {"man": "adult", "guy": "adult", "woman": "adult", "lady": "adult", "boy": "child", "girl": "child"}
_PLACE_PREPOSITIONS = ("in", "on", "at", "inside")


@dataclass(frozen=True, eq=False)
class Claim:
    """One statement of a caption, cut where another GIF's words may stand instead."""

    caption: ParsedCaption
    """Where it stands."""
    rule: str
    """Its kind, as the records name it: "exists", "action-swap", "object-swap" ..."""
    lead: str
    """The question up to what is exchanged: "Is the man "."""
    said: str
    """What is exchanged: "riding a bike"."""
    tail: str
    """The rest of the question."""
    frames: tuple[str, ...]
    """Claims that share a frame may be exchanged. The first frame is the rest of the question, so that both
    GIFs are asked the same two questions; the others are wider."""
    meaning: frozenset[str]
    """What `said` is about; no part of it may be open in a GIF that is to answer "no"."""
    open: frozenset[str]
    """What may be true of the claim's own GIF, as far as its captions tell."""

    def draft(self, other: "Claim | None" = None) -> Draft:
        """The question with "yes", or the one that says what the other claim says, with "no"."""
        said, answer = (self.said, "yes") if other is None else (other.said, "no")
        return Draft(f"{self.lead}{said}{self.tail}", answer, "yes/no", "yes/no", self.rule)


def claims_of(caption: ParsedCaption) -> Iterator[Claim]:
    """Every claim of a caption; several captions of a GIF may claim the same."""
    yield from _things(caption)
    for clause in caption.clauses[:3]:
        noun = object_of(clause.verb)
        stray = noun is not None and lemma(clause.verb) in caption.lexicon.words("verbs", "intransitive")
        if _is_askable(clause, caption.lexicon) and not clause.passive and not stray:
            yield from _actions(clause, caption)
            yield from _objects(clause, caption)
            yield from _sexes(clause, caption)
    yield from _colours(caption)
    for clause in caption.clauses[:2]:
        yield from _places(clause, caption)


def _things(caption: ParsedCaption) -> Iterator[Claim]:
    """Is there a dog? Are there scissors?"""
    lexicon = caption.lexicon
    for noun in caption.nouns:
        word = lemma(noun)
        known = lexicon.class_of.get(word) in _SHOWN_CLASSES and lexicon.concept_of(word) is not None
        if known and word not in lexicon.words("nouns", "ambiguous") and not is_denied(noun):
            thing = lexicon.with_article(word)
            be = "Are" if thing in lexicon.words("articles", "plural_only") else "Is"
            yield Claim(
                caption,
                rule="exists",
                lead="",
                said=f"{be} there {thing}",
                tail="?",
                frames=("there",),
                meaning=senses_of(word, lexicon),
                open=things_open(caption.context, lexicon),
            )


def _actions(clause: Clause, caption: ParsedCaption) -> Iterator[Claim]:
    """Is the man riding a bike?"""
    lexicon, action = caption.lexicon, action_of(clause, caption.lexicon)
    groups = None if action is None else groups_of_action(action, lexicon)
    if action is None or not groups or not _stands_alone(action, lexicon):
        return
    lead = f"{clause.be.capitalize()} {clause.subject} "
    yield Claim(
        caption,
        rule="action-swap",
        lead=lead,
        said=action,
        tail="?",
        frames=(lead, *_wider(clause, action, lexicon)),
        meaning=groups | content_of(action.split()[1:]),
        open=caption.context.lemmas | actions_open(caption.context, lexicon),
    )


def _objects(clause: Clause, caption: ParsedCaption) -> Iterator[Claim]:
    """Is the man riding a bike? Where another man rides a horse."""
    lexicon, noun, words = caption.lexicon, object_of(clause.verb), verb_words(clause, caption.lexicon)
    if noun is None or not words or not _is_exchangeable(noun, clause, lexicon):
        return
    kind = lexicon.class_of[lemma(noun)]
    doing = " ".join([*words, *particles_of(clause.verb)])
    lead = f"{clause.be.capitalize()} {clause.subject} {doing} "
    thing = noun_phrase(noun, adjectives=False, joined=False)
    yield Claim(
        caption,
        rule="object-swap",
        lead=lead,
        said=thing,
        tail="?",
        frames=tuple(
            f"{frame} {kind}" for frame in (lead, *(f"{f} {doing}" for f in _wider(clause, thing, lexicon)))
        ),
        meaning=senses_of(lemma(noun), lexicon) | content_of(thing.split()),
        open=caption.context.lemmas | things_named(caption.context, lexicon),
    )


def _is_exchangeable(noun: Token, clause: Clause, lexicon: Lexicon) -> bool:
    """Whether the object is one thing that excludes others of its class."""
    word = lemma(noun)
    light = lemma(clause.verb) in lexicon.words("verbs", "light")
    if light or noun.tag_ != "NN" or is_denied(noun) or word in lexicon.words("nouns", "ambiguous"):
        return False
    found = lexicon.concept_of(word)
    return found is not None and (found[0] != "clothing" or found[1] in lexicon.words("swaps", "clothing"))


def _wider(clause: Clause, said: str, lexicon: Lexicon) -> Iterator[str]:
    """Frames that leave open who it is: first any man, then any person; "his" fits men only."""
    words = [lemma(head) for head in clause.meant]
    if all(lexicon.is_animal(word) for word in words):
        yield f"{clause.be} animal"
        return
    sexes = {lexicon.persons.get(word, "neutral") for word in words}
    yield f"{clause.be} {'person' if len(sexes) > 1 else sexes.pop()}"
    if not set(said.split()) & _POSSESSIVES:
        yield f"{clause.be} anybody"


def _is_askable(clause: Clause, lexicon: Lexicon) -> bool:
    """Whether the subject lives and is told by its name: not "the other man", not "the several people"."""
    return clause.living and _stands_alone(clause.subject, lexicon)


def _stands_alone(said: str, lexicon: Lexicon) -> bool:
    """Whether a phrase needs nothing around it: not "holding the other one", not "walking down"."""
    words = said.split()
    breaks_off = words[0] in lexicon.words("swaps", "unended") and words[-1] in lexicon.words(
        "swaps", "open_ends"
    )
    return not breaks_off and not set(words) & lexicon.words("swaps", "back")


def _sexes(clause: Clause, caption: ParsedCaption) -> Iterator[Claim]:
    """Is a man riding a bike? For a woman, where nobody else is about."""
    lexicon, word = caption.lexicon, lemma(clause.meant[0])
    doing = action_of(clause, lexicon)
    if doing is None or len(clause.meant) > 1 or clause.meant[0].tag_ != "NN" or word not in _AGES:
        return
    own, verb = frozenset({lexicon.persons[word]}), doing.split()[0]
    fair = _stands_alone(doing, lexicon) and not set(doing.split()) & _POSSESSIVES
    if fair and sexes_open(caption.context, lexicon) == own:
        yield Claim(
            caption,
            rule="sex-swap",
            lead="Is a ",
            said=word,
            tail=f" {doing}?",
            frames=tuple(
                f"{_AGES[word]} {words}" for words in ((doing,) if verb == "wearing" else (doing, verb))
            ),
            meaning=own,
            open=own,
        )


def _colours(caption: ParsedCaption) -> Iterator[Claim]:
    """Is the shirt blue?"""
    lexicon, context = caption.lexicon, caption.context
    for noun in caption.nouns:
        word, colours = lemma(noun), colour_tokens(noun, lexicon)
        if len(colours) != 1 or len(context.colours.get(word, ())) != 1 or namesakes(noun):
            continue
        if lexicon.is_person(word) or word in lexicon.words("nouns", "empty") or word in lexicon.colours:
            continue
        if (word in lexicon.place_nouns and word not in lexicon.class_of) or _has_somebody(noun, lexicon):
            continue
        be = "Are" if is_plural((noun,)) and word != "hair" else "Is"
        if be == "Are" and noun.tag_ not in ("NNS", "NNPS"):  # "four legged animal"
            continue
        lead, colour = f"{be} the {bare(noun)} ", colour_name(colours)
        yield Claim(
            caption,
            rule="colour-swap",
            lead=lead,
            said=colour,
            tail="?",
            frames=(lead, *_palette(word, be, lexicon)),
            meaning=frozenset({colour}),
            open=colours_open(colour, context, lexicon),
        )


def _has_somebody(noun: Token, lexicon: Lexicon) -> bool:
    """Whether a compound begins with a person or an animal, which the colour may be of: "dog wrestle"."""
    words = [lemma(token) for token in compound_words(noun)[:-1]]
    return any(lexicon.is_person(word) or lexicon.is_animal(word) for word in words)


def _palette(word: str, be: str, lexicon: Lexicon) -> Iterator[str]:
    """What has the colours of the noun: animals have those of coats, a shirt has any, grass has its own."""
    if lexicon.is_animal(word):
        yield f"{be} coat"
    elif word not in lexicon.words("swaps", "own_colour") and word not in lexicon.words("nouns", "body"):
        yield f"{be} thing"


def _places(clause: Clause, caption: ParsedCaption) -> Iterator[Claim]:
    """Is the man on a beach?"""
    lexicon = caption.lexicon
    for prep in place_prepositions(clause, lexicon)[:2] if _is_askable(clause, lexicon) else ():
        noun, phrase = preposition_object(prep), prepositional_phrase(prep, adjectives=False)
        if (
            noun is None
            or phrase is None
            or not is_place(prep, lexicon)
            or not _stands_alone(phrase, lexicon)
        ):
            continue
        groups = groups_of_place(lemma(noun), lexicon)
        if groups and noun.head.i == prep.i and prep.lower_ in _PLACE_PREPOSITIONS:
            lead = f"{clause.be.capitalize()} {clause.subject} "
            yield Claim(
                caption,
                rule="place-swap",
                lead=lead,
                said=phrase,
                tail="?",
                frames=(lead, *_wider(clause, phrase, lexicon)),
                meaning=groups | content_of(phrase.split()),
                open=caption.context.lemmas | places_open(caption.context, lexicon),
            )
            return
