"""`gifqa keyframes`: table, JSON, sheet and GIF."""

import json

import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("fake_models")
FOUR = ["red", "green", "blue", "yellow"]


def test_json_has_the_promised_fields(gifqa, make_gif):
    outcome = gifqa("keyframes", make_gif(FOUR, 200), "red and blue", "--top-k", 2, "--json")
    value = json.loads(outcome.out)

    assert (outcome.code, outcome.err) == (0, "")
    assert value["num_frames"] == 4
    assert value["duration_seconds"] == pytest.approx(0.8)
    assert [row["index"] for row in value["keyframes"]] == [0, 2]
    assert [row["pts_seconds"] for row in value["keyframes"]] == [0.0, 0.4]
    assert all(set(row) == {"index", "pts_seconds", "score"} for row in value["keyframes"])


def test_the_table_has_a_row_a_keyframe(gifqa, make_gif):
    outcome = gifqa("keyframes", make_gif(FOUR, 200), "blue", "--top-k", 1)

    assert outcome.code == 0
    assert "1 of 4 frames" in outcome.out
    assert "0.40" in outcome.out and "0.20" not in outcome.out


def test_the_sheet_and_the_gif_show_the_keyframes(gifqa, make_gif, tmp_path):
    sheet, trimmed = tmp_path / "sheet.png", tmp_path / "trimmed.gif"
    words = ["--top-k", 2, "--sheet", sheet, "--gif", trimmed]
    assert gifqa("keyframes", make_gif(FOUR), "red and blue", *words).code == 0

    with Image.open(sheet) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**20)}
    assert {(255, 0, 0), (0, 0, 255)} <= colours and (0, 255, 0) not in colours
    with Image.open(trimmed) as image:
        shown = []
        for i in range(image.n_frames):
            image.seek(i)
            shown.append(image.convert("RGB").getpixel((0, 0)))
    assert shown == [(255, 0, 0), (0, 0, 255)]


def test_a_description_is_searched_too(gifqa, make_gif):
    outcome = gifqa("keyframes", make_gif(FOUR), "it", "--description", "blue", "--top-k", 1, "--json")

    assert json.loads(outcome.out)["keyframes"][0]["index"] == 2


def test_too_few_frames_are_told_of(gifqa, make_gif):
    path = make_gif(FOUR[:2])
    plain, as_json = gifqa("keyframes", path, "red"), gifqa("keyframes", path, "red", "--json")

    assert plain.err.startswith("warning: 4 keyframes were asked for")
    assert json.loads(as_json.out)["warnings"][0].startswith("4 keyframes were asked for")


def test_a_sheet_of_another_format_is_an_error(gifqa, make_gif, tmp_path):
    outcome = gifqa("keyframes", make_gif(FOUR), "red", "--sheet", tmp_path / "sheet.jpg")

    assert outcome.code == 1
    assert outcome.err.endswith("does not end in .png; only that format is written. Rename it.\n")
