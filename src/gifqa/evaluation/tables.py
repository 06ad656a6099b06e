"""Annotation files as tables: CSV, TSV and JSON lists, with errors that name file and line."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gifqa.errors import RecordError

Row = dict[str, str]


@dataclass(frozen=True)
class Table:
    """The rows of one annotation file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, Row], ...]
    """Line number (JSON: position from 1) and fields."""

    def where(self, line: int) -> str:
        """`file:line`, the beginning of every message about a row."""
        return f"{self.path.name}:{line}"


def read_table(path: Path) -> Table:
    """The rows of a CSV, TSV or JSON file.

    Whether a text file is separated by tabs or commas is told from its first line. Tab-separated files have
    no quoting (TGIF-QA has lone quotation marks), comma-separated ones have.

    Args:
        path: the file; `.json` is read as a list of objects.

    Returns:
        The table; every row has every column.

    Raises:
        RecordError: if the file is missing, is not UTF-8, has no rows, or a row does not fit the header.
    """
    text = read_text(path)
    if path.suffix.lower() == ".json":
        return _from_objects(path, parse_json(path, text))
    header, _, _ = text.partition("\n")
    is_tabbed = "\t" in header
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter="\t" if is_tabbed else ",",
        quoting=csv.QUOTE_NONE if is_tabbed else csv.QUOTE_MINIMAL,
    )
    columns: tuple[str, ...] = ()
    rows = []
    for fields in reader:
        if not columns:
            columns = tuple(field.strip() for field in fields)
        elif len(fields) != len(columns):
            raise RecordError(
                f"{path.name}:{reader.line_num}: {len(fields)} fields; the header has {len(columns)} "
                f"({', '.join(columns)}). Get the file anew, or mend the line."
            )
        elif any(fields):
            rows.append((reader.line_num, dict(zip(columns, fields, strict=True))))
    if not rows:
        raise RecordError(
            f"{path.name}:1: no row of data; a header and at least one row are needed. Check the file."
        )
    return Table(path, columns, tuple(rows))


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        RecordError: if it is missing or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read ({error.strerror}); give an annotation file. Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise RecordError(
            f"{path}: is not UTF-8 text (byte {error.start}); annotation files are. Is it the right file?"
        ) from error


def parse_json(path: Path, text: str) -> Any:
    """The value of a JSON file.

    Raises:
        RecordError: if it is no JSON.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordError(f"{path.name}:{error.lineno}: no JSON ({error.msg}); get the file anew.") from error


def _from_objects(path: Path, value: Any) -> Table:
    if not isinstance(value, list) or not value or not all(isinstance(entry, dict) for entry in value):
        raise RecordError(f"{path.name}:1: no list of objects; annotations in JSON are one. Check the file.")
    columns = tuple(value[0])
    for position, entry in enumerate(value, start=1):
        if missing := [name for name in columns if name not in entry]:
            raise RecordError(
                f"{path.name}:{position}: no field {missing[0]!r}; it has {', '.join(entry)}. Mend the entry."
            )
    rows = (
        (position, {name: _as_text(field) for name, field in entry.items()})
        for position, entry in enumerate(value, 1)
    )
    return Table(path, columns, tuple(rows))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def lacking(required: Iterable[str], columns: Iterable[str]) -> list[str]:
    """The required columns that are not there, in order."""
    present = set(columns)
    return [name for name in required if name not in present]
