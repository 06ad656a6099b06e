"""Two runs on the same questions: how far apart, how surely, and where."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import ConfigError
from gifqa.evaluation.benchmarks import Benchmark, get_benchmark
from gifqa.evaluation.journal import read_run
from gifqa.evaluation.manifest import read_manifest
from gifqa.evaluation.predictions import Prediction
from gifqa.evaluation.scoring import HEADLINES, headline_values
from gifqa.evaluation.statistics import PairedTest, bootstrap_mean, mcnemar, paired_bootstrap

_MOST_FLIPS = 20


@dataclass(frozen=True)
class Flip:
    """A question on which the runs differ."""

    id: str
    question: str
    answer: str
    first: str
    second: str
    gain: float
    """The second run's value minus the first's."""


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side; `first` and `second` are their folders."""

    benchmark: str
    headline: str
    first: str
    second: str
    shared: int
    """Questions that both answered; only they are compared."""
    only_first: int
    only_second: int
    first_score: float
    second_score: float
    bootstrap: PairedTest
    mcnemar: PairedTest | None
    """For right and wrong answers; None for other metrics."""
    by_kind: dict[str, tuple[int, float, float, float]]
    """Question type to number, difference and its 95 % interval."""
    flips: tuple[Flip, ...]
    """The largest differences, each way."""
    unfinished: tuple[str, ...] = ()
    """Folders of runs that were stopped: the shared questions are those that they came to."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def compare_runs(first: Path, second: Path, *, seed: int = 0) -> Comparison:
    """Compare two runs on the questions that both answered; a run that was stopped counts with what it has.

    Args:
        first: folder of a run.
        second: folder of the other one.
        seed: of the bootstrap.

    Returns:
        The comparison; for squared errors a negative difference is the better one.

    Raises:
        ConfigError: if the runs are on different benchmarks or share no question.
        RecordError: if a folder is no run, or a run without an answer.
    """
    benchmark = _shared_benchmark(first, second)
    runs = [read_run(folder) for folder in (first, second)]
    before, after = (_answers(predictions) for predictions, _ in runs)
    shared = [number for number in before if number in after]
    if not shared:
        raise ConfigError(
            f"{first} and {second} have no question in common ({len(before)} and {len(after)} answers); "
            "runs are compared on the same ones. Evaluate both on the same annotations."
        )
    changed = [n for n in shared if before[n].question.answers != after[n].question.answers]
    if changed:
        raise ConfigError(
            f"{first} and {second} have different right answers to {len(changed)} questions, {changed[0]!r} "
            "among them; runs are compared on the same annotations. Evaluate both on one file."
        )
    pairs = [(before[number], after[number]) for number in shared]
    values = tuple(headline_values([pair[side] for pair in pairs], benchmark) for side in (0, 1))
    gifs = [pair[0].question.gif for pair in pairs]
    is_binary = benchmark.task in ("open", "choice", "retrieval")
    return Comparison(
        benchmark=benchmark.name,
        headline="rouge_l" if benchmark.task == "caption" else HEADLINES[benchmark.task],
        first=str(first),
        second=str(second),
        shared=len(shared),
        only_first=len(before) - len(shared),
        only_second=len(after) - len(shared),
        first_score=float(values[0].mean()),
        second_score=float(values[1].mean()),
        bootstrap=paired_bootstrap(values[0], values[1], gifs, seed=seed),
        mcnemar=mcnemar(values[0], values[1]) if is_binary else None,
        by_kind=_by_kind(pairs, values[1] - values[0], seed),
        flips=_flips(pairs, values[1] - values[0]),
        unfinished=tuple(
            str(folder) for folder, (_, ended) in zip((first, second), runs, strict=True) if not ended
        ),
    )


def _shared_benchmark(first: Path, second: Path) -> Benchmark:
    names = [read_manifest(folder)["run"]["benchmark"] for folder in (first, second)]
    if names[0] != names[1]:
        raise ConfigError(
            f"{first} is a run on {names[0]} and {second} one on {names[1]}; runs are compared on one "
            "benchmark. Give two runs on the same one."
        )
    return get_benchmark(names[0])


def _answers(predictions: Sequence[Prediction]) -> dict[str, Prediction]:
    return {prediction.question.id: prediction for prediction in predictions if prediction.error is None}


def _by_kind(
    pairs: Sequence[tuple[Prediction, Prediction]], gains: NDArray[np.float64], seed: int
) -> dict[str, tuple[int, float, float, float]]:
    kinds = [pair[0].question.kind for pair in pairs]
    table = {}
    for kind, count in sorted(Counter(kinds).items(), key=lambda item: (-item[1], item[0])):
        rows = [row for row, other in enumerate(kinds) if other == kind]
        mean = bootstrap_mean(gains[rows], [pairs[row][0].question.gif for row in rows], seed=seed)
        table[kind] = (count, mean.value, mean.low, mean.high)
    return table


def _flips(pairs: Sequence[tuple[Prediction, Prediction]], gains: NDArray[np.float64]) -> tuple[Flip, ...]:
    order = np.argsort(-np.abs(gains), kind="stable")
    chosen = [
        row for sign in (1, -1) for row in [r for r in order if gains[r] * sign > 0][: _MOST_FLIPS // 2]
    ]
    return tuple(
        Flip(
            id=pairs[row][0].question.id,
            question=pairs[row][0].question.question,
            answer=pairs[row][0].question.answer,
            first=pairs[row][0].text,
            second=pairs[row][1].text,
            gain=float(gains[row]),
        )
        for row in chosen
    )
