"""Tiny random checkpoints of the real architectures, saved as the hub has them."""

import json
import shutil

import pytest

VISION = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "image_size": 28, "patch_size": 7,
}  # fmt: skip
QFORMER = {
    "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
    "encoder_hidden_size": 20, "vocab_size": 40, "max_position_embeddings": 16,
}  # fmt: skip
OPT = {
    "model_type": "opt", "hidden_size": 16, "ffn_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "vocab_size": 40, "max_position_embeddings": 32, "word_embed_proj_dim": 16,
}  # fmt: skip


def images(**changed):
    """The settings of an image processor, as preprocessor_config.json has them."""
    return {
        "image_processor_type": "CLIPImageProcessor", "do_center_crop": True,
        "crop_size": {"height": 28, "width": 28},
        "size": {"shortest_edge": 28}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4],
    } | changed  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """Progress bars of `save_pretrained` stay off the test's output."""
    transformers = pytest.importorskip("transformers")
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture
def save_vision(tmp_path):
    """`save_vision("clip" | "siglip" | "dinov2") -> folder`: a tower of 4 x 4 patches with 16 channels."""

    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")

    def make(kind, **processor):
        folder = tmp_path / kind
        torch.manual_seed(1)
        text = {
            "vocab_size": 40, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "max_position_embeddings": 16, "eos_token_id": 2, "bos_token_id": 1,
            "pad_token_id": 0,
        }  # fmt: skip
        if kind == "clip":
            config = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)
            model = transformers.CLIPModel(config)
        elif kind == "siglip":
            model = transformers.SiglipModel(
                transformers.SiglipConfig(text_config=text, vision_config=VISION)
            )
        else:
            shape = {key: value for key, value in VISION.items() if key != "intermediate_size"}
            model = transformers.Dinov2Model(
                transformers.Dinov2Config(**shape | {"image_size": 42, "mlp_ratio": 2})
            )
        model.save_pretrained(folder)
        settings = images(**processor)
        if kind == "siglip":
            settings |= {"image_processor_type": "SiglipImageProcessor", "do_center_crop": None}
            settings |= {"size": {"height": 28, "width": 28}}
        (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def save_blip(tmp_path, make_word_tokenizer):
    """`save_blip("blip2" | "instructblip") -> folder`: 3 query tokens of width 24, cells of width 20."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")

    def make(kind):
        folder = tmp_path / kind
        torch.manual_seed(2)
        parts = {
            "vision_config": VISION,
            "qformer_config": QFORMER,
            "text_config": OPT,
            "num_query_tokens": 3,
        }
        if kind == "blip2":
            model = transformers.Blip2ForConditionalGeneration(transformers.Blip2Config(**parts))
        else:
            config = transformers.InstructBlipConfig(**parts)
            model = transformers.InstructBlipForConditionalGeneration(config)
            tokenizer = make_word_tokenizer(["is the dog red or blue ?"])
            (folder / "qformer_tokenizer").mkdir(parents=True)
            tokenizer.save(str(folder / "qformer_tokenizer" / "tokenizer.json"))
        torch.nn.init.normal_(model.query_tokens)
        model.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def make_gpt2():
    """`make_gpt2(vocabulary_size)`: a random GPT-2 of width 32 with two layers; 2 ends a text."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")

    def make(vocabulary_size):
        torch.manual_seed(4)
        config = transformers.GPT2Config(
            n_embd=32, n_layer=2, n_head=4, n_positions=256, vocab_size=vocabulary_size, eos_token_id=2,
            bos_token_id=1, pad_token_id=0, initializer_range=0.3,
        )  # fmt: skip
        return transformers.GPT2LMHeadModel(config).eval()

    return make


@pytest.fixture
def edit_weights():
    """`edit_weights(folder, change)`: rewrite model.safetensors after `change(weights)`."""
    safetensors = pytest.importorskip("safetensors.torch")

    def edit(folder, change):
        path = folder / "model.safetensors"
        weights = safetensors.load_file(path)
        change(weights)
        shutil.move(path, folder / "before")
        safetensors.save_file(weights, path, metadata={"format": "pt"})

    return edit
