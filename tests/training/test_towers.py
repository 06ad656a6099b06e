import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from PIL import Image  # noqa: E402

from gifqa.errors import ConfigError  # noqa: E402
from gifqa.model import vision  # noqa: E402
from gifqa.prompt import DESCRIBE_QUESTION  # noqa: E402
from gifqa.training.data.samples import Annotations, Sample  # noqa: E402
from gifqa.training.towers import fit_tower, save_tower, texts_of  # noqa: E402


@pytest.fixture
def tower(tiny_backbone, monkeypatch):
    monkeypatch.setattr(vision, "HEAD_CHANNELS", 24)
    return vision.VisionTower(tiny_backbone(24), reduced_channels=4).eval()


def test_the_exported_tower_sees_what_the_fitted_one_sees(tower, tmp_path):
    chance = np.random.default_rng(1)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        Image.fromarray(chance.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    kept = fit_tower(tower, paths, count=3, seed=0)
    save_tower(tower, tmp_path / "vision")
    session = onnxruntime.InferenceSession(str(tmp_path / "vision/tower.onnx"))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 260, 260, 3), dtype=np.uint8)
    grid, pooled = session.run(None, {"pixels": pixels})
    with torch.no_grad():
        expected_grid, expected_pooled = tower(torch.from_numpy(pixels))

    assert 0 < kept <= 1
    assert grid.shape == (3, 81, 4 + vision.SHALLOW_CHANNELS)
    np.testing.assert_allclose(grid, expected_grid.numpy(), atol=2e-3)
    np.testing.assert_allclose(pooled, expected_pooled.numpy(), atol=2e-3)
    assert (tmp_path / "vision/tower.safetensors").exists()


def test_texts_are_questions_answers_options_and_captions():
    sample = Sample("a.jpg", "What?", "dog", "visual7w", "human", ("dog", "cat", "fox", "cow"))
    found = texts_of([Annotations([sample], {"a.jpg": ("A dog.", "Dog")}), Annotations()])

    assert found == {DESCRIBE_QUESTION, "What?", "dog", "cat", "fox", "cow", "A dog.", "Dog"}


def test_photos_that_cannot_be_decoded_are_left_out_of_the_fit(tower, tmp_path):
    chance = np.random.default_rng(1)
    Image.fromarray(chance.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")

    assert 0 < fit_tower(tower, [tmp_path / "damaged.png", tmp_path / "whole.png"], count=1, seed=0) <= 1
    with pytest.raises(
        ConfigError, match=r"none of 1 training pictures can be decoded, and the vision tower"
    ):
        fit_tower(tower, [tmp_path / "damaged.png"], count=1, seed=0)
