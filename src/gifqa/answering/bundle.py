"""The files of a bundle: the shipped model as ONNX graphs, tokenizers, word embeddings and one config.

config.json          BundleConfig: shapes, version, calibration
checksums.json       SHA-256 of every other file
vision.onnx          pixels uint8 (N,260,260,3) -> grid (N,G,C), embedding (N,D)
text.onnx            input_ids, attention_mask (B,T) -> token_states (B,T,384), sentence, embedding (B,D)
reader.onnx          grid, frame_mask, question, question_mask -> visual_tokens (B,K,E), answer_logits (B,A),
                     answer_state (B,D)
decoder.onnx         (weights in decoder.onnx.4bit and .8bit) inputs_embeds (B,S,E), attention_mask, past -> logits (B,S,V), present
embeddings.npz       word embeddings int8 (V,E) with a scale a row, the answers' projection, and the dual
                     encoder's vectors of some training photos to compare with
answers.json         the A known answers
tokenizer.json       of the language model       text_tokenizer.json    of the text tower
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from gifqa.errors import CheckpointError

FORMAT = 1
SHIPPED = Path(__file__).parents[1] / "bundle"


class Calibration(BaseModel):
    """How the opinions on an answer are weighed, and how sure the winner may be.

    score = head_weight * log p(answer head) + language_weight * log p(language model) + fit_weight * fit, where fit is
    how much better than to other pictures the answer, as a statement, fits the frames in the dual encoder's space, in
    standard deviations. The softmax of the scores over the candidates is p, and the confidence is
    sigmoid(slope * logit(p of the best) + offset). Fitted on validation data by `gifqa.training.calibration`.
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
        """How likely an answer is right that won with this share, in (0, 1), of the softmax."""
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
    """By kind of question: "open", "yes/no", "options"."""
    figures: dict[str, Any] = {}
    """What was measured when it was exported."""


class Bundle:
    """A checked folder of bundle files.

    Args:
        folder: the bundle; None is the one that gifqa ships.

    Raises:
        CheckpointError: if a file is missing, differs from its checksum, or the format is another one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or SHIPPED
        self.config = self._read_config()
        self.digest = self._verify()

    def path(self, name: str) -> Path:
        """The path of one of its files."""
        return self.folder / name

    def _read_config(self) -> BundleConfig:
        try:
            raw = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder} is not a gifqa bundle (config.json: {error}); a bundle is a folder written by "
                "`gifqa export`. Check the path, or use --model lite."
            ) from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            given = raw.get("format") if isinstance(raw, dict) else raw
            raise CheckpointError(
                f"{self.folder} has bundle format {given}; this gifqa reads format {FORMAT}. Update gifqa, or export "
                "the bundle again."
            )
        try:
            return BundleConfig.model_validate(raw)
        except ValidationError as error:
            first = error.errors()[0]
            raise CheckpointError(
                f"{self.folder}/config.json: {'.'.join(map(str, first['loc']))}: {first['msg']}; export it again."
            ) from error

    def _verify(self) -> str:
        """Compare every file with its checksum; returns a digest of the whole bundle."""
        try:
            expected: dict[str, str] = json.loads(self.path("checksums.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder}/checksums.json cannot be read ({error}); export it again."
            ) from error
        for name, checksum in expected.items():
            try:
                found = file_checksum(self.path(name))
            except OSError as error:
                raise CheckpointError(
                    f"{self.path(name)} cannot be read ({error.strerror}); a bundle needs all {len(expected)} files of "
                    "its checksums.json. Install gifqa again, or copy the whole folder."
                ) from error
            if found != checksum:
                raise CheckpointError(
                    f"{self.path(name)} has the checksum {found[:12]}…, not {checksum[:12]}… as listed; the file is "
                    "damaged or was changed. Install gifqa again, or export the bundle again."
                )
        return hashlib.sha256(json.dumps(expected, sort_keys=True).encode()).hexdigest()


def file_checksum(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(folder: Path) -> None:
    """Write `checksums.json` for all other files of the folder."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != "checksums.json")
    sums = {name: file_checksum(folder / name) for name in names}
    (folder / "checksums.json").write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")
