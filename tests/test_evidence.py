import itertools
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gifqa.errors import ConfigError
from gifqa.evidence import draw_sheet, draw_strip, write_gif, write_png
from gifqa.retrieval.clip_cut import Keyframes

COLOURS = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [200, 200, 30], [30, 200, 200]], np.uint8)


def make_pixels(count: int, height: int = 60, width: int = 80) -> np.ndarray:
    return np.ascontiguousarray(
        np.broadcast_to(COLOURS[:count, None, None], (count, height, width, 3)), dtype=np.uint8
    )


def make_keyframes(count: int, duration_seconds: float = 4.0) -> Keyframes:
    indices = np.arange(count) * 7 + 2
    return Keyframes(
        indices=indices,
        pts_seconds=indices * 0.1,
        scores=np.linspace(0.1, 0.4, count).astype(np.float32),
        grid=None,
        num_frames=40,
        duration_seconds=duration_seconds,
    )


@pytest.fixture
def drawn_texts(monkeypatch) -> list[tuple[str, tuple[float, float, float, float]]]:
    """What is written on a picture, with the box that each piece fills."""
    texts = []
    text = ImageDraw.ImageDraw.text

    def record(self, xy, text_drawn, *args, **kwargs):
        box = self.textbbox(xy, text_drawn, font=kwargs["font"], anchor=kwargs.get("anchor"))
        texts.append((text_drawn, box))
        return text(self, xy, text_drawn, *args, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", record)
    return texts


def words_of(texts) -> str:
    return " ".join(text for text, _ in texts)


def area_of(image: Image.Image, colour: np.ndarray) -> int:
    """Pixels of a frame's colour."""
    return int((np.abs(np.asarray(image, np.int16) - colour).max(axis=2) <= 2).sum())


def test_the_strip_shows_question_answer_confidence_and_keyframes(drawn_texts):
    image = draw_strip(make_pixels(4), make_keyframes(4), "What is it?", "a cat", 0.623)
    words = words_of(drawn_texts)
    for expected in ["What is it?", "a cat", "62 % confident", "#2  0.20 s", "#23  2.30 s", "0.40", "4.00 s"]:
        assert expected in words
    assert image.mode == "RGB"
    for colour in COLOURS[:4]:
        assert area_of(image, colour) == pytest.approx(220 * 165, rel=0.05)


def test_a_reference_stands_below_the_answer_and_missing_scores_are_not_drawn(drawn_texts):
    keyframes = replace(make_keyframes(4), scores=np.full(4, np.nan, np.float32))
    draw_strip(make_pixels(4), keyframes, "What is it?", "a cat", None, "a dog")
    words = words_of(drawn_texts)

    assert words.index("a cat") < words.index("a dog")
    assert "nan" not in words


def test_a_description_has_no_line_for_a_question(drawn_texts):
    """There was a Q with nothing beside it."""
    draw_strip(make_pixels(2), make_keyframes(2), "", "a cat sits", None)

    assert [text for text, _ in drawn_texts[:2]] == ["a cat sits", "#2  0.20 s"]


def test_an_image_alone_has_no_time(drawn_texts):
    """A still image was said to be shown at 0.00 s, of 0.10 s."""
    keyframes = replace(make_keyframes(1), num_frames=1)
    draw_strip(make_pixels(1), keyframes, "What is it?", "a cat", 0.5)

    assert [text for text, _ in drawn_texts] == ["Q", "What is it?", "A", "a cat", "", "50 % confident"]


def test_white_frames_are_told_from_the_page():
    white = np.full((2, 60, 80, 3), 255, np.uint8)
    pixels = np.asarray(draw_strip(white, make_keyframes(2), "", "", None))
    rule = (pixels == (0xCC, 0xCC, 0xCC)).all(axis=2)

    assert (rule.sum(axis=0) >= 165).sum() == 2, "the first frame has a left and a right side"


def test_frames_stand_from_left_to_right_in_time_order():
    image = draw_strip(make_pixels(4), make_keyframes(4), "What?", "that", None)
    pixels = np.asarray(image, np.int16)
    lefts = [np.argmax((np.abs(pixels - colour).max(axis=2) <= 2).any(axis=0)) for colour in COLOURS[:4]]
    assert lefts == sorted(lefts)


def test_no_confidence_is_drawn_when_the_model_gives_none(drawn_texts):
    draw_strip(make_pixels(1), make_keyframes(1), "What is it?", "a cat", None)
    assert "confident" not in words_of(drawn_texts)


def test_the_sheet_has_rows_of_four_and_says_how_many_frames_there_are(drawn_texts):
    image = draw_sheet(make_pixels(5), make_keyframes(5), "What is it?")
    assert "5 of 40 frames, 4.00 s" in words_of(drawn_texts)
    assert "What is it?" in words_of(drawn_texts)
    pixels = np.asarray(image, np.int16)
    top = [np.argmax((np.abs(pixels - colour).max(axis=2) <= 2).any(axis=1)) for colour in COLOURS]
    assert len({*top[:4]}) == 1
    assert top[4] > top[0] + 165


def test_the_best_frame_alone_has_a_border():
    keyframes = make_keyframes(3)
    pixels = np.asarray(draw_sheet(make_pixels(3), keyframes))
    accent = (0x1F, 0x7A, 0x63)
    columns = np.flatnonzero((pixels == accent).all(axis=2)[:180].any(axis=0))
    best_left = np.argmax((np.abs(pixels.astype(np.int16) - COLOURS[2]).max(axis=2) <= 2).any(axis=0))
    assert columns.min() == best_left - 3


LONG = "a man in a red jacket walks up to the gate and then "


@pytest.mark.parametrize(
    "text",
    [
        LONG * 40,
        "x" * 5000,
        "https://example.org/" + "path/" * 80,
        LONG * 2 + "y" * 300,
        "word " * 2000,
    ],
)
@pytest.mark.parametrize("count", [1, 4])
def test_long_texts_are_wrapped_inside_the_picture_and_cut_with_an_ellipsis(
    text: str, count: int, drawn_texts
):
    image = draw_strip(make_pixels(count), make_keyframes(count), text, text, 0.5)
    long_enough = [piece for piece, _ in drawn_texts if piece.endswith("…")]
    assert 1 <= len(long_enough) <= 2
    for piece, (left, top, right, bottom) in drawn_texts:
        assert left >= 0, piece
        assert top >= 0, piece
        assert right <= image.width, piece
        assert bottom <= image.height, piece
    assert image.height < 700


def test_lines_do_not_overlap(drawn_texts):
    draw_strip(make_pixels(2), make_keyframes(2), LONG * 3, LONG * 3, 0.5)
    lines = [box for text, box in drawn_texts if len(text) > 20]
    assert len(lines) > 4
    for upper, lower in itertools.pairwise(lines):
        assert upper[3] <= lower[1] + 1


def test_a_text_that_fits_is_whole(drawn_texts):
    draw_strip(make_pixels(4), make_keyframes(4), LONG * 3, "yes", 0.5)
    assert "…" not in words_of(drawn_texts)
    assert (LONG * 3).strip() in re.sub(r"\s+", " ", words_of(drawn_texts))


@pytest.mark.parametrize(
    "text",
    [
        "何をしていますか",
        "🦙 🎉",
        "\ud800 lone surrogate",
        "line\nbreak\ttab\x00nul\x1b[31m",
        "עברית",
        "",
        "   ",
    ],
)
def test_any_unicode_text_is_drawn_without_a_crash(text: str, tmp_path: Path):
    write_png(draw_strip(make_pixels(2), make_keyframes(2), text, text, 0.5), tmp_path / "strip.png")
    write_png(draw_sheet(make_pixels(2), make_keyframes(2), text), tmp_path / "sheet.png")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2000, 10), (10, 2000), (9, 16)])
def test_frames_of_any_shape_keep_their_shape_and_captions_apart(height: int, width: int, drawn_texts):
    image = draw_sheet(make_pixels(3, height, width), make_keyframes(3))
    assert image.width < 1000
    captions = [box for text, box in drawn_texts if text.startswith("#")]
    for left, right in itertools.pairwise(captions):
        assert left[2] < right[0]
    if (height, width) == (9, 16):
        assert area_of(image, COLOURS[0]) == pytest.approx(220 * 124, rel=0.05)


@pytest.mark.parametrize(("num_pixels", "num_keyframes"), [(2, 3), (0, 0), (3, 2)])
def test_pixels_and_keyframes_must_agree(num_pixels: int, num_keyframes: int):
    with pytest.raises(
        ValueError, match=f"{num_pixels} frames of pixels and {num_keyframes} keyframes were given"
    ):
        draw_sheet(make_pixels(num_pixels), make_keyframes(num_keyframes))


def test_a_png_is_written_whole_and_replaces_the_old_one(tmp_path: Path):
    path = tmp_path / "strip.PNG"
    path.write_bytes(b"old")
    image = draw_sheet(make_pixels(2), make_keyframes(2))
    write_png(image, str(path))
    with Image.open(path) as found:
        assert found.format == "PNG"
        assert np.array_equal(np.asarray(found), np.asarray(image))
    assert [entry.name for entry in tmp_path.iterdir()] == ["strip.PNG"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("name", ["strip.jpg", "strip", "strip.gif"])
def test_another_format_is_refused(name: str, tmp_path: Path):
    image = draw_sheet(make_pixels(1), make_keyframes(1))
    with pytest.raises(
        ConfigError, match=re.escape(f"{name} does not end in .png; only that format is written")
    ):
        write_png(image, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path):
    image = draw_sheet(make_pixels(1), make_keyframes(1))
    with pytest.raises(
        ConfigError, match=r"strip.png cannot be written: the folder .*nowhere does not exist. Make it"
    ):
        write_png(image, tmp_path / "nowhere" / "strip.png")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch):
    path = tmp_path / "strip.png"
    path.write_bytes(b"old")
    image = draw_sheet(make_pixels(1), make_keyframes(1))

    def fill(self, file, **fields):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill)
    with pytest.raises(ConfigError, match=r"cannot be written \(No space left on device\)"):
        write_png(image, path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["strip.png"]


def test_the_gif_plays_the_keyframes_in_turn(tmp_path: Path):
    path = tmp_path / "kept.gif"
    write_gif(make_pixels(3), path, seconds_per_frame=0.25)
    with Image.open(path) as gif:
        assert gif.n_frames == 3
        assert gif.size == (80, 60)
        assert gif.info["loop"] == 0
        for i in range(3):
            gif.seek(i)
            assert gif.info["duration"] == 250
            colour = np.asarray(gif.convert("RGB"), np.int16)[30, 40]
            assert np.abs(colour - COLOURS[i]).max() <= 4


@pytest.mark.parametrize(("count", "seconds"), [(0, 0.5), (2, 0.0), (2, -1)])
def test_a_gif_of_nothing_is_refused(count: int, seconds: float, tmp_path: Path):
    with pytest.raises(ValueError, match=r"a GIF needs one frame or more, and 0.02 s or more for each"):
        write_gif(make_pixels(count), tmp_path / "kept.gif", seconds_per_frame=seconds)
