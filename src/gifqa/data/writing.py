"""Rows of records into files: JSONL, CSV, TSV, Parquet, or a folder that Hugging Face `datasets` loads."""

import csv
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from gifqa.errors import RecordError
from gifqa.extras import require

_BATCH = 2048
_CARD = """---
task_categories:
- visual-question-answering
language:
- en
configs:
- config_name: default
  data_files:
{files}
---
# Questions about GIFs

{total} question-answer pairs about {gifs} GIFs, made from captions by `gifqa synthesize`.

| split | pairs |
|---|---|
{table}

Fields: `id`, `gif`, `question`, `answer`, `caption`, `answer_type`, `category`, `span` (characters of the
caption), `generator`, `score`, `split`, `options`. All pairs of a GIF are in one split.

The captions keep the licence of their source, and so do the pairs made from them: TGIF, for one, is for
non-commercial research. State that licence here before you publish this folder.
"""


def is_folder_target(path: Path) -> bool:
    """Whether an output path means a dataset folder: it has no extension, or is a folder already."""
    return path.is_dir() or path.suffix == ""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and is removed when not.

    Raises:
        RecordError: in place of any `OSError`, with what to do about it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        raise RecordError(
            f"{path} cannot be written: {error.strerror or error}. "
            "Nothing of it was kept; free some space or choose another place, then run again."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON object a line; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def write_delimited(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str], kind: str) -> int:
    """Write a header and one row a line; lists become JSON. In a tsv, tabs and line ends become spaces."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        header = list(columns)
        stream.write("\t".join(header) + "\n") if kind == "tsv" else writer.writerow(header)
        for row in rows:
            values = [_as_text(row[name]) for name in columns]
            if kind == "tsv":
                stream.write("\t".join(" ".join(value.split()) for value in values) + "\n")
            else:
                writer.writerow(values)
            count += 1
    return count


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)


def _schema(columns: Sequence[str]) -> Any:
    pa = require("pyarrow", "synth")
    special = {"span": pa.list_(pa.int64()), "score": pa.float64(), "options": pa.list_(pa.string())}
    return pa.schema([(name, special.get(name, pa.string())) for name in columns])


def write_parquet(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> int:
    """Write Parquet: columns of strings, with `span` and `options` as lists; returns the number of rows."""
    pa, parquet = require("pyarrow", "synth"), require("pyarrow.parquet", "synth")
    schema, count, iterator = _schema(columns), 0, iter(rows)
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := [dict(row) for row in islice(iterator, _BATCH)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
            count += len(batch)
    return count


def write_dataset_folder(folder: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> int:
    """Write a folder that `datasets.load_dataset(folder)` reads: a Parquet file a split, and the card."""
    pa, parquet = require("pyarrow", "synth"), require("pyarrow.parquet", "synth")
    (folder / "data").mkdir(parents=True)
    schema, iterator = _schema(columns), iter(rows)
    writers: dict[str, Any] = {}
    counts: dict[str, int] = {}
    gifs: set[int] = set()
    try:
        while batch := [dict(row) for row in islice(iterator, _BATCH)]:
            gifs.update(hash(row["gif"]) for row in batch)
            for split in sorted({row["split"] or "train" for row in batch}):
                part = [row for row in batch if (row["split"] or "train") == split]
                if split not in writers:
                    name = folder / "data" / f"{split}-00000-of-00001.parquet"
                    writers[split] = parquet.ParquetWriter(name, schema, compression="zstd")
                writers[split].write_table(pa.Table.from_pylist(part, schema=schema))
                counts[split] = counts.get(split, 0) + len(part)
    finally:
        for writer in writers.values():
            writer.close()
    files = "\n".join(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in counts)
    table = "\n".join(f"| {split} | {number:,} |" for split, number in counts.items())
    total = sum(counts.values())
    card = _CARD.format(files=files, total=f"{total:,}", gifs=f"{len(gifs):,}", table=table)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return total
