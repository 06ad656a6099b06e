"""The last stages of a recipe."""

import shutil
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from gifqa.answering.bundle import KINDS, SHIPPED, Bundle
from gifqa.model.export import NEUTRAL
from gifqa.training import release


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
