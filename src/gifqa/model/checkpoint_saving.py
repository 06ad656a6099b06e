"""Writing a `Checkpoint` as a folder, and the folder to the hub; `gifqa.model.checkpoint` has the layout."""

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.model.checkpoint import QUESTION_TOKENIZER, WEIGHTS, Checkpoint, TrainedParts
from gifqa.model.checkpoint_config import (
    FORMAT,
    MODEL_TYPE,
    CheckpointConfig,
    ConnectorShape,
    GlobalLocalShape,
    HeadsShape,
    Source,
    VisionShape,
)
from gifqa.model.connectors import Connector, MLPConnector
from gifqa.model.hugging_face_vision import HuggingFaceVision
from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.pretrained_qformers import PretrainedQFormer
from gifqa.model.qformer import QFormer
from gifqa.model.sources import find_file, revision_of, short, weight_files
from gifqa.model.text import TextTower

TOWER_FILES = (
    "config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "spiece.model",
    "model.safetensors.index.json",
)  # fmt: skip
"""Of a vision tower's source, beside its weights; its text side chooses keyframes."""


def save_pretrained(checkpoint: Checkpoint, folder: Path, *, include_frozen: bool = True) -> None:
    """Write a checkpoint, whole or not at all; what stood in its place is replaced.

    Args:
        checkpoint: what to write.
        folder: its folder.
        include_frozen: put vision tower and language model into the folder; else they are named by source and
            revision wherever they are as they were there, and must be at hand when the checkpoint is loaded.

    Raises:
        CheckpointError: if the disk is full, the folder cannot be written or a source has no weights.
    """
    partial = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _write(checkpoint, partial, include_frozen)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} cannot be written ({short(error)}). Free some space, or choose another folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def push_to_hub(folder: Path, repository: str, *, private: bool = True) -> str:
    """Upload a saved checkpoint to the hub, as the user that `hf auth login` made known.

    Args:
        folder: that `save_pretrained` wrote.
        repository: `USER/NAME`, made if it is not there.
        private: whether a new one is.

    Returns:
        The URL of the commit.

    Raises:
        CheckpointError: if the hub refuses or cannot be reached.
    """
    hub = require("huggingface_hub", "train")
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        return str(hub.upload_folder(repo_id=repository, folder_path=str(folder)))
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise CheckpointError(
            f"{folder} cannot be pushed to {repository} ({short(error)}); that needs a repository USER/NAME "
            "and a token that may write to it. Log in with: hf auth login"
        ) from error


def _write(checkpoint: Checkpoint, folder: Path, include_frozen: bool) -> None:
    model = checkpoint.model
    config = describe(checkpoint, include_frozen)
    (folder / "config.json").write_text(config.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_model_card(checkpoint, config), encoding="utf-8")
    parts = TrainedParts(model, checkpoint.vision, checkpoint.dual_encoder)
    _save_weights(parts.state_dict(), folder / WEIGHTS)
    checkpoint.tokenizer.save(str(folder / "tokenizer.json"))
    if isinstance(model.connector, PretrainedQFormer) and model.connector.tokenizer is not None:
        model.connector.tokenizer.save(str(folder / QUESTION_TOKENIZER))
    if config.has_adapter:
        _save_adapter(model.language_model, folder / "adapter", config.language_model)
    if config.language_model is None:
        _save_language_model(model.language_model, folder / "language_model")
    if isinstance(checkpoint.vision, HuggingFaceVision) and config.vision.source is None:
        _copy_tower(checkpoint.vision_source or "", folder / "vision")
    if isinstance(checkpoint.text, TextTower):
        encoder: Any = checkpoint.text.encoder
        encoder.save_pretrained(folder / "text_tower")
        checkpoint.text_tokenizer.save(str(folder / "text_tower" / "tokenizer.json"))


def describe(checkpoint: Checkpoint, include_frozen: bool) -> CheckpointConfig:
    """The config.json of a checkpoint."""
    model, heads = checkpoint.model, checkpoint.dual_encoder
    language_source = None if include_frozen else checkpoint.language_source
    return CheckpointConfig(
        model_type=MODEL_TYPE,
        format=FORMAT,
        name=checkpoint.name,
        version=checkpoint.version,
        num_frames=checkpoint.num_frames,
        hint=model.hint,
        vision=_vision_shape(checkpoint, include_frozen),
        connector=_connector_shape(model.connector),
        projection="sphere" if hasattr(model.language_projection, "embedding_norm") else "linear",
        answers=None if model.answer_head is None else tuple(checkpoint.answers or ()),
        answer_text_size=None if model.answer_head is None else model.answer_head.answer_sentences.shape[1],
        global_local=None
        if model.global_local is None
        else GlobalLocalShape(
            num_frames=model.global_local.num_frames, num_local=model.global_local.num_local
        ),
        dual_encoder=None if heads is None else HeadsShape(**heads.shape),
        has_text_tower=checkpoint.text is not None,
        has_adapter=hasattr(model.language_model, "peft_config"),
        language_model=None if language_source is None else _named(language_source),
    )


def _named(source: str) -> Source:
    return Source(source=source, revision=revision_of(source))


def _vision_shape(checkpoint: Checkpoint, include_frozen: bool) -> VisionShape:
    vision = checkpoint.vision
    if isinstance(vision, HuggingFaceVision):
        source = None if include_frozen else _named(checkpoint.vision_source or "")
        return VisionShape(kind="hugging-face", source=source)
    return VisionShape(kind="efficientnet-lite2", reduced_channels=vision.reduction.out_features)


def _connector_shape(connector: Connector) -> ConnectorShape:
    if isinstance(connector, QFormer):
        return ConnectorShape(kind="qformer", arguments=connector.config.model_dump())
    if isinstance(connector, PooledFrames):
        return ConnectorShape(kind="pooled", arguments=connector.config.model_dump())
    if isinstance(connector, PretrainedQFormer):
        arguments = {
            "config": connector.shape.config,
            "num_query_tokens": connector.shape.num_query_tokens,
            "grid_channels": connector.cell_projection.in_features,
            "num_frames": connector.num_frames,
        }
        return ConnectorShape(kind=connector.shape.kind, arguments=arguments)
    if isinstance(connector, MLPConnector):
        arguments = {
            "grid_channels": connector.cell_projection.in_features,
            "grid_size": connector.grid_side**2,
            "num_frames": connector.num_frames,
            "tokens_per_frame": connector.tokens_per_frame,
            "hidden_size": connector.hidden_size,
        }
        return ConnectorShape(kind="mlp", arguments=arguments)
    raise CheckpointError(
        f"a connector of the class {type(connector).__name__} cannot be saved; those of gifqa.model can. "
        "Use one of them."
    )


def _save_weights(weights: dict[str, Tensor], path: Path) -> None:
    own = {name: value.detach().clone().contiguous() for name, value in weights.items()}
    save_file(own, path, metadata={"format": "pt"})


def _save_language_model(language_model: Any, folder: Path) -> None:
    """The language model's own weights, without LoRA, as `transformers` reads them."""
    base = language_model.get_base_model() if hasattr(language_model, "peft_config") else language_model
    folder.mkdir()
    config = json.loads(base.config.to_json_string()) | {"architectures": [type(base).__name__]}
    config.pop("_name_or_path", None)  # a path of this machine
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    tied = set(base._tied_weights_keys or ()) if base.config.tie_word_embeddings else set()
    weights = {
        name.replace(".base_layer.", "."): value
        for name, value in base.state_dict().items()
        if "lora_" not in name and name not in tied
    }
    _save_weights(weights, folder / "model.safetensors")


def _save_adapter(language_model: Any, folder: Path, named: Source | None) -> None:
    """LoRA as peft has it; the base model is called by the name that holds on any machine."""
    peft = require("peft", "train")
    folder.mkdir()
    _save_weights(peft.get_peft_model_state_dict(language_model), folder / "adapter_model.safetensors")
    values = language_model.peft_config["default"].to_dict()
    values["base_model_name_or_path"] = "language_model" if named is None else named.source
    values["inference_mode"] = True
    text = json.dumps(
        values, indent=1, default=lambda value: sorted(value) if isinstance(value, set) else str(value)
    )
    (folder / "adapter_config.json").write_text(text + "\n", encoding="utf-8")


def _copy_tower(source: str, folder: Path) -> None:
    folder.mkdir()
    for name in TOWER_FILES:
        path = find_file(source, name)
        if path is not None:
            shutil.copy(path, folder / name)
    for path in set(weight_files(source).values()):
        shutil.copy(path, folder / path.name)


def _model_card(checkpoint: Checkpoint, config: CheckpointConfig) -> str:
    named = config.language_model
    language = "in `language_model`" if named is None else f"{named.source} at {named.revision}"
    return f"""---
library_name: gifqa
pipeline_tag: visual-question-answering
---
# {checkpoint.name} {checkpoint.version}

Answers questions about GIFs, from up to {checkpoint.num_frames} keyframes.

    gifqa ask cat.gif "What is the cat doing?" --model FOLDER

- vision tower: {config.vision.kind}
- connector: {config.connector.kind}
- language model: {language}, {"with LoRA" if config.has_adapter else "frozen"}

To be filled in: training data, figures, what it gets wrong, licences of the parts.
"""
