"""Ours beside TGIF-QA's official frame questions: is the answer a candidate, and is the question ours?"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reporting import Table, Target

from gifqa.data.records import QARecord
from gifqa.data.tgif import read_tgif_qa
from gifqa.synthesis.candidates import find_candidates
from gifqa.synthesis.context import ParsedCaption, context_of
from gifqa.synthesis.lexicon import load_lexicon
from gifqa.synthesis.parsing import DEFAULT_PIPELINE
from gifqa.synthesis.repair import parse_captions
from gifqa.synthesis.rules import RuleGenerator

TYPES = ("object", "number", "colour", "place")
MATCH_F1 = 0.7
_CHUNK = 1024
_OURS = {"object": ("object", "animal", "person")}
"""TGIF-QA's type object holds animals; ours tells them apart."""


@dataclass(frozen=True)
class Comparison:
    """One official question beside ours."""

    kind: str
    found: bool
    """Whether the official answer is among our candidates of that type."""
    f1: float
    """Of our nearest question for that answer; 0 without one."""
    official: str
    ours: str
    num_questions: int
    """How many questions we have for that answer."""


def tokens(text: str) -> list[str]:
    """Lower-case words; a possessive is one with its noun."""
    return re.findall(r"[a-z0-9']+", text.lower().replace(" '", "'"))


def token_f1(first: str, second: str) -> float:
    """F1 of the two questions' words, as multisets."""
    left, right = Counter(tokens(first)), Counter(tokens(second))
    both = sum((left & right).values())
    return 2 * both / (sum(left.values()) + sum(right.values())) if both else 0.0


def same_answer(ours: str, official: str, kind: str) -> bool:
    """Official answers are one word: for things and places that is the head of ours."""
    words = ours.split() or [""]
    return ours == official or (kind in ("object", "place") and words[-1] == official)


def compare(records: Sequence[QARecord], style: str) -> list[Comparison]:
    """Every official question beside our candidates and questions of a style."""
    generator, lexicon = RuleGenerator(style), load_lexicon()
    found = []
    for start in range(0, len(records), _CHUNK):
        chunk = records[start : start + _CHUNK]
        parsed = parse_captions([record.caption for record in chunk], lexicon, DEFAULT_PIPELINE)
        for record, (doc, _) in zip(chunk, parsed, strict=True):
            caption = ParsedCaption(record.gif, record.caption, doc, context_of([doc], lexicon), lexicon)
            found.append(_one(record, caption, generator))
    return found


def _one(record: QARecord, caption: ParsedCaption, generator: RuleGenerator) -> Comparison:
    kinds = _OURS.get(record.answer_type, (record.answer_type,))
    right = [
        candidate
        for candidate in find_candidates(caption)
        if candidate.answer_type in kinds and same_answer(candidate.answer, record.answer, record.answer_type)
    ]
    questions = [
        draft.question
        for draft in generator.drafts([caption], 0)[0]
        if draft.answer_type in kinds and same_answer(draft.answer, record.answer, record.answer_type)
    ]
    best = max(questions, key=lambda question: token_f1(question, record.question), default="")
    return Comparison(
        record.answer_type,
        bool(right),
        token_f1(best, record.question),
        record.question,
        best,
        len(questions),
    )


def bleu4(comparisons: Sequence[Comparison]) -> float | None:
    """Corpus BLEU-4 of our nearest questions where there is one; None without sacrebleu."""
    try:
        import sacrebleu
    except ImportError:
        return None
    pairs = [(" ".join(tokens(c.ours)), " ".join(tokens(c.official))) for c in comparisons if c.ours]
    if not pairs:
        return None
    return (
        float(sacrebleu.corpus_bleu([p[0] for p in pairs], [[p[1] for p in pairs]], tokenize="none").score)
        / 100
    )


def measure(path: Path) -> tuple[dict[str, Any], list[Table], list[Target]]:
    """All figures against a file of official frame questions with their captions."""
    records = list(read_tgif_qa(path))
    figures: dict[str, Any] = {"questions": len(records)}
    tables = []
    for style in ("full", "short", "both"):
        comparisons = compare(records, style)
        rows = []
        for kind in (*TYPES, "all"):
            part = [c for c in comparisons if kind in (c.kind, "all")]
            if part:
                row = _figures(part)
                figures.setdefault(style, {})[kind] = row
                rows.append(_row(kind, row))
        tables.append(
            Table(
                f"Official frame questions, style {style}",
                (
                    "type",
                    "questions",
                    "answer found",
                    f"F1 >= {MATCH_F1}",
                    "exact",
                    "mean F1",
                    "BLEU-4",
                    "ours each",
                ),
                tuple(rows),
            )
        )
    share = figures["full"]["all"]
    targets = [
        Target("official answer among our candidates", 0.90, share["answer_found"]),
        Target("our question for it at F1 >= 0.7", 0.75, share["f1_at_least_0.7"]),
    ]
    return {"official": figures}, tables, targets


def _figures(part: Sequence[Comparison]) -> dict[str, Any]:
    count = len(part)
    return {
        "questions": count,
        "answer_found": sum(c.found for c in part) / count,
        "f1_at_least_0.7": sum(c.f1 >= MATCH_F1 for c in part) / count,
        "exact": sum(tokens(c.ours) == tokens(c.official) for c in part) / count,
        "mean_f1": sum(c.f1 for c in part) / count,
        "bleu4": bleu4(part),
        "questions_each": sum(c.num_questions for c in part) / count,
    }


def _row(kind: str, row: dict[str, Any]) -> tuple[str, ...]:
    shares = [f"{100 * row[name]:.1f} %" for name in ("answer_found", "f1_at_least_0.7", "exact")]
    bleu = "–" if row["bleu4"] is None else f"{row['bleu4']:.3f}"
    return (
        kind,
        f"{row['questions']:,}",
        *shares,
        f"{row['mean_f1']:.3f}",
        bleu,
        f"{row['questions_each']:.2f}",
    )
