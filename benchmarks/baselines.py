"""Is the model better than simpler ways? Every baseline on the test split of annotated photos and clips.

    python benchmarks/baselines.py --data DIR --pairs pairs.jsonl --output runs/baselines
        [--limit 150] [--json OUT] [--markdown OUT]

DIR has photos/captions.jsonl, photos/images/, clips/clips.jsonl and clips/ (docs/benchmarks.md, "Data"); the
pairs are those that `gifqa synthesize` made of the clips' descriptions. Five sets of questions are asked:

    photos, choice    what people asked, with three wrong answers
    photos, open      the same without the options
    photos, yes/no    VQA's yes/no questions, rephrased by machine
    clips, open       made of descriptions
    clips, yes/no     made of descriptions, half of them false

Each way of answering is one run of `gifqa evaluate` below --output, so the same command goes on where it was
stopped, and each has its report. `--limit` draws so many of each set with the seed, the same for every way. A
still has one frame: on photos only a blank frame and the original's swapped colours differ from the model.
"""

import argparse
import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from json_lines import read_lines
from own_records import questions_of
from predicting import add_model_flag
from reporting import ABSENT, Table, add_output_flags, percent, run, write_report

from gifqa.data.records import QARecord, read_records, write_records
from gifqa.errors import ConfigError
from gifqa.evaluation.config import FRAME_BASELINES, TEXT_BASELINES, EvaluationConfig
from gifqa.evaluation.report import write_report as write_pages
from gifqa.evaluation.run import Evaluation, run_evaluation
from gifqa.evaluation.statistics import Interval, paired_bootstrap
from gifqa.pipeline import GifQA
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.config import CacheConfig, ClipCutConfig

PARTS = ("photos, choice", "photos, open", "photos, yes/no", "clips, open", "clips, yes/no")
MODEL = "model"
STILLS = ("original-frames", "blank-frame")
"""The frame baselines that differ from the model on a picture of one frame."""
ROWS = {
    "uniform-frames": "frames spread evenly",
    "top-frames": "the best scores alone",
    "middle-frame": "the middle frame alone",
    "shuffled-frames": "frames in another order",
    "original-frames": "frames by the original's way",
    "blank-frame": "a blank frame",
    "question-only": "question only",
    "most-frequent-per-kind": "most frequent answer of the kind of question",
    "most-frequent": "most frequent answer",
    "random": "random guess, expected",
}
"""Baselines in the table's order, and what they are called there."""
_CACHE_BYTES = 2**30


@dataclass(frozen=True)
class Part:
    """One set of questions."""

    name: str
    media: Path
    test: tuple[QARecord, ...]
    train: tuple[QARecord, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """The model and the baselines that say something about it."""
        frames = STILLS if self.name.startswith("photos") else FRAME_BASELINES
        return (MODEL, *(name for name in ROWS if name in frames or name in TEXT_BASELINES))


def read_parts(data: Path, pairs: Path, split: str) -> list[Part]:
    """The sets of questions, those without any left out.

    Raises:
        ConfigError: if there is none.
        RecordError: if a file cannot be read.
    """
    found: dict[tuple[str, str], dict[str, QARecord]] = {}
    human = [
        question
        for line in read_lines(data / "photos" / "captions.jsonl", ("image", "split", "qa"))
        for form in ("choice", "open")
        for question in questions_of(line, form, frozenset())
    ]
    clips = {line["clip"] for line in read_lines(data / "clips" / "clips.jsonl", ("clip",))}
    made = [pair_form(record) for record in read_records(pairs) if record.gif in clips]
    for name, record in (*(form for question in human for form in forms_of(question)), *made):
        found.setdefault((name, str(record.split)), {})[record.id] = record
    folders = {"photos": data / "photos" / "images", "clips": data / "clips"}
    parts = [
        Part(
            name,
            folders[name.split(",")[0]],
            tuple(found[name, split].values()),
            tuple(found[name, "train"].values()),
        )
        for name in PARTS
        if (name, split) in found and (name, "train") in found
    ]
    if not parts:
        raise ConfigError(
            f"--split is {split}, and neither {data} nor {pairs} has questions of both it and train; records "
            'name theirs in "split". Check the three.'
        )
    return parts


def forms_of(record: QARecord) -> Iterator[tuple[str, QARecord]]:
    """How a question about a photo is asked: a choice also without its options."""
    if record.options:
        yield "photos, choice", record
        yield "photos, open", record.model_copy(update={"options": None})
    else:
        is_yes_no = record.answer.casefold().strip(" .") in ("yes", "no")
        yield f"photos, {'yes/no' if is_yes_no else 'open'}", record


def pair_form(record: QARecord) -> tuple[str, QARecord]:
    """A question made of a description; the kind of a yes/no one is what it was made by."""
    if record.answer_type != "yes/no":
        return "clips, open", record
    kind = record.generator.rpartition("/")[2].removesuffix("-swap")
    return "clips, yes/no", record.model_copy(update={"answer_type": kind})


def load(model: str) -> Callable[[ClipCutConfig], GifQA]:
    """Makes the pipeline of each run of one loaded model and one cache: a clip is embedded once for all."""
    loaded = GifQA(model, cache=FeatureCache(CacheConfig(max_memory_bytes=_CACHE_BYTES, max_disk_bytes=0)))
    loaded.load()

    def make(clip_cut: ClipCutConfig) -> GifQA:
        qa = copy.copy(loaded)
        qa.clip_cut = clip_cut
        return qa

    return make


def run_all(parts: list[Part], args: argparse.Namespace) -> dict[str, dict[str, Evaluation]]:
    """Every way of answering on every set; finished runs are only scored again."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    make_qa = load(args.model)
    runs: dict[str, dict[str, Evaluation]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=sum(number_of(part, method, args) for part, method in ways(parts)))
        begun = 0
        for part, method in ways(parts):
            progress.update(task, description=f"{part.name}: {method}")
            config = settings(part, method, args)
            done = run_evaluation(
                config,
                make_qa=make_qa,
                on_progress=lambda n, _, at=begun: progress.update(task, completed=at + n),
            )
            write_pages(done)
            begun += number_of(part, method, args)
            progress.update(task, completed=begun)
            runs.setdefault(part.name, {})[method] = done
    return runs


def ways(parts: list[Part]) -> Iterator[tuple[Part, str]]:
    """Every run."""
    return ((part, method) for part in parts for method in part.methods)


def number_of(part: Part, method: str, args: argparse.Namespace) -> int:
    """How many questions the model is asked in a run."""
    return 0 if method in TEXT_BASELINES else min(args.limit or len(part.test), len(part.test))


def settings(part: Part, method: str, args: argparse.Namespace) -> EvaluationConfig:
    """A run's settings; writes its questions and what the baselines learn from."""
    folder = args.output / part.name.replace(", ", "-").replace("/", "-")
    for name, records in (("test", part.test), ("train", part.train)):
        write_records(folder / f"{name}.jsonl", records)
    is_text = method in TEXT_BASELINES
    return EvaluationConfig(
        benchmark="own",
        annotations=folder / "test.jsonl",
        media=None if is_text else part.media,
        model=None if is_text else args.model,
        baseline=None if method == MODEL else method,
        train=folder / "train.jsonl" if is_text else None,
        output=folder / method,
        limit=args.limit,
        seed=args.seed,
        gallery_size=args.gallery,
    )


def score_of(evaluation: Evaluation) -> Interval:
    """Accuracy, of random guesses the expected one."""
    metrics = evaluation.scores.metrics
    return metrics.get("expected_accuracy", metrics["accuracy"])


def values_of(evaluation: Evaluation) -> dict[str, float]:
    """Question to its value: right, wrong, or the chance of being right."""
    values = zip(evaluation.answered, evaluation.scores.values, strict=True)
    return {p.question.id: v if p.expected_score is None else p.expected_score for p, v in values}


def ahead_of(model: Evaluation, baseline: Evaluation, seed: int) -> Interval:
    """The model's accuracy minus the baseline's on the questions of both, paired."""
    ours, theirs = values_of(model), values_of(baseline)
    gifs = {p.question.id: p.question.gif for p in model.answered if p.question.id in theirs}
    pairs = np.array([(theirs[number], ours[number]) for number in gifs])
    test = paired_bootstrap(pairs[:, 0], pairs[:, 1], list(gifs.values()), seed=seed)
    return Interval(test.difference, test.low, test.high)


Figures = Mapping[str, Mapping[str, Interval]]
"""Set of questions to way of answering to figure."""


def tables(scores: Figures, ahead: Figures, counts: Mapping[str, int], model: str) -> list[Table]:
    """Accuracy of every way, and how far the model is ahead of each."""
    columns = ("", *(f"{part} ({count:,})" for part, count in counts.items()))
    names = {MODEL: model} | ROWS | {name: f"{model}, {ROWS[name]}" for name in FRAME_BASELINES}

    def shown(figure: Interval | None) -> str:
        return ABSENT if figure is None else percent(figure.to_dict())

    def rows(figures: Figures, methods: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        return tuple(
            (names[method], *(shown(figures[part].get(method)) for part in counts)) for method in methods
        )

    interval = "95 % interval, whole pictures resampled"
    return [
        Table(
            "Against simpler ways",
            columns,
            rows(scores, (MODEL, *ROWS)),
            f"Accuracy in per cent [{interval}]; number of questions in brackets.",
        ),
        Table(
            f"How far {model} is ahead",
            columns,
            rows(ahead, ROWS),
            f"Its accuracy minus that of the row, on the same questions, in points [{interval}].",
        ),
    ]


def main() -> None:
    """Ask, score, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    runs = run_all(read_parts(args.data, args.pairs, args.split), args)
    scores = {part: {name: score_of(done) for name, done in found.items()} for part, found in runs.items()}
    ahead = {
        part: {n: ahead_of(found[MODEL], done, args.seed) for n, done in found.items() if n != MODEL}
        for part, found in runs.items()
    }
    counts = {part: found[MODEL].coverage.answered for part, found in runs.items()}
    figures: dict[str, Any] = {
        "coverage": {p: {n: vars(done.coverage) for n, done in found.items()} for p, found in runs.items()},
    }
    for name, cells in (("accuracy", scores), ("ahead", ahead)):
        figures[name] = {p: {n: cell.to_dict() for n, cell in found.items()} for p, found in cells.items()}
    write_report("baselines", args, figures, tables(scores, ahead, counts, args.model), began)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/ and clips/")
    parser.add_argument(
        "--pairs", type=Path, required=True, help="what gifqa synthesize made of the clips' descriptions"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, help="draw at most so many of each set; all by default")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn")
    parser.add_argument("--gallery", type=int, default=0, help="examples in each run's report")
    parser.add_argument("--output", type=Path, default=Path("runs/baselines"), help="folder of the runs")
    add_model_flag(parser)
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
