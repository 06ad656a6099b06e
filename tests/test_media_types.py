import struct

import pytest

from gifqa.errors import UnreadableMedia, UnsupportedMedia
from gifqa.media_types import sniff_kind


def chunk(name, body=b""):
    return struct.pack(">I", len(body)) + name + body + b"\0\0\0\0"


PNG = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(13))
EBML = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\x82"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GIF87a" + bytes(20), "gif"),
        (b"GIF89a" + bytes(20), "gif"),
        (b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20), "webp"),
        (PNG + chunk(b"IDAT"), "png"),
        (PNG + chunk(b"acTL", bytes(8)) + chunk(b"IDAT"), "apng"),
        (PNG + chunk(b"IDAT") + chunk(b"acTL", bytes(8)), "png"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "jpeg"),
        (b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(20), "bmp"),
        (b"\0\0\0\x20ftypisom" + bytes(20), "mp4"),
        (b"\0\0\0\x14ftypqt  " + bytes(20), "mov"),
        (b"\0\0\0\x08wide\0\0\0\x10mdat", "mov"),
        (EBML + b"\x84webm" + bytes(20), "webm"),
        (EBML + b"\x88matroska" + bytes(20), "mkv"),
        (b"RIFF\x20\0\0\0AVI LIST", "avi"),
    ],
)
def test_tells_the_format_by_magic_bytes(data, kind):
    assert sniff_kind(data, "x.bin") == kind


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"Dear reader, this is no GIF.", "a text"),
        (b"GIF", "a text"),
        (b"BMW is a maker of cars, and this is a text about it", "a text"),
        ("Eine Katze läuft über die Straße.".encode(), "a text"),
        (b"  <!DOCTYPE html><html>", "a web page"),
        (b"<?xml version='1.0'?><svg/>", "an XML or SVG text"),
        (b"%PDF-1.7 ...", "a PDF document"),
        (b"PK\x03\x04" + bytes(20), "a ZIP archive"),
        (b"\0\0\0\x1cftypavif" + bytes(20), "an AVIF or HEIC image"),
        (bytes(range(20)), r"of an unknown format \(it begins with 00 01 02 03 04 05 06 07\)"),
    ],
)
def test_says_what_other_bytes_look_like(data, description):
    with pytest.raises(
        UnsupportedMedia, match=rf"cat\.gif is {description}; gifqa reads GIF, .* Convert it first\."
    ):
        sniff_kind(data, "cat.gif")


def test_refuses_an_empty_file():
    with pytest.raises(UnreadableMedia, match=r"cat\.gif is empty \(0 bytes\)\. Give a file"):
        sniff_kind(b"", "cat.gif")
