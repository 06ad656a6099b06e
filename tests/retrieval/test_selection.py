import numpy as np
import pytest

from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.embedder import unit_rows
from gifqa.retrieval.selection import Candidates, choose, is_global

ADAPTIVE = ClipCutConfig()


def scenes(scores: list[float], scene_of_frame: list[int], seconds: float = 1.0) -> Candidates:
    """Frames of one scene look alike (cosine distance about 0.001), frames of two do not (1)."""
    embeddings = np.eye(max(scene_of_frame) + 2)[scene_of_frame]
    embeddings[:, -1] = 0.03 * (np.arange(len(scores)) % 3)
    return Candidates(
        scores=np.array(scores, np.float32),
        embeddings=unit_rows(embeddings),
        pts_seconds=np.arange(len(scores)) * seconds,
        duration_seconds=len(scores) * seconds,
    )


def test_near_identical_neighbours_of_the_best_frame_are_left_for_other_scenes():
    candidates = scenes([0.2, 0.2, 0.30, 0.31, 0.30, 0.2, 0.2, 0.1], [0, 0, 1, 1, 1, 2, 2, 3])
    assert choose(candidates, 3, ClipCutConfig(strategy="relevance"), whole=False).tolist() == [2, 3, 4]
    chosen = choose(candidates, 3, ADAPTIVE, whole=False).tolist()
    assert 3 in chosen
    assert len({[0, 0, 1, 1, 1, 2, 2, 3][i] for i in chosen}) == 3


def test_the_best_frame_is_always_among_them():
    rng = np.random.default_rng(0)
    for _ in range(50):
        count = int(rng.integers(1, 20))
        candidates = scenes(rng.normal(size=count).tolist(), rng.integers(0, 5, count).tolist())
        chosen = choose(candidates, int(rng.integers(1, count + 1)), ADAPTIVE, whole=False)
        assert int(np.argmax(candidates.scores)) in chosen


@pytest.mark.parametrize("strategy", ["adaptive", "relevance", "uniform"])
@pytest.mark.parametrize("whole", [False, True])
def test_positions_increase_without_repeats_and_are_as_many_as_asked(strategy: str, whole: bool):
    rng = np.random.default_rng(1)
    for _ in range(50):
        size = int(rng.integers(1, 30))
        count = int(rng.integers(1, size + 1))
        pts = np.cumsum(rng.exponential(size=size))
        candidates = Candidates(
            scores=rng.choice([0.1, 0.2], size).astype(np.float32),
            embeddings=unit_rows(rng.normal(size=(size, 4))),
            pts_seconds=pts - pts[0],
            duration_seconds=float(pts[-1] - pts[0] + 0.1),
        )
        chosen = choose(candidates, count, ClipCutConfig(strategy=strategy), whole=whole)
        assert len(chosen) == count
        assert (np.diff(chosen) > 0).all()
        assert chosen.min() >= 0
        assert chosen.max() < size


def test_frames_that_are_all_the_same_are_chosen_over_time():
    """Equal scores and looks leave time to decide: no two of three neighbours, no crash on distance 0."""
    candidates = scenes([0.2] * 9, [0] * 9)
    same = Candidates(
        candidates.scores, np.ones((9, 1), np.float32), candidates.pts_seconds, candidates.duration_seconds
    )
    chosen = choose(same, 3, ADAPTIVE, whole=False)
    assert (np.diff(chosen) >= 3).all()


def test_scores_that_hardly_differ_count_for_little():
    """A spread of 0.002 says nothing: with min_spread the frames chosen cover time, without they cluster."""
    scores = [0.2 + 0.002 * (i in (4, 5)) for i in range(12)]
    candidates = scenes(scores, list(range(12)))
    sharp = choose(candidates, 2, ClipCutConfig(min_spread=1e-6), whole=False)
    calm = choose(candidates, 2, ADAPTIVE, whole=False)
    assert sharp.tolist() == [4, 5]
    assert np.diff(calm)[0] >= 4


def test_a_question_about_the_whole_gif_gets_even_coverage_of_playing_time():
    """Frame 4 holds for four of the eight seconds, so two of the four moments fall on it or beside it."""
    candidates = Candidates(
        scores=np.array([0.9, 0.1, 0.1, 0.1, 0.1, 0.1], np.float32),
        embeddings=unit_rows(np.eye(6)),
        pts_seconds=np.array([0.0, 1.0, 2.0, 3.0, 4.0, 7.9]),
        duration_seconds=8.0,
    )
    assert choose(candidates, 4, ADAPTIVE, whole=True).tolist() == [1, 3, 4, 5]
    even = scenes([0.5] + [0.1] * 7, list(range(8)))
    assert choose(even, 4, ADAPTIVE, whole=True).tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize("diversity", [0.0, 1.0])
def test_diversity_goes_from_pure_relevance_to_pure_novelty(diversity: float):
    candidates = scenes([0.30, 0.29, 0.28, 0.0, 0.0, 0.0], [0, 0, 0, 1, 1, 1])
    chosen = choose(candidates, 2, ClipCutConfig(diversity=diversity), whole=False).tolist()
    assert chosen == ([0, 1] if diversity == 0 else [0, 3])


@pytest.mark.parametrize(
    "question",
    [
        "What is happening?",
        "what's going on",
        "What happens in the whole GIF?",
        "Describe this.",
        "Can you summarize the clip?",
        "What is the gif about?",
        "How many times does the man clap?",
        "What does the cat do after it jumps?",
        "Who comes in first?",
        "What happens at the end?",
    ],
)
def test_questions_about_the_whole_gif(question: str):
    assert is_global(question)


@pytest.mark.parametrize(
    "question",
    [
        "What colour is the dog?",
        "What is next to the dog?",
        "Is the man wearing a hat?",
        "two dogs going on a walk after the rain",
        "How many people are there?",
        "Was passiert hier?",
        "What is the cat doing?",
    ],
)
def test_questions_about_a_moment(question: str):
    assert not is_global(question)
