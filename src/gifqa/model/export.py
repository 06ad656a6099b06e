"""From trained weights to a bundle: ONNX graphs, word embeddings, tokenizers, config, checksums.

    vision, reader    float32 arithmetic, weights stored as float16; the reader's matrices in 8 bits
    text              8 bits; as in the reader 7 are used, since sums of products overflow without VNNI
    decoder           4 and 8 bits, by the builder of ONNX Runtime GenAI, taking `inputs_embeds`

`export_bundle` is the door; `gifqa.answering.bundle` says what each file is for.
"""

import json
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gifqa.answering.bundle import FORMAT, KINDS, LANGUAGE_MODEL, BundleConfig, Calibration, write_checksums
from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.model.language import INT4_BLOCK, INT4_PROJECTIONS
from gifqa.model.text import MAX_TEXT_TOKENS, TextTower
from gifqa.model.vision import IMAGE_SIZE, VisionTower

OPSET = 17
NEUTRAL = Calibration(head_weight=1.0, language_weight=1.0, fit_weight=0.0, slope=1.0, offset=0.0)
"""Before calibration: head and decoder count alike."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """Everything that a bundle is made of."""

    vision: VisionTower
    text: TextTower
    text_tokenizer: Any
    dual_encoder: DualEncoderHeads
    answerer: Any
    """A `VisionLanguageModel` with a `QFormer` and an answer head; its language model has LoRA merged."""
    language_folder: Path
    """Where config.json and tokenizer.json of the language model are."""
    answers: Sequence[str]
    references: Tensor
    """Dual-encoder vectors of some training photos, (R, D): what a statement's fit is compared with."""


class _Vision(nn.Module):
    def __init__(self, tower: VisionTower, heads: DualEncoderHeads) -> None:
        super().__init__()
        self.tower, self.heads = tower, heads

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        grid, pooled = self.tower(pixels)
        return grid, self.heads.encode_frames(grid, pooled)


class _Text(nn.Module):
    def __init__(self, tower: TextTower, heads: DualEncoderHeads) -> None:
        super().__init__()
        self.tower, self.heads = tower, heads

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        states, sentence = self.tower(input_ids, attention_mask)
        return states, sentence, self.heads.encode_texts(sentence)


class _Reader(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, grid: Tensor, frame_mask: Tensor, question: Tensor, question_mask: Tensor
    ) -> tuple[Tensor, ...]:
        states = self.model.connector(grid, frame_mask, question, question_mask)
        head = self.model.answer_head
        return self.model.language_projection(states), head(states), head.state(states[:, 0])


def export_bundle(parts: Parts, folder: Path, *, name: str, version: str) -> BundleConfig:
    """Write a whole bundle, not yet calibrated.

    Args:
        parts: the trained parts, in evaluation mode.
        folder: made if it is not there; its files are overwritten.
        name: for example "gifqa-lite".
        version: of the weights.

    Returns:
        The config that was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _export_vision(parts, folder / "vision.onnx")
    _export_text(parts, folder / "text.onnx")
    _export_reader(parts, folder / "reader.onnx")
    _export_decoder(parts, folder / "decoder.onnx")
    _write_embeddings(parts, folder / "embeddings.npz")
    shutil.copy(parts.language_folder / "tokenizer.json", folder / "tokenizer.json")
    shutil.copy(parts.language_folder / "config.json", folder / LANGUAGE_MODEL)
    parts.text_tokenizer.save(str(folder / "text_tokenizer.json"), pretty=False)
    (folder / "answers.json").write_text(json.dumps(list(parts.answers)), encoding="utf-8")
    language = parts.answerer.language_model.config
    config = BundleConfig(
        format=FORMAT,
        name=name,
        version=version,
        image_size=IMAGE_SIZE,
        num_visual_tokens=parts.answerer.connector.config.num_query_tokens,
        max_frames=parts.answerer.connector.config.max_frames,
        max_text_tokens=MAX_TEXT_TOKENS,
        eos_token_id=language.eos_token_id,
        num_layers=language.num_hidden_layers,
        num_key_value_heads=language.num_key_value_heads,
        head_size=language.hidden_size // language.num_attention_heads,
        calibration=dict.fromkeys(KINDS, NEUTRAL),
    )
    write_config(config, folder)
    return config


def write_config(config: BundleConfig, folder: Path) -> None:
    """Write `config.json` and the checksums, which cover it."""
    (folder / "config.json").write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_checksums(folder)


def _export_vision(parts: Parts, path: Path) -> None:
    pixels = torch.zeros(2, IMAGE_SIZE, IMAGE_SIZE, 3, dtype=torch.uint8)
    module = _Vision(parts.vision, parts.dual_encoder)
    _to_onnx(module, (pixels,), path, {"pixels": ["n"]}, {"grid": ["n"], "embedding": ["n"]})
    store_as_float16(path)


def _export_text(parts: Parts, path: Path) -> None:
    quantization = require("onnxruntime.quantization", "train")
    ids = torch.ones(2, 7, dtype=torch.long)
    axes = ["b", "t"]
    inputs = {"input_ids": axes, "attention_mask": axes}
    outputs = {"token_states": axes, "sentence": ["b"], "embedding": ["b"]}
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "text.onnx"
        _to_onnx(_Text(parts.text, parts.dual_encoder), (ids, torch.ones_like(ids)), full, inputs, outputs)
        quantization.quantize_dynamic(full, path, per_channel=True, reduce_range=True)


def _export_reader(parts: Parts, path: Path) -> None:
    config = parts.answerer.connector.config
    examples = (
        torch.randn(1, 3, config.grid_size, config.grid_channels),
        torch.ones(1, 3, dtype=torch.bool),
        torch.randn(1, 9, config.text_size),
        torch.ones(1, 9, dtype=torch.bool),
    )
    inputs = {
        "grid": ["b", "f"],
        "frame_mask": ["b", "f"],
        "question": ["b", "t"],
        "question_mask": ["b", "t"],
    }
    outputs = {"visual_tokens": ["b"], "answer_logits": ["b"], "answer_state": ["b"]}
    _to_onnx(_Reader(parts.answerer), examples, path, inputs, outputs)
    quantize_reader(path)


def quantize_reader(path: Path) -> None:
    """Matrix products of the Q-Former's layers in int8, the rest stored as float16."""
    quantization = require("onnxruntime.quantization", "train")
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / path.name
        shutil.move(path, full)
        quantization.quantize_dynamic(full, path, ["MatMul"], per_channel=True, reduce_range=True)
    store_as_float16(path)


def _to_onnx(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    path: Path,
    inputs: dict[str, list[str]],
    outputs: dict[str, list[str]],
) -> None:
    """Trace a module; `inputs` and `outputs` name the leading axes that may vary."""
    axes = {name: dict(enumerate(free)) for name, free in (inputs | outputs).items()}
    torch.onnx.export(
        module.eval(), examples, str(path), input_names=list(inputs), output_names=list(outputs),
        dynamic_axes=axes, opset_version=OPSET, dynamo=False,
    )  # fmt: skip


def store_as_float16(path: Path, minimum: int = 1024) -> None:
    """Halve a graph's file: large float32 weights are kept as float16 and cast back when it is loaded.

    The arithmetic stays float32, and ONNX Runtime folds the casts away when a session opens.
    """
    onnx = require("onnx", "train")
    model = onnx.load(str(path))
    casts = []
    for weight in model.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < minimum or np.abs(values).max() > 6e4:
            continue
        full = weight.name
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{full}.float16"))
        casts.append(onnx.helper.make_node("Cast", [weight.name], [full], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def _export_decoder(parts: Parts, path: Path) -> None:
    """The language model by the builder of ONNX Runtime GenAI, taking `inputs_embeds`, then quantised."""
    onnx = require("onnx", "train")
    require("onnxruntime_genai", "train")
    save_file = require("safetensors.torch", "train").save_file
    with tempfile.TemporaryDirectory() as scratch:
        source, built = Path(scratch) / "source", Path(scratch) / "built"
        source.mkdir()
        for name in ("config.json", "tokenizer.json"):
            shutil.copy(parts.language_folder / name, source / name)
        (source / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
        model = parts.answerer.language_model
        state = {
            key: value.float().contiguous()
            for key, value in model.state_dict().items()
            if key != "lm_head.weight"
        }
        save_file(state, source / "model.safetensors", metadata={"format": "pt"})
        command = [
            sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(built),
            "-p", "fp32", "-e", "cpu", "-c", str(Path(scratch) / "cache"),
            "--extra_options", "exclude_embeds=true",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not (built / "model.onnx").exists():
            raise CheckpointError(
                f"{parts.language_folder} cannot be exported by the builder of onnxruntime-genai "
                f"({done.stderr.strip()[-400:]}); it takes Llama and its like. Choose another language model."
            )
        save_in_two(quantize_decoder(onnx.load(str(built / "model.onnx"))), path)


def quantize_decoder(model: Any) -> Any:
    """Gate and up projections in 4 bits, all other matrices in 8.

    With all in 4 bits this small model loses far more than with these two, and next to nothing with all in 8.
    """
    library = require("onnxruntime.quantization.matmul_nbits_quantizer", "train")
    logging.getLogger(library.__name__).setLevel(logging.WARNING)
    others = [
        node.name for node in model.graph.node
        if node.op_type == "MatMul" and not any(part in node.name for part in INT4_PROJECTIONS)
    ]  # fmt: skip
    four = library.MatMulNBitsQuantizer(
        model, bits=4, block_size=INT4_BLOCK, is_symmetric=False, accuracy_level=4, nodes_to_exclude=others
    )
    four.process()
    eight = library.MatMulNBitsQuantizer(
        four.model.model, bits=8, block_size=64, is_symmetric=True, accuracy_level=4
    )
    eight.process()
    return eight.model.model


def save_in_two(model: Any, path: Path) -> None:
    """Write a graph whose 4-bit and 8-bit weights lie in two files beside it: `NAME.4bit` and `NAME.8bit`."""
    onnx = require("onnx", "train")
    for weight in model.graph.initializer:
        if len(weight.raw_data) > 1024:
            suffix = "4bit" if any(part in weight.name for part in INT4_PROJECTIONS) else "8bit"
            onnx.external_data_helper.set_external_data(weight, location=f"{path.name}.{suffix}")
    for stale in path.parent.glob(f"{path.name}*"):
        stale.unlink()
    onnx.save(model, str(path))


def _write_embeddings(parts: Parts, path: Path) -> None:
    """The arrays of `Embeddings`: word embeddings as int8 with a scale a row, the rest as float16."""
    words = parts.answerer.language_model.get_input_embeddings().weight.detach().float().numpy()
    scales = np.maximum(np.abs(words).max(axis=1), 1e-8) / 127
    projection = parts.answerer.answer_head.sentence_projection
    np.savez(
        path,
        words=np.round(words / scales[:, None]).astype(np.int8),
        scales=scales.astype(np.float32),
        answer_weight=projection.weight.detach().float().numpy().astype(np.float16),
        answer_bias=projection.bias.detach().float().numpy(),
        references=parts.references.detach().float().numpy().astype(np.float16),
    )
