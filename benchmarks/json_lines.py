"""JSONL files, with errors that name file and line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gifqa.errors import RecordError


def read_lines(path: Path, required: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """The object of each line that is not blank.

    Args:
        path: the file.
        required: fields that every object must have.

    Raises:
        RecordError: if the file cannot be read, or a line is no object or lacks a field.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _parse(line, f"{path.name}:{number}", required)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"{path}: cannot be read ({error}); a JSONL file is needed. Check the path."
        ) from error


def _parse(line: str, place: str, required: tuple[str, ...]) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise RecordError(f"{place}: no JSON ({error}); each line must be one object. Mend it.") from error
    if not isinstance(record, dict):
        raise RecordError(f"{place}: {line.strip()[:40]}; each line must be one JSON object. Mend it.")
    for name in required:
        if name not in record:
            raise RecordError(
                f'{place}: no field "{name}"; it has {", ".join(record)}. Is it the right file?'
            )
    return record
