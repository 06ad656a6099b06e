"""CLIP-Cut: the few frames of a GIF that its question is about, in time order.

    frames ──group by three──> representatives ──merge near-duplicates──> embed     encode_frames (cached)
    question, description ──embed──> scores ──relevance and diversity──> keyframes  select_keyframes

Embedding a frame costs 20 to 100 times what decoding it does, so frames are thinned on 32x32 thumbnails
first: three consecutive frames share their middle one unless a cut falls between them, and a representative
that looks like the one before it is merged into that one. Lost by this: what moves so little that a
thumbnail hardly changes. `gifqa.retrieval.selection` tells how the frames to show are chosen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import CheckpointError, ConfigError
from gifqa.frames import Frames
from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.embedder import DualEncoder
from gifqa.retrieval.index import FrameIndex
from gifqa.retrieval.selection import Candidates, choose, is_global

__all__ = ["ClipCutConfig", "EncodedFrames", "Keyframes", "encode_frames", "select_keyframes"]

_THUMBNAIL_SIDE = 32
_LEAST_THRESHOLD = 1.0  # of pixel values: what differs by less is noise of the GIF's palette


@dataclass(frozen=True)
class EncodedFrames:
    """The representatives of a GIF and their features; what the cache keeps.

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
    """Group the frames, merge near-duplicates and embed what is left.

    Args:
        frames: at least one frame.
        encoder: embeds the representatives.
        config: its encoding settings are used.

    Returns:
        The representatives in time order.

    Raises:
        CheckpointError: if the encoder gives anything but one finite vector a frame.
    """
    kept = _representatives(_thumbnails(frames.pixels), config)
    warnings = frames.warnings
    if len(kept) > config.max_frames:
        warnings += (
            f"the GIF has {len(kept)} distinct frames; "
            f"{config.max_frames} of them, evenly spread, are searched",
        )
        kept = kept[np.linspace(0, len(kept) - 1, config.max_frames).round().astype(np.int64)]
    features = encoder.encode_frames(frames.pixels[kept])
    if len(features.embeddings) != len(kept) or not np.isfinite(features.embeddings).all():
        raise CheckpointError(
            f"the encoder {encoder.name} gave {len(features.embeddings)} vectors for {len(kept)} frames, or "
            "numbers that are not finite; each frame needs one finite vector. Use another checkpoint."
        )
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
        top_k: keyframes at most; None takes it from the config.

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


def _thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Frames shrunk by area averaging, (N, H, W, 3) to int16 (N, 32, 32, 3)."""
    from PIL import Image

    size = (_THUMBNAIL_SIDE, _THUMBNAIL_SIDE)
    small = [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX)) for frame in pixels]
    return np.stack(small).astype(np.int16)


def _difference(first: NDArray[np.int16], second: NDArray[np.int16]) -> float:
    """Mean absolute difference of two thumbnails, 0 to 255."""
    return float(np.abs(first - second).mean())


def _representatives(thumbnails: NDArray[np.int16], config: ClipCutConfig) -> NDArray[np.int64]:
    """Positions of the frames to embed, strictly increasing, at least one.

    Groups of three with a cut (|) after the fifth frame; ' marks the representatives:
    0 1' 2   3 4' | 5 6' 7   8'. Then 4 is dropped if it looks like 1, and so on. Where that leaves fewer
    than `min_frames`, the threshold is halved: in a calm GIF, small changes are what happens.
    """
    count = len(thumbnails)
    size = max(1, min(config.group_size, count // config.min_frames))
    starts = [0]
    for i in range(1, count):
        is_cut = _difference(thumbnails[i - 1], thumbnails[i]) > config.cut_threshold
        if is_cut or i - starts[-1] == size:
            starts.append(i)
    middles = [(start + end) // 2 for start, end in zip(starts, [*starts[1:], count], strict=True)]
    threshold = config.duplicate_threshold
    kept = _merged(thumbnails, middles, threshold)
    while len(kept) < min(config.min_frames, len(middles)) and threshold > _LEAST_THRESHOLD:
        threshold /= 2
        kept = _merged(thumbnails, middles, threshold)
    return np.array(kept, dtype=np.int64)


def _merged(thumbnails: NDArray[np.int16], positions: list[int], threshold: float) -> list[int]:
    """The positions without those that look like the one kept before them."""
    kept = positions[:1]
    for i in positions[1:]:
        if _difference(thumbnails[kept[-1]], thumbnails[i]) > threshold:
            kept.append(i)
    return kept


def _score(encoded: EncodedFrames, queries: list[str], encoder: DualEncoder) -> NDArray[np.float32]:
    """The cosine of every frame to the queries, averaged over them, float32 (N,)."""
    query_embedding = encoder.encode_texts(queries).mean(axis=0, keepdims=True)
    found, positions = FrameIndex(encoded.embeddings).search(query_embedding, len(encoded))
    scores = np.empty(len(encoded), dtype=np.float32)
    scores[positions[0]] = found[0]
    return scores
