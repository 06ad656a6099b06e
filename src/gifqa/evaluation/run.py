"""One evaluation from annotations to results: read, answer, score, write; goes on where it was stopped.

DIR/manifest.json        settings, hashes of annotations and model, versions, start
DIR/shards/              questions and answers in shards, through `gifqa.engine` (`gifqa.evaluation.journal`)
DIR/predictions.jsonl    every answer with its keyframes and timings
DIR/missing.txt          media that were not found, if any
DIR/results.json         {"benchmark", "metrics": {name: {"value", "ci95"}}, "coverage": {...}, ...}
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np

from gifqa.engine import run_shards
from gifqa.errors import GifQAError
from gifqa.evaluation.answering import (
    AnswerShard,
    MakeQA,
    check_view,
    forget_models,
    guess_all,
    model_maker,
)
from gifqa.evaluation.baselines import Baseline, make_guesser
from gifqa.evaluation.benchmarks import Benchmark, annotation_files, get_benchmark, read_questions
from gifqa.evaluation.beside import Beside, read_beside, text_baselines
from gifqa.evaluation.config import EvaluationConfig
from gifqa.evaluation.journal import SHARDS, gather, journal_of, write_shards
from gifqa.evaluation.manifest import check_output, describe_run, fingerprint, write_whole
from gifqa.evaluation.matching import match_media
from gifqa.evaluation.predictions import PREDICTIONS, RESULTS, Prediction, write_predictions
from gifqa.evaluation.questions import Question
from gifqa.evaluation.scoring import ScoreCard, score_predictions
from gifqa.evaluation.views import View
from gifqa.evaluation.wordnet import WordNet, has_wordnet, load_wordnet

MISSING = "missing.txt"
OnProgress = Callable[[int, int], None]
"""Called with the questions done and their number."""


@dataclass(frozen=True)
class Coverage:
    """How much of the benchmark was evaluated."""

    questions: int
    """Asked by the benchmark (after --limit)."""
    with_media: int
    """Of those, the ones whose media were found; 0 where nothing looks at media."""
    answered: int
    """Of those, the ones that got an answer: their media could be read."""
    empty: int
    """Answers without a word; they count as wrong."""
    missing_media: int
    """Different media that were not found."""


@dataclass(frozen=True)
class Evaluation:
    """A finished run."""

    config: EvaluationConfig
    benchmark: Benchmark
    coverage: Coverage
    scores: ScoreCard
    predictions: tuple[Prediction, ...]
    """All of them, also those with an error."""
    beside: tuple[Beside, ...] = ()
    """Baselines on the same questions, and other runs."""
    paths: Mapping[str, Path] = field(default_factory=dict)
    """Id of a question to its media, for the report's pictures."""

    @property
    def answered(self) -> tuple[Prediction, ...]:
        """The predictions that were scored, in the order of `scores.values`."""
        return tuple(prediction for prediction in self.predictions if prediction.error is None)

    @property
    def stage_seconds(self) -> dict[str, float]:
        """Median seconds of each stage of an answer, and in all; empty where nothing looks at media."""
        stages = dict.fromkeys(stage for prediction in self.answered for stage in prediction.timings)
        return {
            stage: float(np.median([prediction.timings.get(stage, 0.0) for prediction in self.answered]))
            for stage in stages
        }

    @property
    def summary(self) -> str:
        """The first line of every report: what was evaluated and what was not."""
        asked, found = self.coverage.questions, self.coverage.answered
        unit = "GIFs" if self.benchmark.task == "caption" else "questions"
        line = f"{self.benchmark.name}: {found:,} of {asked:,} {unit} evaluated"
        if not self.config.needs_media:
            return f"{line} (this baseline looks at no media)"
        missing = asked - self.coverage.with_media
        unread = self.coverage.with_media - found
        parts = [f"{missing:,} without media, listed in {MISSING}"] if missing else []
        parts += [f"{unread:,} whose media or question could not be used"] if unread else []
        parts += (
            [f"{self.coverage.empty:,} answers are empty and count as wrong"] if self.coverage.empty else []
        )
        return f"{line}; {', '.join(parts)}" if parts else line

    def to_dict(self) -> dict[str, Any]:
        """What `results.json` holds."""
        return {
            "benchmark": self.benchmark.name,
            "summary": self.summary,
            "model": self.config.model,
            "baseline": self.config.baseline,
            **self.scores.to_dict(),
            "baselines": {other.name: other.to_dict() for other in self.beside},
            "coverage": vars(self.coverage),
            "stage_seconds": self.stage_seconds,
        }


def run_evaluation(
    config: EvaluationConfig,
    *,
    make_qa: MakeQA | None = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Evaluate a model or a baseline on a benchmark.

    A run that was stopped goes on when it is started again with the same settings; when it is complete, only
    the scores are computed anew.

    Args:
        config: what, on what, and where to.
        make_qa: makes the pipeline instead of `config.model`, for models that have no name; picklable for
            engines other than local.
        on_progress: called after each shard.

    Returns:
        The scores; they and the predictions are also in `config.output`.

    Raises:
        RecordError: if the annotations cannot be read or are another benchmark's.
        ConfigError: if the settings do not fit together, no media are found, or the folder holds another run.
        GifQAError: if the model fails; answers so far are kept.
    """
    benchmark = get_benchmark(config.benchmark)
    questions = _drawn(read_questions(benchmark, config.annotations), config)
    train = read_questions(benchmark, config.train) if config.train else None
    others = tuple(read_beside(folder, benchmark) for folder in config.beside)
    trained_on = annotation_files(benchmark, config.train) if config.train else []
    run = describe_run(config, annotation_files(benchmark, config.annotations), trained_on)
    found: tuple[tuple[Question, Path], ...] = ()
    missing: tuple[str, ...] = ()
    if config.needs_media:
        check_view(_view(config), questions)
        matched = match_media(questions, config)
        found, missing = matched.found, matched.missing
        run["media_sha256"] = matched.state
        check_output(config.output, run)
        if missing:
            write_whole(config.output / MISSING, "".join(f"{name}\n" for name in missing))
        predictions = _answer(found, config, fingerprint(run), make_qa, on_progress)
    else:
        guesser = make_guesser(cast(Baseline, config.baseline), questions, train, config.seed)
        check_output(config.output, run)
        predictions = guess_all(guesser, questions)
        write_predictions(config.output / PREDICTIONS, predictions)
    answered = [prediction for prediction in predictions if prediction.error is None]
    _require_answers(answered, predictions, config)
    asked = [prediction.question for prediction in answered]
    settings: dict[str, Any] = {"seed": config.seed, "num_resamples": config.num_resamples}
    evaluation = Evaluation(
        config=config,
        benchmark=benchmark,
        coverage=Coverage(len(questions), len(found), len(answered), _count_empty(answered), len(missing)),
        scores=score_predictions(answered, benchmark, wordnet=_wordnet(benchmark), **settings),
        predictions=tuple(predictions),
        beside=_without_doubles(text_baselines(asked, benchmark, train, **settings), others),
        paths={question.id: path for question, path in found},
    )
    write_whole(config.output / RESULTS, json.dumps(evaluation.to_dict(), indent=2) + "\n")
    return evaluation


def _without_doubles(baselines: Sequence[Beside], others: Sequence[Beside]) -> tuple[Beside, ...]:
    """Baselines and other runs; a run of a baseline takes the place of the one counted here."""
    names = {other.name for other in others}
    return (*(baseline for baseline in baselines if baseline.name not in names), *others)


def _require_answers(
    answered: Sequence[Prediction], predictions: Sequence[Prediction], config: EvaluationConfig
) -> None:
    if not answered:
        raise GifQAError(
            f"none of {len(predictions)} questions got an answer; the first error is: {predictions[0].error} "
            f"All are in {config.output / PREDICTIONS}. Check the media."
        )


def _count_empty(answered: Sequence[Prediction]) -> int:
    return sum(not p.text.strip() for p in answered if p.question.task != "retrieval")


def _wordnet(benchmark: Benchmark) -> WordNet | None:
    """WordNet for the tasks that use it: for METEOR also its stand-in; None where NLTK is not installed."""
    wanted = benchmark.task == "caption" or (benchmark.task == "open" and has_wordnet())
    return load_wordnet() if wanted and find_spec("nltk") else None


def _view(config: EvaluationConfig) -> View:
    return cast(View, config.baseline or "clip-cut")


def _drawn(questions: list[Question], config: EvaluationConfig) -> list[Question]:
    """The questions, or as many of them as `limit` says, in the file's order."""
    if config.limit is None or config.limit >= len(questions):
        return questions
    rows = np.random.default_rng(config.seed).choice(len(questions), config.limit, replace=False)
    return [questions[row] for row in sorted(rows.tolist())]


def _answer(
    found: Sequence[tuple[Question, Path]],
    config: EvaluationConfig,
    run: str,
    make_qa: MakeQA | None,
    on_progress: OnProgress | None,
) -> list[Prediction]:
    """The predictions in the order of `found`; what an earlier run left is read, not made again."""
    work = config.output / SHARDS
    sources = write_shards(found, work, config.shard_size)
    maker = make_qa or model_maker(str(config.model), config.encoder, config.limits)
    function = AnswerShard(maker, _view(config), run, config.top_k, config.seed)
    done = 0

    def count(index: int, summary: dict[str, Any]) -> None:
        nonlocal done
        done += summary["answered"] + summary["failed"]
        if on_progress is not None:
            on_progress(done, len(found))

    try:
        run_shards(function, sources, work, fingerprint=run, config=config.engine, on_done=count)
    finally:
        forget_models()
        predictions = gather(work)
        write_predictions(config.output / PREDICTIONS, predictions)
    for source in sources:
        journal_of(source).unlink(missing_ok=True)
    return predictions
