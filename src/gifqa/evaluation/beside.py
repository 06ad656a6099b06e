"""What a score is shown beside: baselines on exactly the questions that were evaluated, and other runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gifqa.errors import ConfigError
from gifqa.evaluation.answering import guess_all
from gifqa.evaluation.baselines import RandomGuesser, make_guesser
from gifqa.evaluation.benchmarks import Benchmark
from gifqa.evaluation.manifest import read_manifest
from gifqa.evaluation.metrics import Resampling, mean_scores
from gifqa.evaluation.questions import Question
from gifqa.evaluation.scoring import headline_values
from gifqa.evaluation.statistics import Interval


@dataclass(frozen=True)
class Beside:
    """Another score on the same benchmark."""

    name: str
    score: Interval
    """Of the headline metric."""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As it stands in `results.json`."""
        return {**self.score.to_dict(), "note": self.note}


def text_baselines(
    questions: Sequence[Question],
    benchmark: Benchmark,
    train: Sequence[Question] | None,
    *,
    seed: int,
    num_resamples: int,
) -> tuple[Beside, ...]:
    """Random, most frequent and question-only on the questions given, as far as the training data allow.

    Args:
        questions: those that the run answered.
        benchmark: whose they are.
        train: training questions; without them the most frequent answers are those of `questions`, which the
            note says, and choices have random only.
        seed: of random, of the question-only model and of the intervals.
        num_resamples: bootstrap samples.

    Returns:
        The baselines' scores; none for captions and retrieval.
    """
    if benchmark.task in ("caption", "retrieval"):
        return ()
    resampling = Resampling([question.gif for question in questions], seed, num_resamples)
    guesser = make_guesser("random", questions, train, seed)
    expected = [guesser.expected_score(q) for q in questions] if isinstance(guesser, RandomGuesser) else []
    found = [
        Beside("random", mean_scores({"": expected}, resampling)[""], "expected score of a uniform guess")
    ]
    for name in ("most-frequent", "most-frequent-per-kind", "question-only"):
        try:
            guesser = make_guesser(name, questions, train, seed)  # type: ignore[arg-type]
        except ConfigError:
            continue
        values = headline_values(guess_all(guesser, questions), benchmark)
        note = "" if train is not None else "from the test answers, so optimistic"
        found.append(Beside(name, mean_scores({"": values}, resampling)[""], note))
    return tuple(found)


def read_beside(folder: Path, benchmark: Benchmark) -> Beside:
    """The headline score of another run's folder.

    Raises:
        ConfigError: if it is a run on another benchmark, or an unfinished one.
        RecordError: if it is no run.
    """
    run = read_manifest(folder)["run"]
    if run["benchmark"] != benchmark.name:
        raise ConfigError(
            f"--beside {folder} is a run on {run['benchmark']}; this one is on {benchmark.name}. "
            "Runs stand beside each other on one benchmark only."
        )
    try:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        entry = results["metrics"][results["headline"]]
        score = Interval(entry["value"], *entry["ci95"])
        note = f"{results['coverage']['answered']:,} questions"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"--beside {folder} has no results.json that can be read ({error!r}); a finished run has one. "
            "Run it to its end first."
        ) from error
    name = " with ".join(part for part in (run["baseline"], run["model"]) if part)
    return Beside(name, score, note)
