"""Nearest frames to a query: FAISS, exact inner product on unit vectors, which is their cosine."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


class FrameIndex:
    """An exact index over the frame embeddings of one GIF.

    The original searched by L2 distance over vectors that were not normalised, where
    |q - f|^2 = |q|^2 + |f|^2 - 2qf ranks frames by their norm as well; on unit vectors the inner product is
    the cosine and nothing else.
    """

    def __init__(self, frame_embeddings: NDArray[np.float32]) -> None:
        """Index the frames.

        Args:
            frame_embeddings: unit rows, float32 (N, D), N >= 1.

        Raises:
            ValueError: if the shape is another, or no rows are given.
        """
        import faiss

        if frame_embeddings.ndim != 2 or not frame_embeddings.size:
            raise ValueError(
                f"frame_embeddings has shape {frame_embeddings.shape}; it must be (N, D) with N, D >= 1. "
                "Embed at least one frame."
            )
        self._index: Any = faiss.IndexFlatIP(frame_embeddings.shape[1])
        self._index.add(np.ascontiguousarray(frame_embeddings, dtype=np.float32))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, query_embeddings: NDArray[np.float32], top_k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The frames nearest to each query, best first.

        Args:
            query_embeddings: float32 (M, D).
            top_k: results a query, >= 1; more than there are frames gives all of them, and never the -1 with
                which FAISS pads.

        Returns:
            Scores, float32 (M, K), and positions of the frames, int64 (M, K), with K = min(top_k, N).

        Raises:
            ValueError: if the queries have another width than the frames, or top_k is below 1.
        """
        width = self._index.d
        if query_embeddings.ndim != 2 or query_embeddings.shape[1] != width:
            raise ValueError(
                f"query_embeddings has shape {query_embeddings.shape}; the frames need (M, {width}). "
                "Embed texts and frames with the same encoder."
            )
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; it must be at least 1. Ask for one frame or more.")
        queries = np.ascontiguousarray(query_embeddings, dtype=np.float32)
        scores, positions = self._index.search(queries, min(top_k, len(self)))
        return scores, positions
