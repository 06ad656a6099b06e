"""Which GIFs a table of captions names by URL, each once, with its captions and its split."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gifqa.data.captions import CaptionColumns, CaptionItem, read_captions
from gifqa.data.clip_folder import FRACTIONS
from gifqa.data.tgif import gif_name, split_of
from gifqa.errors import ConfigError, RecordError

SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class Link:
    """A GIF that can be fetched."""

    url: str
    captions: tuple[str, ...]
    """Of all rows that name it."""
    split: str
    """train, val or test."""


@dataclass(frozen=True)
class LinkTable:
    """The links of a table, and its rows that hold none."""

    links: list[Link]
    bad_rows: list[RecordError]


def read_links(
    table: Path,
    columns: CaptionColumns | None = None,
    *,
    kind: str | None = None,
    delimiter: str | None = None,
    split_lists: Mapping[str, str] | None = None,
) -> LinkTable:
    """The GIFs of a table in the order of their first rows.

    A GIF's split is that of the official lists, else that of its rows, else of a hash of its name: the same
    in every run, and never two for the rows of one GIF.

    Args:
        table: TSV, CSV, JSONL or Parquet, as `gifqa.data.captions` reads them; TGIF's is one.
        columns: of URL and caption; None finds them.
        kind: "jsonl", "csv", "tsv" or "parquet"; None takes it from the extension.
        delimiter: of a csv; None looks at the first line.
        split_lists: as `gifqa.data.tgif.read_split_lists` gives them.

    Raises:
        RecordError: if the table cannot be read at all, or its rows put a GIF into two splits.
        ConfigError: if it names no URL.
    """
    bad: list[RecordError] = []
    items = []
    for item in read_captions(table, columns, kind=kind, delimiter=delimiter):
        if isinstance(item, RecordError):
            bad.append(item)
        else:
            items.append(item)
    links = _links_of(items, split_lists)
    if not any(link.url.lower().startswith(SCHEMES) for link in links):
        given = f"its first GIF is {links[0].url!r}" if links else "it has no row with a GIF and a caption"
        raise ConfigError(
            f"{table} names no URL ({given}); a row needs an http:// or https:// URL and a caption. Name the "
            "column of the URLs with --gif-column."
        )
    return LinkTable(links, bad)


def _links_of(items: Iterable[CaptionItem], lists: Mapping[str, str] | None) -> list[Link]:
    captions: dict[str, dict[str, None]] = {}
    splits: dict[str, str] = {}
    for item in items:
        captions.setdefault(item.gif, {}).update(dict.fromkeys(item.captions))
        if item.split is not None and splits.setdefault(item.gif, item.split) != item.split:
            raise RecordError(
                f"{item.source}: {item.gif} is in {item.split} here and in {splits[item.gif]} before; a GIF "
                "belongs to one split. Correct one of the lines."
            )
    lists = lists or {}
    return [
        Link(
            url,
            tuple(texts),
            lists.get(gif_name(url)) or splits.get(url) or split_of(url, None, FRACTIONS),
        )
        for url, texts in captions.items()
    ]
