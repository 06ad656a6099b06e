"""The benchmark's arithmetic, on photos of one colour whose right segment is certain."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "keyframes.py"
COLOURS = ["red", "green", "blue", "yellow", "magenta", "cyan"]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keyframes_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    slope = np.linspace(0, 40, 64).astype(np.uint8)[None, :, None]  # or all frames of a segment were one
    for colour in COLOURS:
        plain = np.asarray(Image.new("RGB", (64, 64), colour if colour != "green" else "lime"))
        Image.fromarray(np.abs(plain.astype(np.int16) - slope).astype(np.uint8)).save(
            tmp_path / f"{colour}.png"
        )
    records = [
        {
            "image": f"{colour}.png",
            "split": "test",
            "captions": [f"A {colour} wall."],
            "qa": [[f"Is the wall {colour}?", "yes"], ["rephrased", "yes"], ["When was this taken?", "?"]],
            "qa_source": ["visual7w", "vqa2-yn", "visual7w"],
        }
        for colour in COLOURS
    ]
    records.append(records[0] | {"split": "train"})
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


def test_known_colours_give_known_figures(benchmark, photos: Path, colour_embedder, monkeypatch, capsys):
    """CLIP-Cut is always right; three even frames of six segments are right for exactly half of them."""
    monkeypatch.setattr(benchmark, "load_encoder", lambda model: colour_embedder)
    arguments = ["--photos", photos, "--captions", photos / "captions.jsonl", "--json", photos / "out.json"]
    monkeypatch.setattr(sys, "argv", ["keyframes.py", *map(str, arguments), "--gifs", "2", "--side", "32"])
    benchmark.main()
    report = json.loads((photos / "out.json").read_text())
    assert report["encoder"] == colour_embedder.name
    assert [row["questions"] for row in report["rows"]] == ["caption", "wh", "human"]
    for row in report["rows"]:
        assert row["num_questions"] == 12
        assert row["recall"]["clip-cut"] == {"value": 1.0, "ci95": [1.0, 1.0]}
        assert row["recall"]["uniform"]["value"] == 0.5
        assert row["clip_cut_over_uniform"]["value"] == 2.0
        chance = 1 - (5 / 6) ** 3
        assert row["recall"]["random"]["value"] == pytest.approx(chance, abs=0.15)
    table = capsys.readouterr().out
    assert "human (12)" in table
    assert "2.00" in table


def test_each_segment_shows_its_own_photo(benchmark, photos: Path):
    import random

    frames = benchmark.compose([photos / f"{colour}.png" for colour in COLOURS], 8, 32, random.Random(0))
    assert frames.duration_seconds == pytest.approx(4.8)
    segment_of = (frames.pts_seconds / 0.8 + 1e-6).astype(int)
    for segment, strong in [(0, 0), (2, 2)]:
        means = frames.pixels[segment_of == segment].mean(axis=(0, 1, 2))
        assert means[strong] > 200
        assert means.sum() - means[strong] < 100


def test_a_split_with_too_few_photos_is_named(benchmark, photos: Path, colour_embedder, monkeypatch):
    monkeypatch.setattr(benchmark, "load_encoder", lambda model: colour_embedder)
    arguments = ["--photos", photos, "--captions", photos / "captions.jsonl", "--split", "train"]
    monkeypatch.setattr(sys, "argv", ["keyframes.py", *map(str, arguments)])
    with pytest.raises(SystemExit, match="has fewer than 6 photos of the split 'train'"):
        benchmark.main()
