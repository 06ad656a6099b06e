"""Does the caption answer the question? An extractive answerer on two parses, for the round-trip filter.

The words of the question are found in the caption. Of the caption's candidates of the type that the question
asks for, the one nearest to those words in the dependency tree is the answer. It knows nothing of how the
question was made, so it judges the questions of rules and of models alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gifqa.synthesis.candidates import Candidate, find_candidates
from gifqa.synthesis.context import ParsedCaption
from gifqa.synthesis.lexicon import Lexicon, gerund
from gifqa.synthesis.looks import SAME_COLOUR, colour_tokens
from gifqa.synthesis.nouns import Doc, Token, lemma

_NOUN_TYPES = frozenset({"person", "animal", "object"})
_AS_GOOD_AS = 1.0
_AS_GOOD_A_PLACE = 2.0
_NEAR = 5
_BY_OPENER = {
    "who": frozenset({"person"}),
    "where": frozenset({"place"}),
    "how": frozenset({"number"}),
}


@dataclass(frozen=True)
class Found:
    """What the answerer found."""

    answer: str
    """The best answer."""
    score: float
    """Share of the question's words that the caption has, times the share of the best answer among all."""
    coverage: float
    """Share of the question's words that the caption has."""


def wanted_types(question: Doc) -> frozenset[str]:
    """The answer types that a question asks for, by its first words."""
    words = [token.lower_ for token in question] or [""]
    if words[0] in ("what", "which"):
        return frozenset(_types_of_what(words))
    if words[0] in ("is", "are", "does", "do"):
        return frozenset({"attribute" if "or" in words else "yes/no"})
    return _BY_OPENER.get(words[0], _NOUN_TYPES)


def _types_of_what(words: Sequence[str]) -> set[str]:
    second = words[1] if len(words) > 1 else ""
    if second in ("color", "colour") or words[1:4] == ["is", "the", "color"]:
        return {"colour"}
    if second in ("animal", "animals"):
        return {"animal"}
    if second == "pattern" or "made" in words:
        return {"attribute"}
    if (
        words[-2:] == ["doing", "?"]
        or words[-1] == "doing"
        or (second in ("does", "do") and "do" in words[2:])
    ):
        return {"action"}
    return {"animal", "object"}


def _content(question: Doc, frame: frozenset[str]) -> list[Token]:
    return [
        t for t in question if t.is_alpha and t.lower_ not in frame and t.pos_ not in ("DET", "AUX", "CCONJ")
    ]


def _anchors(words: Sequence[Token], doc: Doc) -> tuple[list[Token], float]:
    """Tokens of the caption for the words of the question, and the share of the words that have one.

    Of several tokens for a word, the one nearest to the other words' tokens is taken.
    """
    by_form: dict[str, list[Token]] = {}
    for token in doc:
        base = lemma(token)
        for form in {token.lower_, base, gerund(base), SAME_COLOUR.get(base, base)}:
            by_form.setdefault(form, []).append(token)
    found = [by_form.get(word.lower_) or by_form.get(lemma(word)) or [] for word in words]
    sure = [tokens[0] for tokens in found if len(tokens) == 1]
    anchors = [
        min(tokens, key=lambda t: (sum(tree_distance(t, s) for s in sure), t.i)) for tokens in found if tokens
    ]
    return anchors, len(anchors) / len(words) if words else 1.0


def tree_distance(first: Token, second: Token) -> int:
    """Edges between two tokens of one sentence; a large number across sentences."""
    path = {token.i: depth for depth, token in enumerate((first, *first.ancestors))}
    for depth, token in enumerate((second, *second.ancestors)):
        if token.i in path:
            return path[token.i] + depth
    return 20


def find_answer(question: Doc, caption: ParsedCaption, expected: str = "") -> Found:
    """The answer that the caption gives to the question.

    Yes/no questions are answered "yes" when the caption has every word of them, near each other.

    Args:
        question: the parsed question.
        caption: the caption.
        expected: among answers that are about as near as the nearest, the one that agrees with this is taken.
    """
    wanted = wanted_types(question)
    words = _content(question, caption.lexicon.words("filters", "frame_words"))
    anchors, coverage = _anchors(words, caption.doc)
    if wanted == {"yes/no"}:
        return _yes_or_no(anchors, coverage, caption.lexicon)
    asked = {token.i for token in anchors}
    usable = [c for c in find_candidates(caption) if c.answer_type in wanted and not _is_asked(c, asked)]
    if not usable:
        return Found("", 0.0, coverage)
    if "wearing" in {word.lower_ for word in words}:
        usable = [c for c in usable if lemma(c.tokens[-1]) in caption.lexicon.clothing] or usable
    ranked = sorted(((_distance(c, anchors), -len(c.answer), i) for i, c in enumerate(usable)))
    margin = _AS_GOOD_A_PLACE if "place" in wanted else _AS_GOOD_AS
    near = [usable[i] for distance, _, i in ranked if distance <= ranked[0][0] + margin]
    best = next((c for c in near if agrees(c.answer, expected)), near[0])
    weights = {i: math.exp(-distance) for distance, _, i in ranked}
    share = sum(w for i, w in weights.items() if agrees(usable[i].answer, best.answer)) / sum(
        weights.values()
    )
    return Found(best.answer, coverage * share, coverage)


def _is_asked(candidate: Candidate, asked: set[int]) -> bool:
    """Whether the question names the candidate itself; a colour's noun may be named, its colour is not."""
    return candidate.role in ("noun", "nouns") and any(token.i in asked for token in candidate.tokens)


def _distance(candidate: Candidate, anchors: Sequence[Token]) -> float:
    if not anchors:
        return 0.0
    return sum(min(tree_distance(token, anchor) for token in candidate.tokens) for anchor in anchors) / len(
        anchors
    )


def _yes_or_no(anchors: Sequence[Token], coverage: float, lexicon: Lexicon) -> Found:
    colours = {token.i for token in anchors if token.lower_ in lexicon.colours}
    if coverage == 1.0 and colours and len(colours) < len(anchors):
        things = [token for token in anchors if token.i not in colours]
        has = any(colour.i in colours for thing in things for colour in colour_tokens(thing, lexicon))
        return Found("yes" if has else "no", 1.0, coverage)
    near = all(tree_distance(a, b) <= _NEAR for a, b in pairwise(anchors))
    answer = "yes" if coverage == 1.0 and near else "no"
    return Found(answer, coverage if answer == "yes" else 1.0, coverage)


def agrees(found: str, answer: str) -> bool:
    """Whether two answers name the same: equal, or one has the words of the other."""
    first, second = set(found.split()) - {"a", "an", "the"}, set(answer.split()) - {"a", "an", "the"}
    return bool(first) and bool(second) and (first <= second or second <= first)
