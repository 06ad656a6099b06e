"""The folder of a run: whose it is, which stages are done, and that one process works in it.

recipe.json          the resolved recipe and the checksums of the input files
run.lock             held while a process works here
<stage>/done.json    what the stage measured; written when it is complete
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from gifqa.errors import CheckpointError, ConfigError
from gifqa.training.loop.distribution import Processes


def claim_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Write the config of a new run, or hold the folder's config against it.

    Raises:
        ConfigError: if the folder was made with another config; the message has the keys that differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "recipe.json"
    if not path.exists():
        _write_json(path, config)
        return
    found, given = flatten(read_json(path)), flatten(json.loads(json.dumps(config)))
    different = [
        f"{key} is {found.get(key)!r} there and {given.get(key)!r} here"
        for key in sorted(found.keys() | given.keys())
        if found.get(key) != given.get(key)
    ]
    if different:
        raise ConfigError(
            f"{folder} was made with another recipe: {'; '.join(different)}. "
            "Use the same recipe and data to go on, or give another folder."
        )


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep other runs on this machine out of the folder; a killed process leaves no lock behind.

    Of several processes of one run the main one holds it.

    Raises:
        ConfigError: if another run works in the folder, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "run.lock").open("a")
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written ({error.strerror}); a run keeps its files there. Give another."
        ) from error
    with file:
        if Processes().is_main:
            _lock_file(file, folder)
        yield


def _lock_file(file: IO[str], folder: Path) -> None:
    """Lock an open file until it is closed, by what the system has for it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        raise ConfigError(
            f"{folder} is in use by another run; one run at a time may write there. "
            "Wait for it, or give another folder."
        ) from error


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def figures_of(folder: Path, stage: str) -> dict[str, Any] | None:
    """What a complete stage measured; None when it is not complete."""
    path = folder / stage / "done.json"
    return read_json(path) if path.exists() else None


def mark_done(folder: Path, stage: str, figures: Mapping[str, Any]) -> None:
    """Record that a stage is complete."""
    _write_json(folder / stage / "done.json", figures)


def checksum(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        ConfigError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; the run needs photos/captions.jsonl and "
            "clips/clips.jsonl of its data folder, and the pairs made from them. Check the paths."
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of the run's own making.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); a run writes it as a JSON object. "
            "Delete the damaged file to have its stage made again."
        ) from error
    return values


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
