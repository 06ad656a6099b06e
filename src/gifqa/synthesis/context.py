"""A parsed caption, and what all captions of one GIF say together: the ground for a fair "no"."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gifqa.synthesis.clauses import Clause, find_clauses
from gifqa.synthesis.lexicon import Lexicon, gerund, load_lexicon
from gifqa.synthesis.looks import colour_name, colour_tokens, number_token
from gifqa.synthesis.nouns import Doc, Token, compound_words, is_noun, is_slip, lemma


@dataclass(frozen=True, eq=False)
class GifContext:
    """What the captions of a GIF mention, taken together. Compared by identity, as `ParsedCaption` is."""

    lemmas: frozenset[str]
    """Words and lemmas; compounds joined by a hyphen too."""
    gerunds: frozenset[str]
    """-ing forms of everything that may be a verb."""
    colours: dict[str, frozenset[str]] = field(default_factory=dict)
    """Lemma of a noun -> the colours that captions give it."""
    numbers: dict[str, frozenset[str]] = field(default_factory=dict)
    """Lemma of a noun -> the number words before it."""
    num_captions: int = 1
    """How many captions there are."""


def context_of(docs: Sequence[Doc], lexicon: Lexicon) -> GifContext:
    """Gather what the parsed captions of one GIF mention."""
    lemmas: set[str] = set()
    gerunds: set[str] = set()
    colours: dict[str, set[str]] = {}
    numbers: dict[str, set[str]] = {}
    for token in (token for doc in docs for token in doc):
        word = lemma(token)
        lemmas |= {token.lower_, word}
        if token.lower_.endswith("ing"):
            gerunds.add(token.lower_)
        if token.pos_ in ("VERB", "NOUN") and word.isalpha():
            gerunds.add(gerund(word))
        if not is_noun(token):
            continue
        parts = [part.lower_ for part in compound_words(token)]
        if len(parts) > 1:
            lemmas |= {"-".join(parts), "-".join([*parts[:-1], word])}
        found = colour_tokens(token, lexicon)
        if found:
            colours.setdefault(word, set()).add(colour_name(found))
        number = number_token(token, lexicon)
        if number is not None:
            numbers.setdefault(word, set()).add(lexicon.number_words[number.lower_])
    return GifContext(
        frozenset(lemmas),
        frozenset(gerunds),
        {word: frozenset(names) for word, names in colours.items()},
        {word: frozenset(names) for word, names in numbers.items()},
        len(docs),
    )


@dataclass(frozen=True, eq=False)
class ParsedCaption:
    """One caption with its parse and the context of its GIF; what every generator works on.

    Compared by identity, so that what is found in it can be remembered.
    """

    gif: str
    """The GIF."""
    text: str
    """The caption as written."""
    doc: Doc
    """Its spaCy parse."""
    context: GifContext
    """What all captions of the GIF say."""
    lexicon: Lexicon = field(default_factory=load_lexicon)
    """Word lists."""

    @cached_property
    def clauses(self) -> list[Clause]:
        """Who does what."""
        return find_clauses(self.doc, self.lexicon)

    @cached_property
    def nouns(self) -> list[Token]:
        """Heads of noun phrases, the tagger's slips left out."""
        return [
            token
            for token in self.doc
            if is_noun(token)
            and token.dep_ != "compound"
            and token.is_alpha
            and not is_slip(token, self.lexicon)
        ]
