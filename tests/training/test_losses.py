import pytest

torch = pytest.importorskip("torch")

from gifqa.training.losses import ROUNDING, MVMDecoder, mvm_loss, summed_cross_entropy  # noqa: E402

DISTANCES = ("cosine", "rmse", "mse")
KEPT = torch.tensor([[True, False, True], [False, True, True]])


def readings():
    torch.manual_seed(0)
    return torch.randn(2, 2, 4, requires_grad=True), torch.randn(2, 3, 4, requires_grad=True)


@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_readings_cost_nothing_and_move_nothing(distance):
    masked = torch.randn(2, 5, 8, requires_grad=True)
    loss = mvm_loss(masked, masked.detach().clone(), torch.ones(2, 5, dtype=torch.bool), distance)
    loss.backward()

    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert masked.grad.abs().max() < 1e-6


def test_rounding_is_no_direction_for_the_root():
    """The slope of a root is that of its sign near zero: rows that nothing was dropped before gave noise."""
    full = torch.randn(4, 5, 8)
    masked = (full + 1e-7 * torch.randn_like(full)).requires_grad_()
    mvm_loss(masked, full, torch.ones(4, 5, dtype=torch.bool), "rmse").backward()
    rough = full.clone().add(0.1).requires_grad_()
    mvm_loss(rough, full, torch.ones(4, 5, dtype=torch.bool), "rmse").backward()

    assert masked.grad.abs().max() < 1e-3 * rough.grad.abs().max()


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_masked_reading_gets_a_gradient_and_the_full_one_none(distance):
    masked, full = readings()
    mvm_loss(masked, full, KEPT, distance).backward()

    assert (masked.grad != 0).any(-1).all()
    assert full.grad is None


def test_distances_are_those_of_the_docstring_at_the_kept_places():
    masked, full = readings()
    row_pairs = [
        [(masked[0, 0], full[0, 0]), (masked[0, 1], full[0, 2])],
        [(masked[1, 0], full[1, 1]), (masked[1, 1], full[1, 2])],
    ]
    cosines = [2 - 2 * (a @ b) / a.norm() / b.norm() for row in row_pairs for a, b in row]
    squares = [torch.stack([(a - b).square() for a, b in row]).mean() for row in row_pairs]

    expected = {
        "cosine": sum(cosines) / 4,
        "rmse": sum((square + ROUNDING**2).sqrt() - ROUNDING for square in squares) / 2,
        "mse": sum(squares) / 2,
    }
    for distance, value in expected.items():
        assert mvm_loss(masked, full, KEPT, distance).item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_loss_of_a_batch_is_the_mean_of_its_rows_losses(distance):
    masked, full = readings()
    rows = [mvm_loss(masked[i : i + 1], full[i : i + 1], KEPT[i : i + 1], distance) for i in range(2)]

    assert mvm_loss(masked, full, KEPT, distance).item() == pytest.approx(sum(rows).item() / 2, rel=1e-5)


def test_rows_that_keep_another_number_are_refused():
    kept = torch.tensor([[True, True, False], [True, False, False]])

    with pytest.raises(ValueError, match=r"every row of kept must have 2 true entries; they have \[2, 1\]"):
        mvm_loss(torch.randn(2, 2, 4), torch.randn(2, 3, 4), kept)


def test_the_decoder_ends_in_a_norm():
    decoded = MVMDecoder(16)(torch.randn(2, 3, 16) * 50)

    assert decoded.shape == (2, 3, 16)
    torch.testing.assert_close(decoded.square().mean(-1), torch.ones(2, 3), rtol=1e-3, atol=0)


def test_summed_cross_entropy_of_a_batch_is_the_sum_of_its_parts():
    logits, labels = torch.randn(6, 9), torch.tensor([1, 8, -100, 0, 3, -100])
    parts = summed_cross_entropy(logits[:2], labels[:2]) + summed_cross_entropy(logits[2:], labels[2:])

    torch.testing.assert_close(summed_cross_entropy(logits, labels), parts)
    assert summed_cross_entropy(logits[2:3], labels[2:3]) == 0
