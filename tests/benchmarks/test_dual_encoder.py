"""The benchmark of the dual encoder, on vectors and colours whose ranks are known."""

import json

import numpy as np
import pytest


@pytest.fixture
def module(script):
    return script("dual_encoder")


def test_ranks_count_what_scores_higher(module):
    photos = np.eye(3, dtype=np.float32)
    texts = np.array([[1, 0, 0], [0.5, 0.4, 0], [0.2, 0.1, 0.3]], np.float32)
    owners = np.array([0, 1, 2])

    assert module.ranks_of_photos(texts, photos, owners).tolist() == [0, 1, 0]
    assert module.ranks_of_captions(texts, photos, owners).tolist() == [0, 0, 0]
    assert module.ranks_of_captions(texts[::-1], photos, owners).tolist() == [2, 0, 2]  # the last ties at 0


def test_the_best_of_its_own_captions_counts_for_a_photo(module):
    photos = np.eye(2, dtype=np.float32)
    texts = np.array([[0.1, 0.9], [0.8, 0], [0.5, 0.5]], np.float32)

    assert module.ranks_of_captions(texts, photos, np.array([0, 0, 1])).tolist() == [0, 1]


def test_an_encoder_that_sees_no_difference_finds_nothing(module):
    same = np.ones((4, 2), np.float32)
    owners = np.arange(4)

    assert module.ranks_of_photos(same, same, owners).tolist() == [3, 3, 3, 3]
    assert module.ranks_of_captions(same, same, owners).tolist() == [3, 3, 3, 3]


def test_the_benchmark_ranks_and_writes(
    run_script, module, tiny_data, tmp_path, colour_embedder, monkeypatch
):
    monkeypatch.setattr(module, "load_encoder", lambda model: colour_embedder)
    out = tmp_path / "out.json"

    shown = run_script(
        "dual_encoder", "--photos", tiny_data.photos, "--captions", tiny_data.photo_annotations, "--json", out
    )
    report = json.loads(out.read_text())
    by_text, by_image = report["rows"]

    assert (report["num_photos"], report["num_captions"]) == (4, 8)
    # Two of the four photos are red: their captions find both, and the tie counts against the encoder.
    assert by_text["recall"]["1"]["value"] == by_image["recall"]["1"]["value"] == 0.5
    assert by_text["recall"]["5"]["value"] == 1.0
    assert "text → image" in shown and "median rank" in shown
