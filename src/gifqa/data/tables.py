"""Rows of JSONL, CSV, TSV and Parquet files, each with its file and line; a bad row never ends the reading.

A reader yields a `Row` for a good line and a `RecordError` *as a value* for a bad one: the caller decides
whether that stops the work, is counted, or is written down.
"""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gifqa.errors import RecordError
from gifqa.extras import require

FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_MAX_LINE_BYTES = 8 * 2**20
_CANDIDATE_DELIMITERS = ("\t", ",", ";", "|")


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    values: dict[str, Any]
    """Column name -> value; a table without a header has the columns "0", "1" ..."""
    source: str
    """`file:line`, for messages."""


def format_of(path: Path) -> str:
    """The format that a file's extension names.

    Raises:
        RecordError: if it names none.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise RecordError(
            f"{path.name} has the extension {suffix or '(none)'!r}; allowed are {', '.join(FORMATS)}. "
            "Rename it, or name the format with --format."
        )
    return FORMATS[suffix]


def read_rows(
    path: Path, kind: str | None = None, *, delimiter: str | None = None
) -> Iterator[Row | RecordError]:
    """Every row of a file, good or bad, in order and one at a time.

    Args:
        path: the file.
        kind: "jsonl", "csv", "tsv" or "parquet"; None takes it from the extension.
        delimiter: what separates the fields of a csv or tsv file; None looks at the first line.

    Raises:
        RecordError: if the file cannot be opened or is no such file at all.
    """
    kind = format_of(path) if kind is None else kind
    try:
        stream = path.open("rb")
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}. Check the path.") from error
    with stream:
        if kind == "parquet":
            yield from _parquet_rows(path)
        else:
            yield from read_stream(stream, kind, name=path.name, delimiter=delimiter)


def read_stream(
    stream: BinaryIO, kind: str, *, name: str, delimiter: str | None = None
) -> Iterator[Row | RecordError]:
    """Every row of an open byte stream.

    Args:
        stream: the bytes, from their start.
        kind: "jsonl", "csv" or "tsv".
        name: what messages call the stream.
        delimiter: as in `read_rows`.
    """
    if kind == "jsonl":
        yield from _jsonl_rows(stream, name)
    elif kind in ("csv", "tsv"):
        yield from _delimited_rows(stream, name, "\t" if kind == "tsv" and delimiter is None else delimiter)
    else:
        raise RecordError(
            f"{name}: the format {kind!r} is unknown; allowed are {', '.join(sorted(set(FORMATS.values())))}."
        )


def _text_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, str | RecordError]]:
    """Numbered lines as text, or an error for a line that is not UTF-8 or has no end in sight."""
    number = 0
    while line := stream.readline(_MAX_LINE_BYTES):
        number += 1
        if len(line) == _MAX_LINE_BYTES and not line.endswith(b"\n"):
            while (rest := stream.readline(_MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                continue
            yield (
                number,
                RecordError(
                    f"{name}:{number}: the line is over {_MAX_LINE_BYTES >> 20} MB, the limit. "
                    "Split it, or leave it out."
                ),
            )
            continue
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            yield (
                number,
                RecordError(
                    f"{name}:{number}: byte {line[error.start]:#04x} at {error.start} is not UTF-8, "
                    "the only encoding read. Save the file as UTF-8."
                ),
            )


def _jsonl_rows(stream: BinaryIO, name: str) -> Iterator[Row | RecordError]:
    for number, line in _text_lines(stream, name):
        source = f"{name}:{number}"
        if isinstance(line, RecordError):
            yield line
        elif line.strip():
            yield _json_row(line, source)


def _json_row(line: str, source: str) -> Row | RecordError:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        return RecordError(f"{source}: is no JSON ({error}). A line of JSONL is one object.")
    if not isinstance(values, dict):
        return RecordError(f"{source}: is a JSON {type(values).__name__}; a line of JSONL is one object.")
    return Row(values, source)


def _delimited_rows(stream: BinaryIO, name: str, delimiter: str | None) -> Iterator[Row | RecordError]:
    lines = _text_lines(stream, name)
    for number, line in lines:
        if isinstance(line, RecordError):
            yield line
            continue
        chosen = sniff_delimiter(line) if delimiter is None else delimiter
        header = _split(line, chosen)
        if not _is_header(header):
            yield Row({str(i): field for i, field in enumerate(header)}, f"{name}:{number}")
            header = []
        yield from _data_rows(lines, name, chosen, header)


def _data_rows(
    lines: Iterator[tuple[int, str | RecordError]], name: str, delimiter: str, header: Sequence[str]
) -> Iterator[Row | RecordError]:
    """The rows behind the first line; a quoted field of a csv may run over several lines."""
    held, start = "", 0
    for number, line in lines:
        if isinstance(line, RecordError):
            yield line
            held = ""
            continue
        start = start if held else number
        held += line
        if delimiter != "\t" and held.count('"') % 2 and number - start < 50:
            continue
        if held.strip():
            yield _row(_split(held, delimiter), header, f"{name}:{start}", delimiter)
        held = ""
    if held.strip():
        yield RecordError(
            f'{name}:{start}: a quoted field has no end. Close it with ", or double the quotes inside it.'
        )


def _row(fields: Sequence[str], header: Sequence[str], source: str, delimiter: str) -> Row | RecordError:
    if header and len(fields) < len(header):
        return RecordError(
            f"{source}: {len(fields)} of {len(header)} fields; the header names {', '.join(header)}. "
            f"Check the delimiter, {delimiter!r} here."
        )
    names = header or [str(i) for i in range(len(fields))]
    return Row(dict(zip(names, fields, strict=False)), source)


def sniff_delimiter(line: str) -> str:
    """The delimiter that splits a first line into most fields; a tab when none does."""
    return max(_CANDIDATE_DELIMITERS, key=lambda mark: (line.count(mark), mark == "\t"))


def _split(line: str, delimiter: str) -> list[str]:
    line = line.rstrip("\r\n")
    if delimiter == "\t":
        return line.split("\t")
    csv.field_size_limit(_MAX_LINE_BYTES)
    return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])


def _is_header(fields: Sequence[str]) -> bool:
    """Names of columns are short words; a first row of data has a URL, a sentence or a number."""
    return all(
        field.strip()
        and len(field) <= 40
        and " " not in field.strip()
        and not field[:1].isdigit()
        and "/" not in field
        for field in fields
    )


def _parquet_rows(path: Path) -> Iterator[Row | RecordError]:
    pyarrow = require("pyarrow", "synth")
    parquet = require("pyarrow.parquet", "synth")
    try:
        file = parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordError(
            f"{path} is no Parquet file ({error}). Check that it was written to its end."
        ) from error
    with file:
        number = 0
        for batch in file.iter_batches(batch_size=1024):
            for values in batch.to_pylist():
                number += 1
                yield Row(values, f"{path.name}:{number}")
