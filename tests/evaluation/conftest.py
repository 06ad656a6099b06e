"""Tiny benchmarks in the published formats, and a run on coloured GIFs whose right answers are known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(name, text_or_value)`: a file with that text, or that value as JSON; folders are made."""

    def make(name: str, content: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return make


@pytest.fixture
def write_table(write: Write) -> Write:
    """`write_table(name, "a b c", rows, mark)`: a table with these columns, by default separated by tabs."""

    def make(name: str, columns: str, rows: list[tuple[Any, ...]], mark: str = "\t") -> Path:
        lines = [mark.join(columns.split()), *(mark.join(map(str, row)) for row in rows)]
        return write(name, "\n".join(lines) + "\n")

    return make


FRAMEQA = "gif_name question answer type vid_id key description"
ACTION = "gif_name question a1 a2 a3 a4 a5 answer vid_id key"
COUNT = "gif_name question answer vid_id key"


@pytest.fixture
def frameqa(write_table: Write) -> Path:
    """Six frame questions about three coloured GIFs; the fake answerer gets the first four right."""
    rows = [
        ("red_gif", "what is the color of the screen ?", "red", 2, "FRAMEQA1", 1, "a red screen"),
        ("red_gif", "what is shown in red ?", "red", 0, "FRAMEQA2", 1, "a red screen"),
        ("blue_gif", "what is the color of the screen ?", "Blue", 2, "FRAMEQA3", 2, "a blue screen"),
        ("green_gif", "what is the color of the screen ?", "green", 2, "FRAMEQA4", 3, "a green screen"),
        ("green_gif", "how many screens are green ?", "one", 1, "FRAMEQA5", 3, "a green screen"),
        ("green_gif", "where is the screen ?", "wall", 3, "FRAMEQA6", 3, "a green screen"),
    ]
    return write_table("Test_frameqa_question.csv", FRAMEQA, rows)


@pytest.fixture
def gifs(make_gif: Any, tmp_path: Path) -> Path:
    """The folder with the GIFs of `frameqa`."""
    folder = tmp_path / "gifs"
    folder.mkdir()
    for place, colour in enumerate(("red", "green", "blue")):
        shades = [tuple(level * (channel == place) for channel in range(3)) for level in (255, 220, 185)]
        make_gif(shades, name=f"{colour}_gif.gif").rename(folder / f"{colour}_gif.gif")
    return folder


@pytest.fixture
def make_qa(colour_embedder: Any, fake_answerer: Any) -> Callable[..., Any]:
    """Makes the pipeline on the stand-in models, as `run_evaluation(make_qa=)` takes it."""

    def make(clip_cut: Any) -> Any:
        from gifqa.pipeline import GifQA

        return GifQA("lite", clip_cut=clip_cut, encoder=colour_embedder, answerer=fake_answerer)

    return make


@pytest.fixture
def config(frameqa: Path, gifs: Path, tmp_path: Path) -> Callable[..., Any]:
    """`config(**changes)`: an evaluation of the lite model on `frameqa` in small shards."""

    def make(**changes: Any) -> Any:
        from gifqa.evaluation.config import EvaluationConfig

        settings = {
            "benchmark": "tgif-qa/frameqa",
            "annotations": frameqa,
            "media": gifs,
            "model": "lite",
            "output": tmp_path / "run",
            "num_resamples": 50,
            "shard_size": 2,
        }
        return EvaluationConfig(**{**settings, **changes})

    return make
