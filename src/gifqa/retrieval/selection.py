"""Which frames to show for a question: relevance with diversity, or even coverage of the playing time.

The best scores alone are often near-identical neighbours and can be worse than uniform sampling. So frames
are taken greedily by relevance and by how unlike the frames taken so far they are, in looks and in time:
maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998, https://doi.org/10.1145/290941.291025) with
the coverage of time that AKS adds for video (Tang et al., CVPR 2025, https://arxiv.org/abs/2502.21271).
Where the scores hardly differ, relevance counts less, as in AdaRD-Key (https://arxiv.org/abs/2510.02778).
Questions about the whole GIF get frames spread evenly over the time it plays, because choosing by query
helps questions about one moment only (DIG, https://arxiv.org/abs/2512.04000).
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gifqa.retrieval.config import ClipCutConfig

_GLOBAL = re.compile(
    r"\b(happen(s|ed|ing)?|going on|taking place)\b.*\?"
    r"|^what'?s? (is |was |are |does )?(happen|going on)"
    r"|\b(describe|summari[sz]e|summary|caption|overall|throughout)\b"
    r"|\b(whole|entire) (gif|clip|video|animation|scene)\b"
    r"|\b(gif|clip|video|animation|scene)( all)? about\b"
    r"|\bhow (many times|often)\b|\bin (what|which) order\b"
    r"|^(what|who|where|how|which|when|why)\b.*"
    r"\b(before|after|first|last|next(?! to)|then|finally|at the (end|start|beginning))\b",
    re.IGNORECASE,
)
_LOOKS_SHARE = 0.75
_LEAST_DISTANCE = 0.02  # cosine; frames nearer than this to each other all look the same to any encoder


@dataclass(frozen=True)
class Candidates:
    """The frames to choose from, in time order.

    Attributes:
        scores: cosine to the query, float32 (N,).
        embeddings: unit rows, float32 (N, D).
        pts_seconds: when each is shown, increasing, float64 (N,).
        duration_seconds: how long the GIF plays, > 0.
    """

    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    pts_seconds: NDArray[np.float64]
    duration_seconds: float


def is_global(question: str) -> bool:
    """Whether a question is about the whole GIF or about the order of things in it, by its English wording.

    "What is happening?", "What does the man do after he falls?"; in any other language, False.
    """
    return _GLOBAL.search(question) is not None


def choose(candidates: Candidates, count: int, config: ClipCutConfig, *, whole: bool) -> NDArray[np.int64]:
    """The positions of `count` different frames, increasing.

    Args:
        candidates: N frames.
        count: 1 to N.
        config: strategy, diversity and min_spread are used.
        whole: the question is about the whole GIF.

    Returns:
        int64 (count,).
    """
    if config.strategy == "relevance":
        chosen = np.argsort(-candidates.scores, kind="stable")[:count].tolist()
    elif config.strategy == "uniform" or whole:
        chosen = _spread(candidates, count)
    else:
        chosen = _relevant_and_diverse(candidates, count, config)
    return np.array(sorted(chosen), dtype=np.int64)


def _relevant_and_diverse(candidates: Candidates, count: int, config: ClipCutConfig) -> list[int]:
    """Greedy: the best frame, then each time the best of (1 - w) relevance + w novelty, w the diversity.

    Relevance is the score between the GIF's worst (0) and best (1); a GIF whose scores differ by less than
    `min_spread` does not reach 1. Novelty is the distance to the nearest frame chosen so far.
    """
    scores = candidates.scores.astype(np.float64)
    relevance = (scores - scores.min()) / max(float(np.ptp(scores)), config.min_spread)
    distances = _distances(candidates, count)
    chosen = [int(np.argmax(relevance))]
    while len(chosen) < count:
        novelty = distances[chosen].min(axis=0)
        gain = (1 - config.diversity) * relevance + config.diversity * novelty
        gain[chosen] = -np.inf
        chosen.append(int(np.argmax(gain)))
    return chosen


def _distances(candidates: Candidates, count: int) -> NDArray[np.float64]:
    """How unlike two frames are, 0 to 1, (N, N): three parts looks and one part time.

    Looks: cosine distance, 1 from the GIF's median distance on, since the range of cosines differs from
    encoder to encoder. Time: 1 from the gap on that `count` evenly spread frames would have.
    """
    embeddings, pts_seconds = candidates.embeddings, candidates.pts_seconds
    cosine = np.clip(1 - embeddings @ embeddings.T, 0, 2).astype(np.float64)
    others = cosine[~np.eye(len(cosine), dtype=bool)]
    median = float(np.median(others)) if others.size else 0.0
    looks = np.minimum(1, cosine / max(median, _LEAST_DISTANCE))
    gap = np.abs(pts_seconds[:, None] - pts_seconds[None, :])
    time = np.minimum(1, gap * count / candidates.duration_seconds)
    distances: NDArray[np.float64] = _LOOKS_SHARE * looks + (1 - _LOOKS_SHARE) * time
    return distances


def _spread(candidates: Candidates, count: int) -> list[int]:
    """The frames on screen in the middles of `count` equal parts of the playing time, none of them twice.

    Four of a GIF of 8 s are those shown at 1, 3, 5 and 7 s; a taken one gives way to the nearest free one.
    """
    positions = np.arange(len(candidates.pts_seconds))
    chosen: list[int] = []
    for moment in (np.arange(count) + 0.5) * candidates.duration_seconds / count:
        shown = max(int(np.searchsorted(candidates.pts_seconds, moment, side="right")) - 1, 0)
        distance = np.abs(positions - shown).astype(np.float64)
        distance[chosen] = np.inf
        chosen.append(int(np.argmin(distance)))
    return chosen
