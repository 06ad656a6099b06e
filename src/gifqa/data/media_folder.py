"""Which file of a folder a record means by its GIF: a path, a name, or the URL that the file came from."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path, PurePath

from gifqa.data.tgif import gif_name

CLIP_SUFFIXES = (".gif", ".webp", ".apng", ".mp4", ".mov", ".webm", ".mkv", ".avi")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")


def is_clip(name: str) -> bool:
    """Whether a file moves, as far as its name tells."""
    return PurePath(name).suffix.lower() in CLIP_SUFFIXES


class MediaFolder:
    """The media below a folder, listed when they are first asked for; none if there is no such folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def names(self) -> dict[str, None]:
        """Paths relative to the folder, sorted."""
        return dict.fromkeys(sorted(_media_below(self.folder)))

    @cached_property
    def _by_file(self) -> dict[str, list[str]]:
        return _index((PurePath(name).name.lower(), name) for name in self.names)

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        return _index((gif_name(name).lower(), name) for name in self.names)

    def find(self, gif: str) -> str | None:
        """The file of a GIF, as its path relative to the folder.

        Tried in this order: the path, the last part of path or URL, and that without its extension.
        A name that two files of the folder share means neither.
        """
        name = gif.replace("\\", "/").removeprefix("./")
        if name in self.names:
            return name
        if Path(gif).is_relative_to(self.folder):
            name = Path(gif).relative_to(self.folder).as_posix()
            return name if name in self.names else None
        last = PurePath(name.split("?", maxsplit=1)[0]).name.lower()
        found = self._by_file.get(last) or self._by_stem.get(gif_name(name).lower()) or []
        return found[0] if len(found) == 1 else None


def _media_below(folder: Path) -> Iterable[str]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in (*CLIP_SUFFIXES, *PHOTO_SUFFIXES) and path.is_file():
            yield path.relative_to(folder).as_posix()


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for key, name in pairs:
        found[key].append(name)
    return found
