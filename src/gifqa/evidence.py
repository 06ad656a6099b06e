"""Pictures that show what an answer rests on: an evidence strip, a contact sheet, a GIF of the keyframes.

    strip                                  sheet
    Q  What is the cat doing?              What is the cat doing?
    A  looking at the camera               5 of 40 frames, 3.20 s
       62 % confident
    [frame] [frame] [frame] [frame]        [frame] [frame] [frame] [frame]
    |--o------o---------o-----o---|        [frame]
                                           |--o------o----o----o----o----|

Below each frame are its index, time and score; the best score has a coloured border. The line is the playing
time, with a dot a keyframe; an image alone has neither. The letters are those of `gifqa.lettering`.
"""

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import ConfigError
from gifqa.lettering import font_of, line_height, wrapped
from gifqa.retrieval.clip_cut import Keyframes

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_MARGIN = 16
_GAP = 10
_COLUMN_GAP = 22
_FRAME_SIDE = 220  # pixels of the longer side of a drawn frame
_LEAST_CELL = 110  # of the space for a frame and its caption
_COLUMNS = 4
_DOT = 11  # across, of a keyframe on the line of time
_LEAST_WIDTH = 480  # of the space for text and frames
_LABEL_WIDTH = 28  # of the column of "Q" and "A"
_TEXT_SIZE = 18
_SMALL_SIZE = 13
_QUESTION_LINES = 3
_ANSWER_LINES = 6

_PAPER = "#ffffff"
_INK = "#1a1a1a"
_FAINT = "#666666"
_RULE = "#cccccc"
_ACCENT = "#1f7a63"


@dataclass(frozen=True)
class _Paragraph:
    """A text to set above the frames: its label in a column of its own, or no column if that is None."""

    text: str
    size: int
    colour: str
    max_lines: int
    label: str | None = None

    def lines(self, inner: int) -> list[str]:
        """The text in lines that fit into `inner` pixels, beside the label."""
        width = inner - (0 if self.label is None else _LABEL_WIDTH)
        return wrapped(self.text, self.size, width, self.max_lines)


def draw_strip(
    pixels: NDArray[np.uint8],
    keyframes: Keyframes,
    question: str,
    answer_text: str,
    confidence: float | None,
    reference: str | None = None,
) -> "Image.Image":
    """The question, the answer and the keyframes that it rests on.

    Args:
        pixels: the keyframes, RGB uint8 (K, H, W, 3).
        keyframes: their indices, times and scores, K >= 1 of them; scores that are NaN are not drawn.
        question: wrapped, and cut with an ellipsis after three lines; empty for a description.
        answer_text: wrapped, and cut with an ellipsis after six lines.
        confidence: 0 to 1; None draws none.
        reference: what the answer should have been, set below it as the answer is; None draws none.

    Returns:
        An RGB picture.

    Raises:
        ValueError: if there are no keyframes, or not as many frames of pixels.
    """
    paragraphs = [_Paragraph(answer_text, _TEXT_SIZE, _INK, _ANSWER_LINES, "A" if question else None)]
    if question:
        paragraphs.insert(0, _Paragraph(question, _TEXT_SIZE, _FAINT, _QUESTION_LINES, "Q"))
    if reference is not None:
        paragraphs.append(_Paragraph(reference, _TEXT_SIZE, _FAINT, _ANSWER_LINES, "R"))
    if confidence is not None:
        paragraphs.append(_Paragraph(f"{confidence * 100:.0f} % confident", _SMALL_SIZE, _ACCENT, 1, ""))
    return _draw_page(paragraphs, pixels, keyframes)


def draw_sheet(pixels: NDArray[np.uint8], keyframes: Keyframes, question: str = "") -> "Image.Image":
    """A contact sheet of the keyframes.

    Args:
        pixels: the keyframes, RGB uint8 (K, H, W, 3).
        keyframes: their indices, times and scores, K >= 1 of them.
        question: what they were chosen for; written above them unless empty.

    Returns:
        An RGB picture.

    Raises:
        ValueError: if there are no keyframes, or not as many frames of pixels.
    """
    summary = f"{len(keyframes)} of {keyframes.num_frames} frames, {keyframes.duration_seconds:.2f} s"
    paragraphs = [_Paragraph(summary, _SMALL_SIZE, _FAINT, 1)]
    if question.strip():
        paragraphs.insert(0, _Paragraph(question, _TEXT_SIZE, _INK, _QUESTION_LINES))
    return _draw_page(paragraphs, pixels, keyframes)


def write_png(image: "Image.Image", path: str | Path) -> None:
    """Write a drawn picture; an existing file is replaced only when the new one is whole.

    Raises:
        ConfigError: if the name does not end in .png, or the file cannot be written.
    """
    _write_whole(Path(path), ".png", lambda file: image.save(file, format="PNG", optimize=True))


def write_gif(pixels: NDArray[np.uint8], path: str | Path, *, seconds_per_frame: float = 0.5) -> None:
    """Write the keyframes as a GIF that repeats for ever; replaces a file as `write_png` does.

    Args:
        pixels: the keyframes, RGB uint8 (K, H, W, 3), K >= 1.
        path: must end in .gif.
        seconds_per_frame: how long each is shown, in hundredths; the times of the source are not kept, since
            the frames between the keyframes are gone.

    Raises:
        ConfigError: if the name does not end in .gif, or the file cannot be written.
        ValueError: if there are no frames, or less than 0.02 s for each, which browsers do not play.
    """
    from PIL import Image

    if not len(pixels) or seconds_per_frame < 0.02:
        raise ValueError(
            f"{len(pixels)} frames of {seconds_per_frame} s were given; a GIF needs one frame or more, and "
            "0.02 s or more for each. Pass the keyframes' pixels and a longer time."
        )
    first, *others = (Image.fromarray(frame) for frame in pixels)
    delay_ms = round(seconds_per_frame * 100) * 10

    def save(file: IO[bytes]) -> None:
        first.save(file, format="GIF", save_all=True, append_images=others, duration=delay_ms, loop=0)

    _write_whole(Path(path), ".gif", save)


def check_target(path: Path, suffix: str) -> None:
    """Nothing, if a picture of that format can be written there as far as one can tell beforehand.

    Raises:
        ConfigError: if the name does not end in `suffix`, or its folder does not exist.
    """
    if path.suffix.lower() != suffix:
        raise ConfigError(f"{path} does not end in {suffix}; only that format is written. Rename it.")
    if not path.parent.is_dir():
        raise ConfigError(
            f"{path} cannot be written: the folder {path.parent} does not exist. Make it, or choose another "
            "path."
        )


def _write_whole(path: Path, suffix: str, save: Callable[[IO[bytes]], None]) -> None:
    """Save beside the target, then rename, so that a failure leaves nothing half written."""
    check_target(path, suffix)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            save(file)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror or error}); its folder must exist and have space. "
            "Choose another path."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _draw_page(
    paragraphs: list[_Paragraph], pixels: NDArray[np.uint8], keyframes: Keyframes
) -> "Image.Image":
    """The paragraphs, then the frames in rows, then the line of time."""
    from PIL import Image, ImageDraw

    count = len(keyframes)
    if not count or len(pixels) != count:
        raise ValueError(
            f"{len(pixels)} frames of pixels and {count} keyframes were given; they must be as many, 1 or "
            "more. Decode the keyframes' indices."
        )
    width, height = _fitted(pixels.shape[2], pixels.shape[1])
    column = max(width, _LEAST_CELL) + _COLUMN_GAP
    row = height + line_height(_SMALL_SIZE) + _GAP
    inner = max(min(count, _COLUMNS) * column - _COLUMN_GAP, _LEAST_WIDTH)
    blocks = [(paragraph, paragraph.lines(inner)) for paragraph in paragraphs]
    frames_top = _MARGIN + _GAP + sum(len(lines) * line_height(block.size) for block, lines in blocks)
    time_top = frames_top + -(-count // _COLUMNS) * row + 4
    bottom = time_top + line_height(_SMALL_SIZE) if keyframes.num_frames > 1 else time_top - 2 * _GAP

    image = Image.new("RGB", (inner + 2 * _MARGIN, bottom + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(image)
    top = _MARGIN
    for paragraph, lines in blocks:
        top = _draw_paragraph(draw, top, paragraph, lines)
    best = int(np.argmax(keyframes.scores))
    for i in range(count):
        left, top = _MARGIN + i % _COLUMNS * column, frames_top + i // _COLUMNS * row
        frame = Image.fromarray(pixels[i]).resize((width, height), Image.Resampling.LANCZOS)
        image.paste(frame, (left, top))
        is_best = i == best and count > 1 and bool(np.isfinite(keyframes.scores[i]))
        _draw_border(draw, (left, top, left + width, top + height), is_best=is_best)
        if keyframes.num_frames > 1:
            _draw_caption(draw, (left, top + height + 4), column - _COLUMN_GAP, keyframes, i)
    if keyframes.num_frames > 1:
        _draw_time_line(image, time_top, inner, keyframes)
    return image


def _draw_paragraph(draw: "ImageDraw.ImageDraw", top: int, paragraph: _Paragraph, lines: list[str]) -> int:
    """Draw the lines; returns where the next paragraph begins."""
    font = font_of(paragraph.size)
    left = _MARGIN
    if paragraph.label is not None:
        draw.text((left, top), paragraph.label, fill=_ACCENT, font=font)
        left += _LABEL_WIDTH
    for line in lines:
        draw.text((left, top), line, fill=paragraph.colour, font=font)
        top += line_height(paragraph.size)
    return top


def _draw_border(draw: "ImageDraw.ImageDraw", box: tuple[int, int, int, int], *, is_best: bool) -> None:
    """Around left, top, right, bottom: a thin line, or a thick one; white frames would melt into the page."""
    left, top, right, bottom = box
    width, colour = (3, _ACCENT) if is_best else (1, _RULE)
    draw.rectangle((left - width, top - width, right + width - 1, bottom + width - 1), None, colour, width)


def _draw_caption(
    draw: "ImageDraw.ImageDraw", corner: tuple[int, int], width: int, keyframes: Keyframes, i: int
) -> None:
    """Index and time at the left, the score at the right if a frame is wide enough for both."""
    font = font_of(_SMALL_SIZE)
    caption = f"#{keyframes.indices[i]}  {keyframes.pts_seconds[i]:.2f} s"
    score = f"{keyframes.scores[i]:.2f}"
    draw.text(corner, caption, fill=_INK, font=font)
    if np.isfinite(keyframes.scores[i]) and font.getlength(caption + "  " + score) <= width:
        draw.text((corner[0] + width, corner[1]), score, fill=_FAINT, font=font, anchor="ra")


def _draw_time_line(image: "Image.Image", top: int, inner: int, keyframes: Keyframes) -> None:
    """From 0 to the end of the GIF, a dot where each keyframe is."""
    from PIL import Image, ImageDraw

    draw, font = ImageDraw.Draw(image), font_of(_SMALL_SIZE)
    end = f"{keyframes.duration_seconds:.2f} s"
    draw.text((_MARGIN, top), "0 s", fill=_FAINT, font=font)
    draw.text((_MARGIN + inner, top), end, fill=_FAINT, font=font, anchor="ra")
    left, right = _MARGIN + 36, _MARGIN + inner - round(font.getlength(end)) - 14
    middle = top + _SMALL_SIZE // 2 + 3
    draw.line((left, middle, right, middle), fill=_RULE, width=3)
    large = Image.new("L", (_DOT * 8, _DOT * 8))
    ImageDraw.Draw(large).ellipse((0, 0, _DOT * 8 - 1, _DOT * 8 - 1), fill=255)
    dot = large.resize((_DOT, _DOT), Image.Resampling.LANCZOS)  # Pillow's own circles have corners
    for pts in keyframes.pts_seconds:
        x = left + round((right - left) * min(1.0, float(pts) / keyframes.duration_seconds))
        image.paste(_ACCENT, (x - _DOT // 2, middle - _DOT // 2), dot)


def _fitted(width: int, height: int) -> tuple[int, int]:
    """Width and height with the longer side at `_FRAME_SIDE`, the shorter at least 1."""
    scale = _FRAME_SIDE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
