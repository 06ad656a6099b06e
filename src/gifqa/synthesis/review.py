"""A person's judgement of pairs: what is accepted and what is not, written down and nothing else.

    reviewed.jsonl             the pairs that were accepted, unchanged
    reviewed.rejected.jsonl    the pairs that were rejected, with "reason": "review: ..."

Each decision is written when it is made, so a review may stop at any pair and go on later. No filter, weight
or setting changes by it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gifqa.data.records import QARecord, as_row, read_records
from gifqa.errors import ConfigError, RecordError

Verdict = Literal["accept", "reject", "skip", "quit"]
Ask = Callable[[QARecord, int], tuple[Verdict, str]]


@dataclass
class ReviewCounts:
    """What a review came to."""

    accepted: int = 0
    """Accepted, earlier sessions included."""
    rejected: int = 0
    """Rejected, earlier sessions included."""
    left: int = 0
    """Not decided."""


def review(pairs: Path, output: Path, ask: Ask) -> ReviewCounts:
    """Go through pairs that have not been decided yet.

    Args:
        pairs: the pairs, in any format that `read_records` reads.
        output: a .jsonl file for the accepted pairs; the rejected ones stand beside it.
        ask: shows a pair and its number, returns the verdict and, for a rejection, a remark.

    Raises:
        ConfigError: if the output is no .jsonl file.
        RecordError: if a line of `pairs` is no record.
    """
    if output.suffix != ".jsonl":
        raise ConfigError(
            f"{output} is no .jsonl file; a review appends to one. Name it reviewed.jsonl or the like."
        )
    rejected = output.with_name(f"{output.stem}.rejected.jsonl")
    decided = {"accept": _ids(output), "reject": _ids(rejected)}
    counts = ReviewCounts(len(decided["accept"]), len(decided["reject"]))
    known = decided["accept"] | decided["reject"]
    stopped = False
    for number, record in enumerate(read_records(pairs), start=1):
        if record.id in known:
            continue
        if stopped:
            counts.left += 1
            continue
        verdict, remark = ask(record, number)
        if verdict == "accept":
            counts.accepted += 1
            _append(output, dict(as_row(record)))
        elif verdict == "reject":
            counts.rejected += 1
            _append(rejected, {**as_row(record), "reason": f"review: {remark or 'no remark'}"})
        else:
            counts.left += 1
            stopped = verdict == "quit"
    return counts


def _ids(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with path.open(encoding="utf-8") as stream:
        return {str(json.loads(line)["id"]) for line in stream if line.strip()}


def _append(path: Path, row: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise RecordError(
            f"{path} cannot be written: {error.strerror or error}. The decisions before this one are kept; "
            "free some space, then review again."
        ) from error
