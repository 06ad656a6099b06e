"""The input, cut into shards by GIF: all captions of a GIF are in one shard, however far apart they stand.

    work/input/part-00000.jsonl ...   {"gif", "captions", "split", "source"} a line
    work/input/bad.jsonl              rows that hold no caption, each with its reason

The GIFs of a split lie together: partners for yes/no questions are sought within a split and a shard.
The folder gets its name when all of it is written. Memory does not grow with the input.
"""

import hashlib
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gifqa.data.captions import CaptionColumns, CaptionItem, read_captions
from gifqa.data.tgif import read_split_lists, split_of
from gifqa.errors import RecordError

_BYTES_PER_SHARD = 128 * 2**10
_MAX_SHARDS = 100_000
_MAX_HELD_CHARACTERS = 4 * 2**20
_SHARDS_OF_A_STREAM = 32
_BAD_ROWS = "bad.jsonl"


class InputConfig(BaseModel):
    """How to read the captions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gif_column: str | None = None
    """Column of the GIF; None finds it."""
    caption_column: str | None = None
    """Column of the captions; None finds it."""
    kind: str | None = None
    """jsonl, csv, tsv or parquet; None takes it from the extension."""
    delimiter: str | None = None
    """Delimiter of a csv; None finds it."""
    split_lists: Path | None = None
    """Folder of TGIF's train.txt, val.txt and test.txt."""
    num_shards: int = Field(default=0, ge=0, le=_MAX_SHARDS)
    """Number of shards; 0 takes it from the size of the input."""


@dataclass(frozen=True)
class Group:
    """One GIF with everything that a shard says about it."""

    gif: str
    """The GIF."""
    captions: tuple[str, ...]
    """Its captions, each once, in order."""
    split: str | None
    """Its split."""
    source: str
    """`file:line` of its first row."""
    num_rows: int
    """How many rows name it."""


def count_shards(source: Path | None, config: InputConfig) -> int:
    """How many shards the input is cut into: about 1,700 captions each."""
    if config.num_shards:
        return config.num_shards
    if source is None:
        return _SHARDS_OF_A_STREAM
    try:
        size = source.stat().st_size * (4 if source.suffix == ".parquet" else 1)
    except OSError as error:
        raise RecordError(f"{source} cannot be read: {error.strerror}. Check the path.") from error
    return max(1, min(_MAX_SHARDS, -(-size // _BYTES_PER_SHARD)))


def partition(
    source: Path | None,
    work: Path,
    config: InputConfig,
    fractions: tuple[float, float, float],
) -> list[Path]:
    """Cut the input into parts, unless `work` has them already.

    Args:
        source: the file of captions; None reads standard input.
        work: folder of the job.
        config: how to read the input.
        fractions: shares of train, val and test for GIFs that no list has.

    Returns:
        The parts, in order.

    Raises:
        RecordError: if the input cannot be read at all.
        ConfigError: if the split lists cannot be used.
    """
    final = work / "input"
    num_shards = count_shards(source, config)
    parts = [final / name for name in _part_names(num_shards)]
    if final.is_dir():
        return parts
    lists = None if config.split_lists is None else read_split_lists(config.split_lists)
    temporary = work / ".input"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        rough = temporary / "rough"
        rough.mkdir(parents=True)
        _write_rough(source, rough, config, lambda gif: split_of(gif, lists, fractions), num_shards)
        _write_parts(rough, temporary, num_shards)
        (rough / _BAD_ROWS).rename(temporary / _BAD_ROWS)
        shutil.rmtree(rough)
        temporary.rename(final)
    except OSError as error:
        raise RecordError(
            f"{work} cannot be written: {error.strerror or error}. "
            "Free some space or choose another output, then run again with --overwrite."
        ) from error
    return parts


def _write_rough(
    source: Path | None, folder: Path, config: InputConfig, split: Callable[[str], str], num_shards: int
) -> None:
    """The rows, all of a GIF in one file, by its hash."""
    columns = CaptionColumns(config.gif_column, config.caption_column)
    stream = sys.stdin.buffer if source is None else source
    names = _part_names(num_shards)
    with _Appender(folder, (*names, _BAD_ROWS)) as lines:
        for item in read_captions(stream, columns, kind=config.kind, delimiter=config.delimiter):
            if isinstance(item, RecordError):
                lines.add(_BAD_ROWS, {"reason": f"input: {item}"})
                continue
            row = _as_row(item, item.split or split(item.gif))
            lines.add(names[_shard_of(item.gif, num_shards)], row)


def _write_parts(rough: Path, folder: Path, num_shards: int) -> None:
    """The same rows in order of their splits, the GIFs of one by hash, cut into parts of about one size."""
    names = _part_names(num_shards)
    sizes: Counter[str] = Counter()
    for name in names:
        for rows in _read_rows(rough / name).values():
            sizes[rows[0]["split"]] += _size(rows)
    begins = {split: sum(sizes[other] for other in sizes if other < split) for split in sizes}
    with _Appender(folder, names) as lines:
        for name in names:
            for rows in _read_rows(rough / name).values():
                split = rows[0]["split"]
                part = names[begins[split] * num_shards // sizes.total()]
                begins[split] += _size(rows)
                for row in rows:
                    lines.add(part, row)


def _size(rows: Sequence[dict[str, Any]]) -> int:
    """What the rows of a GIF weigh: the characters of their captions, and one so that it is never nothing."""
    return 1 + sum(len(text) for row in rows for text in row["captions"])


def _part_names(num_shards: int) -> list[str]:
    return [f"part-{index:05d}.jsonl" for index in range(num_shards)]


def _shard_of(gif: str, num_shards: int) -> int:
    return (
        int.from_bytes(hashlib.sha256(gif.encode("utf-8", "surrogatepass")).digest()[:8], "big") % num_shards
    )


def _as_row(item: CaptionItem, split: str) -> dict[str, Any]:
    return {"gif": item.gif, "captions": item.captions, "split": split, "source": item.source}


class _Appender:
    """Lines for many files, held back and appended a few megabytes at a time, one file open at once."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder = folder
        self._held: dict[str, list[str]] = {name: [] for name in names}
        self._num_held = 0

    def __enter__(self) -> "_Appender":
        for name in self._held:
            (self._folder / name).touch()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()

    def add(self, name: str, values: dict[str, Any]) -> None:
        """A line of JSON for one of the files."""
        line = json.dumps(values, ensure_ascii=True) + "\n"
        self._held[name].append(line)
        self._num_held += len(line)
        if self._num_held > _MAX_HELD_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        for name, lines in self._held.items():
            if lines:
                with (self._folder / name).open("a", encoding="utf-8") as stream:
                    stream.writelines(lines)
                lines.clear()
        self._num_held = 0


def read_part(part: Path) -> list[Group]:
    """The GIFs of one part, each once, in the order of their first rows."""
    return [_group(gif, found) for gif, found in _read_rows(part).items()]


def _read_rows(part: Path) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    with part.open(encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            rows.setdefault(row["gif"], []).append(row)
    return rows


def _group(gif: str, rows: list[dict[str, Any]]) -> Group:
    captions = tuple(dict.fromkeys(text for row in rows for text in row["captions"]))
    return Group(gif, captions, rows[0]["split"], rows[0]["source"], len(rows))


def read_bad_rows(work: Path) -> Iterator[dict[str, Any]]:
    """The rows of the input that held no caption."""
    path = work / "input" / _BAD_ROWS
    if path.is_file():
        with path.open(encoding="utf-8") as stream:
            for line in stream:
                yield json.loads(line)
