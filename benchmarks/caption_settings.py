"""Which settings give the best captions? Beams, length, and the weight of the fit, on a validation split.

    python benchmarks/caption_settings.py --photos DIR --captions FILE.jsonl --output runs/caption-settings
        [--limit 300] [--beams 2 4 8] [--length-powers 0.8 1 1.2] [--fit-weights 0 3 6] [--model lite|FOLDER]

The captions that each number of beams finds are kept in the output folder, so a run that stopped goes on with
the same command, and another grid of the other settings costs no model. The settings in use
(`gifqa.answering.lite_captions`) are marked; those with a higher BLEU-4 and no lower CIDEr stand above them.
Do not choose by the test split: `captions.py` measures that.

A record of the JSONL has `image` (relative to --photos), `split`, `dataset` and `captions` [text].
"""

import argparse
import itertools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from json_lines import read_lines
from photo_records import References, add_photo_flags, read_references
from predicting import check_run
from reporting import Table, add_output_flags, run, write_report

from gifqa.answering.lite import LiteAnswerer, load_lite
from gifqa.answering.lite_captions import FIT_WEIGHT, LENGTH_POWER, NUM_BEAMS, Captions
from gifqa.answering.models import LITE
from gifqa.evaluation.captions import bleu_statistics, cider
from gifqa.evaluation.text import caption_tokens
from gifqa.pipeline import GifQA
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.config import CacheConfig


class Settings(NamedTuple):
    """One point of the grid."""

    num_beams: int
    length_power: float
    fit_weight: float


IN_USE = Settings(NUM_BEAMS, LENGTH_POWER, FIT_WEIGHT)
FOUND = "captions.jsonl"


def main() -> None:
    """Search, choose by each setting, score, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    references = read_references(args)
    encoder, answerer = load_lite(None if args.model == LITE else Path(args.model))
    args.output.mkdir(parents=True, exist_ok=True)
    check_run(args.output / "run.json", answerer.identity)
    qa = GifQA(encoder=encoder, answerer=answerer, cache=FeatureCache(CacheConfig(max_disk_bytes=0)))
    beams = sorted({*args.beams, IN_USE.num_beams})
    found = search(qa, answerer, args, list(references), beams)
    rows = score_all(found, references, grid(args))
    used, *others = rows
    better = [row for row in others if row["bleu_4"] > used["bleu_4"] and row["cider_d"] >= used["cider_d"]]
    figures = {"model": answerer.identity, "num_photos": len(references), "rows": rows, "better": better}
    write_report("caption_settings", args, figures, [table(rows, better, len(references))], began)


def grid(args: argparse.Namespace) -> list[Settings]:
    """The settings in use, then all others."""
    others = itertools.starmap(Settings, itertools.product(args.beams, args.length_powers, args.fit_weights))
    return [IN_USE, *(settings for settings in others if settings != IN_USE)]


def search(
    qa: GifQA, answerer: LiteAnswerer, args: argparse.Namespace, images: Sequence[str], beams: Sequence[int]
) -> dict[tuple[str, int], Captions]:
    """The captions of each photo and number of beams; what the folder has not is found and added to it."""
    path = args.output / FOUND
    rows = read_lines(path, ("id", "beams", "texts")) if path.exists() else ()
    found = {(row["id"], row["beams"]): captions_of(row) for row in rows}
    with path.open("a", encoding="utf-8") as file:
        for image in images:
            for count in beams:
                if (image, count) in found:
                    continue
                keyframes = qa.keyframes(args.photos / image, DESCRIBE_QUESTION)  # embedded once a photo
                captions = answerer.weigh_captions(keyframes, count)
                found[image, count] = captions
                file.write(json.dumps({"id": image, "beams": count, **to_row(captions)}) + "\n")
            file.flush()
    return found


def to_row(captions: Captions) -> dict[str, Any]:
    """As it stands in the file."""
    return {
        "texts": captions.texts,
        "log_probabilities": captions.log_probabilities.tolist(),
        "lengths": captions.lengths.tolist(),
        "fits": captions.fits.tolist(),
    }


def captions_of(row: dict[str, Any]) -> Captions:
    """What `to_row` was given."""
    return Captions(
        tuple(row["texts"]),
        np.array(row["log_probabilities"]),
        np.array(row["lengths"]),
        np.array(row["fits"], np.float32),
    )


def score_all(
    found: dict[tuple[str, int], Captions], references: References, settings: Sequence[Settings]
) -> list[dict[str, Any]]:
    """BLEU-4, CIDEr-D and CIDEr of the captions that each of the settings chooses."""
    wanted = [[caption_tokens(caption) for caption in captions] for captions in references.values()]
    rows = []
    for one in settings:
        chosen = [
            found[image, one.num_beams].best(length_power=one.length_power, fit_weight=one.fit_weight)
            for image in references
        ]
        tokens = [caption_tokens(caption) for caption in chosen]
        rows.append(
            {
                **one._asdict(),
                "bleu_4": float(bleu_statistics(tokens, wanted).score()[3]),
                "cider_d": float(cider(tokens, wanted).mean()),
                "mean_words": float(np.mean([len(words) for words in tokens])),
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]], better: Sequence[dict[str, Any]], num_photos: int) -> Table:
    """The settings in use and what is better, the best BLEU-4 first; if nothing is, the best ten."""
    ordered = sorted(better or rows[1:], key=lambda row: -row["bleu_4"])
    shown = [*ordered[: None if better else 10], rows[0]]
    lines = [
        (
            f"{row['num_beams']} beams, length^{row['length_power']:g}, fit {row['fit_weight']:g}"
            + (" (in use)" if row is rows[0] else ""),
            f"{100 * row['bleu_4']:.2f}",
            f"{row['cider_d']:.4f}",
            f"{row['mean_words']:.1f}",
        )
        for row in shown
    ]
    note = f"{len(better)} of {len(rows) - 1} others have a higher BLEU-4 and no lower CIDEr-D."
    title = f"Captions of {num_photos:,} photos by their settings"
    return Table(title, ("settings", "BLEU-4", "CIDEr-D", "words"), tuple(lines), note)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_photo_flags(parser)
    parser.set_defaults(split="val")
    parser.add_argument("--dataset", default="flickr8k")
    parser.add_argument("--limit", type=int, help="at most so many photos")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default=LITE, help="lite or a bundle's folder")
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--length-powers", type=float, nargs="+", default=[0.6, 0.8, 1.0, 1.2, 1.5, 2.0])
    parser.add_argument("--fit-weights", type=float, nargs="+", default=[0.0, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0])
    parser.add_argument(
        "--output", type=Path, default=Path("runs/caption-settings"), help="folder of the captions found"
    )
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
