"""The graphs and tokenizers of a bundle, opened when first needed and run on ONNX Runtime."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.bundle import REQUIRED, Bundle, Floats
from gifqa.answering.decoder import Decoder
from gifqa.errors import CheckpointError

FRAMES_AT_ONCE = 8
MAX_THREADS = 8
FATAL_ONLY = 4
"""Severity of what ONNX Runtime may print itself: it raises its errors too, and those are reported."""


class LiteRuntime:
    """The four graphs of a bundle; safe with threads, and each file is opened once."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._opened: dict[str, Any] = {}
        self._locks = {name: threading.Lock() for name in REQUIRED}

    @property
    def decoder(self) -> Decoder:
        """The language model.

        Raises:
            CheckpointError: if its file cannot be opened.
        """
        decoder: Decoder = self._once(
            "decoder.onnx", lambda name: Decoder(self.bundle, self._open_session(name))
        )
        return decoder

    @property
    def tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer` of the language model.

        Raises:
            CheckpointError: if its file cannot be opened.
        """
        return self._once("tokenizer.json", self._open_tokenizer)

    def see(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float16], Floats]:
        """Grids float16 (N, G, C) and unit embeddings (N, D) of RGB frames (N, H, W, 3)."""
        from PIL import Image

        size = (self.bundle.config.image_size,) * 2
        grids, embeddings = [], []
        for start in range(0, len(pixels), FRAMES_AT_ONCE):
            images = [Image.fromarray(frame) for frame in pixels[start : start + FRAMES_AT_ONCE]]
            squares = np.stack([np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image in images])
            grid, embedding = self._run("vision.onnx", {"pixels": squares})
            grids.append(grid.astype(np.float16))
            embeddings.append(embedding)
        return np.concatenate(grids), np.concatenate(embeddings)

    def read_texts(self, texts: Sequence[str]) -> tuple[Floats, NDArray[np.bool_], Floats, Floats]:
        """Token states (B, T, 384), their mask (B, T), sentence vectors (B, 384), embeddings (B, D)."""
        encodings = self._once("text_tokenizer.json", self._open_text_tokenizer).encode_batch(list(texts))
        feeds = {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "attention_mask": np.array([encoding.attention_mask for encoding in encodings], np.int64),
        }
        states, sentence, embedding = self._run("text.onnx", feeds)
        return states, feeds["attention_mask"].astype(bool), sentence, embedding

    def read_frames(self, grid: NDArray[np.float16], question: str) -> tuple[Floats, Floats, Floats]:
        """Visual tokens (K, E), answer logits (A,) and answer state (D,) of the keyframes' grids (F, G, C).

        Of more frames than the reader knows places for, as many as it does are read, spread evenly.
        """
        states, mask, _, _ = self.read_texts([question])
        frames = grid[spread(len(grid), self.bundle.config.max_frames)].astype(np.float32)
        feeds = {
            "grid": frames[None],
            "frame_mask": np.ones((1, len(frames)), bool),
            "question": states,
            "question_mask": mask,
        }
        tokens, logits, state = self._run("reader.onnx", feeds)
        return tokens[0], logits[0], state[0]

    def _run(self, name: str, feeds: dict[str, NDArray[Any]]) -> Sequence[Any]:
        """The outputs of a graph; what it was traced without needing, it is not given."""
        session = self._once(name, self._open_session)
        wanted = [node.name for node in session.get_inputs()]
        unknown = [node for node in wanted if node not in feeds]
        if unknown:
            raise CheckpointError(
                f"{name} of the bundle {self.bundle.folder} wants {', '.join(unknown)}; it is given "
                f"{', '.join(feeds)}. Export the bundle again."
            )
        outputs: Sequence[Any] = session.run(None, {node: feeds[node] for node in wanted})
        return outputs

    def _once(self, name: str, open_file: Callable[[str], Any]) -> Any:
        """What `open_file` makes of a file; threads that come meanwhile wait for it."""
        with self._locks[name]:
            if name not in self._opened:
                self._opened[name] = open_file(name)
            return self._opened[name]

    def _open_session(self, name: str) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
        options.log_severity_level = FATAL_ONLY
        path = self.bundle.path(name)
        try:
            return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _session_errors() as error:
            raise _cannot_open(path.name, str(self.bundle.folder), error) from error

    def _open_tokenizer(self, name: str) -> Any:
        from tokenizers import Tokenizer

        try:
            return Tokenizer.from_file(str(self.bundle.path(name)))
        except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
            reason = error
        raise _cannot_open(name, str(self.bundle.folder), reason) from reason

    def _open_text_tokenizer(self, name: str) -> Any:
        tokenizer = self._open_tokenizer(name)
        tokenizer.enable_truncation(self.bundle.config.max_text_tokens)
        tokenizer.enable_padding()
        return tokenizer


def spread(count: int, limit: int) -> NDArray[np.int64]:
    """All of 0 to `count` - 1, or `limit` of them, spread evenly from the first to the last."""
    if count <= limit:
        return np.arange(count)
    return np.linspace(0, count - 1, limit).round().astype(np.int64)


def _session_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises for a graph that it cannot open: a class for each status, no common one."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.EPFail, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
        state.NoModel, state.NoSuchFile, state.NotImplemented, state.RuntimeException, RuntimeError,
    )  # fmt: skip


def _cannot_open(name: str, folder: str, error: Exception) -> CheckpointError:
    reason = " ".join(str(error).split())[:200]
    return CheckpointError(
        f"{name} of the bundle {folder} cannot be opened ({reason}); it must be as `gifqa export` wrote it. "
        "Export the bundle again, or update onnxruntime."
    )
