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
TEXTS = [
    "Question : Answer :",
    "is the dog red or blue ?",
    "What colour is it ?",
    "Describe the GIF .",
    "yes no",
]


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
def save_vision(tmp_path, make_word_tokenizer):
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
        words = transformers.PreTrainedTokenizerFast(
            tokenizer_object=make_word_tokenizer(TEXTS),
            unk_token="<unk>",
            eos_token="<eos>",
            pad_token="<pad>",
        )
        words.save_pretrained(folder)
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


@pytest.fixture
def answer_tokenizer(make_word_tokenizer):
    """Knows the words of the questions that these models are asked."""
    return make_word_tokenizer(TEXTS)


@pytest.fixture
def make_seed(tmp_path, answer_tokenizer, save_vision, save_blip, make_gpt2):
    """`make_seed("blip2", ...)`: CLIP, a connector that goes frame by frame, GPT-2 with trained LoRA."""

    from gifqa.model.checkpoint import Checkpoint
    from gifqa.model.connectors import MLPConnector
    from gifqa.model.global_local import GlobalLocal
    from gifqa.model.hugging_face_vision import load_hugging_face_vision
    from gifqa.model.language import add_lora, load_language_model
    from gifqa.model.pretrained_qformers import load_pretrained_qformer
    from gifqa.model.vision_language_model import VisionLanguageModel

    torch = pytest.importorskip("torch")

    def make(kind="blip2", tower="clip", global_local=False):
        vision_source = str(save_vision(tower))
        vision = load_hugging_face_vision(vision_source)
        gpt2 = tmp_path / "gpt2"
        make_gpt2(answer_tokenizer.get_vocab_size()).save_pretrained(gpt2)
        torch.manual_seed(6)
        if kind == "mlp":
            connector = MLPConnector(
                vision.channels, vision.grid_size, num_frames=2, tokens_per_frame=4, hidden_size=8
            )
        else:
            source = str(save_blip(kind))
            connector = load_pretrained_qformer(kind, source, grid_channels=vision.channels, num_frames=2)
        lora = add_lora(load_language_model(str(gpt2)).requires_grad_(False), 2, 4)
        for name, value in lora.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(value, std=0.1)
        local = GlobalLocal(32, 2, connector.tokens_per_frame, 1) if global_local else None
        model = VisionLanguageModel(
            connector, torch.nn.Linear(connector.hidden_size, 32), None, lora, global_local=local, hint=False
        )
        return Checkpoint(
            "gifqa-seed",
            "0.1",
            model.eval(),
            answer_tokenizer,
            vision,
            2,
            vision_source,
            language_source=str(gpt2),
        )

    return make


@pytest.fixture
def lite(answer_tokenizer, make_language_model, save_vision):
    """A Q-Former from scratch that reads a text tower, an answer head, heads that choose keyframes."""
    from gifqa.model.checkpoint import Checkpoint
    from gifqa.model.dual_encoder import DualEncoderHeads
    from gifqa.model.hugging_face_vision import load_hugging_face_vision
    from gifqa.model.qformer import QFormer, QFormerConfig
    from gifqa.model.qformer_heads import AnswerHead, LanguageProjection
    from gifqa.model.text import TextTower
    from gifqa.model.vision_language_model import VisionLanguageModel

    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")

    vision_source = str(save_vision("dinov2"))
    vision = load_hugging_face_vision(vision_source)
    config = transformers.BertConfig(
        vocab_size=answer_tokenizer.get_vocab_size(), hidden_size=12, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, max_position_embeddings=16,
    )  # fmt: skip
    torch.manual_seed(7)
    text = TextTower(transformers.BertModel(config, add_pooling_layer=False)).eval()
    shape = QFormerConfig(
        grid_channels=16, grid_size=16, text_size=12, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_query_tokens=3, max_frames=2,
    )  # fmt: skip
    model = VisionLanguageModel(
        QFormer(shape),
        LanguageProjection(16, 32, 0.7),
        AnswerHead(16, torch.randn(2, 12)),
        make_language_model(answer_tokenizer.get_vocab_size()),
    )
    return Checkpoint(
        "gifqa-lite", "0.1", model.eval(), answer_tokenizer, vision, 2, vision_source, text=text,
        text_tokenizer=answer_tokenizer, answers=("red", "blue"),
        dual_encoder=DualEncoderHeads(16, 16, 12).eval(),
    )  # fmt: skip
