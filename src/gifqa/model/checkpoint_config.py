"""`config.json` of a checkpoint folder: which parts the model has and their shapes. Loads without torch."""

import json
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gifqa.errors import CheckpointError

MODEL_TYPE: Final = "gifqa"
FORMAT: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Part):
    """A frozen part that is not in the folder."""

    source: str
    """Hugging Face id or folder."""
    revision: str
    """The hub's commit, or `sha256:` and the digest of the weights' files."""


class VisionShape(_Part):
    """The vision tower."""

    kind: Literal["efficientnet-lite2", "hugging-face"]
    reduced_channels: int | None = None
    """Of efficientnet-lite2."""
    source: Source | None = None
    """Of a Hugging Face tower that is not in the folder `vision`."""


class ConnectorShape(_Part):
    """The connector: the arguments it was built with."""

    kind: Literal["qformer", "pooled", "mlp", "blip2", "instructblip"]
    arguments: dict[str, Any]


class GlobalLocalShape(_Part):
    """See `gifqa.model.global_local.GlobalLocal`."""

    num_frames: int
    num_local: int


class HeadsShape(_Part):
    """See `gifqa.model.dual_encoder.DualEncoderHeads`."""

    grid_channels: int
    pooled_size: int
    text_size: int


class CheckpointConfig(_Part):
    """The whole of config.json."""

    model_type: Literal["gifqa"]
    format: Literal[1]
    name: str
    version: str
    num_frames: int
    """Keyframes that it answers from at most."""
    hint: bool
    vision: VisionShape
    connector: ConnectorShape
    projection: Literal["sphere", "linear"]
    answers: tuple[str, ...] | None = None
    """What the answer head knows; None: there is no answer head."""
    answer_text_size: int | None = None
    """Width of the sentence vectors of the answer head."""
    global_local: GlobalLocalShape | None = None
    dual_encoder: HeadsShape | None = None
    """Its own heads for choosing keyframes."""
    has_text_tower: bool = False
    has_adapter: bool
    """Whether the language model has LoRA."""
    language_model: Source | None = None
    """None: in the folder `language_model`."""


def is_checkpoint(folder: Path) -> bool:
    """Whether the folder has a config.json of this kind, of whatever format."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("model_type") == MODEL_TYPE


def read_config(folder: Path) -> CheckpointConfig:
    """The config of a checkpoint folder.

    Raises:
        CheckpointError: if it is missing, damaged or of another format.
    """
    path = folder / "config.json"
    try:
        return CheckpointConfig.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or 'it is not UTF-8'}); a checkpoint "
            "is a folder that save_pretrained wrote. Check the path."
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(str(key) for key in fault["loc"]) or "the file"
        raise CheckpointError(
            f"{path} is no config of a gifqa checkpoint of format {FORMAT} ({place}: {fault['msg']}); "
            "it must be as save_pretrained wrote it. Save it again, or update gifqa."
        ) from error
