"""Captions of GIFs from any table: which column holds what, several captions an item, bad rows as values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gifqa.data.tables import Row, read_rows, read_stream
from gifqa.errors import RecordError

GIF_COLUMNS = ("gif", "gif_name", "gif_url", "url", "image", "clip", "video", "media", "file", "path", "id")
CAPTION_COLUMNS = ("caption", "captions", "description", "descriptions", "sentence", "sentences", "text")
SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"}


@dataclass(frozen=True)
class CaptionItem:
    """A GIF with the captions that one row of a file gives it."""

    gif: str
    """Path, URL or name of the GIF."""
    captions: tuple[str, ...]
    """One sentence or more, as written."""
    split: str | None
    """train, val or test where the row says so."""
    source: str
    """`file:line` of the row."""


@dataclass(frozen=True)
class CaptionColumns:
    """Which columns to read; None picks the first known name that the table has."""

    gif: str | None = None
    """Column of the GIF."""
    caption: str | None = None
    """Column of the caption or list of captions."""


def read_captions(
    source: Path | BinaryIO,
    columns: CaptionColumns | None = None,
    *,
    kind: str | None = None,
    delimiter: str | None = None,
) -> Iterator[CaptionItem | RecordError]:
    """Every row's captions, or why it has none, in order and one at a time.

    A table without a header is read as TGIF's TSV: URL, then the sentence (or several).

    Args:
        source: a file, or an open byte stream such as standard input.
        columns: which columns to read.
        kind: "jsonl", "csv", "tsv" or "parquet"; a file's extension tells it, a stream needs it.
        delimiter: what separates the fields of a csv; None looks at the first line.

    Raises:
        RecordError: if the file cannot be opened or no column of it holds captions.
    """
    wanted = columns or CaptionColumns()
    if isinstance(source, Path):
        rows = read_rows(source, kind, delimiter=delimiter)
    else:
        rows = read_stream(source, kind or "jsonl", name="standard input", delimiter=delimiter)
    chosen: tuple[str, str] | None = None
    for row in rows:
        if isinstance(row, RecordError):
            yield row
            continue
        if chosen is None:
            chosen = _choose(row, wanted)
        yield caption_item(row, *_present(row, wanted, chosen))


def _names(row: Row, wanted: CaptionColumns) -> tuple[str | None, str | None]:
    """The (gif, caption) columns that are asked for, or else the first known names that the row has."""
    names = row.values
    gif = wanted.gif or next((name for name in GIF_COLUMNS if name in names), None)
    return gif, wanted.caption or next((name for name in CAPTION_COLUMNS if name in names), None)


def _choose(row: Row, wanted: CaptionColumns) -> tuple[str, str]:
    """The (gif, caption) columns of a table, by its first row.

    Raises:
        RecordError: if it has none of a known name, or none of the name asked for.
    """
    names = list(row.values)
    if names and all(name.isdigit() for name in names):
        if len(names) < 2:
            raise RecordError(
                f"{row.source}: one field only, {str(row.values['0'])[:60]!r}; a table of captions has a GIF "
                "and a sentence in each row. Check the delimiter, or give it with --delimiter."
            )
        return "0", "1"
    gif, caption = _names(row, wanted)
    for name, flag, known in (
        (gif, "--gif-column", GIF_COLUMNS),
        (caption, "--caption-column", CAPTION_COLUMNS),
    ):
        if name is None or name not in names:
            lacking = "of a known name" if name is None else repr(name)
            raise RecordError(
                f"{row.source}: no column {lacking} among {', '.join(names)}; "
                f"known names are {', '.join(known)}. Name the column with {flag}, or check the delimiter."
            )
    return str(gif), str(caption)


def _present(row: Row, wanted: CaptionColumns, chosen: tuple[str, str]) -> tuple[str, str]:
    """The chosen columns, or others of a known name where a line of JSONL has those instead."""
    if chosen[1] in row.values:
        return chosen
    gif, caption = _names(row, wanted)
    return (str(gif), str(caption)) if gif in row.values and caption in row.values else chosen


def caption_item(row: Row, gif_column: str, caption_column: str) -> CaptionItem | RecordError:
    """The item in a row, or what the row lacks."""
    missing = [name for name in (gif_column, caption_column) if row.values.get(name) is None]
    if missing:
        return RecordError(
            f'{row.source}: no field "{missing[0]}"; it has {", ".join(row.values) or "nothing"}. '
            "A row needs a GIF and a caption."
        )
    gif = str(row.values[gif_column]).strip()
    if not gif:
        return RecordError(
            f'{row.source}: the field "{gif_column}" is empty. A row needs the name of its GIF.'
        )
    return CaptionItem(gif, _captions(row, caption_column), _split_of(row.values), row.source)


def _captions(row: Row, column: str) -> tuple[str, ...]:
    value = row.values[column]
    texts = list(value) if isinstance(value, list | tuple) else [value]
    if column == "1":
        # a table without header: TGIF's test file has a number in the second field and sentences behind it
        rest = [text for name, text in row.values.items() if int(name) > 1]
        texts = rest if rest and str(value).strip().isdigit() else [value, *rest]
    elif column in ("description", "caption") and isinstance(row.values.get("captions"), list):
        texts += row.values["captions"]
    cleaned = (" ".join(str(text).split()) for text in texts if text is not None)
    return tuple(dict.fromkeys(cleaned))


def _split_of(values: Mapping[str, Any]) -> str | None:
    name = str(values.get("split") or "").strip().lower()
    name = _SPLIT_NAMES.get(name, name)
    return name if name in SPLITS else None
