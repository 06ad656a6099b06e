"""Who does what: the clauses of a caption, their subjects, and how questions and answers say their verbs."""

from dataclasses import dataclass

from gifqa.synthesis.lexicon import Lexicon, gerund
from gifqa.synthesis.nouns import (
    Doc,
    Token,
    conjuncts,
    definite,
    is_noun,
    is_plural,
    is_slip,
    kind_of,
    lemma,
    namesakes,
    noun_phrase,
    prepositional_phrase,
    through_quantity,
)

_ADVERB_PARTICLES = frozenset({"around", "away", "up", "down", "back", "over", "off", "forward"})


_SUBJECT_LABELS = ("nsubj", "nsubjpass")


@dataclass(frozen=True)
class Clause:
    """Somebody does something: a finite clause, a participle on a noun, or a copula with a phrase."""

    subjects: tuple[Token, ...]
    """Heads of the subject as they stand: one, or more joined by "and"."""
    meant: tuple[Token, ...]
    """The nouns meant: people for "a group of people"."""
    verb: Token
    """The main verb, or the copula."""
    passive: bool
    """Whether the subject undergoes the verb."""
    living: bool
    """Whether every subject is a person or an animal."""

    @property
    def be(self) -> str:
        """The form of "be" that the subject takes."""
        return "are" if is_plural(self.meant) else "is"

    @property
    def is_copula(self) -> bool:
        """Whether the verb is "be"."""
        return str(self.verb.lemma_) == "be"

    @property
    def subject(self) -> str:
        """The subject as a question refers to it; adjectives only where two nouns share the name."""
        return " and ".join(definite(head, adjectives=bool(namesakes(head))) for head in self.meant)


def find_clauses(doc: Doc, lexicon: Lexicon) -> list[Clause]:
    """Every clause with a sensible noun as its subject, in the order of the verbs.

    Not covered: infinitives, negated verbs, subjects that are pronouns other than relative ones.
    """
    found: dict[int, tuple[tuple[Token, ...], bool]] = {}
    for token in doc:
        if token.pos_ in ("VERB", "AUX") and not any(child.dep_ == "neg" for child in token.children):
            parts = _clause_at(token, found)
            if parts is not None:
                found[token.i] = parts
    clauses = []
    for i, (subjects, passive) in sorted(found.items()):
        meant = tuple(through_quantity(head, lexicon) for head in subjects)
        living = all(kind_of(head, lexicon)[1] == "living" for head in meant)
        clause = Clause(subjects, meant, doc[i], passive, living)
        if _is_sensible(clause, lexicon):
            clauses.append(clause)
    return clauses


def _is_sensible(clause: Clause, lexicon: Lexicon) -> bool:
    for head in (*clause.subjects, *clause.meant):
        if is_slip(head, lexicon) or not head.is_alpha or head.tag_ == "VBG":
            return False
    for head in clause.meant:
        word = lemma(head)
        if word in lexicon.words("nouns", "empty") or word in lexicon.words("nouns", "body"):
            return False
        if word in lexicon.colours:
            return False
    animate = lemma(clause.verb) in lexicon.words("verbs", "animate")
    return clause.living or clause.passive or not animate


def _clause_at(
    verb: Token, earlier: dict[int, tuple[tuple[Token, ...], bool]]
) -> tuple[tuple[Token, ...], bool] | None:
    """(subjects, passive) of the verb, or None where it has no subject that is a noun."""
    perfect = any(c.dep_ == "aux" and c.lower_ in ("has", "have", "had", "'ve") for c in verb.children)
    passive = verb.tag_ == "VBN" and not perfect
    own = any(child.dep_ in ("nsubj", "nsubjpass", "expl") for child in verb.children)
    if verb.dep_ == "conj" and verb.head.i in earlier and not own:
        subjects, first_passive = earlier[verb.head.i]
        same_form = verb.tag_ == verb.head.tag_ or verb.tag_ in ("VBZ", "VBP", "VBD")
        return (subjects, passive and first_passive) if same_form else None
    if verb.tag_ == "VB":
        return None
    for child in verb.lefts:
        if child.dep_ in ("nsubj", "nsubjpass") and is_noun(child):
            return conjuncts(child), passive
    if not is_noun(verb.head) or verb.i < verb.head.i:
        return None
    if verb.dep_ == "acl" and verb.tag_ in ("VBG", "VBN"):
        return _whole_coordination(verb.head), verb.tag_ == "VBN"
    relative = any(
        c.dep_ in ("nsubj", "nsubjpass") and c.lower_ in ("who", "that", "which") for c in verb.lefts
    )
    return (_whole_coordination(verb.head), passive) if verb.dep_ == "relcl" and relative else None


def _whole_coordination(head: Token) -> tuple[Token, ...]:
    """Both of "a man and a woman riding", when the participle hangs on the last and nothing is between."""
    first = head
    while first.dep_ == "conj" and is_noun(first.head):
        if any(child.dep_ in ("prep", "acl", "relcl") for child in first.head.children):
            return (head,)
        first = first.head
    if first.dep_ not in (*_SUBJECT_LABELS, "ROOT", "attr"):
        return (head,)
    joined = conjuncts(first)
    return joined if first is not head and joined[-1].i == head.i else (head,)


def object_of(verb: Token) -> Token | None:
    """The direct object, when it is a noun right of the verb."""
    return next((child for child in verb.rights if child.dep_ == "dobj" and is_noun(child)), None)


def prepositions_of(verb: Token) -> list[Token]:
    """Prepositions on the verb, in order; "next" of "next to" is one."""
    return [child for child in verb.rights if is_preposition(child)]


def is_preposition(token: Token) -> bool:
    """Whether a phrase begins with the token: "on a beach", "by a man", "next to a car"."""
    if token.dep_ in ("prep", "agent"):
        return token.pos_ in ("ADP", "SCONJ", "ADV")
    leads = token.dep_ == "advmod" and token.lower_ in ("next", "close")
    return leads and any(child.dep_ == "prep" and child.i == token.i + 1 for child in token.children)


def particles_of(verb: Token) -> list[str]:
    """Particles of a phrasal verb: "up" of "picks up", "around" of "turns around"."""
    return [
        child.lower_
        for child in verb.rights
        if child.dep_ == "prt"
        or (child.dep_ == "advmod" and child.i == verb.i + 1 and child.lower_ in _ADVERB_PARTICLES)
    ]


def progressive(verb: Token, lexicon: Lexicon) -> str | None:
    """The verb's -ing form, or None for a verb of state ("has") or a form that is no verb's."""
    if verb.tag_ == "VBG":
        return str(verb.lower_) if verb.is_alpha else None
    base = lemma(verb)
    return gerund(base) if base.isalpha() and base not in lexicon.words("verbs", "stative") else None


def verb_words(clause: Clause, lexicon: Lexicon) -> list[str] | None:
    """The words "riding", "being held", "parked" or none for "is"; None where no form suits a question."""
    verb = clause.verb
    if clause.passive:
        agent = any(child.dep_ == "agent" for child in verb.children)
        happens = agent and lemma(verb) not in lexicon.words("verbs", "states")
        happens = happens or any(child.lower_ == "being" for child in verb.lefts)
        return ["being", verb.lower_] if happens else [verb.lower_]
    if clause.is_copula:
        return []
    form = progressive(verb, lexicon)
    return None if form is None else [form]


def predicate(
    clause: Clause, lexicon: Lexicon, *, without: Token | None = None, adjectives: bool = True
) -> str | None:
    """The clause's verb with particle, object and first phrase, in the order of the caption.

    Args:
        clause: the clause.
        lexicon: word lists.
        without: an object to leave out, or a preposition to end with, when the question asks for its noun.
        adjectives: keep adjectives in the noun phrases.

    Returns:
        For example "riding a bike on the street", or None where the verb does not suit.
    """
    words = verb_words(clause, lexicon)
    if words is None:
        return None
    phrases = 0
    for child in clause.verb.rights:
        asked = without is not None and child.i == without.i
        if asked and is_preposition(child):
            return " ".join([*words, child.lower_])
        if asked:
            continue
        if child.dep_ == "prt" or (
            child.dep_ == "advmod" and child.lower_ in lexicon.words("verbs", "directions")
        ):
            words.append(child.lower_)
        elif child.dep_ == "dobj" and is_noun(child):
            words.append(noun_phrase(child, adjectives=adjectives))
        elif is_preposition(child) and phrases == 0:
            phrase = prepositional_phrase(child, adjectives=adjectives)
            phrases += phrase is not None
            words += [] if phrase is None else [phrase]
        elif child.dep_ in ("dobj", "xcomp", "ccomp", "oprd", "dative"):
            return None
    return " ".join(words) or None


def action_of(clause: Clause, lexicon: Lexicon) -> str | None:
    """What the subject is doing, as a short answer: "riding a bike", "sitting", "looking at the camera"."""
    verb = clause.verb
    form = None if clause.passive or clause.is_copula else progressive(verb, lexicon)
    if form is None:
        return None
    words = [form, *particles_of(verb)]
    noun = object_of(verb)
    if noun is not None:
        return " ".join([*words, noun_phrase(noun, adjectives=False, joined=False)])
    if any(child.dep_ in ("dobj", "xcomp", "ccomp", "oprd", "acomp") for child in verb.rights):
        return None
    if len(words) == 1 and lemma(verb) in lexicon.words("verbs", "needs_phrase"):
        words += _needed_phrase(verb, lexicon)
    return " ".join(words)


def _needed_phrase(verb: Token, lexicon: Lexicon) -> list[str]:
    """The phrase without which the verb says little: "looking at the camera"; not "running in the park"."""
    for prep in prepositions_of(verb)[:1]:
        still = lemma(verb) in lexicon.words("verbs", "static")
        phrase = prepositional_phrase(prep, adjectives=False)
        if phrase is not None and not (still and prep.lower_ in ("in", "on", "at", "near", "by", "along")):
            return [phrase]
    return []
