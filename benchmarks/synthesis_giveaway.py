r"""Whether the wording of yes/no questions gives their answers away, kind by kind.

    gifqa synthesize captions.jsonl -o pairs.jsonl
    python benchmarks/synthesis_giveaway.py pairs.jsonl [--before old-pairs.jsonl] [--json giveaway.json]

A model that reads the question and never the GIF (`gifqa.evaluation.question_model`, the baseline
"question only" of `gifqa evaluate`) learns from the yes/no pairs of the training split and answers those of
the test split. Half of them are "yes", so 50 % is chance, and what it has above that is told by words alone.
Intervals are of 95 %, by a bootstrap over GIFs. The last column trains on the questions of that kind only.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from reporting import Table, Target, add_output_flags, percent, run, target_table, write_report

from gifqa.data.records import QARecord, read_records
from gifqa.errors import ConfigError
from gifqa.evaluation.question_model import OpenModel
from gifqa.evaluation.statistics import bootstrap_mean

AIM = 0.55
"""The most that a question-only model may have right."""
_ALL = "all"


def main() -> None:
    """Measure the file, and the one of before where it is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", type=Path, help="what `gifqa synthesize` wrote")
    parser.add_argument("--before", type=Path, help="pairs to compare with, made of the same captions")
    parser.add_argument("--split", default="test")
    parser.add_argument("--seed", type=int, default=0)
    add_output_flags(parser)
    args = parser.parse_args()
    began = time.perf_counter()
    files = {"before": args.before, "after": args.pairs} if args.before else {"pairs": args.pairs}
    figures = {name: measure(read_yes_no(path), args.split, args.seed) for name, path in files.items()}
    last = figures[list(files)[-1]]
    aim = Target("yes/no questions right by their wording", AIM, last[_ALL]["accuracy"]["value"], False)
    tables = [table_of(figures), target_table([aim])]
    write_report("synthesis_giveaway", args, {"giveaway": figures, "targets": [aim.to_dict()]}, tables, began)


def read_yes_no(path: Path) -> list[QARecord]:
    """The yes/no pairs of a file."""
    return [record for record in read_records(path) if record.answer_type == "yes/no"]


def kind_of(record: QARecord) -> str:
    """What the pair was made by: exists, action, object, sex, colour or place."""
    return record.generator.rpartition("/")[2].removesuffix("-swap")


def measure(records: Sequence[QARecord], split: str, seed: int) -> dict[str, Any]:
    """Kind -> counts and accuracy with intervals; "all" is over every kind.

    Raises:
        ConfigError: if there is nothing to learn from or nothing to ask.
    """
    train = [record for record in records if record.split == "train"]
    test = [record for record in records if record.split == split]
    if not train or not test:
        raise ConfigError(
            f"the pairs have {len(train)} yes/no questions of the split train and {len(test)} of {split}; "
            "both are needed. Give a file that has them, or another --split."
        )
    right = is_right(train, test, seed)
    figures = {_ALL: _figure(train, test, right)}
    for kind in sorted({kind_of(record) for record in test}):
        mine = [kind_of(record) == kind for record in test]
        asked = [record for record, wanted in zip(test, mine, strict=True) if wanted]
        known = [record for record in train if kind_of(record) == kind]
        figures[kind] = _figure(known, asked, right[np.array(mine)])
        if known:
            alone = is_right(known, asked, seed)
            figures[kind]["alone"] = _accuracy(asked, alone)
    return figures


def is_right(train: Sequence[QARecord], test: Sequence[QARecord], seed: int) -> Any:
    """1 for each test question that the question-only model has right, else 0."""
    model = OpenModel([r.question for r in train], [r.answer for r in train], seed)
    return np.array([model.predict(r.question)[0] == r.answer for r in test], np.float64)


def _accuracy(asked: Sequence[QARecord], right: Any) -> dict[str, Any]:
    return bootstrap_mean(right, [record.gif for record in asked]).to_dict()


def _figure(train: Sequence[QARecord], test: Sequence[QARecord], right: Any) -> dict[str, Any]:
    return {
        "train": len(train),
        "test": len(test),
        "yes": sum(record.answer == "yes" for record in test) / len(test),
        "accuracy": _accuracy(test, right),
    }


def table_of(figures: dict[str, dict[str, Any]]) -> Table:
    """A row for each file and kind."""
    rows = []
    for name, kinds in figures.items():
        for kind, row in kinds.items():
            alone = percent(row["alone"]) if "alone" in row else ""
            counts = (f"{row['train']:,}", f"{row['test']:,}", f"{100 * row['yes']:.1f}")
            rows.append((f"{name}: {kind}", *counts, percent(row["accuracy"]), alone))
    return Table(
        "Question-only model on yes/no questions",
        ("pairs and kind", "train", "test", "% yes", "right", "right, trained on the kind alone"),
        tuple(rows),
        "Right: per cent with a 95 % interval; chance is 50.",
    )


if __name__ == "__main__":
    run(main)
