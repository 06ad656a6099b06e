"""Anything a user may call "my GIF" -> `Media`: bytes of a known format, or frames, with a hash of them.

    path | folder of frames | "-" (standard input) | http(s) URL | data: URL | bytes | file object
    PIL image, or several | NumPy array (H, W, 3) or (N, H, W, 3), uint8 RGB, or several

Nothing is decoded here but opened PIL images; `gifqa.frames` decodes. Not covered: authentication for URLs,
other schemes than http and https, formats that `gifqa.media_types` does not list.
"""

import base64
import binascii
import hashlib
import os
import re
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import UnreadableMedia, UnsupportedMedia
from gifqa.limits import Budget, MediaLimits, check_bytes
from gifqa.media_types import STILL_KINDS, sniff_kind

__all__ = ["Media", "MediaLimits", "load_media"]

FRAME_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
FRAME_KINDS = (*STILL_KINDS, "webp")
URL_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
DATA_URL = re.compile(r"data:[^,]*?(;base64)?,", re.IGNORECASE)
READ_SIZE = 2**20


@dataclass(frozen=True, eq=False)
class Media:
    """One GIF, animation, image or video, not decoded yet. Either `data` or `frames` is there."""

    name: str
    """How messages call it: the file's name, "standard input", ..."""
    kind: str
    """"gif", "webp", "apng", "png", "jpeg", "bmp", "mp4", "webm", "mov", "mkv", "avi" or "frames"."""
    data: bytes | None
    """The encoded file."""
    frames: tuple[bytes | NDArray[np.uint8], ...] | None
    """Frames given one by one: encoded images, or RGB (H, W, 3)."""
    content_hash: str
    """SHA-256 of the content in hexadecimal; equal content has an equal hash, whatever its name."""
    delays_ms: tuple[float, ...] | None = None
    """How long each of `frames` lasts, where the source says so."""


def load_media(source: Any, limits: MediaLimits | None = None) -> Media:
    """The media behind whatever the user gave.

    Args:
        source: a path, a folder of frames, "-", a URL, a data: URL, bytes, a binary file object, PIL images
            or NumPy arrays (see the module's docstring); `Media` is passed through.
        limits: sizes, and whether URLs are fetched.

    Returns:
        The media; the bytes are known to be of a readable format, not known to be undamaged.

    Raises:
        UnreadableMedia: if there is nothing to read at `source`.
        UnsupportedMedia: if it holds no format or type that gifqa reads.
        MediaTooLarge: if it has too many bytes.
    """
    limits = limits or MediaLimits()
    if isinstance(source, Media):
        return source
    if isinstance(source, str):
        return _from_text(source, limits)
    if isinstance(source, os.PathLike):
        return _from_path(Path(source), limits)
    if isinstance(source, bytes | bytearray | memoryview):
        check_bytes(len(source), "the given media", limits)
        return _from_bytes(bytes(source), "the given media")
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return _from_stream(
            source, Path(name).name if isinstance(name, str) else "the given file object", limits
        )
    return _from_images(source, limits)


def _from_text(source: str, limits: MediaLimits) -> Media:
    if not source:
        raise UnreadableMedia(
            "no media given; give a file, a folder of frames, an http(s) URL, or - for stdin."
        )
    if source == "-":
        return _from_stream(sys.stdin.buffer, "standard input", limits)
    if source[:5].lower() == "data:":
        return _from_data_url(source, limits)
    scheme = URL_SCHEME.match(source)
    if not scheme:
        return _from_path(Path(source), limits)
    if scheme[1].lower() not in ("http", "https"):
        raise UnsupportedMedia(
            f"the URL scheme {scheme[1]}:// is not read; http:// and https:// are. Give such a URL or a path."
        )
    from gifqa.url_policy import fetch_url

    data, name = fetch_url(source, limits)
    return _from_bytes(data, name)


def _from_path(path: Path, limits: MediaLimits) -> Media:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return _from_folder(path, limits)
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise UnreadableMedia(
                f"{path} is a device or a socket; give a file, a folder of frames, or - with a pipe."
            )
        check_bytes(path.stat().st_size, path.name, limits)
        with path.open("rb") as stream:
            return _from_stream(stream, path.name, limits)
    except FileNotFoundError as error:
        raise UnreadableMedia(
            f"{str(path)!r} does not exist; give a file, a folder of frames, an http(s) URL, or - for stdin."
        ) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UnreadableMedia(
            f"{str(path)!r} cannot be read ({reason}); check the path and its permissions."
        ) from error


def _from_stream(stream: IO[bytes], name: str, limits: MediaLimits) -> Media:
    pieces: list[bytes] = []
    size = 0
    while size <= limits.max_bytes:
        piece = stream.read(min(READ_SIZE, limits.max_bytes + 1 - size))
        if isinstance(piece, str):
            raise UnsupportedMedia(f"{name} was opened as text; media are bytes. Open it in mode 'rb'.")
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    check_bytes(size, name, limits)
    return _from_bytes(b"".join(pieces), name)


def _from_data_url(url: str, limits: MediaLimits) -> Media:
    head = DATA_URL.match(url[:1024])
    if not head:
        raise UnsupportedMedia(
            "the data: URL has no comma; it must be like data:image/gif;base64,R0lGOD... Encode it anew."
        )
    check_bytes((len(url) - head.end()) * 3 // 4 - 2, "the data: URL", limits)
    payload = unquote_to_bytes(url[head.end() :])
    try:
        data = base64.b64decode(payload, validate=True) if head[1] else payload
    except binascii.Error as error:
        raise UnreadableMedia(
            f"the data: URL is not valid base64 ({error}); encode the whole file anew."
        ) from error
    check_bytes(len(data), "the data: URL", limits)
    return _from_bytes(data, "the data: URL")


def _from_bytes(data: bytes, name: str) -> Media:
    kind = sniff_kind(data, name)
    return Media(name, kind, data, None, hashlib.sha256(data).hexdigest())


def _from_folder(folder: Path, limits: MediaLimits) -> Media:
    """The images of a folder, in natural order: frame2.png stands before frame10.png."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in FRAME_SUFFIXES and path.is_file()]
    if not files:
        raise UnreadableMedia(
            f"the folder {str(folder)!r} holds no images; they must end in {', '.join(FRAME_SUFFIXES)}. "
            "Put some in, or give another folder."
        )
    files.sort(key=lambda path: _natural_key(path.name))
    name = f"the folder {str(folder)!r}"
    Budget(name, limits).check_frame_count(len(files))
    check_bytes(sum(path.stat().st_size for path in files), name, limits)
    frames = []
    for path in files:
        data = path.read_bytes()
        if sniff_kind(data, path.name) not in FRAME_KINDS:
            raise UnsupportedMedia(
                f"{path.name} in the folder is no still image; frames are PNG, JPEG, BMP or WebP. Remove it."
            )
        frames.append(data)
    return Media(folder.name or str(folder), "frames", None, tuple(frames), _hash_frames(frames))


def _natural_key(name: str) -> list[tuple[int, int, str]]:
    """Digits compare as numbers, the rest as text, and equal numbers as they are written."""
    parts = re.findall(r"\d+|\D+", name)
    return [
        (0, int(part), part) if part.isdecimal() and part.isascii() else (1, 0, part.lower())
        for part in parts
    ]


def _from_images(source: Any, limits: MediaLimits) -> Media:
    from gifqa.frame_arrays import frames_from_images

    frames, delays_ms = frames_from_images(source, limits)
    name = f"the given {type(source).__name__}"
    return Media(name, "frames", None, tuple(frames), _hash_frames(frames, delays_ms), delays_ms)


def _hash_frames(frames: Any, delays_ms: tuple[float, ...] | None = None) -> str:
    digest = hashlib.sha256(repr(delays_ms).encode())
    for frame in frames:
        content = frame if isinstance(frame, bytes) else np.ascontiguousarray(frame).data
        digest.update(f"{len(frame)} {getattr(frame, 'shape', '')}".encode())
        digest.update(content)
    return digest.hexdigest()
