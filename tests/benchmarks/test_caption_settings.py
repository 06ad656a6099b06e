"""The grid of caption settings, on photos of one colour whose captions are known."""

import json

import numpy as np
import pytest

from gifqa.answering.lite_captions import FIT_WEIGHT, NUM_BEAMS, Captions


class Describer:
    """Finds the right caption with more than one beam only, and thinks a wrong one fits better."""

    identity = "colours-1"

    def __init__(self):
        self.calls = []

    def weigh_captions(self, keyframes, num_beams):
        self.calls.append(num_beams)
        right = "a red screen stands here" if num_beams > 1 else "nothing"
        return Captions((right, "some words"), np.array([-1.0, -2.0]), np.array([5, 3]), np.array([0.1, 0.4]))


@pytest.fixture
def describer(script, monkeypatch, colour_embedder):
    found = Describer()
    monkeypatch.setattr(script("caption_settings"), "load_lite", lambda path: (colour_embedder, found))
    return found


def flags(tiny_data, tmp_path):
    photos = ["--photos", tiny_data.photos, "--captions", tiny_data.photo_annotations, "--split", "test"]
    grid = ["--beams", 1, 4, "--fit-weights", 0, 20, "--length-powers", 1, "--output", tmp_path / "run"]
    return [*photos, *grid, "--json", tmp_path / "out.json"]


def test_every_setting_is_scored_and_a_second_run_searches_nothing(
    run_script, tiny_data, tmp_path, describer
):
    shown = run_script("caption_settings", *flags(tiny_data, tmp_path))
    report = json.loads((tmp_path / "out.json").read_text())
    rows = {(row["num_beams"], row["fit_weight"]): row for row in report["rows"]}

    assert len(report["rows"]) == len(rows) == 5 and (NUM_BEAMS, FIT_WEIGHT) in rows, (
        "four and the one in use"
    )
    assert sorted(describer.calls) == [1] * 4 + [4] * 4
    assert rows[4, 0.0]["bleu_4"] > rows[4, 20.0]["bleu_4"]
    assert rows[4, 0.0]["mean_words"] == 5 and rows[1, 0.0]["mean_words"] == 1
    assert "(in use)" in shown and "higher BLEU-4 and no lower CIDEr-D" in shown

    run_script("caption_settings", *flags(tiny_data, tmp_path))
    assert len(describer.calls) == 8
    assert json.loads((tmp_path / "out.json").read_text())["rows"] == report["rows"]


def test_another_model_needs_another_folder(run_script, tiny_data, tmp_path, describer):
    run_script("caption_settings", *flags(tiny_data, tmp_path))
    describer.identity = "colours-2"

    with pytest.raises(SystemExit, match=r"holds the answers of colours-1, and this is colours-2"):
        run_script("caption_settings", *flags(tiny_data, tmp_path))
