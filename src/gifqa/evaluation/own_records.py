"""Your own data as questions: answers, captions, or time spans for keyframes.

    own         records (`gifqa.data.records`): gif, question, answer; with options a choice, else open
    captions    gif and caption, or captions (a list); every caption of a GIF is a reference for the model's
                description. Without a header the columns are gif and caption, as in TGIF's own file
    retrieval   gif, question, start, end: from when to when, in seconds, the GIF shows what is asked about

Files are JSONL, CSV, TSV or Parquet.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gifqa.data.records import QARecord, parse_record, record_id
from gifqa.data.tables import Row, read_rows
from gifqa.errors import RecordError
from gifqa.evaluation.questions import Question, Task, first_word


def read_own(path: Path, task: Task) -> list[Question]:
    """The questions of a file of your own, in its order.

    Args:
        path: the file.
        task: `"open"` for records (one with options becomes a choice), `"caption"` or `"retrieval"`.

    Returns:
        One question a row; for captions one a GIF.

    Raises:
        RecordError: if a row lacks what the task needs, or there is none.
    """
    rows = _good_rows(path)
    if task == "caption":
        questions = _captions(rows)
    elif task == "retrieval":
        questions = [_retrieval(row) for row in rows]
    else:
        questions = [_answered(parse_record(row), row) for row in rows]
    if not questions:
        raise RecordError(f"{path.name}:1: no row of data; at least one is needed. Check the file.")
    return questions


def _good_rows(path: Path) -> Iterator[Row]:
    for row in read_rows(path):
        if isinstance(row, RecordError):
            raise row
        yield row


def _answered(record: QARecord, row: Row) -> Question:
    options = tuple(record.options) if record.options else None
    if options and record.answer not in options:
        raise RecordError(
            f"{row.source}: the answer {record.answer!r} is none of the options {list(options)}. Mend it."
        )
    kind = record.answer_type or first_word(record.question)
    task: Task = "choice" if options else "open"
    return Question(record.id, task, record.question, (record.answer,), (record.gif,), kind, options)


def _retrieval(row: Row) -> Question:
    gif, question = _text(row, "gif"), _text(row, "question")
    try:
        start, end = float(row.values["start"]), float(row.values["end"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(
            f'{row.source}: no numbers "start" and "end"; retrieval needs the seconds of the span. Add them.'
        ) from error
    if not 0 <= start < end:
        raise RecordError(
            f"{row.source}: the span is {start:g} to {end:g} seconds; it must begin at 0 or later, and end "
            "after that. Mend the row."
        )
    number = str(row.values.get("id") or record_id(gif, question, f"{start:g}-{end:g}"))
    kind = str(row.values.get("kind") or first_word(question))
    return Question(number, "retrieval", question, (), (gif,), kind, span=(start, end))


def _captions(rows: Iterator[Row]) -> list[Question]:
    captions: dict[str, dict[str, None]] = {}
    for row in rows:
        gif = _text(row, "gif", "url", "0")
        given = row.values.get("captions") or [_text(row, "caption", "description", "1")]
        if not isinstance(given, list) or not all(isinstance(caption, str) for caption in given):
            raise RecordError(
                f"{row.source}: captions is {given!r}; it must be a list of sentences. Mend the row."
            )
        captions.setdefault(gif, {}).update(dict.fromkeys(given))
    return [
        Question(gif, "caption", "", tuple(references), (gif, gif.rsplit("/", 1)[-1]), "caption")
        for gif, references in captions.items()
    ]


def _text(row: Row, *names: str) -> str:
    """The first field of these names that is not empty."""
    value: Any = next((row.values[name] for name in names if row.values.get(name)), None)
    if value is None:
        raise RecordError(
            f'{row.source}: no field "{names[0]}"; it has {", ".join(row.values) or "nothing"}. Add it.'
        )
    return str(value)
