"""A file of questions to a file of answers: one line each, resumable after any stop.

    in.jsonl    {"id": 1, "media": "cat.gif", "question": "What is it?", "options": ["a cat", "a dog"]}
    out.jsonl   {"id": 1, "answer": "a cat", "confidence": 0.91, ...}        or {"id": 1, "error": "..."}

Each line is written as soon as it is known. A second run skips the ids that the output already has, after
cutting off a last line that a crash left half-written. Not covered: two runs on one output at a time.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gifqa.answering.base import Answer
from gifqa.errors import CheckpointError, ConfigError, GifQAError, RecordError
from gifqa.pipeline import GifQA, Item

MAX_MODEL_FAILURES = 3
"""Items in a row that the model, not the item, may fail before the run stops without writing them."""


@dataclass(frozen=True)
class BatchReport:
    """What became of the lines of the input."""

    answered: int
    failed: int
    """Lines with an error in the output."""
    skipped: int
    """Lines that an earlier run had written."""


@dataclass(frozen=True)
class _Entry:
    id: str | int
    item: Item


def ask_file(
    qa: GifQA,
    source: Path,
    output: Path,
    *,
    describe: bool = False,
    top_k: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> BatchReport:
    """Answer every line of a JSONL file that the output does not have yet.

    An item whose media or question cannot be used gives a line with its error, and the run goes on. A model
    that fails several items in a row, or the last ones, ends the run with its error: those items are not
    written, so that the next run asks them again.

    Args:
        qa: answers the questions; its model is loaded before the output is touched.
        source: lines `{"id", "media", "question", "options"?, "description"?}`; relative media paths are
            taken from the folder of this file.
        output: answers as `Answer.to_dict` gives them, with the id; kept and continued if it exists.
        describe: ask for captions; `question` is then not needed.
        top_k: keyframes to answer each from; None is the setting of `qa`.
        on_progress: called with the number of lines done and of all lines, once at the start and after each
            line.

    Returns:
        How many lines were answered, failed and skipped.

    Raises:
        RecordError: if a line of either file cannot be used, or a file cannot be read or written.
        ConfigError: if both files are the same.
        CheckpointError: if the model cannot be loaded or fails repeatedly.
    """
    if output.exists() and source.exists() and output.samefile(source):
        raise ConfigError(f"--batch and --output are both {source}; they must differ. Name another output.")
    entries = list(_read_entries(source, describe))
    done = _read_done(output)
    todo = [entry for entry in entries if entry.id not in done]
    skipped = len(entries) - len(todo)
    report = on_progress or (lambda *_: None)
    report(skipped, len(entries))
    if todo:
        qa.load()
    elif not output.exists() or output.read_bytes().endswith(b"\n"):
        return BatchReport(0, 0, skipped)
    answered = failed = 0
    try:
        with output.open("r+b" if output.exists() else "w+b") as file:
            _repair(file)
            for row in _answer_rows(qa, todo, describe, top_k):
                file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n")
                file.flush()
                failed += "error" in row
                answered += "error" not in row
                report(skipped + answered + failed, len(entries))
    except OSError as error:
        raise RecordError(
            f"{output} cannot be written ({error.strerror}); the answers before that are kept. "
            "Make room or name another file."
        ) from error
    return BatchReport(answered, failed, skipped)


def _answer_rows(
    qa: GifQA, entries: Sequence[_Entry], describe: bool, top_k: int | None
) -> Iterator[dict[str, Any]]:
    """The rows of the output; those that the model failed wait until a later one shows that it works."""
    waiting: list[dict[str, Any]] = []
    last_failure: CheckpointError | None = None
    for entry in entries:
        outcome = _outcome(qa, entry, describe, top_k)
        if isinstance(outcome, CheckpointError):
            waiting.append(_error_row(entry, outcome))
            last_failure = outcome
            if len(waiting) == MAX_MODEL_FAILURES:
                break
            continue
        if isinstance(outcome, Answer):
            yield from waiting
            waiting.clear()
            yield {"id": entry.id, **outcome.to_dict()}
        else:
            yield _error_row(entry, outcome)
    if waiting and last_failure is not None:
        raise last_failure


def _outcome(qa: GifQA, entry: _Entry, describe: bool, top_k: int | None) -> Answer | GifQAError:
    try:
        return qa.describe(entry.item.media, top_k) if describe else qa.ask_item(entry.item, top_k)
    except GifQAError as error:
        return error


def _error_row(entry: _Entry, error: GifQAError) -> dict[str, Any]:
    return {"id": entry.id, "error": " ".join(str(error).split())}


def _read_entries(source: Path, describe: bool) -> Iterator[_Entry]:
    """The lines of the input, every one checked."""
    seen: set[str | int] = set()
    for place, row in _read_rows(source):
        identity = _read_id(place, row)
        if identity in seen:
            raise RecordError(
                f"{place}: the id {identity!r} stands above already; ids must differ. Rename one."
            )
        seen.add(identity)
        media = _read_text(place, row, "media")
        question = "" if describe else _read_text(place, row, "question")
        description = _read_text(place, row, "description") if row.get("description") is not None else None
        options = row.get("options")
        if options is not None and not _is_list_of_text(options):
            raise RecordError(f"{place}: options is {options!r}; it must be a list of strings. Mend it.")
        yield _Entry(identity, Item(_resolve(media, source), question, options, description))


def _read_done(output: Path) -> set[str | int]:
    """The ids that an earlier run wrote; a half-written last line does not count."""
    if not output.exists():
        return set()
    return {_read_id(place, row) for place, row in _read_rows(output, is_output=True)}


def _read_rows(path: Path, *, is_output: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """`file:line` and the object of each line that is not blank."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RecordError(
            f"{path} cannot be read ({error.strerror}); a JSONL file is needed. Check the path."
        ) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        row = _parse(line)
        if row is not None:
            yield place, row
        elif not (is_output and number == len(lines)):
            raise RecordError(f"{place}: this is no JSON object; each line must be one. Mend or remove it.")


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _read_id(place: str, row: dict[str, Any]) -> str | int:
    identity = row.get("id")
    if isinstance(identity, bool) or not isinstance(identity, str | int):
        raise RecordError(
            f'{place}: no "id" that is a string or a whole number; it has {_names(row)}. Add one.'
        )
    return identity


def _read_text(place: str, row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise RecordError(f'{place}: no "{name}" that is a string; it has {_names(row)}. Add one.')
    return value


def _names(row: dict[str, Any]) -> str:
    return ", ".join(row) or "no field"


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _resolve(media: str, source: Path) -> str | Path:
    """A URL as it is; a path from the folder of the input file."""
    if media.startswith(("http://", "https://", "data:")):
        return media
    return source.parent / media


def _repair(file: BinaryIO) -> None:
    """Leave `file` at its end, after a newline, without a half-written last line."""
    data = file.read()
    kept = data.rfind(b"\n") + 1
    tail = data[kept:]
    if _parse(tail) is not None:
        kept = len(data)
    file.seek(kept)
    file.truncate()
    if kept == len(data) and tail:
        file.write(b"\n")
