"""The answers of a run as they come: whole shards, and those of a shard that a stop cut off.

DIR/shards/questions/00007.jsonl     the questions of shard 7 with their media
DIR/shards/questions/00007.partial   its answers so far, a line each as soon as it is known
DIR/shards/shard-00007/              all its answers, put in place by one rename
DIR/predictions.jsonl                those of all shards, when the run ends or is stopped by Ctrl-C
"""

import json
from collections.abc import Sequence
from pathlib import Path

from gifqa.engine import shard_folder
from gifqa.errors import RecordError
from gifqa.evaluation.manifest import write_whole
from gifqa.evaluation.predictions import PREDICTIONS, RESULTS, Prediction, read_predictions
from gifqa.evaluation.questions import Question

SHARDS = "shards"
_QUESTIONS = "questions"


def write_shards(found: Sequence[tuple[Question, Path]], work: Path, size: int) -> list[Path]:
    """Write the questions with the paths of their media into files of `size`; returns these in order."""
    folder = work / _QUESTIONS
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for number, start in enumerate(range(0, len(found), size)):
        lines = [shard_line(question, path) for question, path in found[start : start + size]]
        sources.append(folder / f"{number:05d}.jsonl")
        write_whole(sources[-1], "".join(f"{line}\n" for line in lines))
    return sources


def shard_line(question: Question, path: Path) -> str:
    """A line of a shard file."""
    return json.dumps({**question.to_dict(), "path": str(path)}, ensure_ascii=False)


def read_shard(source: Path) -> list[tuple[Question, Path]]:
    """The questions of a shard file and the paths of their media."""
    lines = source.read_text(encoding="utf-8").rstrip("\n").split("\n")
    found = [json.loads(line) for line in lines]
    return [(Question.from_dict(fields), Path(fields["path"])) for fields in found]


def journal_of(source: Path) -> Path:
    """Where the answers to a shard's questions stand until it is whole."""
    return source.with_suffix(".partial")


def read_journal(source: Path) -> list[Prediction]:
    """The answers that a stopped run left of a shard; a line that the stop cut off is no answer."""
    path = journal_of(source)
    found = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    for line in lines:
        try:
            found.append(Prediction.from_json(line))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def gather(work: Path) -> list[Prediction]:
    """Every answer of a run so far, in the order of its questions."""
    predictions = []
    for source in sorted((work / _QUESTIONS).glob("*.jsonl")):
        whole = shard_folder(work, int(source.stem)) / PREDICTIONS
        predictions += read_predictions(whole) if whole.exists() else read_journal(source)
    return predictions


def read_run(folder: Path) -> tuple[list[Prediction], bool]:
    """The answers in a run's folder, and whether the run came to its end.

    Raises:
        RecordError: if there are none, or a file is damaged.
    """
    if (folder / RESULTS).is_file():
        return read_predictions(folder / PREDICTIONS), True
    predictions = gather(folder / SHARDS)
    if not predictions:
        raise RecordError(
            f"{folder} is a run that has no answer yet; a comparison needs some. Run its command again."
        )
    return predictions, False
