"""Frames and texts in one space: the protocol every encoder follows, and CLIP or SigLIP from Hugging Face.

The encoder that ships with gifqa is `gifqa.answering.lite.LiteEncoder`; it follows the same protocol.
Torch is imported inside `HuggingFaceEncoder` alone, through `extras.require`: this module loads without it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import CheckpointError
from gifqa.extras import require


@dataclass(frozen=True)
class FrameFeatures:
    """What an encoder sees in N frames.

    Attributes:
        embeddings: unit rows, float32 (N, D).
        grid: the vision features an answerer reads, G cells of C channels a frame, float16 (N, G, C); None
            when the encoder gives none.
    """

    embeddings: NDArray[np.float32]
    grid: NDArray[np.float16] | None = None


class DualEncoder(Protocol):
    """Frames and texts as unit vectors of one space."""

    @property
    def name(self) -> str:
        """Unique to the weights (version or hash in it): features are cached under this name."""
        ...

    def encode_frames(self, pixels: NDArray[np.uint8]) -> FrameFeatures:
        """The features of RGB frames, uint8 (N, H, W, 3)."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The texts as unit rows, float32 (M, D); texts longer than the model reads are cut, not refused."""
        ...


def unit_rows(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Each row divided by its length; a row of zeros stays one.

    Args:
        vectors: (N, D).

    Returns:
        float32 (N, D), contiguous.
    """
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    units: NDArray[np.float32] = rows / np.maximum(lengths, np.float32(1e-12))
    return units


class HuggingFaceEncoder:
    """A CLIP-like model of Hugging Face: anything with `get_image_features` and `get_text_features`.

    Frames go through the checkpoint's own image processor (CLIP's crops the centre of a wide frame), texts
    through its tokenizer, cut at the length the model was trained with. Only safetensors are loaded and no
    code of the repository is run.
    Papers: CLIP, https://arxiv.org/abs/2103.00020; SigLIP, https://arxiv.org/abs/2303.15343
    """

    def __init__(self, model: str | Path, *, device: str = "cpu", batch_size: int = 16) -> None:
        """Load the checkpoint.

        Args:
            model: an id such as `openai/clip-vit-base-patch32`, or a folder saved with `save_pretrained`.
            device: where torch runs it.
            batch_size: frames in one forward pass.

        Raises:
            MissingExtra: if torch or transformers are not installed (`gifqa[hf]`).
            CheckpointError: if it cannot be loaded, lacks weights, or is no dual encoder.
        """
        self._torch = require("torch", "hf")
        transformers = require("transformers", "hf")
        self._model, self._processor = _load_dual_encoder(transformers, str(model))
        self._model.to(device).eval()
        self._device = device
        self._batch_size = batch_size
        self.name = f"hf:{model}@{_revision(self._model, model)}"

    def encode_frames(self, pixels: NDArray[np.uint8]) -> FrameFeatures:
        """The frames as unit vectors, without a grid; `pixels` are RGB, uint8 (N, H, W, 3), N >= 1."""
        parts = []
        for start in range(0, len(pixels), self._batch_size):
            batch = list(pixels[start : start + self._batch_size])
            inputs = self._processor.image_processor(
                images=batch, return_tensors="pt", input_data_format="channels_last"
            )
            parts.append(self._forward(self._model.get_image_features, inputs))
        return FrameFeatures(unit_rows(np.concatenate(parts)))

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The texts as unit rows, float32 (M, D), M >= 1, each cut at the length that the model reads."""
        config = self._model.config
        length = getattr(config.text_config, "max_position_embeddings", None) or 77
        # SigLIP was trained on padded texts and reads its last position; CLIP masks the padding.
        padding = "max_length" if config.model_type.startswith("siglip") else "longest"
        inputs = self._processor.tokenizer(
            list(texts), padding=padding, truncation=True, max_length=length, return_tensors="pt"
        )
        return unit_rows(self._forward(self._model.get_text_features, inputs))

    def _forward(self, method: Any, inputs: Any) -> NDArray[np.float32]:
        with self._torch.inference_mode():
            output = method(**{name: tensor.to(self._device) for name, tensor in inputs.items()})
        features = getattr(
            output, "pooler_output", output
        )  # transformers 5 wraps the vector, 4 gives it bare
        vectors: NDArray[np.float32] = features.float().cpu().numpy()
        return vectors


def _load_dual_encoder(transformers: Any, model: str) -> tuple[Any, Any]:
    """The model and its processor, complete, or a CheckpointError."""
    advice = "Give the id or folder of a CLIP or SigLIP model with safetensors and its processor."
    try:
        loaded, report = transformers.AutoModel.from_pretrained(
            model, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
        processor = transformers.AutoProcessor.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the encoder {model} cannot be loaded: {reason}. {advice}") from error
    if not hasattr(loaded, "get_image_features") or not hasattr(loaded, "get_text_features"):
        raise CheckpointError(
            f"{model} is a {loaded.config.model_type} model; an encoder must embed images and texts. {advice}"
        )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise CheckpointError(
            f"the encoder {model} lacks {len(missing)} weights, {missing[0]} first; none may be missing. "
            f"{advice}"
        )
    return loaded, processor


def _revision(loaded: Any, model: str | Path) -> str:
    """What tells the checkpoint from others of its name: the hub's commit, or a folder's sizes and times."""
    commit = getattr(loaded.config, "_commit_hash", None)
    if commit:
        return str(commit)[:12]
    digest = hashlib.sha256()
    for path in sorted(Path(model).glob("*")):
        stat = path.stat()
        digest.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
