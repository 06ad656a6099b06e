"""Features of GIFs seen before, so that a second question costs no second decode.

Two layers: least recently used arrays in memory, and one `.npz` file an entry on disk. Files are written
under another name and renamed, so several processes can share the folder; an entry that cannot be read is
removed and counts as not there; a folder that cannot be written is told of once and then left alone.
What is NOT covered: a process may evict an entry that another was about to read; that one computes it again.
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import sys
import tempfile
import time
import zipfile
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from gifqa.retrieval.clip_cut import EncodedFrames
from gifqa.retrieval.config import CacheConfig, ClipCutConfig

_LOGGER = logging.getLogger(__name__)
_FORMAT = 1  # part of every key: raise it when the arrays of an entry change
_ARRAYS = ("frame_indices", "pts_seconds", "embeddings")
_STALE_SECONDS = 3600.0
_DAMAGE = (ValueError, KeyError, TypeError, EOFError, OSError, MemoryError, RuntimeError, zipfile.BadZipFile)
_KEEP_SHARE = 0.9  # of max_disk_bytes, so that not every write evicts


def feature_key(
    content_hash: str, encoder_name: str, config: ClipCutConfig, decoding: BaseModel | None = None
) -> str:
    """The key under which the features of a GIF are kept.

    Args:
        content_hash: of the media's content, not its name.
        encoder_name: names the weights, too.
        config: only what changes the embedded frames enters the key: another top_k finds the same entry.
        decoding: the limits under which the media were decoded, if they matter.

    Returns:
        64 hexadecimal digits.
    """
    settings = decoding.model_dump(mode="json") if decoding is not None else None
    parts = [_FORMAT, content_hash, encoder_name, config.encoding_settings(), settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def default_directory() -> Path:
    """`$GIFQA_CACHE_DIR`, or gifqa's folder in the platform's place for caches.

    Raises:
        RuntimeError: if there is no home folder.
    """
    if chosen := os.environ.get("GIFQA_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "gifqa" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "gifqa"
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "gifqa"


class FeatureCache:
    """Encoded frames by key, in memory and on disk; safe with threads and processes.

    The arrays it returns are shared: do not write into them.
    """

    def __init__(self, config: CacheConfig | None = None) -> None:
        """Nothing is read or made yet; None takes the default settings."""
        self._config = config or CacheConfig()
        self._memory: OrderedDict[str, EncodedFrames] = OrderedDict()
        self._lock = Lock()
        self._directory = self._find_directory()

    def get(self, key: str) -> EncodedFrames | None:
        """The entry, or None; one found on disk is kept in memory from then on."""
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        encoded = self._read(key)
        if encoded is not None:
            self._remember(key, encoded)
        return encoded

    def put(self, key: str, encoded: EncodedFrames) -> None:
        """Keep the entry in memory and, if the folder can be written, on disk."""
        self._remember(key, encoded)
        if self._directory is None:
            return
        try:
            self._write(self._directory, key, encoded)
            self._evict(self._directory)
        except OSError as error:
            self._give_up(f"{self._directory} cannot be written ({error.strerror or error})")

    def clear(self) -> None:
        """Forget every entry, in memory and on disk."""
        with self._lock:
            self._memory.clear()
        for path in self._directory.glob("*.npz") if self._directory else ():
            path.unlink(missing_ok=True)

    def _find_directory(self) -> Path | None:
        if not self._config.max_disk_bytes:
            return None
        try:
            return (self._config.directory or default_directory()) / "features"
        except RuntimeError as error:
            self._give_up(str(error))
            return None

    def _give_up(self, reason: str) -> None:
        """One warning a cache, then memory only."""
        _LOGGER.warning(
            "the cache is kept in memory only: %s; set GIFQA_CACHE_DIR to a folder with free space", reason
        )
        self._directory = None

    def _remember(self, key: str, encoded: EncodedFrames) -> None:
        with self._lock:
            self._memory[key] = encoded
            self._memory.move_to_end(key)
            size = sum(map(_num_bytes, self._memory.values()))
            while size > self._config.max_memory_bytes and self._memory:
                size -= _num_bytes(self._memory.popitem(last=False)[1])

    def _read(self, key: str) -> EncodedFrames | None:
        if self._directory is None:
            return None
        path = self._directory / f"{key}.npz"
        try:
            data = path.read_bytes()
        except OSError:  # not there, or not for us to read
            return None
        try:
            encoded = _parse(data)
        except _DAMAGE as error:
            _LOGGER.info("removing the damaged cache entry %s: %s", path, error)
            _remove(path)
            return None
        with contextlib.suppress(OSError):  # a read-only folder
            os.utime(path)  # its place in the order of eviction
        return encoded

    def _write(self, directory: Path, key: str, encoded: EncodedFrames) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if _num_bytes(encoded) > self._config.max_disk_bytes:
            return
        handle, name = tempfile.mkstemp(suffix=".tmp", dir=directory)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, allow_pickle=False, **_arrays(encoded))
            os.replace(name, directory / f"{key}.npz")
        except OSError:
            _remove(Path(name))
            raise

    def _evict(self, directory: Path) -> None:
        """Delete the entries used least recently until the rest fit, and what crashed writers left."""
        now, found = time.time(), []
        for path in directory.iterdir():
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == ".npz":
                found.append((stat.st_mtime, stat.st_size, path))
            elif path.suffix == ".tmp" and now - stat.st_mtime > _STALE_SECONDS:
                _remove(path)
        size = sum(entry[1] for entry in found)
        if size <= self._config.max_disk_bytes:
            return
        for _, num_bytes, path in sorted(found):
            if size <= self._config.max_disk_bytes * _KEEP_SHARE:
                break
            _remove(path)
            size -= num_bytes


def _num_bytes(encoded: EncodedFrames) -> int:
    arrays = [getattr(encoded, name) for name in _ARRAYS] + [encoded.grid]
    return sum(array.nbytes for array in arrays if array is not None)


def _arrays(encoded: EncodedFrames) -> dict[str, NDArray[Any]]:
    """The entry as arrays without objects; `meta` is JSON and names the others."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(encoded, name) for name in _ARRAYS}
    if encoded.grid is not None:
        arrays["grid"] = encoded.grid
    meta = [sorted(arrays), encoded.num_frames, encoded.duration_seconds, list(encoded.warnings)]
    return arrays | {"meta": np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)}


def _parse(data: bytes) -> EncodedFrames:
    """The entry in these bytes; anything odd about them is one of the errors in `_DAMAGE`."""
    with np.load(io.BytesIO(data), allow_pickle=False) as entry:
        arrays: dict[str, NDArray[Any]] = {name: entry[name] for name in entry.files}
    names, num_frames, duration_seconds, warnings = json.loads(arrays.pop("meta").tobytes())
    if sorted(arrays) != names or len({len(array) for array in arrays.values()}) != 1:
        raise ValueError(f"it holds { ({name: array.shape for name, array in arrays.items()}) }")
    return EncodedFrames(
        **{name: arrays[name] for name in _ARRAYS},
        grid=arrays.get("grid"),
        num_frames=int(num_frames),
        duration_seconds=float(duration_seconds),
        warnings=tuple(map(str, warnings)),
    )


def _remove(path: Path) -> None:
    """Delete a file that may be gone already, or that another process holds open."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _LOGGER.info("cannot remove %s: %s", path, error)
