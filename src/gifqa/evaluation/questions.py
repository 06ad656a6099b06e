"""One question of any benchmark, and the folder where its media are looked for."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

Task = Literal["open", "choice", "count", "caption", "retrieval"]
"""open: any words; choice: one of the options; count: a number; caption: a sentence about the whole GIF;
retrieval: no answer, only keyframes inside a given time span."""

MEDIA_SUFFIXES = (
    ".gif",
    ".webp",
    ".apng",
    ".png",
    ".jpg",
    ".jpeg",
    ".bmp",
    ".mp4",
    ".webm",
    ".mov",
    ".mkv",
    ".avi",
)


@dataclass(frozen=True)
class Question:
    """One question with what counts as its right answer."""

    id: str
    task: Task
    question: str
    """Empty for captions."""
    answers: tuple[str, ...]
    """The right answer; several references for captions, none for retrieval."""
    media: tuple[str, ...]
    """Names that the file may have, published name first, with or without a suffix."""
    kind: str = ""
    """The benchmark's question type, or the first word where it has none."""
    options: tuple[str, ...] | None = None
    span: tuple[float, float] | None = None
    """Seconds from and to which the question is about, where the benchmark says so."""

    @property
    def answer(self) -> str:
        """The first reference."""
        return self.answers[0] if self.answers else ""

    @property
    def gif(self) -> str:
        """The published name of the media; questions with the same one are resampled together."""
        return self.media[0]

    def to_dict(self) -> dict[str, Any]:
        """The fields that stand beside a prediction."""
        return {
            "id": self.id,
            "task": self.task,
            "gif": self.gif,
            "media": list(self.media),
            "kind": self.kind,
            "question": self.question,
            "options": list(self.options) if self.options else None,
            "answers": list(self.answers),
            "span": list(self.span) if self.span else None,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Question":
        """The question that `to_dict` gave; other fields are ignored.

        Raises:
            KeyError: if a field is missing.
        """
        options, span = fields["options"], fields["span"]
        return cls(
            id=fields["id"],
            task=fields["task"],
            question=fields["question"],
            answers=tuple(fields["answers"]),
            media=tuple(fields["media"]),
            kind=fields["kind"],
            options=tuple(options) if options else None,
            span=(float(span[0]), float(span[1])) if span else None,
        )


def first_word(question: str) -> str:
    """The first word in lower case: what, who, how, ..."""
    words = question.lower().split()
    return words[0].strip(".,?!\"'") if words else ""


class MediaFolder:
    """Media files below a folder, found by the names that a benchmark publishes."""

    def __init__(self, root: Path) -> None:
        """Take a folder; it is read on the first look-up."""
        self.root = root

    def find(self, names: Sequence[str]) -> Path | None:
        """The file, or folder of frames, that has one of the names.

        A name matches as a path below the root, then by its last part with or without the suffix, in any
        sub-folder. Of several files with the same name the first in sorted order is taken.
        """
        for name in names:
            exact = self.root / name
            if name and exact.exists() and exact.resolve().is_relative_to(self.root.resolve()):
                return exact
        for name in names:
            last = name.rsplit("/", 1)[-1]
            if found := self._by_name.get(last) or self._by_name.get(_without_suffix(last)):
                return found
        return None

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder, subfolders, files in os.walk(self.root):
            subfolders.sort()
            if any(name.lower().endswith(MEDIA_SUFFIXES) for name in files):
                found.setdefault(os.path.basename(folder), Path(folder))
            for name in sorted(files):
                if name.lower().endswith(MEDIA_SUFFIXES):
                    path = Path(folder) / name
                    found.setdefault(name, path)
                    found.setdefault(_without_suffix(name), path)
        return found


def _without_suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in MEDIA_SUFFIXES else name
