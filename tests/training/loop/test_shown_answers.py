import pytest
from PIL import Image

from gifqa.training.loop.shown_answers import ShownAnswer, draw_answers

GREEN = (0, 255, 0)


@pytest.fixture
def answers(tmp_path, make_gif):
    (tmp_path / "clips").mkdir()
    make_gif(["green", "green"], name="clips/green.gif")
    (tmp_path / "clips/broken.gif").write_bytes(b"GIF89a nonsense")
    return [
        ShownAnswer(name, "What colour is it?", "green", "red")
        for name in ("green.gif", "nowhere.gif", "broken.gif")
    ]


def test_those_whose_media_are_found_are_drawn_below_each_other(tmp_path, answers, caplog):
    media = [tmp_path / "photos", tmp_path / "clips"]
    assert draw_answers(answers[:1], media, tmp_path / "samples/one.png")
    assert draw_answers([answers[0], *answers], media, tmp_path / "samples/two.png")
    with Image.open(tmp_path / "samples/one.png") as one, Image.open(tmp_path / "samples/two.png") as two:
        assert (two.width, two.height) == (one.width, 2 * one.height)
        assert GREEN in {colour for _, colour in one.convert("RGB").getcolors(2**20)}

    assert "broken.gif is not drawn: " in caplog.text
    assert "nowhere.gif" not in caplog.text


def test_nothing_is_drawn_without_media(tmp_path, answers):
    assert not draw_answers(answers[:2], [tmp_path / "photos"], tmp_path / "samples/none.png")
    assert not (tmp_path / "samples").exists()


def test_a_line_has_the_texts(answers):
    assert answers[0].texts() == {
        "picture": "green.gif", "question": "What colour is it?", "reference": "green", "answer": "red"
    }  # fmt: skip
