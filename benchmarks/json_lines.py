"""JSONL files whose lines must have certain fields."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gifqa.data.tables import read_rows
from gifqa.errors import RecordError


def read_lines(path: Path, required: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """The object of each line that is not blank.

    Args:
        path: the file.
        required: fields that every object must have.

    Raises:
        RecordError: if the file cannot be read, or a line is no object or lacks a field.
    """
    for row in read_rows(path, "jsonl"):
        if isinstance(row, RecordError):
            raise row
        for name in required:
            if name not in row.values:
                raise RecordError(
                    f'{row.source}: no field "{name}"; it has {", ".join(row.values) or "nothing"}. '
                    "Is it the right file?"
                )
        yield dict(row.values)
