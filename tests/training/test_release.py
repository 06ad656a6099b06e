"""The last stages of a recipe."""

import shutil
from collections import Counter
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from gifqa.answering.bundle import KINDS, SHIPPED, Bundle
from gifqa.model.export import NEUTRAL
from gifqa.training import release
from gifqa.training.data.samples import Annotations, Sample
from gifqa.training.recipe import Recipe


@pytest.mark.parametrize("start", [Bundle(), None])
def test_what_validation_does_not_ask_keeps_the_calibration_of_the_start(monkeypatch, tmp_path, start):
    shutil.copytree(SHIPPED, tmp_path / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(release, "load_heads", lambda run: None)
    monkeypatch.setattr(release, "calibration_samples", lambda run: {kind: [] for kind in KINDS})
    language = SimpleNamespace(num_frames=4)
    run = SimpleNamespace(
        folder=tmp_path,
        start=start,
        recipe=SimpleNamespace(language=language),
        store=None,
    )

    assert release.calibrate(run) == {}

    expected = Bundle().config.calibration if start else dict.fromkeys(KINDS, NEUTRAL)
    assert Bundle(tmp_path / "bundle").config.calibration == expected


def test_calibration_asks_as_many_questions_of_people_as_of_captions(monkeypatch):
    monkeypatch.setattr(release, "CALIBRATION_QUESTIONS", 10)
    made = [Sample(f"{n}.jpg", f"Is it {n}?", "yes", "caption-yes/no", "yes/no") for n in range(40)]
    asked = [Sample(f"{n}.jpg", f"Can it {n}?", "no", "vqa2-yn", "yes/no") for n in range(20)]
    unclear = [Sample("0.jpg", "Will it?", "maybe", "vqa2-yn", "yes/no")] * 20
    open_ones = [Sample("1.jpg", "What?", "cat", "caption-open", "animal") for _ in range(40)]
    choices = [
        Sample("2.jpg", f"Who {n}?", "man", "visual7w", "human", ("man", "a", "b", "c")) for n in range(3)
    ]
    seen = {"val": Annotations([*made, *asked, *unclear, *open_ones, *choices])}
    run = SimpleNamespace(seen=seen, recipe=Recipe())

    drawn = release.calibration_samples(run)

    assert Counter(sample.source for sample in drawn["yes/no"]) == {"caption-yes/no": 5, "vqa2-yn": 5}
    assert {sample.answer for sample in drawn["yes/no"]} == {"yes", "no"}
    assert Counter(sample.source for sample in drawn["open"]) == {"visual7w": 3, "caption-open": 7}
    assert not any(sample.options for sample in drawn["open"])
    assert sorted(drawn["options"], key=str) == sorted(choices, key=str)
