"""Records for `gifqa evaluate --benchmark own` and `--benchmark captions` from annotated photos and clips.

    python benchmarks/own_records.py captions.jsonl --split test --form choice -o choice.jsonl
    python benchmarks/own_records.py captions.jsonl --split test --form open -o open.jsonl
    python benchmarks/own_records.py clips.jsonl --split test --form captions -o captions.jsonl

A line of the input has `image` or `clip` (a path), `split`, and some of: `qa` [[question, answer]],
`qa_source` [name of the data set of each], `qa_wrong` [[wrong options of each]], `captions` [text] or
`description`.

- choice: questions with wrong options; the options are shuffled, the same way in every run.
- open: the other questions, but those of sources named by --without.
- captions: every caption or description of an image or clip.
"""

import argparse
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gifqa.data.records import QARecord, record_id, write_records

FORMS = ("choice", "open", "captions")


def questions_of(line: dict[str, Any], form: str, without: frozenset[str]) -> Iterator[QARecord]:
    """The records of one image or clip.

    Args:
        line: as the module's docstring says.
        form: `choice` or `open`.
        without: sources left out.
    """
    media = line.get("image") or line["clip"]
    pairs = line.get("qa") or []
    sources = line.get("qa_source") or [""] * len(pairs)
    wrong = line.get("qa_wrong") or [[]] * len(pairs)
    for (question, answer), source, others in zip(pairs, sources, wrong, strict=True):
        options = shuffled_options(media, question, answer, others)
        if source in without or (form == "choice") != bool(options):
            continue
        first = question.split()[0].lower() if question.split() else ""
        yield QARecord(
            id=record_id(media, question, answer),
            gif=media,
            question=question,
            answer=answer,
            answer_type=f"{source} {first}".strip(),
            generator="human",
            split=line.get("split"),
            options=options,
        )


def shuffled_options(media: str, question: str, answer: str, wrong: list[str]) -> tuple[str, ...] | None:
    """Answer and wrong options in an order that depends on the question alone; None without wrong options."""
    options = list(dict.fromkeys([answer, *wrong]))
    if len({option.casefold() for option in options}) < len(options) or len(options) < 2:
        return None
    seed = hashlib.sha256(f"{media}\0{question}".encode()).hexdigest()
    random.Random(seed).shuffle(options)
    return tuple(options)


def captions_of(line: dict[str, Any]) -> dict[str, Any] | None:
    """One line of the captions benchmark, or None where there is no caption."""
    texts = line.get("captions") or ([line["description"]] if line.get("description") else [])
    return {"gif": line.get("image") or line["clip"], "captions": texts} if texts else None


def convert(source: Path, target: Path, *, split: str, form: str, without: frozenset[str]) -> int:
    """Write the records of one split; returns how many."""
    with source.open(encoding="utf-8") as file:
        lines = [line for line in map(json.loads, file) if line.get("split") == split]
    if form == "captions":
        rows = [row for line in lines if (row := captions_of(line))]
        target.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return len(rows)
    records = {record.id: record for line in lines for record in questions_of(line, form, without)}
    return write_records(target, records.values())


def main() -> None:
    """Read the arguments and convert."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--form", choices=FORMS, required=True)
    parser.add_argument(
        "--without", nargs="*", default=["vqa2-yn"], help="sources left out (default: vqa2-yn)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    count = convert(
        given.source, given.output, split=given.split, form=given.form, without=frozenset(given.without)
    )
    print(f"{count} records: {given.output}")


if __name__ == "__main__":
    main()
