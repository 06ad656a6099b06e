"""The last stages of a recipe."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from gifqa.answering.bundle import KINDS, SHIPPED, Bundle
from gifqa.answering.lite import Opinions
from gifqa.model.export import NEUTRAL
from gifqa.training import release
from gifqa.training.calibration import Judged
from gifqa.training.data.samples import Sample
from gifqa.training.starting import CALIBRATION


@pytest.mark.parametrize("start", [Bundle(), None])
def test_what_validation_does_not_ask_keeps_the_calibration_of_the_start(monkeypatch, tmp_path, start):
    shutil.copytree(SHIPPED, tmp_path / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(release, "load_heads", lambda run: None)
    monkeypatch.setattr(release, "calibration_samples", lambda run: {kind: [] for kind in KINDS})
    if start:
        values = {kind: one.model_dump() for kind, one in start.config.calibration.items()}
        (tmp_path / CALIBRATION).write_text(json.dumps(values))
    recipe = SimpleNamespace(language=SimpleNamespace(num_frames=4))
    run = SimpleNamespace(folder=tmp_path, recipe=recipe, store=None)

    assert release.calibrate(run) == {}

    expected = Bundle().config.calibration if start else dict.fromkeys(KINDS, NEUTRAL)
    assert Bundle(tmp_path / "bundle").config.calibration == expected


def test_questions_that_only_point_are_calibrated_by_themselves():
    questions = [("Is this a church?", "no"), ("Is the dog brown?", "yes"), ("Is this red?", "a bit")]
    asked = [Sample("a.jpg", question, answer, "vqa2-yn", "yes/no") for question, answer in questions]
    groups = {"caption-yes/no": [], "caption-open": [], "visual7w": [], "vqa2-yn": asked}
    validation = SimpleNamespace(by_source=lambda: groups)
    recipe = SimpleNamespace(validation=SimpleNamespace(seed=0))
    store = SimpleNamespace(is_clip=lambda name: False)
    found = release.calibration_samples(SimpleNamespace(seen={"val": validation}, recipe=recipe, store=store))

    assert set(found) == set(KINDS)
    assert [sample.question for sample in found["is this"]] == ["Is this a church?"]
    assert [sample.question for sample in found["yes/no"]] == ["Is the dog brown?"]


@pytest.mark.parametrize(
    ("clips", "photos", "expected"),
    [(5, 900, (5, 595)), (900, 900, (300, 300)), (900, 10, (590, 10)), (3, 4, (3, 4))],
)
def test_half_of_the_questions_are_about_clips_if_there_are_so_many(clips, photos, expected):
    names = [f"{place}.gif" for place in range(clips)] + [f"{place}.jpg" for place in range(photos)]
    samples = [Sample(name, "What is it?", "dog", "caption-open", "animal") for name in names]
    store = SimpleNamespace(is_clip=lambda name: name.endswith(".gif"))
    groups = {"caption-yes/no": [], "caption-open": samples, "visual7w": [], "vqa2-yn": []}
    validation = SimpleNamespace(by_source=lambda: groups)
    recipe = SimpleNamespace(validation=SimpleNamespace(seed=0))
    run = SimpleNamespace(seen={"val": validation}, recipe=recipe, store=store)
    drawn = [sample.picture for sample in release.calibration_samples(run)["open"]]

    assert (
        sum(name.endswith(".gif") for name in drawn),
        sum(name.endswith(".jpg") for name in drawn),
    ) == expected
    assert len(set(drawn)) == len(drawn)


def test_without_questions_that_point_they_are_weighed_as_other_yes_no_ones(monkeypatch, tmp_path):
    shutil.copytree(SHIPPED, tmp_path / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    opinions = Opinions("yes/no", ("yes", "no"), *np.log([[0.8, 0.2]] * 2), np.zeros(2))
    asked = {kind: ["?"] * (kind == "yes/no") for kind in KINDS}
    monkeypatch.setattr(release, "load_heads", lambda run: None)
    monkeypatch.setattr(release, "calibration_samples", lambda run: asked)
    monkeypatch.setattr(release, "judge", lambda *args: [Judged(opinions, 0)] if args[3] else [])
    recipe = SimpleNamespace(language=SimpleNamespace(num_frames=4))
    release.calibrate(SimpleNamespace(folder=tmp_path, recipe=recipe, store=None))
    found = Bundle(tmp_path / "bundle").config.calibration

    assert found["is this"] == found["yes/no"] != NEUTRAL
    assert found["open"] == found["options"] == NEUTRAL
