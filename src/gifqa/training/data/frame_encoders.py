"""What the stage `features` runs over every picture: a frozen vision tower, whatever it is made of."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gifqa.extras import require
from gifqa.model.vision import GRID_SIDE, HEAD_CHANNELS, IMAGE_SIZE


class FrameEncoder(Protocol):
    """A vision tower as the cache sees it."""

    image_size: int
    """S, the side of the square pictures that it takes, in pixels."""
    grid_shape: tuple[int, int]
    """(G, C): cells of a frame, channels of a cell."""
    pooled_size: int
    """P, width of the vector of a whole frame."""

    def encode(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Features of frames.

        Args:
            pixels: RGB (N, S, S, 3).

        Returns:
            Grids (N, G, C) and vectors (N, P), of any float type.
        """
        ...


class OnnxTower:
    """The lite recipe's tower, exported by `gifqa.training.towers.save_tower`.

    Args:
        path: the ONNX file: pixels uint8 (N, 260, 260, 3) -> grid (N, 81, C), pooled (N, 1280).
        channels: C.
        threads: of ONNX Runtime.
    """

    image_size = IMAGE_SIZE
    pooled_size = HEAD_CHANNELS

    def __init__(self, path: Path, channels: int, *, threads: int = 2) -> None:
        onnxruntime = require("onnxruntime", "train")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.grid_shape = (GRID_SIDE**2, channels)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def encode(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `FrameEncoder`."""
        grid, pooled = self._session.run(None, {"pixels": pixels})
        return grid, pooled
