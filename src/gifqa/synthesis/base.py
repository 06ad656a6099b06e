"""The protocol of question generators: captions in, questions about their candidates out, batched."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gifqa.synthesis.candidates import Candidate
from gifqa.synthesis.context import ParsedCaption


@dataclass(frozen=True)
class Draft:
    """A question with its answer, before any filter."""

    question: str
    """Ends with a question mark."""
    answer: str
    """The answer."""
    answer_type: str
    """One of `ANSWER_TYPES` of the records."""
    category: str
    """One of `CATEGORIES` of the records."""
    rule: str
    """Which rule or model made it."""
    span: tuple[int, int] | None = None
    """Characters of the caption that are the answer; None when it is not in it."""
    options: tuple[str, ...] | None = None
    """Multiple choice: the options, the answer among them."""


def draft_of(candidate: Candidate, question: str, rule: str) -> Draft:
    """The draft that asks for a candidate."""
    return Draft(question, candidate.answer, candidate.answer_type, candidate.category, rule, candidate.span)


class QuestionGenerator(Protocol):
    """Makes questions for the candidates of captions."""

    @property
    def name(self) -> str:
        """Stands in the records: "rules", "lm:SmolLM2-135M-Instruct"."""
        ...

    def drafts(self, captions: Sequence[ParsedCaption], seed: int) -> list[list[Draft]]:
        """One list of drafts a caption, in order.

        The drafts of a caption may depend on the caption and the seed alone, never on its neighbours: the
        same records come out whatever the batches are.
        """
        ...
