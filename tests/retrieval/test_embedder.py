import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gifqa.errors import CheckpointError, MissingExtra
from gifqa.retrieval.embedder import HuggingFaceEncoder, unit_rows

WORDS = ["<unk>", "<bos>", "<eos>", "red", "green", "blue", "a", "dog", "cat", "is", "there"]
TEXT_LENGTH = 12


def test_unit_rows_have_length_one_and_zeros_stay_zero():
    rows = unit_rows(np.array([[3, 4], [0, 0], [1e-9, 0]]))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [1, 0]], atol=1e-6)


def test_without_torch_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match=r'pip install "gifqa\[hf\]"'):
        HuggingFaceEncoder("openai/clip-vit-base-patch32")


def tiny_tokenizer(transformers: Any) -> Any:
    """One token a word, `<bos>` before and `<eos>` after, as CLIP's."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<bos>", eos_token="<eos>", pad_token="<eos>"
    )


def save_clip(folder: Path) -> Path:
    """A random CLIP of two layers with its processor, as `save_pretrained` writes them."""
    import torch
    import transformers

    torch.manual_seed(0)
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {
        "vocab_size": len(WORDS),
        "max_position_embeddings": TEXT_LENGTH,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    config = transformers.CLIPConfig(
        text_config=shared | text,
        vision_config=shared | {"image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    transformers.CLIPModel(config).save_pretrained(folder)
    images = transformers.CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    transformers.CLIPProcessor(images, tiny_tokenizer(transformers)).save_pretrained(folder)
    return folder


def save_siglip(folder: Path) -> Path:
    """A random SigLIP of two layers with its processor."""
    import torch
    import transformers

    torch.manual_seed(0)
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(WORDS), "max_position_embeddings": TEXT_LENGTH, "projection_size": 16}
    config = transformers.SiglipConfig(
        text_config=shared | text, vision_config=shared | {"image_size": 32, "patch_size": 8}
    )
    transformers.SiglipModel(config).save_pretrained(folder)
    images = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    transformers.SiglipProcessor(images, tiny_tokenizer(transformers)).save_pretrained(folder)
    return folder


@pytest.fixture(params=[save_clip, save_siglip], ids=["clip", "siglip"])
def checkpoint(request, tmp_path: Path) -> Path:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    save: Callable[[Path], Path] = request.param
    return save(tmp_path / "model")


@pytest.fixture
def some_frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), dtype=np.uint8)


@pytest.mark.slow
def test_frames_and_texts_are_unit_vectors_of_one_space(checkpoint: Path, some_frames: np.ndarray):
    encoder = HuggingFaceEncoder(checkpoint)
    frames = encoder.encode_frames(some_frames)
    texts = encoder.encode_texts(["a red dog", "there is a cat"])
    assert frames.grid is None
    assert frames.embeddings.dtype == texts.dtype == np.float32
    assert len(frames.embeddings) == 5
    assert len(texts) == 2
    assert frames.embeddings.shape[1] == texts.shape[1]
    np.testing.assert_allclose(np.linalg.norm(frames.embeddings, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    assert np.abs(frames.embeddings[0] - frames.embeddings[1]).max() > 1e-4
    assert np.abs(texts[0] - texts[1]).max() > 1e-4


@pytest.mark.slow
def test_it_gives_what_the_model_gives_by_its_own_processor(checkpoint: Path, some_frames: np.ndarray):
    """The reference is the whole processor and `forward`, on PIL images, by the model's own normalisation."""
    import torch
    import transformers
    from PIL import Image

    model = transformers.AutoModel.from_pretrained(checkpoint).eval()
    processor = transformers.AutoProcessor.from_pretrained(checkpoint)
    texts = ["a red dog", "there is a blue cat"]
    inputs = processor(
        text=texts,
        images=[Image.fromarray(frame) for frame in some_frames],
        padding="max_length",
        max_length=TEXT_LENGTH,
        return_tensors="pt",
    )
    with torch.inference_mode():
        output = model(**inputs)
    encoder = HuggingFaceEncoder(checkpoint)
    np.testing.assert_allclose(
        encoder.encode_frames(some_frames).embeddings, output.image_embeds.numpy(), atol=1e-5
    )
    np.testing.assert_allclose(encoder.encode_texts(texts), output.text_embeds.numpy(), atol=1e-5)


@pytest.mark.slow
def test_batched_is_single(checkpoint: Path, some_frames: np.ndarray):
    together = HuggingFaceEncoder(checkpoint, batch_size=16)
    apart = HuggingFaceEncoder(checkpoint, batch_size=2)
    np.testing.assert_allclose(
        together.encode_frames(some_frames).embeddings, apart.encode_frames(some_frames).embeddings, atol=1e-5
    )
    texts = ["a dog", "there is a red cat"]
    singly = np.concatenate([together.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(together.encode_texts(texts), singly, atol=1e-5)


@pytest.mark.slow
def test_red_is_the_first_channel_at_the_vision_model(checkpoint: Path, monkeypatch):
    """The original gave CLIP its frames with red and blue swapped."""
    encoder = HuggingFaceEncoder(checkpoint)
    seen = []
    get_image_features = encoder._model.get_image_features
    monkeypatch.setattr(
        encoder._model,
        "get_image_features",
        lambda pixel_values: seen.append(pixel_values) or get_image_features(pixel_values=pixel_values),
    )
    red = np.zeros((1, 40, 40, 3), np.uint8)
    red[..., 0] = 255
    encoder.encode_frames(red)
    red_mean, green_mean, blue_mean = seen[0][0].mean(dim=(1, 2)).tolist()
    assert red_mean > max(green_mean, blue_mean)


@pytest.mark.slow
def test_a_text_longer_than_the_model_reads_is_cut(checkpoint: Path):
    """The original raised on a question of more than 77 tokens."""
    encoder = HuggingFaceEncoder(checkpoint)
    long, cut = encoder.encode_texts(["red " * 500, "red " * (TEXT_LENGTH - 2)])
    np.testing.assert_allclose(long, cut, atol=1e-6)


@pytest.mark.slow
def test_the_name_changes_with_the_weights(checkpoint: Path):
    import torch
    from safetensors.torch import load_file, save_file

    name = HuggingFaceEncoder(checkpoint).name
    assert name == HuggingFaceEncoder(str(checkpoint)).name
    assert name.startswith(f"hf:{checkpoint}@")
    weights = load_file(checkpoint / "model.safetensors")
    weights["extra"] = torch.zeros(64)
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    assert HuggingFaceEncoder(checkpoint).name != name


@pytest.mark.slow
def test_a_checkpoint_without_some_weights_is_refused(checkpoint: Path):
    from safetensors.torch import load_file, save_file

    weights = load_file(checkpoint / "model.safetensors")
    lost = next(name for name in sorted(weights) if name.startswith("text_model.encoder"))
    del weights[lost]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 weights, text_model.encoder.* none may be missing"):
        HuggingFaceEncoder(checkpoint)


@pytest.mark.slow
def test_what_is_no_model_is_refused_in_one_line(tmp_path: Path):
    pytest.importorskip("torch")
    with pytest.raises(
        CheckpointError, match=r"cannot be loaded: .* Give the id or folder of a CLIP or SigLIP"
    ) as info:
        HuggingFaceEncoder(tmp_path)
    assert "\n" not in str(info.value)


@pytest.mark.slow
def test_a_model_without_images_is_refused(tmp_path: Path):
    pytest.importorskip("torch")
    import transformers

    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    transformers.BertModel(config).save_pretrained(tmp_path)
    tiny_tokenizer(transformers).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is a bert model; an encoder must embed images and texts"):
        HuggingFaceEncoder(tmp_path)
