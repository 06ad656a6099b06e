"""The table of baselines from annotations to Markdown, on pictures of one colour."""

import json
import shutil

import pytest


@pytest.fixture
def data(tiny_data, make_gif, tmp_path):
    """The tiny photos, and train and test clips whose colour changes from frame to frame, in one folder."""
    folder = tmp_path / "data"
    (folder / "photos" / "images").mkdir(parents=True)
    (folder / "clips").mkdir()
    shutil.copy(tiny_data.photo_annotations, folder / "photos" / "captions.jsonl")
    for path in tiny_data.photos.iterdir():
        shutil.copy(path, folder / "photos" / "images")
    clips, pairs = [], []
    for name, split in (("p", "test"), ("q", "test"), ("r", "train")):
        make_gif(["red", "green", "blue"], name=f"{name}.gif").rename(folder / "clips" / f"{name}.gif")
        clips.append({"clip": f"{name}.gif", "split": split})
        rows = [("What colour is it when it is red?", "red", "colour", "rules/colour")]
        rows += [
            (f"Is it {c}?", a, "yes/no", "rules/colour-swap") for c, a in (("red", "yes"), ("pink", "no"))
        ]
        for question, answer, kind, maker in rows:
            names = ("gif", "split", "question", "answer", "answer_type", "generator")
            values = (f"{name}.gif", split, question, answer, kind, maker)
            pairs.append(dict(zip(names, values, strict=True)))
    for path, records in ((folder / "clips" / "clips.jsonl", clips), (folder / "pairs.jsonl", pairs)):
        path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def stand_in_models(monkeypatch, colour_embedder, fake_answerer):
    from gifqa.answering.models import Models

    def models(model, **_):
        return Models(model, encoder=colour_embedder, answerer=fake_answerer)

    monkeypatch.setattr("gifqa.pipeline.Models", models)


def flags(data, tmp_path):
    return ("--data", data, "--pairs", data / "pairs.jsonl", "--output", tmp_path / "runs")


def test_every_baseline_has_a_figure_with_its_interval(data, run_script, tmp_path):
    out = run_script("baselines", *flags(data, tmp_path), "--markdown", "-", "--json", tmp_path / "o.json")
    figures = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    accuracy = figures["accuracy"]
    assert list(accuracy) == [
        "photos, choice",
        "photos, open",
        "photos, yes/no",
        "clips, open",
        "clips, yes/no",
    ]
    assert len(accuracy["clips, open"]) == 11
    assert set(accuracy["photos, open"]) & {"uniform-frames", "middle-frame"} == set()
    assert accuracy["photos, open"]["model"]["value"] == 1.0
    assert accuracy["photos, choice"]["random"]["value"] == 0.25
    assert accuracy["clips, open"]["model"] == {"value": 1.0, "ci95": [1.0, 1.0]}
    assert accuracy["clips, open"]["middle-frame"]["value"] == 0.0  # green, and the question is about red
    assert figures["ahead"]["clips, open"]["middle-frame"]["value"] == 1.0
    behind = figures["ahead"]["photos, choice"]["random"]  # options have a full stop and are not known
    assert behind == {"value": -0.25, "ci95": [-0.25, -0.25]}
    assert "| lite, the middle frame alone | – | – | – | 0.0 [0.0, 0.0] |" in out
    assert "| How far" not in out
    assert "**How far lite is ahead**" in out
    assert (tmp_path / "runs" / "clips-yes-no" / "blank-frame" / "report.html").is_file()


def test_a_limit_draws_the_same_questions_for_every_way_and_a_finished_table_asks_nothing(
    data, run_script, tmp_path, fake_answerer
):
    words = (*flags(data, tmp_path), "--limit", 2, "--seed", 3, "--markdown", "-")
    first = run_script("baselines", *words)
    fake_answerer.calls.clear()
    assert run_script("baselines", *words) == first
    assert fake_answerer.calls == []
    asked = [
        [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]
        for path in sorted((tmp_path / "runs" / "photos-choice").glob("*/predictions.jsonl"))
    ]
    assert len(asked) == 7
    assert all(len(ids) == 2 and sorted(ids) == sorted(asked[0]) for ids in asked)


def test_a_split_without_questions_is_one_line(data, run_script, tmp_path):
    with pytest.raises(
        SystemExit, match=r"--split is val, and neither .* has questions of both it and train"
    ):
        run_script("baselines", *flags(data, tmp_path), "--split", "val")
