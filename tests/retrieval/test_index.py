import numpy as np
import pytest

from gifqa.retrieval.embedder import unit_rows
from gifqa.retrieval.index import FrameIndex


def random_units(seed: int, count: int, width: int = 16) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(count, width)))


def test_search_is_numpys_inner_product_best_first():
    frames, queries = random_units(0, 50), random_units(1, 3)
    scores, positions = FrameIndex(frames).search(queries, 5)
    products = queries @ frames.T
    expected = np.argsort(-products, axis=1)[:, :5]
    assert np.array_equal(positions, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(products, expected, axis=1), rtol=1e-5)


def test_more_than_all_frames_gives_each_once():
    """The original took FAISS's -1 for a position and showed the last frame again and again."""
    frames = random_units(0, 3)
    _, positions = FrameIndex(frames).search(frames[:1], 10)
    assert sorted(positions[0].tolist()) == [0, 1, 2]


def test_the_length_of_a_frame_vector_is_its_own_affair():
    """L2 over vectors that are not normalised, as the original had it, prefers short frame vectors."""
    query = np.array([[1, 0]], np.float32)
    frames = np.array([[5, 0], [0.1, 0.1]], np.float32)
    _, positions = FrameIndex(unit_rows(frames)).search(query, 1)
    assert positions[0, 0] == 0
    assert np.argmin(np.linalg.norm(frames - query, axis=1)) == 1


def test_half_precision_and_strided_rows_are_taken():
    frames = random_units(0, 8)
    scores, positions = FrameIndex(frames[::2].astype(np.float16)).search(frames[::2], 1)
    assert positions[:, 0].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(scores, 1, atol=2e-3)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 0)])
def test_frames_of_another_shape_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"it must be \(N, D\) with N, D >= 1. Embed at least one frame"):
        FrameIndex(np.zeros(shape, np.float32))


def test_queries_of_another_encoder_are_refused():
    with pytest.raises(ValueError, match=r"the frames need \(M, 16\). Embed texts and frames with the same"):
        FrameIndex(random_units(0, 3)).search(random_units(0, 1, width=8), 1)


def test_no_results_cannot_be_asked_for():
    with pytest.raises(ValueError, match="top_k is 0; it must be at least 1"):
        FrameIndex(random_units(0, 3)).search(random_units(0, 1), 0)
