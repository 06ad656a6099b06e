r"""The synthesis room, measured: against TGIF-QA's official questions, by labels, in time and memory.

    python benchmarks/synthesis.py --official frameqa_with_captions_part.csv --captions captions.jsonl \
        --throughput 125782 --original 300 --original-t5 40 --engines pool ray --json synthesis.json

Each part runs when its flag is given; the labels always do. TGIF-QA's frame questions with their captions
(tab separated: gif_name, question, answer, type, description) are not part of this repository.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import synthesis_official
import synthesis_speed
from reporting import Table, Target, add_output_flags, run, target_table, write_report

from gifqa.synthesis.base import Draft
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.context import ParsedCaption, context_of
from gifqa.synthesis.filters import Filters, Pair
from gifqa.synthesis.lexicon import load_lexicon
from gifqa.synthesis.parsing import DEFAULT_PIPELINE
from gifqa.synthesis.repair import parse_captions

LABELS = Path(__file__).with_name("synthesis_labels.jsonl")


def main() -> None:
    """Run the parts that were asked for."""
    args = _arguments()
    began = time.perf_counter()
    figures, tables, targets = measure_labels(args.labels)
    if args.official:
        found, shown, aimed = synthesis_official.measure(args.official)
        figures |= found
        tables += shown
        targets = aimed + targets
    if args.captions:
        figures |= _speed(args)
        shown, aimed = synthesis_speed.tables_of(figures)
        tables += shown
        targets += aimed
    figures["targets"] = [target.to_dict() for target in targets]
    write_report("synthesis", args, figures, [*tables, target_table(targets)], began)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--official", type=Path, help="TGIF-QA's frame questions with captions")
    parser.add_argument("--labels", type=Path, default=LABELS, help="pairs that a person labelled")
    parser.add_argument("--captions", type=Path, nargs="+", help="captions for the times")
    parser.add_argument("--throughput", type=int, nargs="*", default=[], metavar="N", help="captions a run")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--original", type=int, default=0, metavar="N", help="captions for the original's way"
    )
    parser.add_argument("--original-t5", type=int, default=0, metavar="N", help="the same with a T5")
    parser.add_argument(
        "--engines", nargs="*", default=[], choices=["pool", "ray"], help="compared with local"
    )
    parser.add_argument("--engine-captions", type=int, default=1000, metavar="N")
    add_output_flags(parser)
    return parser.parse_args()


def _speed(args: argparse.Namespace) -> dict[str, Any]:
    texts = synthesis_speed.read_texts(args.captions)
    figures: dict[str, Any] = {}
    if args.throughput:
        figures["throughput"] = [
            synthesis_speed.measure_throughput(texts, count, args.workers)
            for count in sorted(args.throughput)
        ]
    if args.original:
        figures |= synthesis_speed.measure_original(texts, args.original, args.original_t5)
    if args.engines:
        figures |= synthesis_speed.same_records(texts, args.engine_captions, args.engines)
    return figures


def measure_labels(path: Path) -> tuple[dict[str, Any], list[Table], list[Target]]:
    """What a reader said of kept and rejected pairs, and what the filters of today do with the same pairs."""
    with path.open(encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    today = _kept_today(rows)
    figures: dict[str, Any] = {}
    for kept, draw in sorted({(row["kept"], row["draw"]) for row in rows}, reverse=True):
        mine = [row["kept"] == kept and row["draw"] == draw for row in rows]
        part = [(row, now) for row, now, is_mine in zip(rows, today, mine, strict=True) if is_mine]
        figures[f"{'kept' if kept else 'rejected'}, draw {draw}"] = {
            "read": len(part),
            "good": sum(row["good"] for row, _ in part),
            "good_and_kept_today": sum(row["good"] and now for row, now in part),
            "bad_and_kept_today": sum(not row["good"] and now for row, now in part),
        }
    table = Table(
        "Pairs that were read and labelled",
        ("when drawn", "read", "good", "of these passed by today's filters", "bad, passed by them"),
        tuple(
            (
                name,
                str(row["read"]),
                str(row["good"]),
                str(row["good_and_kept_today"]),
                str(row["bad_and_kept_today"]),
            )
            for name, row in figures.items()
        ),
        "Good: grammatical, and answerable from the caption with this answer.",
    )
    read = [row for row in rows if row["kept"]]
    share = sum(row["good"] for row in read) / len(read) if read else None
    target = Target("kept pairs that are good", 0.95, share)
    return {"labels": figures}, [table], [target]


def _kept_today(rows: list[dict[str, Any]]) -> list[bool]:
    lexicon = load_lexicon()
    parsed = parse_captions([row["caption"] for row in rows], lexicon, DEFAULT_PIPELINE)
    pairs = []
    for number, (row, (doc, _)) in enumerate(zip(rows, parsed, strict=True)):
        caption = ParsedCaption(str(number), row["caption"], doc, context_of([doc], lexicon), lexicon)
        draft = Draft(row["question"], row["answer"], row["answer_type"], "", row["generator"].split("/")[-1])
        pairs.append(Pair(draft, caption, row["generator"].split("/")[0]))
    return [pair.reason is None for pair in Filters(SynthesisConfig()).apply(pairs)]


if __name__ == "__main__":
    run(main)
