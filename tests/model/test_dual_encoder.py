import pytest

torch = pytest.importorskip("torch")

from gifqa.model.dual_encoder import AttentionPool, DualEncoderHeads  # noqa: E402


@pytest.fixture
def heads():
    torch.manual_seed(0)
    return DualEncoderHeads(grid_channels=6, pooled_size=5, text_size=12, size=16).eval()


def test_frames_and_texts_are_unit_vectors_of_one_space(heads):
    frames = heads.encode_frames(torch.randn(3, 4, 6), torch.randn(3, 5))
    texts = heads.encode_texts(torch.randn(2, 12))

    assert frames.shape == (3, 16) and texts.shape == (2, 16)
    for rows in (frames, texts):
        torch.testing.assert_close(rows.norm(dim=-1), torch.ones(len(rows)))


def test_scores_are_scaled_inner_products(heads):
    grid, pooled, sentence = torch.randn(3, 4, 6), torch.randn(3, 5), torch.randn(2, 12)
    scores = heads(grid, pooled, sentence)
    cosines = heads.encode_frames(grid, pooled) @ heads.encode_texts(sentence).T

    torch.testing.assert_close(scores, heads.log_temperature.exp() * cosines)


def test_batched_is_single(heads):
    grid, pooled = torch.randn(3, 4, 6), torch.randn(3, 5)
    together = heads.encode_frames(grid, pooled)

    for row in range(3):
        alone = heads.encode_frames(grid[row : row + 1], pooled[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_pooling_attends_and_does_not_care_for_the_order_of_cells():
    pool, grid = AttentionPool(6, num_queries=2, size=3), torch.randn(2, 4, 6)

    assert pool(grid).shape == (2, 6)
    torch.testing.assert_close(pool(grid), pool(grid.flip(1)), atol=1e-6, rtol=1e-5)
    uniform = torch.ones(1, 4, 6)
    torch.testing.assert_close(pool(uniform)[0], pool.value(uniform[0, 0]).repeat(2))
