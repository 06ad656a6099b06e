"""Short questions for a candidate, as people ask them: "What is the man riding?", "Where is the dog?".

Verbs are put into the progressive, since a GIF shows what is going on; adjectives and side clauses go.
"""

from collections.abc import Iterator
from random import Random

from gifqa.synthesis.base import Draft, draft_of
from gifqa.synthesis.candidates import Candidate
from gifqa.synthesis.clauses import (
    Clause,
    object_of,
    particles_of,
    predicate,
    prepositions_of,
    verb_words,
)
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.lexicon import Lexicon
from gifqa.synthesis.nouns import (
    Token,
    bare,
    compound_words,
    conjuncts,
    definite,
    direct_object,
    is_denied,
    is_plural,
    kind_of,
    lemma,
    namesakes,
    noun_phrase,
    preposition_object,
    prepositional_phrase,
    quantity_of,
    through_quantity,
)
from gifqa.synthesis.places import is_place

_ASKED_PREPOSITIONS = frozenset(
    {"on", "with", "at", "into", "over", "through", "onto", "against", "behind", "under", "in"}
)
_PLACING = ("in", "on", "at", "near", "inside", "under", "behind", "by")


def wh_word(noun: Token, lexicon: Lexicon) -> str:
    """Who for people, What for the rest."""
    return "Who" if lexicon.is_person(lemma(noun)) else "What"


def noun_questions(candidate: Candidate, caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    """Questions that a person, animal or thing answers."""
    yield from _subject_questions(candidate, caption, random)
    yield from _object_questions(candidate, caption, random)
    if candidate.role == "noun":
        yield from _preposition_questions(candidate, caption)
        yield from _who_is_there(candidate, caption, random)
    yield from _wearing_questions(candidate, caption)
    yield from _having_questions(candidate, caption)


def _shares_a_word(answer: str, question: str) -> bool:
    return bool((set(answer.split()) - {"and", "of"}) & set(question.lower().rstrip("?").split()))


def _indices(tokens: tuple[Token, ...]) -> tuple[int, ...]:
    return tuple(token.i for token in tokens)


def _subject_questions(candidate: Candidate, caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    lexicon = caption.lexicon
    for clause in caption.clauses:
        if _indices(clause.meant) != _indices(candidate.tokens):
            continue
        if clause.is_copula and not any(is_place(p, lexicon) for p in prepositions_of(clause.verb)[:1]):
            continue
        rest = predicate(clause, lexicon)
        if rest is None or len(rest.split()) < 2 or _shares_a_word(candidate.answer, rest):
            continue
        word = "What"
        if all(lexicon.is_person(lemma(head)) for head in clause.meant):
            word = "Who"
        elif all(lexicon.is_animal(lemma(head)) for head in clause.meant) and random.random() < 0.5:
            word = "What animal"
        yield draft_of(candidate, f"{word} is {rest}?", "subject")


def _object_questions(candidate: Candidate, caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    lexicon = caption.lexicon
    for clause in caption.clauses:
        noun = object_of(clause.verb)
        if noun is None or clause.passive or not clause.living:
            continue
        joined = tuple(through_quantity(other, lexicon) for other in conjuncts(noun)[:2])
        if _indices(joined) != _indices(candidate.tokens):
            continue
        question = _object_question(clause, noun, candidate, caption, random)
        if question is not None and not _shares_a_word(candidate.answer, question):
            yield draft_of(candidate, question, "object")


def _object_question(
    clause: Clause, noun: Token, candidate: Candidate, caption: ParsedCaption, random: Random
) -> str | None:
    lexicon, verb = caption.lexicon, lemma(clause.verb)
    meant = candidate.tokens[0]
    if is_denied(noun) or verb in lexicon.words("verbs", "intransitive"):
        return None
    light = verb in lexicon.words("verbs", "light")
    if light and lemma(meant) in lexicon.words("verbs", "light_nouns"):
        return None
    if verb == "have" and clause.verb.tag_ in ("VBZ", "VBP") and candidate.answer_type == "object":
        return f"What {'do' if clause.be == 'are' else 'does'} {clause.subject} have?"
    words = verb_words(clause, lexicon)
    if not words:
        return None
    said = " ".join([*words, *particles_of(clause.verb)])
    rest = predicate(clause, lexicon, without=noun, adjectives=False)
    if rest is not None and random.random() < 0.4 and len(rest.split()) < 9:
        said = rest
    return f"{wh_word(meant, lexicon)} {clause.be} {clause.subject} {said}?"


def _preposition_questions(candidate: Candidate, caption: ParsedCaption) -> Iterator[Draft]:
    """What is the man sitting on? What is the dog looking at?"""
    lexicon, noun = caption.lexicon, candidate.tokens[0]
    word = lemma(noun)
    if word in lexicon.words("nouns", "body"):
        return
    for clause in caption.clauses:
        preps = prepositions_of(clause.verb)[:1]
        if not preps or clause.passive or not clause.living or not verb_words(clause, lexicon):
            continue
        prep, under = preps[0], direct_object(preps[0])
        if (
            under is None
            or through_quantity(under, lexicon).i != noun.i
            or prep.lower_ not in _ASKED_PREPOSITIONS
        ):
            continue
        if object_of(clause.verb) is not None and lemma(clause.verb) not in ("do", "perform", "play"):
            continue
        if prep.lower_ == "in" and lexicon.class_of.get(word) not in ("vehicle", "furniture"):
            continue
        scene = word in lexicon.place_nouns and word not in lexicon.class_of
        if scene and prep.lower_ in ("at", "in", "near", "under"):
            continue
        rest = predicate(clause, lexicon, without=prep, adjectives=False)
        if rest is None or not rest.endswith(f" {prep.lower_}"):
            continue
        question = f"{wh_word(noun, lexicon)} {clause.be} {clause.subject} {rest}?"
        if not _shares_a_word(candidate.answer, question):
            yield draft_of(candidate, question, "preposition")


def _who_is_there(candidate: Candidate, caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    """Who is on the beach? What is on the table? For nouns that a phrase of place follows."""
    lexicon, noun = caption.lexicon, candidate.tokens[0]
    living = kind_of(noun, lexicon)[1] == "living"
    if namesakes(noun) or not (living or lemma(noun) in lexicon.class_of) or lemma(noun) in lexicon.clothing:
        return
    for prep in noun.children:
        if prep.dep_ != "prep" or prep.lower_ not in _PLACING or not is_place(prep, lexicon):
            continue
        phrase = prepositional_phrase(prep)
        if phrase is None or "ground" in phrase or _shares_a_word(candidate.answer, phrase):
            continue
        word = wh_word(noun, lexicon)
        if lexicon.is_animal(lemma(noun)) and random.random() < 0.5:
            word = "What animal"
        yield draft_of(candidate, f"{word} is {phrase}?", "there")


def _wearing_questions(candidate: Candidate, caption: ParsedCaption) -> Iterator[Draft]:
    """What is the man wearing? Who is wearing a red hat? From "a man in a red hat"."""
    lexicon, noun = caption.lexicon, candidate.tokens[0]
    if candidate.role == "noun" and candidate.answer_type == "person" and not namesakes(noun):
        for phrase in _clothes_of(noun, lexicon):
            question = f"Who is wearing {noun_phrase(phrase)}?"
            if not _shares_a_word(candidate.answer, question):
                yield draft_of(candidate, question, "wearer")
        return
    for person in caption.nouns:
        if not lexicon.is_person(lemma(person)) or namesakes(person):
            continue
        if through_quantity(person, lexicon) is not person:
            continue
        for phrase in _clothes_of(person, lexicon):
            if _indices(conjuncts(phrase)[:2]) == _indices(candidate.tokens):
                be = "are" if is_plural((person,)) else "is"
                yield draft_of(candidate, f"What {be} {definite(person)} wearing?", "wearing")


def _clothes_of(person: Token, lexicon: Lexicon) -> Iterator[Token]:
    outer = quantity_of(person, lexicon)
    for prep in [*person.children, *([] if outer is person else outer.children)]:
        if prep.dep_ != "prep" or prep.lower_ not in ("in", "with"):
            continue
        noun = preposition_object(prep)
        if noun is None or noun.pos_ != "NOUN" or is_denied(noun):
            continue
        if all(lemma(item) in lexicon.clothing for item in conjuncts(noun)[:2]):
            yield noun


def _having_questions(candidate: Candidate, caption: ParsedCaption) -> Iterator[Draft]:
    """What does the man have? What is in the dog's mouth? From "a dog with a ball in its mouth"."""
    lexicon, noun = caption.lexicon, candidate.tokens[0]
    prep = quantity_of(noun, lexicon).head
    holder = prep.head
    if candidate.role != "noun" or prep.dep_ != "prep" or prep.lower_ != "with" or namesakes(holder):
        return
    if holder not in caption.nouns or kind_of(holder, lexicon)[1] != "living":
        return
    word, plural = lemma(noun), is_plural((holder,))
    if lexicon.is_person(word) or word in lexicon.clothing:
        return
    part = _held_in(noun, holder, lexicon)
    if part is not None and not plural:
        yield draft_of(candidate, f"What is in {definite(holder)}'s {bare(part)}?", "held")
    elif part is None and (word not in lexicon.words("nouns", "body") or word in ("beard", "mustache")):
        yield draft_of(candidate, f"What {'do' if plural else 'does'} {definite(holder)} have?", "having")


def _held_in(noun: Token, holder: Token, lexicon: Lexicon) -> Token | None:
    near = [*noun.children, *holder.children, *holder.head.children]
    for prep in near:
        if prep.dep_ == "prep" and prep.lower_ == "in" and 0 < prep.i - noun.i <= 2:
            part = preposition_object(prep)
            if part is not None and lemma(part) in ("mouth", "hand"):
                return part
    return None


def definite_without(noun: Token, words: frozenset[str]) -> str:
    """The noun as a question refers to it, without the compounds that are in `words`."""
    return "the " + " ".join(part.lower_ for part in compound_words(noun) if part.lower_ not in words)
