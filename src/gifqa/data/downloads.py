"""A folder of downloads: what came of each URL, and under which name its file stands.

tumblr_x1_400.gif ...   the files, named as in their URLs
downloads.jsonl         a line for each URL that was fetched; the last one counts
clips.jsonl             the GIFs that are there with captions and splits, see `gifqa.data.clip_folder`
download-report.json    how many are there, dead, still, ...; of each split
download-report.csv     every URL that is not there, and why
"""

import csv
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, get_args

from gifqa.data.captions import SPLITS
from gifqa.data.clip_folder import CLIPS_FILE
from gifqa.data.fetching import Fetched, Status
from gifqa.data.links import Link
from gifqa.data.tables import read_rows
from gifqa.data.tgif import gif_name
from gifqa.data.writing import replacing, write_jsonl
from gifqa.errors import ConfigError, RecordError

JOURNAL, REPORT, MISSING = "downloads.jsonl", "download-report.json", "download-report.csv"
LONGEST_NAME = 100
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class Entry:
    """What came of a URL."""

    url: str
    status: Status
    detail: str = ""
    file: str = ""
    """Name of its file in the folder; empty if there is none."""
    num_bytes: int = 0
    num_frames: int = 0
    sha256: str = ""


class Downloads:
    """The folder, made when it is missing.

    Raises:
        ConfigError: if the path is a file.
        RecordError: if the folder cannot be made, or has a `clips.jsonl` of another kind.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise ConfigError(
                f"{folder} is a file; downloads need a folder. Give another --output."
            ) from error
        except OSError as error:
            raise RecordError(f"{folder} cannot be made: {error.strerror}. Choose another place.") from error
        self.entries = _read_journal(folder / JOURNAL)
        self._clips = _read_clips(folder / CLIPS_FILE)
        self._owners = {entry.file.lower(): url for url, entry in self.entries.items() if entry.file}

    def is_settled(self, url: str, *, retry: bool) -> bool:
        """Whether a URL need not be fetched: its file is there, or it is known that none will come.

        Args:
            url: the URL.
            retry: fetch again what was not there; what is there never is.
        """
        entry = self.entries.get(url)
        if entry is None or entry.status == "failed":
            return False
        if entry.status != "ok":
            return not retry
        path = self.folder / entry.file
        return path.is_file() and path.stat().st_size == entry.num_bytes

    def store(self, url: str, fetched: Fetched) -> Entry:
        """Write down what came of a URL, and first its file, whole or not at all.

        Raises:
            RecordError: if the disk is full or the folder cannot be written.
        """
        file = ""
        if fetched.status == "ok":
            file = self._name_for(url, fetched)
            with replacing(self.folder / file) as partial:
                partial.write_bytes(fetched.data)
            self._owners[file.lower()] = url
        entry = Entry(
            url, fetched.status, fetched.detail, file, len(fetched.data), fetched.num_frames, fetched.sha256
        )
        self.entries[url] = entry
        self._append(entry)
        return entry

    def _name_for(self, url: str, fetched: Fetched) -> str:
        """The last part of the URL; with a hash behind it where another file has that name."""
        stem = re.sub(r"[^\w.-]", "_", gif_name(url), flags=re.ASCII).strip(".")[:LONGEST_NAME]
        digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        name = f"{stem or digest}.{fetched.kind}"
        owner = self._owners.get(name.lower())
        path = self.folder / name
        if owner == url or (owner is None and (not path.exists() or path.read_bytes() == fetched.data)):
            return name
        return f"{stem}-{digest}.{fetched.kind}"

    def _append(self, entry: Entry) -> None:
        path = self.folder / JOURNAL
        try:
            with path.open("ab+") as stream:
                line = json.dumps(asdict(entry)).encode() + b"\n"
                stream.write(line if _ends_a_line(stream) else b"\n" + line)
        except OSError as error:
            raise RecordError(
                f"{path} cannot be written: {error.strerror}. Free some space, then run again; what is there "
                "is kept."
            ) from error

    def write_clips(self, links: Sequence[Link]) -> None:
        """Write `clips.jsonl`: the links that are there, behind what it says of other clips."""
        for link in links:
            entry = self.entries.get(link.url)
            if entry is not None and entry.status == "ok" and link.captions:
                *others, last = link.captions
                self._clips[entry.file] = {
                    "clip": entry.file, "split": link.split, "description": last, "captions": others,
                    "source_url": link.url,
                }  # fmt: skip
        with replacing(self.folder / CLIPS_FILE) as partial:
            write_jsonl(partial, self._clips.values())

    def write_report(self, links: Sequence[Link]) -> dict[str, Any]:
        """Write what came of the links; returns what `download-report.json` holds."""
        entries = {link.url: self.entries.get(link.url) for link in links}
        report = _report(links, entries)
        with replacing(self.folder / REPORT) as partial:
            partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        with (
            replacing(self.folder / MISSING) as partial,
            partial.open("w", encoding="utf-8", newline="") as stream,
        ):
            writer = csv.writer(stream)
            writer.writerow(("url", "status", "split", "detail"))
            for link in links:
                entry = entries[link.url]
                if entry is not None and entry.status != "ok":
                    writer.writerow((link.url, entry.status, link.split, entry.detail))
        return report


def _report(links: Sequence[Link], entries: Mapping[str, Entry | None]) -> dict[str, Any]:
    statuses = {url: "not fetched" if entry is None else entry.status for url, entry in entries.items()}
    counts = Counter(statuses.values())
    there = [entry for entry in entries.values() if entry is not None and entry.status == "ok"]
    copies = Counter(entry.sha256 for entry in there)
    return {
        "links": len(links),
        **{status: counts[status] for status in (*STATUSES, "not fetched")},
        "coverage": round(counts["ok"] / max(1, len(links)), 4),
        "bytes": sum(entry.num_bytes for entry in there),
        "frames": sum(entry.num_frames for entry in there),
        "copies of another": sum(count - 1 for count in copies.values()),
        "splits": {
            split: dict(Counter(statuses[link.url] for link in links if link.split == split))
            for split in SPLITS
        },
    }


def _read_journal(path: Path) -> dict[str, Entry]:
    """URL -> its last entry. A line that a kill cut short is passed over: its URL is fetched again."""
    found: dict[str, Entry] = {}
    if not path.is_file():
        return found
    for line in path.read_bytes().splitlines():
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue
        found[entry.url] = entry
    return found


def _ends_a_line(stream: BinaryIO) -> bool:
    """False behind a line that a kill cut short."""
    if stream.seek(0, os.SEEK_END) == 0:
        return True
    stream.seek(-1, os.SEEK_END)
    return stream.read(1) == b"\n"


def _read_clips(path: Path) -> dict[str, dict[str, Any]]:
    """Name of a clip -> its line."""
    found: dict[str, dict[str, Any]] = {}
    if not path.is_file():
        return found
    for row in read_rows(path):
        if isinstance(row, RecordError):
            raise row
        if "clip" not in row.values:
            raise RecordError(
                f'{row.source}: no field "clip"; it has {", ".join(row.values) or "nothing"}. Downloads are '
                f"listed in a {CLIPS_FILE} of their own. Move this one, or give another --output."
            )
        found[row.values["clip"]] = row.values
    return found
