"""Which format the bytes are, told by what they hold and never by a file's name.

FFmpeg opens a text file as a video (its terminal demuxer) and Pillow tries every plug-in it has; gifqa names
the format itself and hands the bytes to exactly that one decoder.
"""

import re
import struct

from gifqa.errors import UnreadableMedia, UnsupportedMedia

ANIMATED_KINDS = ("gif", "webp", "apng")
STILL_KINDS = ("png", "jpeg", "bmp")
VIDEO_KINDS = ("mp4", "mov", "webm", "mkv", "avi")
READABLE = "GIF, WebP, APNG, PNG, JPEG, BMP, MP4, MOV, WebM, MKV and AVI"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
BMP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
ISO_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
OTHER_FORMATS = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"II*\x00": "a TIFF image",
    b"MM\x00*": "a TIFF image",
    b"ID3": "an MP3 recording",
    b"OggS": "an Ogg file",
    b"\x7fELF": "a program",
}


def sniff_kind(data: bytes, name: str) -> str:
    """The format of `data`, by its magic bytes.

    Args:
        data: the whole file, or at least its first 64 KB.
        name: how to call it in the error message.

    Returns:
        "gif", "webp", "apng", "png", "jpeg", "bmp", "mp4", "mov", "webm", "mkv" or "avi".

    Raises:
        UnreadableMedia: if there are no bytes.
        UnsupportedMedia: if it is none of these; the message says what it looks like.
    """
    if not data:
        raise UnreadableMedia(f"{name} is empty (0 bytes). Give a file that holds one of: {READABLE}.")
    kind = _image_kind(data) or _video_kind(data)
    if kind is None:
        raise UnsupportedMedia(f"{name} is {_looks_like(data)}; gifqa reads {READABLE}. Convert it first.")
    return kind


def _image_kind(data: bytes) -> str | None:
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith(PNG_SIGNATURE):
        return "apng" if _has_animation_chunk(data) else "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in BMP_HEADER_SIZES:
        return "bmp"
    return None


def _video_kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "avi"
    if data[4:8] == b"ftyp" and data[8:12] not in ISO_IMAGE_BRANDS:
        return "mov" if data[8:12] == b"qt  " else "mp4"
    if data[4:8] in QUICKTIME_ATOMS:
        return "mov"
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        # EBML: the document type, element 0x4282, stands within the first few dozen bytes.
        return "webm" if re.search(rb"\x42\x82.{1,8}?webm", data[:128], re.DOTALL) else "mkv"
    return None


def _has_animation_chunk(data: bytes) -> bool:
    """Whether an `acTL` chunk stands before the first `IDAT`, which is what makes a PNG an APNG."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, chunk = struct.unpack_from(">I4s", data, position)
        if chunk in (b"acTL", b"IDAT", b"IEND"):
            return bool(chunk == b"acTL")
        position += 12 + length
    return False


def _looks_like(data: bytes) -> str:
    """What unsupported bytes seem to be, in words."""
    if data[4:8] == b"ftyp":
        return "an AVIF or HEIC image"
    for magic, description in OTHER_FORMATS.items():
        if data.startswith(magic):
            return description
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    if head.startswith((b"<?xml", b"<svg")):
        return "an XML or SVG text"
    if not set(data[:512]) & set(range(9)) and b"\x7f" not in data[:512]:
        return "a text"
    return f"of an unknown format (it begins with {data[:8].hex(' ')})"
