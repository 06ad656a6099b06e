import pytest

torch = pytest.importorskip("torch")

from gifqa.model.pooled_frames import PooledFrames  # noqa: E402
from gifqa.model.qformer import QFormer, QFormerConfig  # noqa: E402

CONFIG = QFormerConfig(
    grid_channels=10, grid_size=5, text_size=12, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    num_query_tokens=3, max_frames=4, dropout=0.1,
)  # fmt: skip


@pytest.fixture
def qformer():
    torch.manual_seed(0)
    return QFormer(CONFIG).eval()


def inputs(batch=2, num_frames=3, num_words=4):
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(batch, num_frames, 5, 10, generator=generator),
        torch.ones(batch, num_frames, dtype=torch.bool),
        torch.randn(batch, num_words, 12, generator=generator),
        torch.ones(batch, num_words, dtype=torch.bool),
    )


def same(first, second):
    return torch.allclose(first, second, atol=1e-5)


def test_one_state_a_query(qformer):
    assert qformer(*inputs()).shape == (2, 3, 32)


def test_batched_is_single(qformer):
    batch = inputs(batch=3)
    together = qformer(*batch)

    for row in range(3):
        assert same(together[row : row + 1], qformer(*(part[row : row + 1] for part in batch)))


def test_padding_of_frames_does_not_leak(qformer):
    grid, frame_mask, question, question_mask = inputs(batch=1, num_frames=2)
    padded = torch.cat([grid, torch.full((1, 2, 5, 10), 99.0)], dim=1)
    mask = torch.tensor([[True, True, False, False]])

    assert same(
        qformer(padded, mask, question, question_mask), qformer(grid, frame_mask, question, question_mask)
    )


def test_padding_of_questions_does_not_leak(qformer):
    grid, frame_mask, question, question_mask = inputs(batch=1)
    padded = torch.cat([question, torch.full((1, 3, 12), 99.0)], dim=1)
    mask = torch.cat([question_mask, torch.zeros(1, 3, dtype=torch.bool)], dim=1)

    assert same(qformer(grid, frame_mask, padded, mask), qformer(grid, frame_mask, question, question_mask))


def test_no_question_is_allowed(qformer):
    grid, frame_mask, question, _ = inputs()
    nothing = torch.zeros(2, 4, dtype=torch.bool)

    states = qformer(grid, frame_mask, question, nothing)
    assert states.isfinite().all()
    assert same(states, qformer(grid, frame_mask, -question, nothing))


def test_question_frames_places_and_times_matter(qformer):
    grid, frame_mask, question, question_mask = inputs()
    states = qformer(grid, frame_mask, question, question_mask)

    assert not same(states, qformer(grid, frame_mask, -question, question_mask))
    assert not same(states, qformer(-grid, frame_mask, question, question_mask))
    assert not same(states, qformer(grid.flip(1), frame_mask, question, question_mask))
    assert not same(states, qformer(grid.flip(2), frame_mask, question, question_mask))


def test_dropout_only_in_training(qformer):
    batch = inputs()
    assert same(qformer(*batch), qformer(*batch))
    qformer.train()
    assert not same(qformer(*batch), qformer(*batch))


class TestPooledFrames:
    """The baseline of the original's design."""

    @pytest.fixture
    def pooled(self):
        torch.manual_seed(0)
        return PooledFrames(CONFIG.model_copy(update={"num_query_tokens": 4})).eval()

    def test_a_vector_a_frame_in_order(self, pooled):
        grid, frame_mask, question, question_mask = inputs(num_frames=4)
        states = pooled(grid, frame_mask, question, question_mask)

        assert states.shape == (2, 4, 32)
        assert same(states.flip(1), pooled(grid.flip(1), frame_mask, question, question_mask))

    def test_fewer_frames_are_spread_and_padding_is_not_shown(self, pooled):
        grid, _, question, question_mask = inputs(batch=1, num_frames=3)
        grid[:, 2] = 99.0
        states = pooled(grid, torch.tensor([[True, True, False]]), question, question_mask)

        assert same(states[:, 0], states[:, 1]) and same(states[:, 2], states[:, 3])
        alone = pooled(grid[:, 1:2], torch.tensor([[True]]), question, question_mask)
        assert same(states[:, 2], alone[:, 0])

    def test_neither_question_nor_places_matter(self, pooled):
        grid, frame_mask, question, question_mask = inputs(num_frames=4)
        states = pooled(grid, frame_mask, question, question_mask)

        assert same(states, pooled(grid.flip(2), frame_mask, -question, question_mask))
