"""The benchmark's arithmetic, on photos of one colour whose right segment is certain."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLOURS = ["red", "green", "blue", "yellow", "magenta", "cyan"]


@pytest.fixture
def benchmark(script, colour_embedder, monkeypatch):
    module = script("keyframes")
    monkeypatch.setattr(module, "load_encoder", lambda model: colour_embedder)
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


def test_known_colours_give_known_figures(run_script, benchmark, photos: Path, colour_embedder):
    """CLIP-Cut is always right; three even frames of six segments are right for exactly half of them."""
    files = ["--photos", photos, "--captions", photos / "captions.jsonl", "--json", photos / "out.json"]
    shown = run_script("keyframes", *files, "--gifs", "2", "--side", "32")
    report = json.loads((photos / "out.json").read_text())
    assert report["encoder"] == colour_embedder.name
    assert [row["questions"] for row in report["rows"]] == ["caption", "wh", "human"]
    for row in report["rows"]:
        assert row["num_questions"] == 12
        assert 6 <= row["frames_embedded"]["clip-cut"] <= row["frames_embedded"]["original"] <= 24
        assert row["recall"]["clip-cut"] == {"value": 1.0, "ci95": [1.0, 1.0]}
        assert row["recall"]["uniform"]["value"] == 0.5
        assert row["clip_cut_over_uniform"]["value"] == 2.0
        chance = 1 - (5 / 6) ** 3
        assert row["recall"]["random"]["value"] == pytest.approx(chance, abs=0.15)
    assert "human (12)" in shown
    assert "2.00" in shown


def test_each_segment_shows_its_own_photo(benchmark, photos: Path):
    import random

    frames = benchmark.compose([photos / f"{colour}.png" for colour in COLOURS], 8, 32, random.Random(0))
    assert frames.duration_seconds == pytest.approx(4.8)
    segment_of = (frames.pts_seconds / 0.8 + 1e-6).astype(int)
    for segment, strong in [(0, 0), (2, 2)]:
        means = frames.pixels[segment_of == segment].mean(axis=(0, 1, 2))
        assert means[strong] > 200
        assert means.sum() - means[strong] < 100


def test_a_split_with_too_few_photos_is_named(run_script, benchmark, photos: Path):
    files = ["--photos", photos, "--captions", photos / "captions.jsonl"]
    with pytest.raises(SystemExit, match=r"has fewer than 6 photos of the split train; .*lower --segments"):
        run_script("keyframes", *files, "--split", "train")
