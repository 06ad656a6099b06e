"""What in a caption a question may ask for: the original project's five categories, numbers and attributes.

a young man in a red cap is riding two horses on a beach
  man           person     living        two            number     number
  cap, horses   object     noun          on a beach     place      preposition
  red           colour     colour        riding two horses   action    verb        young   attribute
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from gifqa.synthesis.clauses import Clause, action_of
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.looks import (
    Attribute,
    attributes_of,
    colour_name,
    colour_tokens,
    number_token,
    worn_colour,
)
from gifqa.synthesis.nouns import (
    Token,
    bare,
    compound_words,
    conjuncts,
    is_denied,
    kind_of,
    lemma,
    preposition_object,
    prepositional_phrase,
    through_quantity,
)
from gifqa.synthesis.places import is_place, place_prepositions

_MAX_ACTION_WORDS = 7
_MAX_PLACE_WORDS = 8


@dataclass(frozen=True)
class Candidate:
    """An answer found in a caption."""

    answer: str
    """Lower-case; without determiner for people and things, with its preposition for a place."""
    answer_type: str
    """person, animal, object, action, colour, number, place or attribute."""
    category: str
    """living, noun, verb, preposition, colour, number or attribute."""
    span: tuple[int, int]
    """Characters of the caption, [start, end)."""
    role: str
    """What `tokens` means: noun, nouns, action, place, place-noun, colour, worn-colour, number, attribute."""
    tokens: tuple[Token, ...]
    """Heads: the nouns; the verb; the preposition; the noun that has the colour, number or attribute."""
    clause: Clause | None = None
    """The clause, for actions and places."""
    attribute: Attribute | None = None
    """The attribute, for attributes."""


def span_of(tokens: list[Token]) -> tuple[int, int]:
    """Characters from the first token to the last."""
    return tokens[0].idx, tokens[-1].idx + len(tokens[-1])


@lru_cache(maxsize=4096)
def find_candidates(caption: ParsedCaption) -> tuple[Candidate, ...]:
    """Every answer in the caption, without doubles, in the order of their places in it."""
    found = [
        *_noun_candidates(caption),
        *_action_candidates(caption),
        *_place_candidates(caption),
        *_look_candidates(caption),
    ]
    unique: dict[tuple[str, str, tuple[int, int]], Candidate] = {}
    for candidate in found:
        unique.setdefault((candidate.role, candidate.answer, candidate.span), candidate)
    return tuple(sorted(unique.values(), key=lambda c: (c.span, c.role, c.answer)))


def _noun_candidates(caption: ParsedCaption) -> Iterator[Candidate]:
    lexicon = caption.lexicon
    for noun in caption.nouns:
        word = lemma(noun)
        if word in lexicon.words("nouns", "empty") or word in lexicon.colours or is_denied(noun):
            continue
        if through_quantity(noun, lexicon) is not noun:
            continue
        words = compound_words(noun)
        answer_type, category = kind_of(noun, lexicon)
        yield Candidate(bare(noun), answer_type, category, span_of(words), "noun", (noun,))
        joined = conjuncts(noun)
        if len(joined) == 2 and joined[1].i - noun.i <= 6:
            parts = [through_quantity(other, lexicon) for other in joined]
            if bare(parts[0]) == bare(parts[1]):
                continue
            answer = " and ".join(bare(part) for part in parts)
            span = span_of([words[0], joined[1]])
            yield Candidate(answer, answer_type, category, span, "nouns", tuple(parts))


def _action_candidates(caption: ParsedCaption) -> Iterator[Candidate]:
    lexicon = caption.lexicon
    for clause in caption.clauses:
        answer = action_of(clause, lexicon)
        if answer is None or not clause.living or len(answer.split()) > _MAX_ACTION_WORDS:
            continue
        if answer in lexicon.words("verbs", "incomplete") or answer.startswith("wearing"):
            continue
        span = _where_it_stands(answer, clause.verb)
        yield Candidate(answer, "action", "verb", span, "action", (clause.verb,), clause)


def _where_it_stands(answer: str, verb: Token) -> tuple[int, int]:
    """The answer's characters where the caption has it word for word; of the verb where it does not."""
    start, text = verb.idx, verb.doc.text.lower()
    return (start, start + len(answer)) if text.startswith(answer, start) else span_of([verb])


def _place_candidates(caption: ParsedCaption) -> Iterator[Candidate]:
    lexicon, seen = caption.lexicon, set()
    for clause in caption.clauses:
        if clause.living or all(lemma(head) in lexicon.class_of for head in clause.meant):
            for prep in place_prepositions(clause, lexicon):
                if prep.i not in seen and is_place(prep, lexicon):
                    seen.add(prep.i)
                    yield from _place(prep, clause, caption)
    for noun in caption.nouns:
        living = kind_of(noun, lexicon)[1] == "living"
        if not living and lemma(noun) not in lexicon.class_of:
            continue
        for prep in noun.children:
            if prep.dep_ == "prep" and prep.i not in seen and is_place(prep, lexicon):
                seen.add(prep.i)
                yield from _place(prep, None, caption)


def _place(prep: Token, clause: Clause | None, caption: ParsedCaption) -> Iterator[Candidate]:
    phrase = prepositional_phrase(prep)
    noun = preposition_object(prep)
    if phrase is None or noun is None or len(phrase.split()) > _MAX_PLACE_WORDS:
        return
    start = prep.i - 1 if phrase.split()[0] != prep.lower_ else prep.i
    span = span_of([caption.doc[start], noun])
    yield Candidate(phrase, "place", "preposition", span, "place", (prep,), clause)
    if prep.lower_ in ("in", "inside", "on", "at"):
        words = compound_words(noun)
        yield Candidate(bare(noun), "place", "preposition", span_of(words), "place-noun", (prep,), clause)


def _look_candidates(caption: ParsedCaption) -> Iterator[Candidate]:
    lexicon = caption.lexicon
    for noun in caption.nouns:
        colours = colour_tokens(noun, lexicon) if lemma(noun) not in lexicon.colours else []
        for part in [[token] for token in colours] + ([colours[:2]] if len(colours) > 1 else []):
            yield Candidate(colour_name(part), "colour", "colour", span_of(part), "colour", (noun,))
        worn = worn_colour(noun, lexicon) if lexicon.is_person(lemma(noun)) else None
        if worn is not None:
            yield Candidate(colour_name([worn]), "colour", "colour", span_of([worn]), "worn-colour", (noun,))
        number = number_token(noun, lexicon)
        if number is not None:
            word = lexicon.number_words[number.lower_]
            yield Candidate(word, "number", "number", span_of([number]), "number", (noun,))
        for attribute in attributes_of(noun, lexicon):
            span = span_of([attribute.token])
            yield Candidate(
                attribute.value, "attribute", "attribute", span, "attribute", (noun,), None, attribute
            )
