"""What is each part of lite worth? Small runs of its stage `language`, one thing changed at a time.

    python benchmarks/ablation.py RUN --data DIR --pairs photos.jsonl clips.jsonl -o OUT
        [--steps 28] [--batch-size 24] [--seeds 1 2 3] [--validation 80] [--only VARIANT ...] [--recipe TOML]
        [--json FILE] [--markdown FILE]

RUN is a run of recipes/lite.toml whose stages up to `qformer` are done: features, texts, dual encoder, cut
language model and pretrained Q-Former are taken from there, and nothing is written there. Every variant is
trained with every seed for the same number of samples, on all clips and as many photos, and judged by the
same validation samples: nats a token, and the share of answers that greedy decoding gets whole. `captions`
trains nothing: the base of the same seed describes each frame, and its language model answers from that text.

A finished (variant, seed) in OUT is not trained again: stopped or killed, the same command goes on.
"""

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablation_runs import balanced, draw_samples, finish
from ablation_variants import BASE, VARIANTS, base_recipe
from reporting import ABSENT, Table, add_output_flags, run, write_report
from training_runs import add_run_flags, open_run, positive

from gifqa.errors import RecordError
from gifqa.training.run_folder import claim_folder, figures_of, lock

PLACES = ("clips", "photos")
KINDS = {"open": "open", "yes-no": "yes/no"}
Found = dict[int, dict[str, Any]]
"""Seed -> figures of a variant."""


def main() -> None:
    """Train what is missing, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    finished = open_run(args)
    base = base_recipe(finished.recipe, args.steps, args.batch_size)
    finished.seen = finished.seen | {"train": balanced(finished.seen["train"], finished.store)}
    samples = draw_samples(finished.seen["val"], finished.store, args.validation)
    if not samples:
        raise RecordError(
            'the data have nothing of the split "val" to judge by. Add some, or correct --data.'
        )
    config = {"recipe": base.model_dump(mode="json"), "validation": args.validation}
    wanted = [(name, seed) for seed in args.seeds for name in VARIANTS if name in args.only]
    with lock(args.output):
        claim_folder(args.output, config | {"inputs": finished.inputs.checksums()})
        for name, seed in wanted:
            figures = finish(finished, base, samples, args.output, name, seed)
            print(
                f"{name}, seed {seed}: {figures['mean nats']} nats, {figures['seconds']} s", file=sys.stderr
            )
    found = {name: seeds for name in VARIANTS if (seeds := read_seeds(args.output / name, args.seeds))}
    counts = Counter(sample.group for sample in samples)
    rows = [summarise(name, seeds, found.get(BASE, {})) for name, seeds in found.items()]
    write_report(
        "ablation", args, {"samples": dict(counts), "rows": rows}, [table(rows, counts, args)], began
    )


def read_seeds(folder: Path, seeds: Sequence[int]) -> Found:
    """The figures of the seeds that are finished."""
    return {seed: figures for seed in seeds if (figures := figures_of(folder, f"seed-{seed}")) is not None}


def summarise(name: str, found: Found, base: Found) -> dict[str, Any]:
    """Mean and standard deviation over the seeds of each figure, and of the difference to the base."""
    runs = {seed: figures | _place_means(figures) for seed, figures in found.items()}
    keys = [key for key in next(iter(runs.values())) if all(key in figures for figures in runs.values())]
    against = [
        figures["mean nats"] - base[seed]["mean nats"] for seed, figures in runs.items() if seed in base
    ]
    return {
        "variant": name,
        "seeds": list(runs),
        "figures": {key: _spread([figures[key] for figures in runs.values()]) for key in keys},
        "against base": _spread(against) if against and name != BASE else None,
        "runs": runs,
    }


def _place_means(figures: dict[str, Any]) -> dict[str, float]:
    """Nats of clips and of photos, each the mean over its groups."""
    means = {}
    for place in PLACES:
        nats = [value for key, value in figures.items() if key.startswith(place) and key.endswith(" nats")]
        if nats:
            means[f"{place} nats"] = sum(nats) / len(nats)
    return means


def _spread(values: Sequence[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "deviation": deviation, "runs": list(values)}


def table(rows: Sequence[dict[str, Any]], counts: Counter[str], args: argparse.Namespace) -> Table:
    """A line a variant."""
    columns = ["variant", "nats against base", *(f"nats, {place}" for place in PLACES)]
    columns += [f"right, {place}, {kind} (%)" for place in PLACES for kind in KINDS.values()]
    lines = []
    for row in rows:
        figures = row["figures"]
        cells = [
            f"{VARIANTS[row['variant']].title} (`{row['variant']}`)",
            _cell(row["against base"], sign="+"),
        ]
        cells += [_cell(figures.get(f"{place} nats")) for place in PLACES]
        cells += [
            _cell(figures.get(f"{place}/{kind} exact"), times=100, digits=1)
            for place in PLACES
            for kind in KINDS
        ]
        lines.append((*cells, f"{figures['seconds']['mean']:.0f}"))
    judged = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    note = (
        f"Mean ± standard deviation over the seeds {', '.join(map(str, args.seeds))}; each run {args.steps} "
        f"steps of {args.batch_size} samples. Judged by {judged}. Nats are of a token, means over groups: "
        "less is better. The difference to the base is taken seed by seed."
    )
    return Table("What each part is worth", (*columns, "seconds a run"), tuple(lines), note)


def _cell(figure: dict[str, Any] | None, times: float = 1, digits: int = 3, sign: str = "") -> str:
    if figure is None:
        return ABSENT
    text = f"{times * figure['mean']:{sign}.{digits}f}"
    return text if figure["deviation"] is None else f"{text} ± {times * figure['deviation']:.{digits}f}"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_run_flags(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT", help="gone on with if it exists"
    )
    parser.add_argument("--steps", type=positive, default=28, help="of each run")
    parser.add_argument("--batch-size", type=positive, default=24, help="samples to a step")
    parser.add_argument("--seeds", type=positive, nargs="+", default=[1, 2, 3])
    parser.add_argument("--validation", type=positive, default=80, help="samples of each group, at most")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT",
                        help=", ".join(VARIANTS))  # fmt: skip
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    try:
        run(main)
    except KeyboardInterrupt:
        raise SystemExit("stopped; the same command goes on from there") from None
