"""The files of a bundle: the shipped model as ONNX graphs, tokenizers, word embeddings and one config.

config.json          BundleConfig: shapes, version, calibration
checksums.json       SHA-256 of every other file
vision.onnx          pixels uint8 (N,260,260,3) -> grid (N,G,C), embedding (N,D)
text.onnx            input_ids, attention_mask (B,T) -> token_states (B,T,384), sentence, embedding (B,D)
reader.onnx          grid, frame_mask, question, question_mask -> visual_tokens (B,K,E), answer_logits (B,A),
                     answer_state (B,D)
decoder.onnx         inputs_embeds (B,S,E), attention_mask, past -> logits (B,S,V), present; its weights
                     lie in decoder.onnx.4bit and decoder.onnx.8bit
embeddings.npz       `Embeddings`
answers.json         the A known answers
tokenizer.json       of the language model       text_tokenizer.json    of the text tower
language_model.json  the language model's config.json, for training that starts from the bundle
"""

import hashlib
import json
import math
import threading
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from gifqa.errors import CheckpointError
from gifqa.prompt import YES_NO_KINDS

FORMAT = 1
KINDS = ("open", *YES_NO_KINDS, "options")
"""Of questions; each is calibrated by itself."""
SHIPPED = Path(__file__).parents[1] / "bundle"
REQUIRED = frozenset(
    [f"{graph}.onnx" for graph in ("vision", "text", "reader", "decoder")]
    + ["config.json", "embeddings.npz", "answers.json", "tokenizer.json", "text_tokenizer.json"]
)
"""What `checksums.json` lists at least."""
LANGUAGE_MODEL = "language_model.json"
ENCODER_FILES = ("vision.onnx", "text.onnx", "text_tokenizer.json")
ENCODER_SETTINGS = ("image_size", "max_text_tokens")
SURE = 1e-6
"""A share is taken to be at least this and at most 1 - this: the softmax of float32 can be exactly 1."""

Floats = NDArray[np.float32]


class Calibration(BaseModel):
    """How the opinions on an answer are weighed, and how sure the winner may be.

    score = head_weight * log p(answer head) + language_weight * log p(language model) + fit_weight * fit,
    where fit is how much better than other pictures the answer, as a statement, fits the frames in the dual
    encoder's space, in standard deviations. The softmax of the scores over the candidates is p, and the
    confidence is sigmoid(slope * logit(p of the best) + offset), after Platt (1999). Fitted on validation
    data by `gifqa.training.calibration`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    head_weight: float
    language_weight: float
    fit_weight: float
    yes_offset: float = 0.0
    """Added to the score of "yes" in a yes/no question."""
    slope: float
    offset: float

    def confidence(self, share: float) -> float:
        """How likely an answer is right that won with this share, in [0, 1], of the softmax."""
        share = min(max(share, SURE), 1 - SURE)
        logit = self.slope * math.log(share / (1 - share)) + self.offset
        return 1 / (1 + math.exp(-logit))


class BundleConfig(BaseModel):
    """What the runtime has to know about a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    name: str
    version: str
    image_size: int
    num_visual_tokens: int
    max_frames: int
    max_text_tokens: int
    eos_token_id: int
    num_layers: int
    num_key_value_heads: int
    head_size: int
    calibration: dict[str, Calibration]
    """By kind of question, all of `KINDS`; older bundles have none for "is this" and use that of "yes/no"."""
    figures: dict[str, Any] = {}
    """What was measured when it was exported."""

    @field_validator("calibration")
    @classmethod
    def _has_all_kinds(cls, calibration: dict[str, Calibration]) -> dict[str, Calibration]:
        if "yes/no" in calibration:
            calibration = {"is this": calibration["yes/no"], **calibration}
        if set(calibration) != set(KINDS):
            raise ValueError(f"it is for {', '.join(calibration) or 'nothing'}, not for {', '.join(KINDS)}")
        return calibration


@dataclass(frozen=True)
class Embeddings:
    """The arrays of `embeddings.npz`."""

    words: NDArray[np.int8]
    """The decoder's word embeddings without their scales, (V, E)."""
    scales: Floats
    """What each row of `words` is multiplied by, (V,)."""
    answer_weight: Floats
    """With `answer_bias` carries a sentence vector into the answer head's space, (D, 384)."""
    answer_bias: Floats
    """(D,)."""
    references: Floats
    """The dual encoder's unit vectors of some training photos, (R, D): what a fit is compared with."""


class Bundle:
    """A checked folder of bundle files; safe with threads.

    Args:
        folder: the bundle; None is the one that gifqa ships.

    Raises:
        CheckpointError: if a file is missing, differs from its checksum, or the format is another one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or SHIPPED
        self.config = self._read_config()
        self._checksums = self._verify()
        self._lock = threading.Lock()
        self._embeddings: Embeddings | None = None
        self._answers: dict[str, int] | None = None

    def path(self, name: str) -> Path:
        """The path of one of its files."""
        return self.folder / name

    @property
    def digest(self) -> str:
        """Of the whole bundle, in hex: another one answers otherwise."""
        return _digest_of(self._checksums)

    @property
    def encoder_digest(self) -> str:
        """Of what the dual encoder's features depend on: not of calibrations, figures and versions."""
        files = {name: self._checksums[name] for name in ENCODER_FILES}
        return _digest_of(files | {name: getattr(self.config, name) for name in ENCODER_SETTINGS})

    @property
    def embeddings(self) -> Embeddings:
        """The arrays of `embeddings.npz`, read once.

        Raises:
            CheckpointError: if the file is no such archive.
        """
        with self._lock:
            if self._embeddings is None:
                self._embeddings = self._read_embeddings()
            return self._embeddings

    @property
    def answers(self) -> dict[str, int]:
        """The known answers in the order of the answer head, each with its place; read once.

        Raises:
            CheckpointError: if `answers.json` is no list of strings.
        """
        with self._lock:
            if self._answers is None:
                self._answers = self._read_answers()
            return self._answers

    def _read_embeddings(self) -> Embeddings:
        path = self.path("embeddings.npz")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                found = {field.name: arrays[field.name] for field in fields(Embeddings)}
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{path} cannot be read ({error}); it is an archive of {len(fields(Embeddings))} arrays. "
                "Export the bundle again."
            ) from error
        words = found.pop("words")
        return Embeddings(words, **{name: array.astype(np.float32) for name, array in found.items()})

    def _read_answers(self) -> dict[str, int]:
        path = self.path("answers.json")
        try:
            answers = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); export the bundle again.") from error
        if not isinstance(answers, list) or not all(isinstance(answer, str) for answer in answers):
            raise CheckpointError(f"{path} is no list of strings, as it must be; export the bundle again.")
        return {answer: place for place, answer in enumerate(answers)}

    def _read_config(self) -> BundleConfig:
        try:
            raw = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder} is not a gifqa bundle (config.json: {error}); a bundle is a folder written "
                "by `gifqa export`. Check the path, or use --model lite."
            ) from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            given = raw.get("format") if isinstance(raw, dict) else raw
            raise CheckpointError(
                f"{self.folder} has bundle format {given}; this gifqa reads format {FORMAT}. "
                "Update gifqa, or export the bundle again."
            )
        try:
            return BundleConfig.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            raise CheckpointError(
                f"{self.folder}/config.json: {'.'.join(map(str, first['loc']))}: {first['msg']}; "
                "export the bundle again, or update gifqa."
            ) from error

    def _verify(self) -> dict[str, str]:
        """Compare every file with its checksum; returns the checksums by name."""
        try:
            expected = json.loads(self.path("checksums.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder}/checksums.json cannot be read ({error}); export the bundle again."
            ) from error
        unlisted = REQUIRED - set(expected) if isinstance(expected, dict) else REQUIRED
        if unlisted:
            raise CheckpointError(
                f"{self.folder}/checksums.json does not list {', '.join(sorted(unlisted))}; every file of a "
                "bundle is listed there. Export the bundle again."
            )
        for name, checksum in expected.items():
            try:
                found = file_checksum(self.path(name))
            except OSError as error:
                raise CheckpointError(
                    f"{self.path(name)} cannot be read ({error.strerror}); a bundle needs all "
                    f"{len(expected)} files of its list. Install gifqa again, or copy the whole folder."
                ) from error
            if found != checksum:
                raise CheckpointError(
                    f"{self.path(name)} has the checksum {found[:12]}…, not {checksum[:12]}… as listed; the "
                    "file is damaged or was changed. Install gifqa again, or export the bundle again."
                )
        return {name: str(checksum) for name, checksum in expected.items()}


def _digest_of(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write `checksums.json` for all other files of the folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != "checksums.json")
    sums = {name: file_checksum(folder / name) for name in names}
    (folder / "checksums.json").write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
