"""The scripts below benchmarks/ as modules, and tiny annotations whose right answers are colours."""

import importlib
import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """`script("answers")`: benchmarks/answers.py as a module, found as it is when it is run."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setenv("COLUMNS", "200")
    return importlib.import_module


@pytest.fixture
def run_script(
    script: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """`run_script("answers", "--limit", 3) -> stdout`: its `main` with that command line."""

    def call(name: str, *words: Any) -> str:
        module = script(name)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        capsys.readouterr()
        module.run(module.main)
        return capsys.readouterr().out

    return call


@pytest.fixture
def fake_qa(
    script: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, colour_embedder: Any, fake_answerer: Any
) -> Any:
    """The model of every benchmark names the colour it sees; gives the answerer with its `calls`."""
    from gifqa.pipeline import GifQA

    def load(model: str) -> tuple[GifQA, str]:
        return GifQA(encoder=colour_embedder, answerer=fake_answerer), f"{model} of colours"

    for name in ("answers", "captions"):
        monkeypatch.setattr(script(name), "load_qa", load)
    return fake_answerer


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def pair(gif: str, split: str, question: str, answer: str, kind: str = "colour") -> dict[str, Any]:
    generator = "rules/colour-swap" if kind == "yes/no" else f"rules/{kind}"
    fields = {"gif": gif, "split": split, "question": question, "answer": answer}
    return {**fields, "answer_type": kind, "generator": generator}


def photo(image: str, split: str, colour: str) -> dict[str, Any]:
    """A photo of one colour: Visual7W asks for it with options, VQA whether it is red."""
    others = [name for name in ("Red.", "Green.", "Blue.", "Yellow.") if name.lower() != f"{colour}."]
    return {
        "image": image,
        "split": split,
        "dataset": "flickr8k",
        "captions": [f"A {colour} screen.", f"The screen is {colour}."],
        "qa": [
            ["What colour is it?", f"{colour.capitalize()}."],
            ["Is it red?", "yes" if colour == "red" else "no"],
        ],
        "qa_source": ["visual7w", "vqa2"],
        "qa_wrong": [others, []],
    }


@pytest.fixture
def tiny_data(tmp_path: Path, make_gif: Callable[..., Path]) -> Namespace:
    """Test photos (red, green, blue, red), a clip, three train photos, and pairs made of their captions."""
    from PIL import Image

    photos = tmp_path / "photos"
    photos.mkdir()
    seen = {"a.png": "red", "b.png": "green", "c.png": "blue", "d.png": "red"}
    for image, colour in seen.items():
        Image.new("RGB", (20, 16), {"green": (0, 255, 0)}.get(colour, colour)).save(photos / image)
    make_gif(["yellow", "yellow"], name="clip.gif")
    train = {"x.png": "green", "y.png": "green", "z.png": "red"}
    records = [photo(image, "test", colour) for image, colour in seen.items()]
    records += [photo(image, "train", colour) for image, colour in train.items()]
    pairs = []
    for split, pictures in (("test", {**seen, "clip.gif": "yellow"}), ("train", train)):
        for image, colour in pictures.items():
            pairs.append(pair(image, split, "What color is the screen?", f"the {colour}"))
            pairs.append(pair(image, split, "What is shown?", "a screen", "object"))
            pairs.append(pair(image, split, f"Is the screen {colour}?", "yes", "yes/no"))
            pairs.append(pair(image, split, "Is the screen black?", "no", "yes/no"))
    return Namespace(
        photos=photos,
        clips=tmp_path,
        photo_annotations=write_lines(tmp_path / "photos.jsonl", records),
        clip_annotations=write_lines(tmp_path / "clips.jsonl", [{"clip": "clip.gif", "split": "test"}]),
        pairs=write_lines(tmp_path / "pairs.jsonl", pairs),
    )
