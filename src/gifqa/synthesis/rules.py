"""The rules: questions from the dependency parse, without a model. The default generator.

Two manners: *short*, as people ask ("What is the man riding?"), and *full*, as TGIF-QA and COCO-QA have it:
the caption with the answer's phrase fronted ("What is the man riding on the beach?").
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from gifqa.synthesis.base import Draft, draft_of
from gifqa.synthesis.candidates import Candidate, find_candidates
from gifqa.synthesis.clauses import object_of, particles_of, verb_words
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.fronting import full_questions
from gifqa.synthesis.looks import colour_name, colour_tokens, owner_of
from gifqa.synthesis.nouns import (
    bare,
    definite,
    is_plural,
    kind_of,
    lemma,
    namesakes,
    noun_phrase,
)
from gifqa.synthesis.short import definite_without, noun_questions

Style = Literal["short", "full", "both"]


@dataclass(frozen=True)
class RuleGenerator:
    """Asks for each candidate by rule."""

    style: Style = "short"
    """Short questions, TGIF-QA's full ones, or both."""

    @property
    def name(self) -> str:
        """The name in the records."""
        return "rules"

    def drafts(self, captions: Sequence[ParsedCaption], seed: int) -> list[list[Draft]]:
        """The questions of each caption; see `QuestionGenerator`."""
        return [self._of_caption(caption, seed) for caption in captions]

    def _of_caption(self, caption: ParsedCaption, seed: int) -> list[Draft]:
        random = Random(f"{seed}|{caption.gif}|{caption.text}")
        found: list[Draft] = []
        for candidate in find_candidates(caption):
            if self.style != "full":
                found.extend(short_questions(candidate, caption, random))
            if self.style != "short":
                found.extend(full_questions(candidate, caption))
        if self.style != "full":
            found.extend(_which_animal(caption, random))
        return found


def short_questions(candidate: Candidate, caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    """Short questions for a candidate."""
    if candidate.role in ("noun", "nouns"):
        yield from noun_questions(candidate, caption, random)
    elif candidate.role == "action" and candidate.clause is not None:
        clause = candidate.clause
        yield draft_of(candidate, f"What {clause.be} {clause.subject} doing?", "action")
    elif candidate.role == "place":
        yield from _where(candidate, caption, random)
    elif candidate.role == "colour":
        yield from _which_colour(candidate, caption, random)
    elif candidate.role == "worn-colour" and not namesakes(candidate.tokens[0]):
        person = candidate.tokens[0]
        be = "are" if is_plural((person,)) else "is"
        yield draft_of(candidate, f"What color {be} {definite(person)} wearing?", "worn-colour")
    elif candidate.role == "number":
        yield from _how_many(candidate, caption)
    elif candidate.role == "attribute":
        yield from _attribute(candidate, random)


def _where(candidate: Candidate, caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    lexicon, clause = caption.lexicon, candidate.clause
    if clause is None:
        noun = candidate.tokens[0].head
        if (
            namesakes(noun)
            or lemma(noun) in lexicon.clothing
            or lemma(noun) in lexicon.words("nouns", "empty")
        ):
            return
        if "ground" in candidate.answer.split()[-1]:
            return
        be = "are" if is_plural((noun,)) else "is"
        yield draft_of(candidate, f"Where {be} {definite(noun)}?", "where")
        return
    question = f"Where {clause.be} {clause.subject}"
    words = None if clause.passive else verb_words(clause, lexicon)
    if words and random.random() < 0.5:
        noun = object_of(clause.verb)
        if noun is not None or lemma(clause.verb) in lexicon.words("verbs", "placed"):
            words += particles_of(clause.verb)
            words += [] if noun is None else [noun_phrase(noun, adjectives=False, joined=False)]
            question += " " + " ".join(words)
    yield draft_of(candidate, f"{question}?", "where")


def _which_colour(candidate: Candidate, caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    lexicon, noun = caption.lexicon, candidate.tokens[0]
    word = lemma(noun)
    if lexicon.is_person(word) or word in lexicon.words("nouns", "empty") or namesakes(noun):
        return
    if colour_name(colour_tokens(noun, lexicon)[:2]) != candidate.answer:
        return
    if len(caption.context.colours.get(word, ())) > 1:
        return
    thing, owner = definite(noun), owner_of(noun, lexicon)
    if owner is not None and not namesakes(owner) and (word == "hair" or random.random() < 0.5):
        name = bare(owner)
        thing = f"the {name}{chr(39) if name.endswith('s') else chr(39) + 's'} {bare(noun)}"
    be = "are" if is_plural((noun,)) and word != "hair" else "is"
    yield draft_of(candidate, f"What color {be} {thing}?", "colour")


def _how_many(candidate: Candidate, caption: ParsedCaption) -> Iterator[Draft]:
    lexicon, noun = caption.lexicon, candidate.tokens[0]
    word = lemma(noun)
    if namesakes(noun) or word in lexicon.words("nouns", "empty") or word in lexicon.words("nouns", "body"):
        return
    if noun.tag_ not in ("NNS", "NNPS") or candidate.answer == "one":
        return
    if len(caption.context.numbers.get(word, ())) > 1:
        return
    yield draft_of(candidate, f"How many {bare(noun)} are there?", "number")


def _attribute(candidate: Candidate, random: Random) -> Iterator[Draft]:
    noun, attribute = candidate.tokens[0], candidate.attribute
    if attribute is None or namesakes(noun):
        return
    plural = is_plural((noun,)) and lemma(noun) != "hair"
    thing = definite_without(noun, frozenset({attribute.token.lower_}))
    if attribute.other is not None:
        sides = [attribute.value, attribute.other]
        first, second = sides if random.random() < 0.5 else sides[::-1]
        yield draft_of(candidate, f"{'Are' if plural else 'Is'} {thing} {first} or {second}?", "either")
    elif attribute.kind == "material":
        yield draft_of(candidate, f"What {'are' if plural else 'is'} {thing} made of?", "material")
    else:
        yield draft_of(candidate, f"What pattern {'do' if plural else 'does'} {thing} have?", "pattern")


def _which_animal(caption: ParsedCaption, random: Random) -> Iterator[Draft]:
    """What animal is shown? Where all captions of the GIF know one kind of animal only."""
    lexicon = caption.lexicon
    generic = lexicon.concepts["animal"]["_generic"]
    nouns = [n for n in caption.nouns if lexicon.is_animal(lemma(n)) and lemma(n) not in generic]
    concepts = [
        lexicon.concept_of(word) for word in sorted(caption.context.lemmas) if lexicon.is_animal(word)
    ]
    kinds = {found for found in concepts if found is not None}
    if not nouns or len(kinds) != 1 or len({lemma(noun) for noun in nouns}) != 1 or random.random() > 0.35:
        return
    one = ["What animal is shown?", "What animal is this?", "Which animal can be seen?"]
    many = ["What animals are these?", "What animals are shown?"]
    question = random.choice(many if any(is_plural((noun,)) for noun in nouns) else one)
    noun = nouns[0]
    answer_type, category = kind_of(noun, lexicon)
    span = (noun.idx, noun.idx + len(noun))
    yield Draft(question, bare(noun), answer_type, category, "animal", span)
