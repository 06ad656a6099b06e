import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from gifqa.frames import decode_frames  # noqa: E402
from gifqa.media import load_media  # noqa: E402
from gifqa.model import vision  # noqa: E402
from gifqa.model.vision import (  # noqa: E402
    COLOUR_CHANNELS,
    SHALLOW_CHANNELS,
    Moments,
    VisionTower,
    area_pool,
    cell_colours,
    fit_reduction,
    window_weights,
)

SUB_CELLS = 9


@pytest.fixture
def tower(tiny_backbone, monkeypatch):
    monkeypatch.setattr(vision, "HEAD_CHANNELS", 24)
    return VisionTower(tiny_backbone(24), reduced_channels=6).eval()


def frames_of(path):
    """The frames of a GIF as the tower takes them, uint8 (N, 260, 260, 3)."""
    pixels = decode_frames(load_media(path)).pixels
    return torch.from_numpy(
        np.stack([np.asarray(Image.fromarray(frame).resize((260, 260))) for frame in pixels])
    )


def colours_seen(tower, pixels):
    """Mean RGB of each cell as the grid holds it, (N, 81, 3), in 0..255."""
    with torch.no_grad():
        grid, _ = tower(pixels)
    means = grid[..., -COLOUR_CHANNELS:-3].unflatten(-1, (3, SUB_CELLS)).mean(-1)
    return means * vision.PIXEL_SCALE + vision.PIXEL_MEAN


def test_shapes_and_nothing_to_train(tower):
    grid, pooled = tower(torch.zeros(2, 260, 260, 3, dtype=torch.uint8))

    assert grid.shape == (2, 81, tower.channels) == (2, 81, 6 + SHALLOW_CHANNELS)
    assert pooled.shape == (2, 24)
    assert not any(parameter.requires_grad for parameter in tower.parameters())


def test_a_red_gif_is_red_at_the_vision_tower(tower, make_gif):
    """Read as BGR somewhere on the way, red would arrive as blue."""
    seen = colours_seen(tower, frames_of(make_gif(["red", "green", "blue"])))

    for frame, colour in zip(seen, ((255, 0, 0), (0, 255, 0), (0, 0, 255)), strict=True):
        torch.testing.assert_close(frame, torch.tensor(colour).float().expand(81, 3), atol=0.5, rtol=0)


def test_cells_are_in_reading_order(tower):
    pixels = torch.zeros(1, 260, 260, 3, dtype=torch.uint8)
    pixels[:, :130, 130:, 0] = 255  # top right is red
    seen = colours_seen(tower, pixels)[0].view(9, 9, 3)

    assert seen[:4, 5:, 0].min() > 250
    assert seen[5:, :, 0].max() < 5
    assert seen[:, :4, 0].max() < 5


def test_the_spread_of_a_cell_is_that_of_its_sub_cells():
    stripes = torch.zeros(1, 3, 27, 27)
    stripes[:, 0, :, ::3] = 3.0  # every third column of sub-cells
    cells = cell_colours(stripes)

    assert cells.shape == (1, 81, COLOUR_CHANNELS)
    assert torch.allclose(cells[..., -3], torch.tensor(2.0).sqrt(), atol=1e-4)  # of 3, 0, 0: variance 2
    assert torch.allclose(cells[..., -2:], torch.tensor(0.0), atol=1e-3)


@pytest.mark.parametrize(("size", "side"), [(260, 27), (33, 9), (9, 9), (10, 3), (7, 9), (17, 9)])
def test_window_weights_are_those_of_adaptive_pooling(size, side):
    image = torch.randn(2, 3, size, size + 1)

    torch.testing.assert_close(
        area_pool(image, side), F.adaptive_avg_pool2d(image, side), atol=1e-5, rtol=1e-5
    )
    assert torch.allclose(window_weights(size, side).sum(1), torch.ones(side))


def test_moments_are_mean_and_covariance():
    rows = torch.randn(50, 4, dtype=torch.float64)
    moments = Moments(4)
    moments.add(rows[:20])
    moments.add(rows[20:])

    torch.testing.assert_close(moments.mean, rows.mean(0))
    torch.testing.assert_close(moments.covariance, torch.cov(rows.T, correction=0))


@pytest.fixture
def noise():
    return torch.randint(
        0, 256, (3, 260, 260, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_the_fitted_grid_is_centred_and_its_shallow_part_standardised(tower, noise):
    kept = fit_reduction(tower, noise, batch_size=2)
    with torch.no_grad():
        grid, _ = tower(noise)
    cells = grid.flatten(0, 1)

    assert 0 < kept < 1
    assert cells.mean(0).abs().max() < 1e-2
    colours = cells[:, -COLOUR_CHANNELS:-3]
    assert (colours.std(0) - 1).abs().max() < 0.1
    reduced = torch.cov(cells[:, :6].T, correction=0)
    assert (reduced - reduced.diag().diag()).abs().max() < 1e-2 * reduced.diag().max()  # principal components
    assert (reduced.diag().sort(descending=True).values == reduced.diag()).all()


def test_keeping_every_component_keeps_all_variance(tiny_backbone, monkeypatch, noise):
    monkeypatch.setattr(vision, "HEAD_CHANNELS", 24)
    tower = VisionTower(tiny_backbone(24), reduced_channels=24).eval()

    assert fit_reduction(tower, noise) == pytest.approx(1.0)
