import random

import pytest

torch = pytest.importorskip("torch")

from gifqa.training.losses import MASK_RATE_RANGE, draw_kept, mvm_loss  # noqa: E402


def test_every_row_drops_the_same_number_of_tokens_within_the_range():
    for seed in range(20):
        kept = draw_kept(16, 5, random.Random(seed))
        dropped = (~kept).sum(1)

        assert dropped.unique().numel() == 1
        assert int(MASK_RATE_RANGE[0] * 16) <= dropped[0] <= int(MASK_RATE_RANGE[1] * 16)


def test_rows_drop_different_tokens():
    kept = draw_kept(16, 8, random.Random(0))

    assert len({tuple(row.tolist()) for row in kept}) > 1


def test_nothing_masked_costs_nothing():
    states = torch.randn(2, 5, 8)

    assert mvm_loss(states, states.clone(), torch.ones(2, 5, dtype=torch.bool)).item() == pytest.approx(
        0, abs=1e-5
    )


def test_loss_is_two_minus_two_cosines_at_the_kept_places():
    full = torch.randn(2, 3, 4)
    kept = torch.tensor([[True, False, True], [False, True, True]])
    masked = torch.randn(2, 2, 4)
    pairs = [
        (masked[0, 0], full[0, 0]),
        (masked[0, 1], full[0, 2]),
        (masked[1, 0], full[1, 1]),
        (masked[1, 1], full[1, 2]),
    ]
    expected = [2 - 2 * (a @ b) / a.norm() / b.norm() for a, b in pairs]

    assert mvm_loss(masked, full, kept).item() == pytest.approx(sum(expected).item() / 4, rel=1e-5)


def test_the_masked_reading_gets_a_gradient_and_the_full_one_none():
    masked = torch.randn(2, 2, 4, requires_grad=True)
    full = torch.randn(2, 3, 4, requires_grad=True)
    mvm_loss(masked, full, torch.tensor([[True, True, False]] * 2)).backward()

    assert masked.grad.abs().sum() > 0
    assert full.grad is None


def test_rows_that_keep_another_number_are_refused():
    kept = torch.tensor([[True, True, False], [True, False, False]])

    with pytest.raises(ValueError, match=r"every row of kept must have 2 true entries; they have \[2, 1\]"):
        mvm_loss(torch.randn(2, 2, 4), torch.randn(2, 3, 4), kept)
