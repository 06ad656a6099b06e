"""The captions benchmark on photos of one colour."""

import json

import pytest


def flags(tiny_data, tmp_path):
    return [
        "--photos",
        tiny_data.photos,
        "--captions",
        tiny_data.photo_annotations,
        "--output",
        tmp_path / "run",
    ]


def test_the_benchmark_describes_scores_and_writes(run_script, tiny_data, tmp_path, fake_qa):
    out = tmp_path / "out.json"

    shown = run_script("captions", *flags(tiny_data, tmp_path), "--json", out)
    report = json.loads(out.read_text())
    (row,) = report["rows"]

    assert report["num_photos"] == 4
    # "a red screen" is a reference word by word
    assert row["scores"]["bleu_1"]["value"] == pytest.approx(1.0)
    assert row["scores"]["rouge_l"]["value"] == pytest.approx(1.0)
    assert (row["distinct_share"], row["mean_words"], row["num_empty"]) == (3 / 4, 3.0, 0)
    assert "BLEU-4" in shown and "CIDEr-D" in shown


def test_other_captions_stand_beside_the_model(run_script, tiny_data, tmp_path, fake_qa):
    out = tmp_path / "out.json"
    other = tmp_path / "other.jsonl"
    rows = [{"id": image, "answer": "a screen"} for image in ("a.png", "b.png", "c.png")]
    other.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"id": "d.png", "error": "no"}]))

    run_script("captions", *flags(tiny_data, tmp_path), "--json", out, "--predictions", f"other={other}")
    model, beside = json.loads(out.read_text())["rows"]

    assert beside["name"] == "other" and beside["num_empty"] == 1
    assert beside["scores"]["bleu_1"]["value"] < model["scores"]["bleu_1"]["value"]
    other.write_text(json.dumps(rows[0]))
    with pytest.raises(SystemExit, match=r"3 of 4 photos have no line, b.png first"):
        run_script("captions", *flags(tiny_data, tmp_path), "--predictions", f"other={other}")


def test_a_second_run_describes_nothing_again(run_script, tiny_data, tmp_path, fake_qa):
    run_script("captions", *flags(tiny_data, tmp_path), "--limit", 2)
    assert len(fake_qa.calls) == 2

    run_script("captions", *flags(tiny_data, tmp_path))
    assert len(fake_qa.calls) == 4


def test_a_split_without_captions_is_an_error(run_script, tiny_data, tmp_path):
    with pytest.raises(SystemExit, match="no captioned photo of the split val of flickr8k"):
        run_script("captions", *flags(tiny_data, tmp_path), "--split", "val")


def test_without_nltk_there_is_no_meteor(script, monkeypatch):
    from gifqa.errors import MissingExtra
    from gifqa.evaluation import wordnet

    def missing(*_):
        raise MissingExtra("nltk")

    monkeypatch.setattr(wordnet, "require", missing)

    assert script("captions").find_wordnet() is None
