"""A trained model as a folder: saved whole, loaded with every key accounted for, pushed to the hub.

    config.json          the parts and their shapes (`gifqa.model.checkpoint_config`)
    model.safetensors    what was trained or fitted here: connector, projection, heads, reduction
    adapter/             LoRA, as peft has it
    tokenizer.json       of the language model
    language_model/      its frozen weights     } unless they are named by source and revision
    vision/              a Hugging Face tower   }
    text_tower/          what reads questions, where the connector needs it
    README.md            the beginning of a model card

Nothing in it is a pickle, and loading runs no code of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from gifqa.errors import CheckpointError
from gifqa.extras import require
from gifqa.model.checkpoint_config import CheckpointConfig, ConnectorShape, Source, read_config
from gifqa.model.connectors import MLPConnector
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.model.global_local import GlobalLocal
from gifqa.model.hugging_face_vision import HuggingFaceVision, load_hugging_face_vision
from gifqa.model.language import load_language_model
from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.pretrained_qformers import PretrainedQFormer, QFormerShape
from gifqa.model.qformer import QFormer, QFormerConfig
from gifqa.model.qformer_heads import AnswerHead, LanguageProjection
from gifqa.model.sources import check_keys, load_exactly, open_tokenizer, revision_of, short
from gifqa.model.text import TextTower, load_text_tower
from gifqa.model.vision import VisionTower
from gifqa.model.vision_language_model import VisionLanguageModel

WEIGHTS = "model.safetensors"
QUESTION_TOKENIZER = "question_tokenizer.json"


@dataclass(frozen=True)
class Checkpoint:
    """Everything that answers a question about frames, on torch."""

    name: str
    version: str
    model: VisionLanguageModel
    tokenizer: Any
    """The `tokenizers.Tokenizer` of the language model."""
    vision: VisionTower | HuggingFaceVision
    num_frames: int
    """Keyframes that it answers from at most."""
    vision_source: str | None = None
    """Where a Hugging Face tower came from; also its text side, which chooses keyframes."""
    language_source: str | None = None
    """Where the language model came from, if its own weights are as they were there; None: they are not."""
    text: TextTower | None = None
    """Needed where the connector reads its states, or `dual_encoder` its sentences."""
    text_tokenizer: Any = None
    answers: Sequence[str] | None = None
    """What the model's answer head knows."""
    dual_encoder: DualEncoderHeads | None = None


class TrainedParts(nn.Module):
    """What model.safetensors holds, under the names that it has there."""

    def __init__(
        self,
        model: VisionLanguageModel,
        vision: VisionTower | HuggingFaceVision,
        dual_encoder: DualEncoderHeads | None,
    ) -> None:
        super().__init__()
        self.connector = model.connector
        self.language_projection = model.language_projection
        self.answer_head = model.answer_head
        self.global_local = model.global_local
        self.dual_encoder = dual_encoder
        self.vision = vision if isinstance(vision, VisionTower) else None


def from_pretrained(source: str | Path) -> Checkpoint:
    """A checkpoint from a folder or from the hub, in evaluation mode.

    Args:
        source: folder that `gifqa.model.checkpoint_saving` wrote, or a Hugging Face id of one.

    Raises:
        CheckpointError: if a file is missing or damaged, a key is missing, unknown or of another shape, or a
            part that is named by its source is not what it was.
        MissingExtra: if transformers or peft is not installed.
    """
    folder = find_folder(str(source))
    config = read_config(folder)
    try:
        return _load(folder, config)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint {folder} cannot be loaded ({short(error)}); it must be as save_pretrained wrote "
            "it. Save it again, or download it again."
        ) from error


def find_folder(source: str) -> Path:
    """The folder of a checkpoint, downloaded from the hub if `source` is no folder.

    Raises:
        CheckpointError: if it is neither.
    """
    if Path(source).is_dir():
        return Path(source)
    hub = require("huggingface_hub", "train")
    try:
        return Path(hub.snapshot_download(source))
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise CheckpointError(
            f"{source} is no folder and cannot be had from the hub ({short(error)}); a checkpoint is a "
            "folder that save_pretrained wrote, or the id of one. Check the spelling."
        ) from error


def _load(folder: Path, config: CheckpointConfig) -> Checkpoint:
    language_model = _load_language_model(folder, config)
    connector = _build_connector(folder, config.connector)
    size = language_model.get_input_embeddings().weight.shape[1]
    model = VisionLanguageModel(
        connector,
        nn.Linear(connector.hidden_size, size)
        if config.projection == "linear"
        else LanguageProjection(connector.hidden_size, size, 1.0),
        _build_answer_head(connector.hidden_size, config),
        language_model,
        global_local=_build_global_local(size, connector, config),
        hint=config.hint,
    )
    vision = _load_vision(folder, config)
    heads = None if config.dual_encoder is None else DualEncoderHeads(**config.dual_encoder.model_dump())
    parts = TrainedParts(model, vision, heads)
    load_exactly(parts, load_file(folder / WEIGHTS), str(folder / WEIGHTS))
    text, text_tokenizer = (
        load_text_tower(str(folder / "text_tower")) if config.has_text_tower else (None, None)
    )
    named = config.language_model
    return Checkpoint(
        name=config.name,
        version=config.version,
        model=model.eval(),
        tokenizer=open_tokenizer(folder / "tokenizer.json"),
        vision=vision.eval(),
        num_frames=config.num_frames,
        vision_source=_tower_source(folder, config),
        language_source=None if named is None else named.source,
        text=text,
        text_tokenizer=text_tokenizer,
        answers=config.answers,
        dual_encoder=None if heads is None else heads.eval(),
    )


def _build_connector(folder: Path, shape: ConnectorShape) -> Any:
    arguments = dict(shape.arguments)
    if shape.kind == "mlp":
        return MLPConnector(**arguments)
    if shape.kind in {"qformer", "pooled"}:
        config = QFormerConfig(**arguments)
        return QFormer(config) if shape.kind == "qformer" else PooledFrames(config)
    tokenizer = None
    if shape.kind == "instructblip":
        tokenizer = open_tokenizer(folder / QUESTION_TOKENIZER)
    qformer = QFormerShape(shape.kind, arguments.pop("config"), arguments.pop("num_query_tokens"))  # type: ignore[arg-type]
    return PretrainedQFormer(qformer, **arguments, tokenizer=tokenizer)


def _build_answer_head(hidden_size: int, config: CheckpointConfig) -> AnswerHead | None:
    if config.answers is None or config.answer_text_size is None:
        return None
    return AnswerHead(hidden_size, torch.zeros(len(config.answers), config.answer_text_size))


def _build_global_local(size: int, connector: Any, config: CheckpointConfig) -> GlobalLocal | None:
    shape = config.global_local
    if shape is None:
        return None
    return GlobalLocal(size, shape.num_frames, connector.tokens_per_frame, shape.num_local)


def _load_vision(folder: Path, config: CheckpointConfig) -> VisionTower | HuggingFaceVision:
    if config.vision.kind == "hugging-face":
        named = config.vision.source
        revision = _revision(named, "the vision tower")
        return load_hugging_face_vision(_tower_source(folder, config) or "", revision=revision)
    library = require("efficientnet_lite_pytorch", "train")
    backbone = library.EfficientNet.from_name("efficientnet-lite2")
    return VisionTower(backbone, config.vision.reduced_channels or 0)


def _tower_source(folder: Path, config: CheckpointConfig) -> str | None:
    named = config.vision.source
    if config.vision.kind != "hugging-face":
        return None
    return str(folder / "vision") if named is None else named.source


def _load_language_model(folder: Path, config: CheckpointConfig) -> Any:
    named = config.language_model
    revision = _revision(named, "the language model")
    place = str(folder / "language_model") if named is None else named.source
    model = load_language_model(place, revision=revision)
    model.requires_grad_(False)
    if not config.has_adapter:
        return model
    peft = require("peft", "train")
    adapter = folder / "adapter"
    adapted = peft.PeftConfig.from_pretrained(str(adapter))
    adapted.base_model_name_or_path = None  # peft would warn that the base now lies elsewhere
    model = peft.get_peft_model(model, adapted)
    weights = load_file(adapter / "adapter_model.safetensors")
    check_keys(peft.get_peft_model_state_dict(model), weights, str(adapter))
    peft.set_peft_model_state_dict(model, weights)
    return model


def _revision(named: Source | None, what: str) -> str | None:
    """The hub's commit of a part that is not in the checkpoint's folder; None for a folder.

    Raises:
        CheckpointError: if it is a folder with other weights than those the checkpoint was trained with.
    """
    if named is None:
        return None
    if not Path(named.source).is_dir():
        return named.revision
    found = revision_of(named.source)
    if found != named.revision:
        raise CheckpointError(
            f"{what} {named.source} has the weights {found[:19]}, but the checkpoint was trained with "
            f"{named.revision[:19]}. Get those, or save the checkpoint with its frozen parts included."
        )
    return None
