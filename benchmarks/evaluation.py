"""The evaluation room measured: published baseline rows reproduced, and what the harness costs.

    python benchmarks/evaluation.py rows --tgif DIR [--hqga DIR] [--json OUT]
    python benchmarks/evaluation.py overhead --annotations FILE --media DIR --model lite [--json OUT]

`rows` reads TGIF-QA's annotation files (`Test_*_question.csv`, `Train_*_question.csv`; for frame questions
also HQGA's `frameqa_train.csv` and `frameqa_test.csv`) and prints each baseline beside the figure of the
paper's table (https://github.com/YunseokJANG/tgif-qa). A row whose files are not there is left out and named.

`overhead` answers the same questions twice with one model, by a plain loop over `GifQA.ask` and through
`run_evaluation`, in alternation, and compares the fastest of each: by the processor time of this process,
which other work on the machine does not change, and by the clock. Both begin with an empty feature cache.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gifqa.evaluation.answering import distinct_options
from gifqa.evaluation.baselines import RandomGuesser, make_guesser
from gifqa.evaluation.benchmarks import get_benchmark, read_questions
from gifqa.evaluation.config import EvaluationConfig
from gifqa.evaluation.matching import match_media
from gifqa.evaluation.predictions import Prediction
from gifqa.evaluation.questions import Question
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
            if asked is None or (needs_train and known is None):
                print(f"left out: {part}, {row.baseline}: no {'test' if asked is None else 'training'} file")
                continue
            ours = score(part, row.baseline, asked, known)
            results.append({**vars(row), "ours": ours, "questions": len(asked)})
    return results


def overhead(config: EvaluationConfig, repeats: int) -> dict[str, Any]:
    """Seconds for the same questions by a plain loop and through the harness."""
    benchmark = get_benchmark(config.benchmark)
    questions = read_questions(benchmark, config.annotations)[: config.limit]
    found = match_media(questions, config).found
    maker = GifQA(str(config.model))
    maker.load()

    def fresh(clip_cut: ClipCutConfig) -> GifQA:
        """The loaded model with an empty cache that keeps nothing on disk."""
        import copy

        qa = copy.copy(maker)
        qa.clip_cut, qa._cache = clip_cut, FeatureCache(CacheConfig(max_disk_bytes=0))
        return qa

    def plain() -> None:
        qa = fresh(ClipCutConfig())
        for question, path in found:
            qa.ask(path, question.question, distinct_options(question.options))

    def harness() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run_evaluation(config.model_copy(update={"output": Path(folder) / "run"}), make_qa=fresh)

    taken: dict[str, list[tuple[float, float]]] = {"plain": [], "harness": []}
    for _ in range(repeats):
        for name, work in (("plain", plain), ("harness", harness)):
            taken[name].append(timed(work))
    results: dict[str, Any] = {"questions": len(found), "processor_and_clock_seconds": taken}
    for column, clock in enumerate(("processor", "clock")):
        best = {name: min(row[column] for row in rows) for name, rows in taken.items()}
        results[clock] = {
            "overhead": best["harness"] / best["plain"] - 1,
            "milliseconds_a_question": 1000 * best["plain"] / len(found),
            "milliseconds_of_overhead": 1000 * (best["harness"] - best["plain"]) / len(found),
        }
    return results


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Processor and wall-clock seconds of one call."""
    processor, clock = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor, time.perf_counter() - clock


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
    cost.add_argument("--benchmark", default="own")
    cost.add_argument("--annotations", type=Path, required=True)
    cost.add_argument("--media", type=Path, required=True)
    cost.add_argument("--model", default="lite")
    cost.add_argument("--limit", type=int, default=200)
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
            benchmark=given.benchmark,
            annotations=given.annotations,
            media=given.media,
            model=given.model,
            output=Path("unused"),
            limit=given.limit,
        )
        results = overhead(config, given.repeats)
        for clock in ("processor", "clock"):
            print(
                f"{clock}: {results['questions']} questions of "
                f"{results[clock]['milliseconds_a_question']:.1f} ms, the harness adds "
                f"{results[clock]['milliseconds_of_overhead']:.2f} ms, {results[clock]['overhead']:+.1%}"
            )
    if given.json:
        given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
