"""The scores of `answers.py`: what each method answered, and how often it was right.

Methods are the model, the most frequent answer per question type, and the predictions of other models on the
same samples. An answer is right if it is one of the sample's after `gifqa.prompt.normalise_answer`; no answer
is wrong. Intervals are 95 %, whole pictures resampled.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from answer_samples import PARTS, Sample
from json_lines import read_lines
from numpy.typing import NDArray
from reporting import ABSENT, Table, Target, percent

from gifqa.errors import RecordError
from gifqa.evaluation.baselines import FrequencyGuesser
from gifqa.evaluation.calibration import expected_calibration_error
from gifqa.evaluation.questions import Question
from gifqa.evaluation.statistics import bootstrap_mean, bootstrap_statistic, paired_bootstrap
from gifqa.prompt import normalise_answer

MOST_FREQUENT = "most frequent"
BLIND = "blind"
"""What --predictions calls the language model without pictures; the targets are measured by it."""
SMALLEST_ROW = 20
"""Kinds with fewer questions have no row of their own."""
TITLES = {"human": "Questions that people asked", "captions": "Questions made of captions and descriptions"}
MEDIA = {"photo": "photos", "clip": "clips"}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """What one method answered, by the samples' ids."""

    name: str
    answers: dict[str, str]
    confidences: dict[str, float] = field(default_factory=dict)
    num_errors: int = 0
    """Samples that have an error in the place of an answer; they count as wrong."""


def read_predictions(path: Path, name: str, samples: Sequence[Sample]) -> Predictions:
    """The predictions of a file, for these samples; it may have more.

    Args:
        path: JSONL, a line `{"id", "answer", "confidence"?, "options_scores"?}` or `{"id", "error"}`. Where
            a choice has `options_scores`, one for each option in the order of the samples' file, the option
            of the highest is the answer.
        name: of the method.
        samples: what was asked.

    Raises:
        RecordError: if the file cannot be read or lacks a sample.
    """
    rows = {row["id"]: row for row in read_lines(path, ("id",))}
    missing = [sample.id for sample in samples if sample.id not in rows]
    if missing:
        raise RecordError(
            f"{path}: {len(missing):,} of {len(samples):,} samples have no line, {missing[0]} first; "
            "every sample needs one. Predict on the file of --write-samples with the same flags."
        )
    answers, confidences = {}, {}
    for sample in samples:
        row = rows[sample.id]
        answers[sample.id] = _answer(row, sample, path)
        if row.get("confidence") is not None:
            confidences[sample.id] = float(row["confidence"])
    return Predictions(name, answers, confidences, sum("error" in rows[sample.id] for sample in samples))


def _answer(row: dict[str, Any], sample: Sample, path: Path) -> str:
    scores = row.get("options_scores")
    if sample.options is not None and scores is not None:
        if len(scores) != len(sample.options):
            raise RecordError(
                f"{path}: {sample.id} has {len(scores)} options_scores; the sample has {len(sample.options)} "
                "options. Score them in the order of the samples' file."
            )
        return sample.options[int(np.argmax(scores))]
    if "answer" not in row and "error" not in row:
        raise RecordError(
            f'{path}: {sample.id} has no "answer"; it has {", ".join(row)}. Add one, or an "error".'
        )
    return str(row.get("answer") or "")


def most_frequent(samples: Sequence[Sample], train: Sequence[Sample]) -> Predictions:
    """The commonest training answer to questions with the same first two words.

    For choices it is the option whose words are commonest in those answers.

    Raises:
        RecordError: if the training samples have none of a part that is asked.
    """
    answers = {}
    for part in dict.fromkeys(sample.part for sample in samples):
        known = [_question(sample) for sample in train if sample.part == part]
        if not known:
            raise RecordError(
                f"the train split has no {part[1]} question of {part[0]}; the most frequent answers are "
                "counted there. Give annotations that have a train split."
            )
        guesser = FrequencyGuesser([_open(question) for question in known], per_kind=True)
        for sample in samples:
            if sample.part == part:
                answers[sample.id] = guesser.guess(_question(sample)).text
    return Predictions(MOST_FREQUENT, answers)


def _question(sample: Sample) -> Question:
    kind = " ".join(sample.question.casefold().split()[:2])
    task = "choice" if sample.options else "open"
    return Question(sample.id, task, sample.question, sample.answers, (sample.picture,), kind, sample.options)  # type: ignore[arg-type]


def _open(question: Question) -> Question:
    return Question(question.id, "open", question.question, question.answers, question.media, question.kind)


def correctness(predictions: Predictions, samples: Sequence[Sample]) -> Floats:
    """1 for each sample that was answered rightly, else 0."""
    given = (normalise_answer(predictions.answers[sample.id]) for sample in samples)
    return np.array([float(answer in sample.answers) for answer, sample in zip(given, samples, strict=True)])


def score(samples: Sequence[Sample], methods: Sequence[Predictions], seed: int = 0) -> list[dict[str, Any]]:
    """One row for each part, and one for each medium and kind within it; the first method is the model.

    Returns:
        Rows ready for JSON: `origin`, `task`, `group` ("all", a medium or a kind), `num_questions`,
        `num_pictures`, `accuracy` by method, `ece` of the model, and for the groups "all" `over`: by baseline
        the `ratio` and the `difference` of the accuracies.
    """
    correct = {method.name: correctness(method, samples) for method in methods}
    sure = np.array([methods[0].confidences.get(sample.id, np.nan) for sample in samples])
    rows = []
    for origin, task in PARTS:
        for group, chosen in _groups(samples, origin, task):
            pictures = [samples[place].picture for place in chosen]
            right = {name: values[chosen] for name, values in correct.items()}
            row: dict[str, Any] = {
                "origin": origin,
                "task": task,
                "group": group,
                "num_questions": len(chosen),
            }
            row["num_pictures"] = len(set(pictures))
            row["accuracy"] = {
                name: bootstrap_mean(values, pictures, seed=seed).to_dict() for name, values in right.items()
            }
            row["ece"] = _calibration(sure[chosen], right[methods[0].name])
            if group == "all":
                row["over"] = {
                    method.name: _compare(right[methods[0].name], right[method.name], pictures, seed)
                    for method in methods[1:]
                }
            rows.append(row)
    return rows


def _groups(samples: Sequence[Sample], origin: str, task: str) -> list[tuple[str, NDArray[np.int64]]]:
    """The places of a part's samples: all, by medium if there are two, by kind if there are several."""
    places = [place for place, sample in enumerate(samples) if sample.part == (origin, task)]
    if not places:
        return []
    groups = [("all", np.array(places))]
    for names in (
        [MEDIA[samples[place].medium] for place in places],
        [samples[place].kind for place in places],
    ):
        counts = Counter(names)
        if len(counts) > 1:
            groups += [
                (name, np.array([place for place, other in zip(places, names, strict=True) if other == name]))
                for name, count in counts.most_common()
                if count >= SMALLEST_ROW
            ]
    return groups


def _calibration(sure: Floats, right: Floats) -> float | None:
    """The expected calibration error of the answers that have a confidence; None if none has."""
    known = ~np.isnan(sure)
    return expected_calibration_error(sure[known], right[known]) if known.any() else None


def _compare(model: Floats, other: Floats, pictures: Sequence[str], seed: int) -> dict[str, Any]:
    """How many times as often the model is right, and how many points above; each with its interval."""
    gain = paired_bootstrap(other, model, pictures, seed=seed)
    least = 1 / len(other)  # a baseline that is never right counts as one that is right once
    ratio = bootstrap_statistic(
        lambda rows: float(model[rows].mean() / max(other[rows].mean(), least)), pictures, seed=seed
    )
    difference = {"value": gain.difference, "ci95": [gain.low, gain.high], "p_value": gain.p_value}
    return {"ratio": ratio.to_dict(), "difference": difference}


def targets(rows: Sequence[dict[str, Any]]) -> list[Target]:
    """What issue and model card aim at, as far as the blind model's predictions were given."""
    over = {(row["origin"], row["task"]): row["over"].get(BLIND) for row in rows if row["group"] == "all"}

    def measured(part: tuple[str, str], figure: str) -> float | None:
        found = over.get(part)
        return None if found is None else float(found[figure]["value"])

    wanted = (
        ("captions, open: times blind", ("captions", "open"), "ratio", 2.0),
        ("human, open: times blind", ("human", "open"), "ratio", 1.6),
        ("human, yes/no: points above blind", ("human", "yes/no"), "difference", 6.0),
        ("human, choice: points above blind", ("human", "choice"), "difference", 12.0),
    )
    found = []
    for name, part, figure, least in wanted:
        value = measured(part, figure)
        points = 100 if figure == "difference" else 1
        found.append(Target(name, least, None if value is None else points * value))
    return found


def tables(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> list[Table]:
    """One table for what people asked, one for what was made of captions."""
    return [
        _table(origin, rows, methods) for origin in TITLES if any(row["origin"] == origin for row in rows)
    ]


def _table(origin: str, rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> Table:
    lines = []
    for row in rows:
        if row["origin"] != origin:
            continue
        label = f"{row['task']}" if row["group"] == "all" else f"{row['task']}: {row['group']}"
        cells = [label, f"{row['num_questions']:,}"]
        cells += [percent(row["accuracy"][method]) for method in methods]
        cells.append(ABSENT if row["ece"] is None else f"{row['ece']:.3f}")
        lines.append(tuple(cells))
    columns = ("questions", "number", *methods, "ECE")
    note = "Accuracy in per cent [95 % interval, whole pictures resampled]; ECE: expected calibration error."
    return Table(TITLES[origin], columns, tuple(lines), note)
