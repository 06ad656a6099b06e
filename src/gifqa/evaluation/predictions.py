"""What a run keeps of each question: one JSON line."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gifqa.errors import RecordError
from gifqa.evaluation.questions import Question

PREDICTIONS = "predictions.jsonl"
"""A run's answers."""
RESULTS = "results.json"
"""A run's scores; a folder without it holds a run that was stopped."""


@dataclass(frozen=True)
class Prediction:
    """The answer to one question, or the error that stands in its place."""

    question: Question
    text: str = ""
    confidence: float | None = None
    alternatives: tuple[tuple[str, float], ...] = ()
    keyframes: tuple[dict[str, Any], ...] = ()
    """`index`, `pts_seconds` and `score` of each frame that the model saw."""
    duration_seconds: float | None = None
    timings: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: str | None = None
    """Why there is no answer: the media could not be read."""
    expected_score: float | None = None
    """For random guesses: chance of being right, or expected squared error."""

    def to_json(self) -> str:
        """One line, without its end."""
        own = {
            "prediction": self.text,
            "confidence": self.confidence,
            "alternatives": [list(pair) for pair in self.alternatives],
            "keyframes": list(self.keyframes),
            "duration_seconds": self.duration_seconds,
            "timings": dict(self.timings),
            "warnings": list(self.warnings),
            "error": self.error,
        }
        if self.expected_score is not None:
            own["expected_score"] = self.expected_score
        return json.dumps({**self.question.to_dict(), **own}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "Prediction":
        """The prediction that `to_json` wrote.

        Raises:
            ValueError: if the line is no JSON.
            KeyError: if a field is missing.
            TypeError: if a field is of another kind.
        """
        fields = json.loads(line)
        return cls(
            question=Question.from_dict(fields),
            text=fields["prediction"],
            confidence=fields["confidence"],
            alternatives=tuple((answer, float(share)) for answer, share in fields["alternatives"]),
            keyframes=tuple(fields["keyframes"]),
            duration_seconds=fields["duration_seconds"],
            timings=fields["timings"],
            warnings=tuple(fields["warnings"]),
            error=fields["error"],
            expected_score=fields.get("expected_score"),
        )


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions of a run.

    Raises:
        RecordError: if the file cannot be read or a line is damaged.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"{path}: cannot be read ({error}); a run has it in its folder. Give the folder of a run."
        ) from error
    predictions = []
    for number, line in enumerate(lines, start=1):
        try:
            if line:
                predictions.append(Prediction.from_json(line))
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(
                f"{path.name}:{number}: no prediction ({error!r}); a line is one JSON object. Delete the "
                "file and run again: the answers are kept in the folder's shards."
            ) from error
    return predictions


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions, one a line; what stood at `path` is replaced when all is written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text("".join(prediction.to_json() + "\n" for prediction in predictions), encoding="utf-8")
    temporary.replace(path)
