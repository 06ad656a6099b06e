"""Second parse for captions in which the small tagger took a verb for a noun.

    "A dog splashes in the water"      splashes is tagged as a plural noun: no clause is found
    "A dog is splashing in the water"  the same in a form that cannot be mistaken; parsed right

About 5 % of image captions are of this kind. The second parse is kept only if the word is a verb with a
subject in it. Records quote the caption as written: `Edit` maps positions back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gifqa.synthesis.lexicon import Lexicon, gerund
from gifqa.synthesis.nouns import Doc, Token, is_noun, is_slip, lemma
from gifqa.synthesis.parsing import parse

_NOUNS_AFTER_ALL = frozenset(
    {"ears", "children", "girls", "boys", "goats", "dogs", "shorts", "building", "case"}
)


@dataclass(frozen=True)
class Edit:
    """One replacement in a text."""

    start: int
    """Where it begins, in both texts."""
    old_end: int
    """Where the word ended."""
    new_end: int
    """Where its replacement ends."""

    def back(self, span: tuple[int, int]) -> tuple[int, int]:
        """A span of the new text in the old one; what lies in the replacement becomes the whole word."""
        shift = self.new_end - self.old_end
        start, end = span
        if start >= self.new_end:
            start -= shift
        elif start > self.start:
            start = self.start
        if end >= self.new_end:
            end -= shift
        elif end > self.start:
            end = self.old_end
        return start, end


def parse_captions(texts: Sequence[str], lexicon: Lexicon, pipeline: str) -> list[tuple[Doc, Edit | None]]:
    """Each caption parsed, with the edit when its second parse is the one that is kept."""
    parsed: list[tuple[Doc, Edit | None]] = [(doc, None) for doc in parse(texts, pipeline)]
    again = {}
    for index, (doc, _) in enumerate(parsed):
        found = _rewritten(doc, lexicon)
        if found is not None:
            again[index] = found
    for (index, (_, edit)), doc in zip(
        again.items(), parse([text for text, _ in again.values()], pipeline), strict=True
    ):
        if _is_verb_now(doc, edit):
            parsed[index] = (doc, edit)
    return parsed


def _rewritten(doc: Doc, lexicon: Lexicon) -> tuple[str, Edit] | None:
    for token in doc:
        if token.i == 0 or not is_noun(token) or not token.is_alpha or token.lower_ in _NOUNS_AFTER_ALL:
            continue
        if token.dep_ == "compound" or not is_slip(token, lexicon) or not _may_be_verb(token, lexicon):
            continue
        words = _progressive(token)
        start = token.idx
        edit = Edit(start, start + len(token), start + len(words))
        return f"{doc.text[:start]}{words}{doc.text[edit.old_end :]}", edit
    return None


def _may_be_verb(token: Token, lexicon: Lexicon) -> bool:
    word = lemma(token)
    verbs = lexicon.words("verbs", "common")
    return (
        word in verbs or word in lexicon.words("nouns", "verbs_in_disguise") or token.lower_.endswith("ing")
    )


def _progressive(token: Token) -> str:
    if token.lower_.endswith("ing"):
        return f"is {token.lower_}"
    singular = token.tag_ in ("NNS", "NNPS")
    return f"{'is' if singular else 'are'} {gerund(lemma(token))}"


def _is_verb_now(doc: Doc, edit: Edit) -> bool:
    for token in doc:
        if token.idx + len(token) == edit.new_end:
            return token.pos_ == "VERB" and any(
                child.dep_ in ("nsubj", "nsubjpass") for child in token.children
            )
    return False
