"""CLIP-Cut: the few frames of a GIF that its question is about, in time order.

    frames ──group by looks──> groups ──embed, coarse to fine──> candidates             encode_frames (cached)
    question, description ──embed──> scores ──relevance and diversity──> keyframes      select_keyframes

Embedding a frame costs 20 to 100 times what decoding it does, so few are embedded. `gifqa.retrieval.grouping`
leaves one frame a group. Of these, coarse to fine:

    a shot        0  1  2  3  4  5  6  7  8     nine groups between two cuts
    coarse        0                       8     its ends; more if it is longer or top_k larger
    0 unlike 8    0           4           8     the middle of each gap whose two sides are unlike,
    0 unlike 4    0     2     4           8     until there is no such gap
    0 like 2, 2 like 4, 4 like 8                done: four of nine

So a frame that is not embedded lies between two of its own shot that are alike to the encoder. Lost by this:
what comes and goes between those two without a cut.
`gifqa.retrieval.selection` tells how the keyframes are chosen among the candidates.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import CheckpointError, ConfigError
from gifqa.frames import Frames
from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.embedder import DualEncoder, FrameFeatures
from gifqa.retrieval.grouping import Groups, find_groups
from gifqa.retrieval.index import FrameIndex
from gifqa.retrieval.selection import Candidates, choose, is_global

__all__ = ["ClipCutConfig", "EncodedFrames", "Keyframes", "encode_frames", "select_keyframes"]

_COARSE_STEP = 8  # groups from one that is always embedded to the next, at most


@dataclass(frozen=True)
class EncodedFrames:
    """The embedded frames of a GIF and their features; what the cache keeps.

    Attributes:
        frame_indices: indices in the source, strictly increasing, int64 (N,).
        pts_seconds: when each is shown, float64 (N,).
        embeddings: unit rows, float32 (N, D).
        grid: vision features for the answerer, float16 (N, G, C), or None.
        num_frames: frames of the source.
        duration_seconds: how long the source plays once.
        warnings: what the caller should know, from decoding on.
    """

    frame_indices: NDArray[np.int64]
    pts_seconds: NDArray[np.float64]
    embeddings: NDArray[np.float32]
    grid: NDArray[np.float16] | None
    num_frames: int
    duration_seconds: float
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frame_indices)


@dataclass(frozen=True)
class Keyframes:
    """The frames chosen for one question, in time order.

    Attributes:
        indices: indices in the source, strictly increasing, int64 (K,).
        pts_seconds: when each is shown, float64 (K,).
        scores: cosine to the query, float32 (K,); the mean of two when a description was given.
        grid: vision features of the chosen frames, float16 (K, G, C), or None.
        num_frames: frames of the source.
        duration_seconds: how long the source plays once.
        warnings: what the caller should know; fewer frames than asked for is always one of them.
        embeddings: unit rows of the chosen frames, float32 (K, D), or None.
    """

    indices: NDArray[np.int64]
    pts_seconds: NDArray[np.float64]
    scores: NDArray[np.float32]
    grid: NDArray[np.float16] | None
    num_frames: int
    duration_seconds: float
    warnings: tuple[str, ...] = ()
    embeddings: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.indices)


def encode_frames(frames: Frames, encoder: DualEncoder, config: ClipCutConfig) -> EncodedFrames:
    """Group the frames and embed those that the encoder can tell apart.

    Args:
        frames: at least one frame.
        encoder: embeds them.
        config: its encoding settings are used. At least top_k frames are embedded, where so many differ.

    Returns:
        The embedded frames in time order.

    Raises:
        CheckpointError: if the encoder gives anything but one finite vector a frame.
    """
    groups = find_groups(frames.pixels, config)
    warnings = frames.warnings
    if len(groups) > config.max_frames:
        warnings += (
            f"the GIF has {len(groups)} distinct frames; "
            f"{config.max_frames} of them, evenly spread, are searched",
        )
        groups = groups.thinned(config.max_frames)
    kept, features = _embed(frames.pixels, groups, encoder, config)
    return EncodedFrames(
        frame_indices=frames.frame_indices[kept],
        pts_seconds=frames.pts_seconds[kept],
        embeddings=features.embeddings,
        grid=features.grid,
        num_frames=frames.num_frames,
        duration_seconds=frames.duration_seconds,
        warnings=warnings,
    )


def select_keyframes(
    encoded: EncodedFrames,
    question: str,
    encoder: DualEncoder,
    config: ClipCutConfig,
    *,
    description: str | None = None,
    top_k: int | None = None,
) -> Keyframes:
    """The frames that the question is about, in time order.

    Args:
        encoded: the GIF.
        question: what is asked; may not be blank.
        encoder: the one that embedded the frames.
        config: how to choose.
        description: what else is known of the GIF. It is a second query, and a frame's score the mean of its
            cosines to both: joined into one text it could push the question out of the encoder's window.
        top_k: keyframes at most; None takes it from the config. For more than the config's with which the
            GIF was encoded, encode it anew with them.

    Returns:
        `top_k` frames, or all distinct ones if the GIF has fewer: then a warning says how many there are
        (none for a still image, where `num_frames` is 1).

    Raises:
        ConfigError: if the question is blank or top_k is below 1.
    """
    wanted = config.top_k if top_k is None else top_k
    if wanted < 1:
        raise ConfigError(f"top_k is {wanted}; it must be at least 1. Ask for one keyframe or more.")
    queries = {"question": _plain(question), "description": _plain(description or "")}
    if not queries["question"]:
        raise ConfigError(
            "the question is empty; it needs at least one word. Ask for example: What is happening?"
        )
    limit = config.max_query_characters
    warnings = encoded.warnings + tuple(
        f"the {name} has {len(text)} characters; the search for keyframes reads the first {limit}"
        for name, text in queries.items()
        if len(text) > limit
    )
    if len(encoded) < wanted and encoded.num_frames > 1:
        warnings += (f"{wanted} keyframes were asked for; the GIF has only {len(encoded)} distinct frames",)
    scores = _score(encoded, [text[:limit] for text in queries.values() if text], encoder)
    candidates = Candidates(scores, encoded.embeddings, encoded.pts_seconds, encoded.duration_seconds)
    count = min(wanted, len(encoded))
    chosen = choose(candidates, count, config, whole=is_global(queries["question"]))
    return Keyframes(
        indices=encoded.frame_indices[chosen],
        pts_seconds=encoded.pts_seconds[chosen],
        scores=scores[chosen],
        grid=None if encoded.grid is None else encoded.grid[chosen],
        num_frames=encoded.num_frames,
        duration_seconds=encoded.duration_seconds,
        warnings=warnings,
        embeddings=encoded.embeddings[chosen],
    )


def _plain(text: str) -> str:
    """The text on one line without control characters, empty if that is all there was."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _embed(
    pixels: NDArray[np.uint8], groups: Groups, encoder: DualEncoder, config: ClipCutConfig
) -> tuple[NDArray[np.int64], FrameFeatures]:
    """Coarse to fine: the embedded frames' positions, increasing, int64 (K,), and their features."""
    seen = np.zeros(0, np.int64)
    parts: list[FrameFeatures] = []
    wanted = _coarse(groups.shots, config.top_k)
    while len(wanted):
        parts.append(_features(pixels[groups.representatives[wanted]], encoder))
        seen = np.concatenate([seen, wanted])
        order = np.argsort(seen)
        embeddings = np.concatenate([part.embeddings for part in parts])[order]
        wanted = _finer(seen[order], embeddings, groups.shots, config.unlike_distance)
    grids = [part.grid for part in parts if part.grid is not None]
    grid = np.concatenate(grids)[order] if grids else None
    return groups.representatives[seen[order]], FrameFeatures(embeddings, grid)


def _coarse(shots: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """The groups that are embedded whatever they show: the ends of each shot and, in long ones, some between.

    They are spread evenly, `_COARSE_STEP` apart at most, and closer where that makes fewer than `least`.
    """
    members = np.split(np.arange(len(shots)), np.flatnonzero(np.diff(shots)) + 1)
    for step in range(_COARSE_STEP, 0, -1):
        counts = [1 + -(-(len(shot) - 1) // step) for shot in members]
        if sum(counts) >= least:
            break
    spread = [np.linspace(shot[0], shot[-1], count) for shot, count in zip(members, counts, strict=True)]
    return np.concatenate(spread).round().astype(np.int64)


def _finer(
    seen: NDArray[np.int64],
    embeddings: NDArray[np.float32],
    shots: NDArray[np.int64],
    unlike_distance: float,
) -> NDArray[np.int64]:
    """The middles of the gaps that have two unlike sides in one shot.

    Args:
        seen: the groups embedded so far, increasing, (K,).
        embeddings: theirs, (K, D).
        shots: of all groups, (N,).
        unlike_distance: of the config.

    Returns:
        Groups not seen so far, int64.
    """
    before, after = seen[:-1], seen[1:]
    distances = 1 - (embeddings[:-1] * embeddings[1:]).sum(axis=1)
    is_unlike = np.maximum(distances, 0) >= unlike_distance  # rounding takes equal ones below 0
    is_open = (after - before > 1) & (shots[before] == shots[after])
    middles: NDArray[np.int64] = (before + after)[is_unlike & is_open] // 2
    return middles


def _features(pixels: NDArray[np.uint8], encoder: DualEncoder) -> FrameFeatures:
    """The encoder's features of these frames, checked."""
    features = encoder.encode_frames(pixels)
    if len(features.embeddings) != len(pixels) or not np.isfinite(features.embeddings).all():
        raise CheckpointError(
            f"the encoder {encoder.name} gave {len(features.embeddings)} vectors for {len(pixels)} frames, "
            "or numbers that are not finite; each frame needs one finite vector. Use another checkpoint."
        )
    return features


def _score(encoded: EncodedFrames, queries: list[str], encoder: DualEncoder) -> NDArray[np.float32]:
    """The cosine of every frame to the queries, averaged over them, float32 (N,)."""
    query_embedding = encoder.encode_texts(queries).mean(axis=0, keepdims=True)
    found, positions = FrameIndex(encoded.embeddings).search(query_embedding, len(encoded))
    scores = np.empty(len(encoded), dtype=np.float32)
    scores[positions[0]] = found[0]
    return scores
