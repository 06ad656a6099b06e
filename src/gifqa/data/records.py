"""One question about one GIF, as every room reads and writes it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gifqa.data.tables import Row, format_of, read_rows
from gifqa.data.writing import (
    is_folder_target,
    replacing,
    write_dataset_folder,
    write_delimited,
    write_jsonl,
    write_parquet,
)
from gifqa.errors import RecordError

ANSWER_TYPES = (
    "person", "animal", "object", "action", "colour", "number", "place", "yes/no", "attribute", "summary",
    "time",
)  # fmt: skip
CATEGORIES = (
    "living", "noun", "verb", "preposition", "colour", "number", "attribute", "yes/no", "summary",
)  # fmt: skip


class QARecord(BaseModel):
    """A question about a GIF with its answer, and where both come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    """Stable: the same GIF, question and answer give the same id in every run."""
    gif: str
    """Path, URL or name of the GIF."""
    question: str
    """The question, with its question mark."""
    answer: str
    """The right answer."""
    caption: str = ""
    """The sentence the pair was made from; empty when a person asked."""
    answer_type: str = ""
    """One of `ANSWER_TYPES`, or empty when unknown."""
    category: str = ""
    """One of `CATEGORIES`: the five of the original project and four more; or empty."""
    span: tuple[int, int] | None = None
    """Where the answer stands in the caption, [start, end) in characters; None when it is not in it."""
    generator: str = ""
    """What made the question: "rules/object", "lm:SmolLM2-135M", "human"."""
    score: float | None = None
    """How sure the filters are of the pair, 0 to 1; None when nothing judged it."""
    split: str | None = None
    """train, val or test. All records of a GIF are in one split."""
    options: tuple[str, ...] | None = None
    """Multiple choice: the options, the answer among them."""


def record_id(gif: str, question: str, answer: str) -> str:
    """The stable id of a pair: 16 hexadecimal digits of a SHA-256."""
    return hashlib.sha256(f"{gif}\0{question}\0{answer}".encode()).hexdigest()[:16]


def read_records(path: Path) -> Iterator[QARecord]:
    """Every record of a file, one at a time.

    Columns that a `QARecord` does not have are ignored; an `id` that is missing is computed.

    Args:
        path: JSONL, Parquet, CSV or TSV, told by its extension, or a folder that `write_records` made.

    Raises:
        RecordError: on the first line that is no record, naming file and line.
    """
    for row in _rows_of(path):
        if isinstance(row, RecordError):
            raise row
        yield parse_record(row)


def _rows_of(path: Path) -> Iterator[Row | RecordError]:
    if not path.is_dir():
        yield from read_rows(path)
        return
    parts = sorted((path / "data").glob("*.parquet"))
    if not parts:
        raise RecordError(
            f"{path} is a folder without data/*.parquet; a dataset folder has them. "
            "Give the folder that `gifqa synthesize` wrote, or a file."
        )
    for part in parts:
        yield from read_rows(part)


def parse_record(row: Row) -> QARecord:
    """The record in a row of a table.

    Raises:
        RecordError: if a needed field is missing or a value does not fit.
    """
    values = {name: value for name, value in row.values.items() if name in QARecord.model_fields}
    for name in ("gif", "question", "answer"):
        if values.get(name) in (None, ""):
            raise RecordError(
                f'{row.source}: no field "{name}"; it has {", ".join(row.values) or "nothing"}. '
                "A record needs gif, question and answer."
            )
    for name in ("span", "options"):
        values[name] = _from_text(values.get(name), f"{row.source}: {name}")
    values = {name: value for name, value in values.items() if value not in (None, "")}
    values.setdefault("id", record_id(str(values["gif"]), str(values["question"]), str(values["answer"])))
    for name in ("id", "gif", "question", "answer", "caption"):
        if name in values:
            values[name] = str(values[name])
    try:
        return QARecord.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RecordError(
            f"{row.source}: {where} is {first['input']!r}: {first['msg']}. "
            "Correct the line, or leave the field out."
        ) from error


def _from_text(value: Any, what: str) -> Any:
    if not isinstance(value, str) or not value:
        return value or None
    try:
        return json.loads(value)
    except ValueError as error:
        raise RecordError(f"{what} is {value!r}; a list in JSON is needed, such as [0, 4].") from error


def as_row(record: QARecord) -> Mapping[str, Any]:
    """The record as plain values, in the order of the fields, for JSON and tables."""
    values = record.model_dump()
    values["span"] = None if record.span is None else list(record.span)
    values["options"] = None if record.options is None else list(record.options)
    return values


def write_records(path: Path, records: Iterable[QARecord]) -> int:
    """Write records to a file or dataset folder, all or nothing.

    Memory does not grow with the number of records. What stood at `path` is replaced when all is written.

    Args:
        path: .jsonl, .csv, .tsv or .parquet; without an extension a folder for `datasets.load_dataset`.
        records: any number of records.

    Returns:
        How many were written.

    Raises:
        RecordError: if the disk is full or the path cannot be written.
    """
    folder = is_folder_target(path)
    kind = "folder" if folder else format_of(path)
    columns = list(QARecord.model_fields)
    rows = (as_row(record) for record in records)
    with replacing(path) as temporary:
        if kind == "folder":
            return write_dataset_folder(temporary, rows, columns)
        if kind == "parquet":
            return write_parquet(temporary, rows, columns)
        if kind == "jsonl":
            return write_jsonl(temporary, rows)
        return write_delimited(temporary, rows, columns, kind)
