"""The evaluation room measured: published baseline rows reproduced, and what the harness costs.

    python benchmarks/evaluation.py rows --tgif DIR [--hqga DIR] [--json OUT]
    python benchmarks/evaluation.py overhead --annotations FILE --media DIR --model lite [--json OUT]

`rows` reads TGIF-QA's annotation files (`Test_*_question.csv`, `Train_*_question.csv`; for frame questions
also HQGA's `frameqa_train.csv` and `frameqa_test.csv`) and prints each baseline beside the figure of the
paper's table (https://github.com/YunseokJANG/tgif-qa). A row whose files are not there is left out and named;
without the training file the most frequent answer is that of the test file, which reproduces nothing.

`overhead` answers the same questions by a plain loop over `GifQA.ask` and through `run_evaluation`, in turns,
and prints by this process's processor time, which other work on the machine changes least, and by the clock:

    outside    what a run spends outside the model's calls, at a quarter of the questions and at all of them:
               the line through both has the fixed cost of a run and the cost of a question
    paired     the harness minus the plain loop of the same turn, with its range: noisier, but it would show a
               harness that makes the model itself slower
    report     the HTML page with its gallery, a fixed cost on top

Every turn begins with an empty feature cache.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reporting import run

from gifqa.answering.base import Answer
from gifqa.evaluation.answering import distinct_options
from gifqa.evaluation.baselines import RandomGuesser, make_guesser
from gifqa.evaluation.benchmarks import get_benchmark, read_questions
from gifqa.evaluation.config import EvaluationConfig
from gifqa.evaluation.matching import match_media
from gifqa.evaluation.predictions import Prediction
from gifqa.evaluation.questions import Question
from gifqa.evaluation.report import write_report
from gifqa.evaluation.run import run_evaluation
from gifqa.evaluation.scoring import headline_values
from gifqa.pipeline import GifQA
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.config import CacheConfig, ClipCutConfig


@dataclass(frozen=True)
class PublishedRow:
    """A figure of the paper's table."""

    part: str
    baseline: str
    published: float
    unit: str
    definition: str


ROWS = (
    PublishedRow("frameqa", "random", 0.06, "%", "one of the training file's different answers, expected"),
    PublishedRow("frameqa", "most-frequent", 17.49, "%", "the training file's commonest answer"),
    PublishedRow("action", "random", 20.00, "%", "one of five options, expected"),
    PublishedRow(
        "action", "most-frequent", 31.40, "%", "the option whose different words are commonest in answers"
    ),
    PublishedRow("transition", "random", 20.00, "%", "one of five options, expected"),
    PublishedRow("transition", "most-frequent", 30.05, "%", "the option whose different words are commonest"),
    PublishedRow("count", "random", 19.62, "L2", "uniform on 0 to 10, rounded, expected"),
    PublishedRow("count", "most-frequent", 7.78, "L2", "the training file's commonest count"),
)
EXTRA_BASELINES = ("most-frequent-per-kind", "question-only")


def find(part: str, split: str, folders: Sequence[Path]) -> Path | None:
    """The annotation file of a part and split, in its published or re-cut form."""
    names = (f"{split.capitalize()}_{part}_question.csv", f"{part}_{split}.csv")
    return next((folder / name for folder in folders for name in names if (folder / name).is_file()), None)


def score(part: str, baseline: str, test: Sequence[Question], train: Sequence[Question] | None) -> float:
    """The baseline's score in the paper's unit; random's is the expected one."""
    benchmark = get_benchmark(f"tgif-qa/{part}")
    guesser = make_guesser(baseline, test, train)  # type: ignore[arg-type]
    if isinstance(guesser, RandomGuesser):
        value = float(np.mean([guesser.expected_score(question) for question in test]))
    else:
        predictions = [Prediction(question, guesser.guess(question).text) for question in test]
        value = float(headline_values(predictions, benchmark).mean())
    return value if benchmark.task == "count" else 100 * value


def reproduce(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Every row of the paper that the files allow, then the baselines that the paper does not have."""
    results = []
    for part in dict.fromkeys(row.part for row in ROWS):
        test, train = find(part, "test", folders), find(part, "train", folders)
        benchmark = get_benchmark(f"tgif-qa/{part}")
        asked = read_questions(benchmark, test) if test else None
        known = read_questions(benchmark, train) if train else None
        rows = [row for row in ROWS if row.part == part]
        unit = rows[0].unit
        rows += [PublishedRow(part, name, float("nan"), unit, "not in the paper") for name in EXTRA_BASELINES]
        for row in rows:
            needs_train = row.baseline != "random" or part == "frameqa"
            if asked is None or (needs_train and known is None and row.baseline != "most-frequent"):
                print(f"left out: {part}, {row.baseline}: no {'test' if asked is None else 'training'} file")
                continue
            definition = row.definition
            if needs_train and known is None:
                definition += " - of the TEST file, for want of the training file"
            ours = score(part, row.baseline, asked, asked if known is None else known)
            results.append({**vars(row), "definition": definition, "ours": ours, "questions": len(asked)})
    return results


Seconds = NDArray[np.float64]
"""Processor and wall-clock seconds, (2,)."""
CLOCKS = ("processor", "clock")


def now() -> Seconds:
    """Both clocks."""
    return np.array([time.process_time(), time.perf_counter()])


class Turns:
    """Runs and plain loops of one loaded model, timed."""

    def __init__(self, config: EvaluationConfig) -> None:
        """Load the model and answer one question, so that no turn pays for what happens once a process."""
        self._config = config
        self._maker = GifQA(str(config.model))
        self._maker.load()
        self._inside = np.zeros(2)
        questions = read_questions(get_benchmark(config.benchmark), config.annotations)
        self._found = match_media(questions, config).found
        self.plain(1)
        self.harness(1)

    def fresh(self, clip_cut: ClipCutConfig) -> GifQA:
        """The loaded model with an empty cache that keeps nothing on disk; its calls are timed."""
        qa = copy.copy(self._maker)
        qa.clip_cut, qa._cache = clip_cut, FeatureCache(CacheConfig(max_disk_bytes=0))
        ask = qa.ask

        def timed(*words: Any) -> Answer:
            began = now()
            try:
                return ask(*words)
            finally:
                self._inside += now() - began

        qa.ask = timed  # type: ignore[method-assign]
        return qa

    def plain(self, count: int) -> Seconds:
        """A loop over the first questions."""
        began = now()
        qa = self.fresh(ClipCutConfig())
        for question, path in self._found[:count]:
            qa.ask(path, question.question, distinct_options(question.options))
        return now() - began

    def harness(self, count: int) -> tuple[Seconds, Seconds, Seconds]:
        """The same through a run: seconds in all, in the model's calls, and of the report after it."""
        with tempfile.TemporaryDirectory() as folder:
            few = Path(folder) / "few.jsonl"
            few.write_text(self._lines(count), encoding="utf-8")
            config = self._config.model_copy(update={"annotations": few, "output": Path(folder) / "run"})
            self._inside = np.zeros(2)
            began = now()
            evaluation = run_evaluation(config, make_qa=self.fresh)
            ended = now()
            write_report(evaluation)
            return ended - began, self._inside.copy(), now() - ended

    def _lines(self, count: int) -> str:
        """The first questions as own records."""
        rows = [
            {
                "id": question.id,
                "gif": str(path.relative_to(self._config.media or ".")),
                "question": question.question,
                "answer": question.answer,
                "options": question.options,
            }
            for question, path in self._found[:count]
        ]
        return "".join(json.dumps(row) + "\n" for row in rows)


def overhead(config: EvaluationConfig, count: int, repeats: int) -> dict[str, Any]:
    """What the harness costs on so many questions, apart for each clock."""
    turns, few = Turns(config), max(1, count // 4)
    outside: dict[int, list[Seconds]] = {few: [], count: []}
    inside, paired, pages = [], [], []
    for turn in range(repeats):
        loop = turns.plain(count) if turn % 2 else None
        for size in (few, count):
            total, asking, page = turns.harness(size)
            outside[size].append(total - asking)
        loop = turns.plain(count) if loop is None else loop
        inside.append(asking)
        paired.append(total - loop)
        pages.append(page)
    results: dict[str, Any] = {"questions": count, "few": few, "repeats": repeats}
    for column, clock in enumerate(CLOCKS):
        low, high = (float(np.median([row[column] for row in outside[size]])) for size in (few, count))
        model = float(np.median([row[column] for row in inside]))
        differences = [float(row[column]) for row in paired]
        results[clock] = {
            "model_seconds_a_question": model / count,
            "outside_seconds": {str(few): low, str(count): high},
            "seconds_a_question": (high - low) / (count - few),
            "fixed_seconds": low - few * (high - low) / (count - few),
            "share": high / model,
            "paired_share": float(np.median(differences)) / model,
            "paired_share_range": [min(differences) / model, max(differences) / model],
            "report_seconds": float(np.median([row[column] for row in pages])),
        }
    return results


def print_overhead(results: dict[str, Any]) -> None:
    """The figures in a few lines."""
    for clock in CLOCKS:
        found = results[clock]
        model, cost, fixed = (
            found[name] for name in ("model_seconds_a_question", "seconds_a_question", "fixed_seconds")
        )
        low, high = found["paired_share_range"]
        print(
            f"{clock}: the model takes {1000 * model:.1f} ms a question; the harness adds "
            f"{1000 * cost:.2f} ms a question ({cost / model:.2%}) and {fixed:.3f} s a run\n"
            f"  {results['questions']} questions: {found['share']:.1%} outside the model's calls; paired "
            f"with a plain loop {found['paired_share']:+.1%} ({low:+.1%} to {high:+.1%}, "
            f"{results['repeats']} turns); the report takes {found['report_seconds']:.2f} s more"
        )


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    rows = commands.add_parser("rows")
    rows.add_argument("--tgif", type=Path, required=True, help="folder of TGIF-QA's files")
    rows.add_argument("--hqga", type=Path, help="folder of HQGA's re-cut files")
    cost = commands.add_parser("overhead")
    cost.add_argument("--annotations", type=Path, required=True)
    cost.add_argument("--media", type=Path, required=True)
    cost.add_argument("--model", default="lite")
    cost.add_argument("--limit", type=int, default=60, help="questions of a turn")
    cost.add_argument("--repeats", type=int, default=3)
    for command in (rows, cost):
        command.add_argument("--json", type=Path)
    given = parser.parse_args()
    results: Any
    if given.command == "rows":
        results = reproduce([folder for folder in (given.tgif, given.hqga) if folder])
        print(f"{'part':<12}{'baseline':<24}{'paper':>8}{'ours':>9}  {'unit':<5}definition")
        for row in results:
            paper = "" if np.isnan(row["published"]) else f"{row['published']:.2f}"
            line = f"{row['part']:<12}{row['baseline']:<24}{paper:>8}{row['ours']:>9.3f}  {row['unit']:<5}"
            print(line + row["definition"])
            row["published"] = None if np.isnan(row["published"]) else row["published"]
    else:
        config = EvaluationConfig(
            benchmark="own",
            annotations=given.annotations,
            media=given.media,
            model=given.model,
            output=Path("unused"),
        )
        results = overhead(config, given.limit, given.repeats)
        print_overhead(results)
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
