"""Knowledge triples from captions: who does what to whom, and where; and questions made from them.

a man in a red hat is riding a horse on the beach
  (man, ride, horse)   (man, be on, beach)   (man, wear, hat)   (hat, be, red)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict

from gifqa.data.captions import CaptionColumns, read_captions
from gifqa.errors import RecordError
from gifqa.synthesis.base import Draft
from gifqa.synthesis.clauses import Clause, object_of, particles_of, prepositions_of
from gifqa.synthesis.context import ParsedCaption, context_of
from gifqa.synthesis.fronting import third_person
from gifqa.synthesis.lexicon import load_lexicon
from gifqa.synthesis.looks import colour_name, colour_tokens
from gifqa.synthesis.nouns import (
    Token,
    bare,
    compound_words,
    conjuncts,
    direct_object,
    is_denied,
    is_noun,
    is_plural,
    kind_of,
    lemma,
    preposition_object,
    through_quantity,
)
from gifqa.synthesis.parsing import DEFAULT_PIPELINE
from gifqa.synthesis.places import is_place, place_prepositions
from gifqa.synthesis.repair import parse_captions

_BATCH = 256


class Triple(BaseModel):
    """One fact that a caption states."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gif: str
    """The GIF."""
    caption: str
    """The caption."""
    subject: str
    """The noun that does or is something."""
    predicate: str
    """Verb in its base form, with particle or preposition: "ride", "sit on", "be"."""
    object: str
    """The noun or the colour at the other end."""


@dataclass(frozen=True)
class Fact:
    """A triple with its tokens, for the questions."""

    subject: Token
    """Head of the subject."""
    predicate: str
    """As in `Triple`."""
    object: Token
    """Head of the object."""
    name: str
    """The object as the triple has it."""


def facts_of(caption: ParsedCaption) -> list[Fact]:
    """Every fact of a caption, without doubles, in the order of the subjects."""
    found: dict[tuple[int, str, str], Fact] = {}
    for fact in (*_clause_facts(caption), *_noun_facts(caption)):
        found.setdefault((fact.subject.i, fact.predicate, fact.name), fact)
    return sorted(found.values(), key=lambda fact: (fact.subject.i, fact.object.i, fact.predicate))


def _clause_facts(caption: ParsedCaption) -> Iterator[Fact]:
    lexicon = caption.lexicon
    for clause in caption.clauses:
        base = " ".join([lemma(clause.verb), *particles_of(clause.verb)])
        for subject, verb, noun in _links(clause, base):
            meant = through_quantity(noun, lexicon)
            if is_noun(meant) and not is_denied(noun):
                yield Fact(subject, verb, meant, bare(meant))
        for prep in place_prepositions(clause, lexicon):
            place = preposition_object(prep)
            if place is not None and is_place(prep, lexicon):
                for subject in clause.meant:
                    yield Fact(subject, f"be {prep.lower_}", place, bare(place))


def _links(clause: Clause, base: str) -> Iterator[tuple[Token, str, Token]]:
    """(subject, verb, noun) for the object, the agent of a passive, and the first preposition."""
    noun = object_of(clause.verb)
    for subject in clause.meant:
        for item in conjuncts(noun) if noun is not None and not clause.passive else ():
            yield subject, base, item
        for prep in prepositions_of(clause.verb)[:1]:
            under = direct_object(prep)
            if under is None or not is_noun(under):
                continue
            if prep.dep_ == "agent":
                yield under, base, subject
            elif noun is None and not clause.passive and not clause.is_copula:
                yield subject, f"{base} {prep.lower_}", under


def _noun_facts(caption: ParsedCaption) -> Iterator[Fact]:
    lexicon = caption.lexicon
    for noun in caption.nouns:
        colours = colour_tokens(noun, lexicon)
        if colours and not lexicon.is_person(lemma(noun)):
            yield Fact(noun, "be", colours[0], colour_name(colours[:2]))
        if kind_of(noun, lexicon)[1] != "living":
            continue
        for prep in noun.children:
            under = direct_object(prep) if prep.dep_ == "prep" and prep.lower_ in ("in", "with") else None
            for item in (
                conjuncts(under) if under is not None and is_noun(under) and not is_denied(under) else ()
            ):
                if lemma(item) in lexicon.clothing:
                    yield Fact(noun, "wear", item, bare(item))
                elif prep.lower_ == "with":
                    yield Fact(noun, "have", item, bare(item))


def triples_of(caption: ParsedCaption) -> list[Triple]:
    """The facts of a caption as records."""
    return [
        Triple(
            gif=caption.gif,
            caption=caption.text,
            subject=bare(fact.subject),
            predicate=fact.predicate,
            object=fact.name,
        )
        for fact in facts_of(caption)
    ]


@dataclass(frozen=True)
class TripleGenerator:
    """Questions that ask for one end of a triple: "Who rides the horse?", "What does the man ride?"."""

    @property
    def name(self) -> str:
        """The name in the records."""
        return "triples"

    def drafts(self, captions: Sequence[ParsedCaption], seed: int) -> list[list[Draft]]:
        """The questions of each caption; see `QuestionGenerator`."""
        del seed
        return [list(_questions(caption)) for caption in captions]


def _questions(caption: ParsedCaption) -> Iterator[Draft]:
    lexicon = caption.lexicon
    for fact in facts_of(caption):
        verb, *rest = fact.predicate.split()
        if verb in ("be", "have") or fact.object.lower_ in lexicon.colours:
            continue
        name = bare(fact.subject)
        kind, category = kind_of(fact.subject, lexicon)
        words = compound_words(fact.subject)
        span = (words[0].idx, words[-1].idx + len(words[-1]))
        who = "Who" if kind == "person" else "What"
        said = " ".join([third_person(verb), *rest])
        yield Draft(f"{who} {said} the {fact.name}?", name, kind, category, "who", span)
        kind, category = kind_of(fact.object, lexicon)
        words = compound_words(fact.object)
        span = (words[0].idx, words[-1].idx + len(words[-1]))
        what = "Who" if kind == "person" else "What"
        do = "do" if is_plural((fact.subject,)) else "does"
        yield Draft(f"{what} {do} the {name} {fact.predicate}?", fact.name, kind, category, "what", span)


def read_triples(
    source: Path | BinaryIO,
    columns: CaptionColumns | None = None,
    *,
    kind: str | None = None,
    delimiter: str | None = None,
    pipeline: str = DEFAULT_PIPELINE,
) -> Iterator[Triple | RecordError]:
    """The triples of every caption of a file, with bad rows as values; see `read_captions`."""
    batch: list[tuple[str, str]] = []
    for item in read_captions(source, columns, kind=kind, delimiter=delimiter):
        if isinstance(item, RecordError):
            yield item
            continue
        batch += [(item.gif, text) for text in item.captions if text]
        if len(batch) >= _BATCH:
            yield from _triples_of_batch(batch, pipeline)
            batch = []
    yield from _triples_of_batch(batch, pipeline)


def _triples_of_batch(batch: Sequence[tuple[str, str]], pipeline: str) -> Iterator[Triple]:
    lexicon = load_lexicon()
    for (gif, text), (doc, _) in zip(
        batch, parse_captions([text for _, text in batch], lexicon, pipeline), strict=True
    ):
        yield from triples_of(ParsedCaption(gif, text, doc, context_of([doc], lexicon), lexicon))
