"""A folder of clips with what is said of them.

    clips.jsonl                       clip, description; captions (more of them), split       or
    captions.jsonl, .csv, .tsv,       as `gifqa synthesize` reads them: a GIF and a caption   or
      .parquet, metadata.csv, .jsonl    (file_name and text, as Hugging Face names them)      or
    cat.gif and cat.txt               a caption a line

The first that is there is read. A clip whose line names no split gets one by a hash of its name, so that it
is the same in every run and all that is said of a clip is in one split.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gifqa.data.captions import CaptionColumns, CaptionItem, read_captions
from gifqa.data.media_folder import MediaFolder
from gifqa.data.tables import read_rows
from gifqa.data.tgif import split_of
from gifqa.errors import RecordError

CLIPS_FILE = "clips.jsonl"
TABLES = (
    "captions.jsonl", "captions.csv", "captions.tsv", "captions.parquet", "metadata.jsonl", "metadata.csv",
)  # fmt: skip
FRACTIONS = (0.9, 0.05, 0.05)
"""Shares of train, val and test among clips whose split nothing says."""


@dataclass(frozen=True)
class Clip:
    """A clip of the folder; its file may be missing."""

    name: str
    """Path of its file, relative to the folder."""
    captions: tuple[str, ...]
    """What is said of it, at least one sentence."""
    split: str
    """train, val or test."""


def read_clip_folder(media: MediaFolder) -> list[Clip]:
    """Every clip that something is said of, in the order of the file.

    Args:
        media: the folder; see the module's docstring.

    Raises:
        RecordError: at the first line that cannot be used, or that puts a clip into a second split.
    """
    folder = media.folder
    table = next((folder / name for name in (CLIPS_FILE, *TABLES) if (folder / name).is_file()), None)
    if table is None:
        return list(_clips_beside_texts(media))
    return list(_described_clips(table)) if table.name == CLIPS_FILE else _merged(_rows_of(table), media)


def _described_clips(path: Path) -> Iterator[Clip]:
    for row in read_rows(path):
        if isinstance(row, RecordError):
            raise row
        missing = [name for name in ("clip", "description") if row.values.get(name) is None]
        if missing:
            raise RecordError(
                f'{row.source}: no field "{missing[0]}"; it has {", ".join(row.values) or "nothing"}. '
                "A line needs clip, description."
            )
        name = str(row.values["clip"])
        captions = (*(row.values.get("captions") or ()), row.values["description"])
        yield Clip(name, captions, row.values.get("split") or split_of(name, None, FRACTIONS))


def _rows_of(table: Path) -> Iterator[CaptionItem]:
    is_metadata = table.stem == "metadata"
    for item in read_captions(table, CaptionColumns(gif="file_name") if is_metadata else None):
        if isinstance(item, RecordError):
            raise item
        yield item


def _merged(items: Iterable[CaptionItem], media: MediaFolder) -> list[Clip]:
    """The rows of each clip as one."""
    captions: dict[str, dict[str, None]] = {}
    splits: dict[str, str] = {}
    for item in items:
        name = media.find(item.gif) or item.gif
        split = item.split or splits.get(name) or split_of(name, None, FRACTIONS)
        if splits.setdefault(name, split) != split:
            raise RecordError(
                f"{item.source}: {item.gif} is in {split} here and in {splits[name]} before; a GIF belongs "
                "to one split. Correct one of the lines."
            )
        captions.setdefault(name, {}).update(dict.fromkeys(item.captions))
    return [Clip(name, tuple(texts), splits[name]) for name, texts in captions.items() if texts]


def _clips_beside_texts(media: MediaFolder) -> Iterator[Clip]:
    for name in media.names:
        path = (media.folder / name).with_suffix(".txt")
        if not path.is_file():
            continue
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise RecordError(
                f"{path} cannot be read ({error}); it holds a caption a line, in UTF-8. Correct it."
            ) from error
        captions = tuple(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
        if captions:
            yield Clip(name, captions, split_of(name, None, FRACTIONS))
