"""The graphs and tokenizers of a bundle, opened when first needed and run on ONNX Runtime."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.answering.bundle import REQUIRED, Bundle, Floats
from gifqa.answering.decoder import Decoder
from gifqa.answering.graphs import Graph, Tensor, cannot_open

FRAMES_AT_ONCE = 8


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
            CheckpointError: if its file cannot be opened, or is not that of this config and vocabulary.
        """
        decoder: Decoder = self._once("decoder.onnx", self._open_decoder)
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
            grid, embedding = self._run("vision.onnx", ("grid", "embedding"), {"pixels": squares})
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
        states, sentence, embedding = self._run("text.onnx", ("token_states", "sentence", "embedding"), feeds)
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
        asked = ("visual_tokens", "answer_logits", "answer_state")
        tokens, logits, state = self._run("reader.onnx", asked, feeds)
        return tokens[0], logits[0], state[0]

    def _run(
        self, name: str, outputs: Sequence[str], feeds: dict[str, NDArray[Any]]
    ) -> Sequence[NDArray[Any]]:
        """The outputs of a graph that is opened if it was not."""
        graph: Graph = self._once(name, self._open_graph)
        return graph.run(outputs, feeds)

    def _once(self, name: str, open_file: Callable[[str], Any]) -> Any:
        """What `open_file` makes of a file; threads that come meanwhile wait for it."""
        with self._locks[name]:
            if name not in self._opened:
                self._opened[name] = open_file(name)
            return self._opened[name]

    def _open_graph(self, name: str) -> Graph:
        return Graph(self.bundle.path(name))

    def _open_decoder(self, name: str) -> Decoder:
        graph = self._open_graph(name)
        graph.check(*_decoder_tensors(self.bundle))
        return Decoder(self.bundle, graph)

    def _open_tokenizer(self, name: str) -> Any:
        from tokenizers import Tokenizer

        try:
            return Tokenizer.from_file(str(self.bundle.path(name)))
        except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
            reason = error
        raise cannot_open(self.bundle.path(name), reason) from reason

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


def _decoder_tensors(bundle: Bundle) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What the language model of this config and vocabulary takes, and what it gives."""
    config = bundle.config
    vocabulary, hidden_size = bundle.embeddings.words.shape
    cache = Tensor("float", (None, config.num_key_value_heads, None, config.head_size))
    layers = [f"{layer}.{part}" for layer in range(config.num_layers) for part in ("key", "value")]
    inputs = {
        "inputs_embeds": Tensor("float", (None, None, hidden_size)),
        "attention_mask": Tensor("int64", (None, None)),
        **{f"past_key_values.{layer}": cache for layer in layers},
    }
    outputs = {"logits": Tensor("float", (None, None, vocabulary))}
    return inputs, outputs | {f"present.{layer}": cache for layer in layers}
