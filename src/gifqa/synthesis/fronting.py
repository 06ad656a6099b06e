"""Full questions in the manner of TGIF-QA and COCO-QA: the caption with the answer's phrase fronted.

    a man is riding a horse on a beach .      What is the man riding on a beach?        horse
                                              Where is the man riding a horse?          beach
    two cats are asleep in a red chair .      How many cats are asleep in a red chair?  two
                                              What is the color of the chair?           red

As in those data sets the first "a" becomes "the", and a place is asked for by its noun alone.
Reference: Ren et al. (2015), Exploring Models and Data for Image Question Answering, https://arxiv.org/abs/1505.02074
"""

from collections.abc import Iterator
from dataclasses import dataclass

from gifqa.synthesis.base import Draft, draft_of
from gifqa.synthesis.candidates import Candidate
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.looks import number_token
from gifqa.synthesis.nouns import (
    Doc,
    Token,
    bare,
    compound_words,
    conjuncts,
    is_noun,
    is_plural,
    lemma,
    preposition_object,
)

_SUBJECTS = ("nsubj", "nsubjpass")
_DO = {"VBZ": "does", "VBP": "do", "VBD": "did"}


@dataclass(frozen=True)
class Sentence:
    """The clause that a question is made from, as token positions."""

    subject: tuple[int, ...]
    """The subject's tokens."""
    auxiliary: int | None
    """The auxiliary or copula that goes to the front; None where "do" is needed or nothing is."""
    verb: Token
    """The main verb."""
    rest: tuple[int, ...]
    """Everything behind the subject, the auxiliary left out."""


def full_questions(candidate: Candidate, caption: ParsedCaption) -> Iterator[Draft]:
    """The full question for a candidate: one or none."""
    if candidate.role == "colour":
        noun = candidate.tokens[0]
        if " and " not in candidate.answer and not caption.lexicon.is_person(lemma(noun)):
            yield draft_of(candidate, f"What is the color of the {bare(noun)}?", "full-colour")
        return
    if candidate.role not in ("noun", "number", "place-noun"):
        return
    sentence = sentence_of(candidate.tokens[0], caption.doc)
    if sentence is None:
        return
    words = {
        "noun": _object_words,
        "number": _number_words,
        "place-noun": _place_words,
    }[candidate.role](candidate, sentence, caption)
    if words:
        yield draft_of(candidate, _finish(words), f"full-{candidate.answer_type}")


def sentence_of(token: Token, doc: Doc) -> Sentence | None:
    """The main clause around a token, without clauses joined to it that have a subject of their own."""
    verb = _main_verb(token)
    if verb is None:
        return None
    subject_head = next((child for child in verb.lefts if child.dep_ in _SUBJECTS), None)
    start = verb.left_edge.i if subject_head is None else subject_head.left_edge.i
    outside = _joined_clauses(verb)
    inside = [i for i in range(start, verb.right_edge.i + 1) if i not in outside and i < len(doc)]
    while inside and (doc[inside[-1]].is_punct or doc[inside[-1]].dep_ == "cc"):
        inside.pop()
    if subject_head is None or subject_head.pos_ == "PRON":
        return None
    subject = tuple(i for i in inside if i <= subject_head.right_edge.i)
    auxiliaries = [c.i for c in verb.lefts if c.dep_ in ("aux", "auxpass")]
    auxiliary = auxiliaries[0] if auxiliaries else (verb.i if str(verb.lemma_) == "be" else None)
    rest = tuple(i for i in inside if i > subject_head.right_edge.i and i != auxiliary)
    return Sentence(subject, auxiliary, verb, rest)


def _main_verb(token: Token) -> Token | None:
    """The verb of the clause with a subject of its own that the token is in."""
    for ancestor in (token, *token.ancestors):
        finite = ancestor.pos_ in ("VERB", "AUX") and ancestor.dep_ not in ("acl", "relcl", "advcl", "xcomp")
        if finite and any(child.dep_ in _SUBJECTS for child in ancestor.lefts):
            return ancestor
    return None


def _joined_clauses(verb: Token) -> set[int]:
    """Positions of clauses with their own subject that hang on the verb by "and" or a comma."""
    outside: set[int] = set()
    for child in verb.children:
        own = any(grandchild.dep_ in _SUBJECTS for grandchild in child.children)
        apart = child.dep_ in ("conj", "parataxis") or (child.dep_ == "ccomp" and child.i < verb.i)
        if own and apart and child.pos_ in ("VERB", "AUX"):
            outside.update(t.i for t in child.subtree)
            before = [t for t in verb.children if t.dep_ in ("cc", "punct") and t.i < child.left_edge.i]
            outside.update(t.i for t in before if t.i > verb.i)
    return outside


def _has_subject(verb: Token) -> bool:
    return any(child.dep_ in _SUBJECTS for child in verb.children)


def _base(noun: Token) -> set[int]:
    """The noun with what stands before it: determiner, adjectives, compounds; nothing behind it."""
    return set(range(noun.left_edge.i, noun.i + 1))


def _relative(noun: Token) -> set[int]:
    """The relative clause on the noun, which goes with it."""
    return {token.i for child in noun.children if child.dep_ == "relcl" for token in child.subtree}


def _words(doc: Doc, positions: Iterator[int] | tuple[int, ...] | list[int]) -> list[str]:
    return [doc[i].lower_ for i in positions]


def _inverted(sentence: Sentence, doc: Doc, removed: set[int]) -> list[str] | None:
    """Auxiliary, subject, rest: "is the man riding on a beach", "does the man ride"."""
    verb = sentence.verb
    subject = _words(doc, [i for i in sentence.subject if i not in removed])
    rest = [i for i in sentence.rest if i not in removed]
    if not subject:
        return None
    if sentence.auxiliary is not None:
        return [doc[sentence.auxiliary].lower_, *subject, *_words(doc, rest)]
    if verb.tag_ == "VBG":
        plural = is_plural(tuple(child for child in verb.lefts if child.dep_ in _SUBJECTS))
        return ["are" if plural else "is", *subject, *_words(doc, rest)]
    if verb.tag_ not in _DO:
        return None
    finite = {verb.i, *(t.i for t in verb.conjuncts if t.tag_ in _DO and not _has_subject(t))}
    said = [lemma(doc[i]) if i in finite else doc[i].lower_ for i in rest]
    return [_DO[verb.tag_], *subject, *said]


def _object_words(candidate: Candidate, sentence: Sentence, caption: ParsedCaption) -> list[str] | None:
    doc, noun = caption.doc, candidate.tokens[0]
    word = "who" if candidate.answer_type == "person" else "what"
    if noun.i in sentence.subject:
        if noun.dep_ not in _SUBJECTS or len(conjuncts(noun)) > 1:
            return None
        behind = _behind(noun, sentence, doc, singular=True)
        return [word, *behind] if behind else None
    removed = _base(noun) | _relative(noun)
    if any(doc[i].dep_ == "poss" and doc[i].pos_ != "PRON" for i in removed):
        removed = {token.i for token in compound_words(noun)}
    inverted = _inverted(sentence, doc, removed)
    return None if inverted is None else [word, *inverted]


def _behind(noun: Token, sentence: Sentence, doc: Doc, *, singular: bool = False) -> list[str]:
    """What follows the subject's noun; a participle gets "is", a plural verb "s" after who or what."""
    own = {sentence.auxiliary} if sentence.auxiliary is not None else set()
    positions = sorted({*sentence.subject, *sentence.rest, *own} - _relative(noun))
    words = []
    for i in (i for i in positions if i > noun.i):
        word = doc[i].lower_
        if i == sentence.verb.i and sentence.auxiliary is None:
            if doc[i].tag_ == "VBG":
                words.append("is" if singular or not is_plural((noun,)) else "are")
            elif doc[i].tag_ == "VBP" and singular:
                word = third_person(lemma(doc[i]))
        words.append(word)
    return words


def third_person(verb: str) -> str:
    """The form after who and what: play -> plays, watch -> watches, carry -> carries."""
    if verb.endswith(("s", "sh", "ch", "x", "z", "o")):
        return f"{verb}es"
    return f"{verb[:-1]}ies" if verb.endswith("y") and verb[-2:-1] not in "aeiou" else f"{verb}s"


def _number_words(candidate: Candidate, sentence: Sentence, caption: ParsedCaption) -> list[str] | None:
    doc, noun = caption.doc, candidate.tokens[0]
    number = number_token(noun, caption.lexicon)
    if number is None:
        return None
    named = _words(doc, list(range(number.i + 1, noun.i + 1)))
    if noun.i in sentence.subject:
        if noun.dep_ not in _SUBJECTS:
            return None
        return ["how", "many", *named, *_behind(noun, sentence, doc)]
    inverted = _inverted(sentence, doc, _base(noun))
    return None if inverted is None else ["how", "many", *named, *inverted]


def _place_words(candidate: Candidate, sentence: Sentence, caption: ParsedCaption) -> list[str] | None:
    doc, prep = caption.doc, candidate.tokens[0]
    noun = preposition_object(prep)
    if noun is None or not is_noun(noun):
        return None
    inverted = _inverted(sentence, doc, set(range(prep.i, noun.i + 1)))
    return None if inverted is None else ["where", *inverted]


def _finish(words: list[str]) -> str:
    """Capital, question mark, and "the" in place of the first "a"."""
    while words and words[-1] in (",", ".", ";", "and"):
        words = words[:-1]
    if "a" in words:
        words[words.index("a")] = "the"
    return text_of(words)


def text_of(words: list[str]) -> str:
    """Words as a question."""
    joined = ""
    for word in words:
        tight = word in (",", ".", "-", "'", "?") or word.startswith("'")
        joined += word if not joined or tight or joined.endswith("-") else f" {word}"
    return f"{joined[:1].upper()}{joined[1:]}?"
