"""Questions about time, in TGIF-QA's kinds: how often, what is repeated, what comes before and after.

    a man tips his hat and then points at the camera
      What does the man do after tipping his hat?             point at the camera
      What does the man do before pointing at the camera?     tip his hat
    a girl claps three times
      How many times does the girl clap?                      three
      What does the girl do three times?                      clap

The fourth kind, questions about one frame, is what the other rules make. Two actions joined by a bare "and"
count as a sequence only if both are over in a moment ("opens", "throws"): "sits and reads" is one state.
Reference: TGIF-QA (Jang et al., 2017), https://arxiv.org/abs/1704.04497
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from gifqa.synthesis.base import Draft
from gifqa.synthesis.clauses import Clause, action_of, object_of, particles_of, prepositions_of, progressive
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.lexicon import Lexicon, gerund
from gifqa.synthesis.nouns import Token, lemma, noun_phrase, prepositional_phrase

NUM_DISTRACTORS = 4
# for a pool that is too small, such as that of a single caption
_SPARE_ACTIONS = ("jump", "clap", "sleep", "fall down", "open a door", "throw a ball", "read a book", "dance")
_STATES = frozenset({"wear", "look", "star"})
_ADVERB_COUNTS = {"twice": "two", "thrice": "three"}


@dataclass(frozen=True)
class Event:
    """Something that a subject does, with what the distractors need to know."""

    gif: str
    """The GIF."""
    subject: str
    """The subject's noun, as it stands: men and man are two subjects."""
    verb: str
    """Lemma of the verb."""
    base: str
    """As an answer: "tip his hat"."""
    ing: str
    """As part of a question: "tipping his hat"."""


def event_of(clause: Clause, gif: str, lexicon: Lexicon) -> Event | None:
    """The event of a clause, or None where it is no action of one living subject."""
    ing = action_of(clause, lexicon)
    form = progressive(clause.verb, lexicon)
    if ing is None or form is None or not clause.living or len(clause.meant) > 1:
        return None
    words = [*particles_of(clause.verb)]
    noun = object_of(clause.verb)
    if noun is not None:
        words.append(noun_phrase(noun, joined=False))
    for prep in prepositions_of(clause.verb)[:1]:
        phrase = prepositional_phrase(prep, adjectives=False)
        if noun is None and phrase is not None:
            words.append(phrase)
    verb = _base(clause.verb, form)
    return Event(gif, str(clause.meant[0].lower_), verb, " ".join([verb, *words]), " ".join([form, *words]))


def _base(verb: Token, form: str) -> str:
    word = lemma(verb)
    return word if gerund(word) == form or verb.tag_ != "VBG" else form


def events_of(captions: Sequence[ParsedCaption]) -> list[Event]:
    """Every event of the captions: the pool that distractors are drawn from."""
    found: dict[Event, None] = {}
    for caption in captions:
        for clause in caption.clauses:
            event = event_of(clause, caption.gif, caption.lexicon)
            if event is not None:
                found.setdefault(event)
    return list(found)


def temporal_drafts(caption: ParsedCaption, pool: Sequence[Event], seed: int) -> list[Draft]:
    """The temporal questions of a caption; those about actions with four distractors.

    Args:
        caption: the caption.
        pool: events of other captions; those of the same GIF are passed over.
        seed: draws the distractors.
    """
    random = Random(f"{seed}|temporal|{caption.gif}|{caption.text}")
    return [*_counts(caption, pool, random), *_transitions(caption, pool, random)]


def _counts(caption: ParsedCaption, pool: Sequence[Event], random: Random) -> Iterator[Draft]:
    for clause in caption.clauses:
        found = _times_of(clause.verb, caption.lexicon)
        event = event_of(clause, caption.gif, caption.lexicon)
        if found is None or event is None:
            continue
        count, token = found
        do = "do" if clause.be == "are" else "does"
        span = (token.idx, token.idx + len(token))
        question = f"How many times {do} {clause.subject} {event.base}?"
        yield Draft(question, count, "number", "number", "count", span)
        options = _options(event, caption, pool, random)
        asked = f"What {do} {clause.subject} do {count} times?"
        yield Draft(asked, event.base, "action", "verb", "repeated-action", None, options)


def _times_of(verb: Token, lexicon: Lexicon) -> tuple[str, Token] | None:
    """How often the verb happens, from "twice" or "three times", and the word that says so."""
    for child in verb.children:
        if child.lower_ in _ADVERB_COUNTS:
            return _ADVERB_COUNTS[child.lower_], child
        if child.lower_ == "times" and child.dep_ in ("npadvmod", "dobj", "advmod"):
            for number in child.lefts:
                if number.lower_ in lexicon.number_words:
                    return lexicon.number_words[number.lower_], number
    return None


def _transitions(caption: ParsedCaption, pool: Sequence[Event], random: Random) -> Iterator[Draft]:
    for first, second in _sequences(caption):
        before = event_of(first, caption.gif, caption.lexicon)
        after = event_of(second, caption.gif, caption.lexicon)
        if before is None or after is None or before.verb == after.verb:
            continue
        do = "do" if first.be == "are" else "does"
        for asked, word, known in ((after, "after", before), (before, "before", after)):
            options = _options(asked, caption, pool, random, also=known)
            question = f"What {do} {first.subject} do {word} {known.ing}?"
            yield Draft(question, asked.base, "action", "verb", f"transition-{word}", None, options)


def _sequences(caption: ParsedCaption) -> Iterator[tuple[Clause, Clause]]:
    """Pairs of clauses of one subject of which the second follows the first."""
    punctual = caption.lexicon.words("events", "punctual")
    for first, second in zip(caption.clauses, caption.clauses[1:], strict=False):
        same = [token.i for token in first.meant] == [token.i for token in second.meant]
        if not same or second.verb.dep_ != "conj" or second.verb.head.i != first.verb.i:
            continue
        between = {t.lower_ for t in caption.doc[first.verb.i : second.verb.i]}
        between |= {t.lower_ for t in second.verb.children}
        marked = bool(between & {"then", "afterwards", "finally"})
        short = lemma(first.verb) in punctual and lemma(second.verb) in punctual
        if (marked or short) and not between & {"while", "before", "after"}:
            yield first, second


def _options(
    event: Event, caption: ParsedCaption, pool: Sequence[Event], random: Random, *, also: Event | None = None
) -> tuple[str, ...]:
    """The answer among four hard distractors, in random order.

    Hard: what the same kind of subject does in other GIFs. Never an action of the answer's own group (running
    for jogging), nor one that a caption of this GIF mentions.
    """
    lexicon = caption.lexicon
    taken = {event.verb} | ({also.verb} if also is not None else set())
    related = _related(event.verb, lexicon)
    usable = [
        other
        for other in pool
        if other.verb in lexicon.words("verbs", "common")
        and other.verb not in _STATES
        and other.gif != caption.gif
        and other.verb not in taken
        and other.verb not in related
        and gerund(other.verb) not in caption.context.gerunds
    ]
    random.shuffle(usable)
    usable.sort(key=lambda other: other.subject != event.subject)
    chosen: dict[str, str] = {}
    for other in usable:
        if len(chosen) < NUM_DISTRACTORS:
            chosen.setdefault(other.verb, other.base)
    for spare in _SPARE_ACTIONS:
        verb = spare.split(maxsplit=1)[0]
        free = verb not in taken | related and gerund(verb) not in caption.context.gerunds
        if len(chosen) < NUM_DISTRACTORS and free:
            chosen.setdefault(verb, spare)
    options = [event.base, *chosen.values()]
    random.shuffle(options)
    return tuple(options)


def _related(verb: str, lexicon: Lexicon) -> set[str]:
    """Verbs of the same group of actions, by their gerunds."""
    form = gerund(verb)
    groups = [words for words in lexicon.actions.values() if form in words]
    return {word.split("-")[0] for words in groups for word in words} | {
        base for base in lexicon.words("verbs", "common") if any(gerund(base) in words for words in groups)
    }
