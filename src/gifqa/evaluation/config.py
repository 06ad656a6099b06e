"""Settings of an evaluation run."""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gifqa.engine import EngineConfig
from gifqa.errors import ConfigError
from gifqa.evaluation.statistics import NUM_RESAMPLES
from gifqa.limits import MediaLimits

TEXT_BASELINES = ("random", "most-frequent", "most-frequent-per-kind", "question-only")
"""Baselines that look at no media and need no model."""
FRAME_BASELINES = (
    "uniform-frames",
    "top-frames",
    "middle-frame",
    "shuffled-frames",
    "blank-frame",
    "original-frames",
)
"""Baselines that show a model other frames than CLIP-Cut's; they need --model."""


class EvaluationConfig(BaseModel):
    """What is evaluated, on what, and where the results go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    benchmark: str
    """A name of `gifqa.evaluation.benchmarks.BENCHMARKS`."""
    annotations: Path
    """Annotation file, or a folder with the published files."""
    output: Path
    """Folder of the run; made when missing, gone on with when it holds the same run."""
    media: Path | None = None
    """Folder with the GIFs or videos; None for baselines that look at none."""
    model: str | None = None
    """As `gifqa.model.opening.open_qa` takes it."""
    baseline: str | None = None
    """One of `TEXT_BASELINES`, or of `FRAME_BASELINES` together with a model."""
    train: Path | None = None
    """Training annotations, for the baselines that learn from answers: alone, or beside a model's score."""
    encoder: str | None = None
    """`hf:` and the name of a dual encoder; chooses keyframes. None is the model's own or the bundle's."""
    top_k: int | None = Field(default=None, ge=1, le=64)
    """Keyframes a question; None is CLIP-Cut's default."""
    limits: MediaLimits = MediaLimits()
    """What the media may cost; videos of ActivityNet-QA and others are over the defaults, made for GIFs."""
    limit: int | None = Field(default=None, ge=1)
    """Evaluate this many questions, drawn with the seed; None evaluates all."""
    seed: int = Field(default=0, ge=0)
    """Of the draw, the random baseline, the shuffling, the question-only model and the bootstrap."""
    num_resamples: int = Field(default=NUM_RESAMPLES, ge=10)
    """Bootstrap samples of each interval."""
    shard_size: int = Field(default=16, ge=1)
    """Questions between two points from which a stopped run goes on."""
    engine: EngineConfig = EngineConfig()
    """Where questions are answered."""
    beside: tuple[Path, ...] = ()
    """Folders of other runs on the same benchmark, whose scores are shown beside this one's."""
    gallery_size: int = Field(default=48, ge=0)
    """Examples shown in the report."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.baseline is None and self.model is None:
            raise ConfigError(
                "neither --model nor --baseline was given; one says who answers. Add --model lite, say."
            )
        if self.baseline is not None and self.baseline not in TEXT_BASELINES + FRAME_BASELINES:
            raise ConfigError(
                f"--baseline is {self.baseline!r}; there are {', '.join(TEXT_BASELINES + FRAME_BASELINES)}. "
                "Choose one of them."
            )
        if self.baseline in TEXT_BASELINES and self.model is not None:
            raise ConfigError(
                f"--baseline {self.baseline} looks at no media, and --model {self.model} was given; "
                "it stands alone. Leave one of the two out."
            )
        if self.baseline in FRAME_BASELINES and self.model is None:
            raise ConfigError(
                f"--baseline {self.baseline} shows a model other frames, and no --model was given; name the "
                "model. Add --model lite, for example."
            )
        return self

    @property
    def needs_media(self) -> bool:
        """Whether anything looks at the media."""
        return self.baseline not in TEXT_BASELINES

    def identity(self) -> dict[str, Any]:
        """The settings on which the predictions depend, apart from the content of files."""
        fields = {
            "benchmark",
            "model",
            "baseline",
            "encoder",
            "top_k",
            "limits",
            "limit",
            "seed",
            "shard_size",
        }
        return self.model_dump(mode="json", include=fields)
