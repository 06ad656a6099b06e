"""`gifqa describe`, and `gifqa ask --describe`, which is the same."""

import json

import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("fake_models")


def test_describe_says_what_there_is(gifqa, make_gif):
    path = make_gif(["red"])

    assert gifqa("describe", path).out.splitlines()[0] == "a red screen"
    for words in (["describe", path], ["ask", path, "--describe"]):
        assert json.loads(gifqa(*words, "--json").out)["answer"] == "a red screen"


def test_a_model_without_probabilities_has_no_confidence(gifqa, make_gif):
    assert "not given by this model" in gifqa("describe", make_gif(["red"])).out


def test_describe_draws_its_frames(gifqa, make_gif, tmp_path):
    outcome = gifqa("describe", make_gif(["red", "blue"]), "--evidence", tmp_path / "strip.png")

    assert outcome.code == 0
    with Image.open(tmp_path / "strip.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**20)}
    assert {(255, 0, 0), (0, 0, 255)} <= colours


def test_a_missing_file_is_one_line(gifqa, tmp_path):
    outcome = gifqa("describe", tmp_path / "none.gif")

    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (1, "", 1)
