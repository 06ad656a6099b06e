import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.model.hugging_face_vision import load_hugging_face_vision  # noqa: E402

KINDS = ("clip", "siglip", "dinov2")
PIXELS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), np.uint8))


@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_is_the_patches_in_reading_order(kind, save_vision):
    tower = load_hugging_face_vision(str(save_vision(kind)))
    grid, pooled = tower(PIXELS)

    assert (tower.channels, tower.grid_size, tower.image_size) == (16, 16, 28)
    assert grid.shape == (3, 16, 16)
    assert pooled.shape == (3, tower.pooled_size)
    assert tower.pooled_size == (12 if kind == "clip" else 16)
    assert not any(value.requires_grad for value in tower.parameters())
    changed = PIXELS.clone()
    changed[:, 7:14, 21:28] = 255 - changed[:, 7:14, 21:28]  # the patch of row 1, column 3
    difference = (tower(changed)[0] - grid).abs().sum(-1).mean(0)
    assert difference.argmax() == 7


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_the_pooled_vector_is_what_the_whole_model_compares_with_texts(kind, save_vision):
    folder = save_vision(kind)
    tower = load_hugging_face_vision(str(folder))
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    inputs = processor(images=list(PIXELS.numpy()), return_tensors="pt", input_data_format="channels_last")
    with torch.no_grad():
        output = model.get_image_features(**inputs)
    expected = getattr(output, "pooler_output", output)

    torch.testing.assert_close(tower.pixel_values(PIXELS), inputs["pixel_values"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tower(PIXELS)[1], expected, atol=1e-5, rtol=1e-5)


def test_red_is_the_first_channel():
    pytest.importorskip("transformers")
    from gifqa.model.hugging_face_vision import HuggingFaceVision

    tower = HuggingFaceVision("dinov2", torch.nn.Linear(1, 1), None, 4, [0.0] * 3, [1.0] * 3)
    pixels = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    pixels[..., 0] = 255

    assert tower.pixel_values(pixels)[0, :, 0, 0].tolist() == [1, 0, 0]


def test_a_wide_picture_is_squashed_whole(save_vision):
    tower = load_hugging_face_vision(str(save_vision("clip")))
    wide = torch.zeros(1, 28, 112, 3, dtype=torch.uint8)
    wide[:, :, :28] = 255  # the left quarter, which a crop of the centre would lose
    bright = tower.pixel_values(wide)[0, 0, 14]

    assert bright.shape == (28,)
    assert bright[:6].min() > bright[8:].max()


def test_training_leaves_a_frozen_tower_in_evaluation_mode(save_vision):
    tower = load_hugging_face_vision(str(save_vision("clip")))

    assert not any(module.training for module in tower.train().modules())


def test_a_model_of_another_kind_is_refused(save_blip):
    with pytest.raises(
        CheckpointError, match="is a blip-2 model; a vision tower is one of clip, siglip, dinov2"
    ):
        load_hugging_face_vision(str(save_blip("blip2")))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"the vision tower .* cannot be loaded"):
        load_hugging_face_vision(str(tmp_path))


def test_missing_weights_are_named(save_vision, edit_weights):
    folder = save_vision("clip")
    edit_weights(folder, lambda weights: weights.pop("visual_projection.weight"))

    with pytest.raises(CheckpointError, match=r"lacks visual_projection\.weight; every weight must be"):
        load_hugging_face_vision(str(folder))


def test_a_processor_of_another_size_is_refused(save_vision):
    folder = save_vision("clip", crop_size={"height": 35, "width": 35})

    with pytest.raises(CheckpointError, match="makes pictures of 35 pixels, but the model reads 28"):
        load_hugging_face_vision(str(folder))
