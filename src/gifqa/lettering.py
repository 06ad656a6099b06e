"""Text for pictures: Pillow's own font, letters that it has, lines that fit."""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_LINE_HEIGHT = 1.35  # of the size
_LONGEST_TEXT = 2000  # characters laid out; more never fit
_PLAIN = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "¿": "", "¡": "", "ß": "ss", "ø": "o", "Ø": "O", "Ł": "L", "ł": "l"}
)
"""What the font lacks and Unicode does not take apart."""


def font_of(size: int) -> "Font":
    """Pillow's font; it has ASCII and a few more signs."""
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def line_height(size: int) -> int:
    """Pixels from one line to the next."""
    return round(size * _LINE_HEIGHT)


def wrapped(text: str, size: int, width: float, max_lines: int) -> list[str]:
    """The text in lines of at most `width` pixels, at least one; an ellipsis stands for what does not fit."""
    font = font_of(size)
    words = drawable(text[:_LONGEST_TEXT]).split()
    lines: list[str] = []
    while words and len(lines) < max_lines:
        line = ""
        while words and font.getlength(f"{line} {words[0]}".strip()) <= width:
            line = f"{line} {words.pop(0)}".strip()
        if not line:  # a word wider than the line, such as an address
            head = _longest_head(words[0], font, width)
            line, words[0] = words[0][:head], words[0][head:]
        lines.append(line)
    if words or len(text) > _LONGEST_TEXT:
        last = f"{lines[-1]} {words[0]}" if words else lines[-1]
        lines[-1] = last[: _longest_head(last, font, width - font.getlength("…"))].rstrip() + "…"
    return lines or [""]


def drawable(text: str) -> str:
    """The text without what no font draws, Latin letters without the accents that this one lacks.

    Letters of other scripts stay, and are drawn as boxes.
    """
    return "".join(_without_accent(char) if char.isprintable() else " " for char in text.translate(_PLAIN))


def _without_accent(char: str) -> str:
    base = "".join(part for part in unicodedata.normalize("NFD", char) if not unicodedata.combining(part))
    return base if base.isascii() else char


def _longest_head(text: str, font: "Font", width: float) -> int:
    """How many characters of the text fit, at least one."""
    fits = 1
    while fits < len(text) and font.getlength(text[: fits + 1]) <= width:
        fits += 1
    return fits
