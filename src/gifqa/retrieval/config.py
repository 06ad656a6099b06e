"""Settings of the retrieval room: how keyframes are chosen, and where features are kept."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Strategy = Literal["adaptive", "relevance", "uniform"]

_SELECTION_FIELDS = {"strategy", "diversity", "min_spread", "max_query_characters"}


class ClipCutConfig(BaseModel):
    """Settings of CLIP-Cut; `gifqa.retrieval.clip_cut` explains the method.

    Those up to top_k decide which frames are embedded, it and the others which of these answer a question.
    Pixel differences are mean absolute differences of 32x32 RGB thumbnails, 0 to 255.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group_size: int = Field(default=3, ge=1)
    """Consecutive frames that share one representative, the middle one."""
    min_frames: int = Field(default=8, ge=1)
    """Short or calm GIFs: groups and duplicate_threshold shrink until this many frames, if so many differ."""
    cut_threshold: float = Field(default=32.0, ge=0)
    """Neighbours that differ by more are a cut; no group crosses one, and every shot has a frame embedded."""
    duplicate_threshold: float = Field(default=8.0, ge=0)
    """A representative that differs by no more from the one kept before it is merged into that one."""
    max_frames: int = Field(default=64, ge=1)
    """Representatives searched at most; beyond it they are thinned evenly, with a warning."""
    unlike_distance: float = Field(default=0.1, ge=0, le=2)
    """Cosine distance from which on two representatives of a shot are unlike, so that one between them is
    embedded too; 0 embeds all."""

    top_k: int = Field(default=4, ge=1)
    """Keyframes returned at most; at least so many frames are embedded."""
    strategy: Strategy = "adaptive"
    """adaptive: relevance and diversity, or even coverage for questions about the whole GIF; relevance: the
    best scores alone; uniform: even coverage whatever the question."""
    diversity: float = Field(default=0.5, ge=0, le=1)
    """Weight of being unlike the frames chosen so far; relevance has the rest."""
    min_spread: float = Field(default=0.05, gt=0)
    """Cosine: scores of a GIF that differ by less than this in all say little, and count for less."""
    max_query_characters: int = Field(default=500, ge=1)
    """Characters of a question (and of a description) that the search reads; a warning tells of a cut."""

    def encoding_settings(self) -> dict[str, Any]:
        """The settings on which embedded frames depend, and so the key of the feature cache."""
        return self.model_dump(exclude=_SELECTION_FIELDS)


class CacheConfig(BaseModel):
    """Where and how much of the frames' features is kept between questions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path | None = None
    """Folder of the entries; None is `GIFQA_CACHE_DIR`, or the platform's cache folder."""
    max_memory_bytes: int = Field(default=128 * 2**20, ge=0)
    """Arrays kept in memory; 0 keeps none."""
    max_disk_bytes: int = Field(default=512 * 2**20, ge=0)
    """Size of all entries on disk; 0 neither reads nor writes any."""
