import json
from unittest.mock import MagicMock

import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from PIL import Image

from gifqa.training.loop.plots import _draw, collect, draw_overview

LINES = [
    {"step": 5, "seconds_per_step": 1.0, "answer": 3.0},
    {"step": 10, "seconds_per_step": 1.0, "answer": 2.0, "choice": 1.0},
    {"step": 10, "mean": 0.5},
]


def test_values_are_collected_by_name():
    assert collect(LINES[:2]) == {"answer": ([5, 10], [3.0, 2.0]), "choice": ([10], [1.0])}


def test_each_stage_with_metrics_gets_a_row(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    folders = {name: tmp_path / name for name in ("one", "two", "three")}

    assert draw_overview({"one": folders["one"]}, tmp_path / "one.png")
    assert draw_overview(folders, tmp_path / "all.png")
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "all.png") as both:
        assert both.width == one.width
        assert both.height == 2 * one.height
        assert len(both.convert("RGB").getcolors(2**20)) > 2


def test_nothing_is_drawn_without_metrics(tmp_path):
    assert not draw_overview({"one": tmp_path}, tmp_path / "overview.png")
    assert not list(tmp_path.iterdir())


def test_no_two_lines_of_a_panel_look_alike():
    """Matplotlib has ten colours, a stage has had seventeen figures."""
    panel = MagicMock()
    _draw(panel, "many", {f"figure {number}": ([1, 2], [0, 1]) for number in range(17)}, "o")
    styles = [call.args[2] for call in panel.plot.call_args_list]

    assert len({(index % 10, style) for index, style in enumerate(styles)}) == 17
