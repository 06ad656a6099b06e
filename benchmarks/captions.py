"""How good are the captions? `describe()` on captioned photos, by BLEU, CIDEr, ROUGE-L and METEOR.

The metrics follow the COCO caption evaluation (`gifqa.evaluation.metrics`), over all references of a photo,
with 95 % intervals over photos. METEOR is NLTK's and needs the extra `eval`; without WordNet it matches
words and stems only, and is named so.

    python benchmarks/captions.py --photos DIR --captions FILE.jsonl --output runs/captions
        [--model lite|FOLDER|hf:ID] [--predictions NAME=FILE] [--json OUT] [--markdown OUT]

A record of the JSONL has `image` (relative to --photos), `split`, `dataset` and `captions` [text]. The id of
a photo is its `image`; `--predictions` reads lines {"id", "answer"}. A run that stopped goes on with the
same command.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from answers import named_file
from json_lines import read_lines
from photo_records import References, add_photo_flags, read_references
from predicting import ITEMS, add_model_flag, load_qa, predict
from reporting import ABSENT, Table, Target, add_output_flags, run, target_table, write_report

from gifqa.errors import MissingExtra, RecordError
from gifqa.evaluation.metrics import Resampling, caption_scores
from gifqa.evaluation.text import caption_tokens
from gifqa.evaluation.wordnet import WordNet, load_wordnet

HUNDREDFOLD = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "meteor", "meteor_no_synonyms")
"""Metrics of 0 to 1, shown times 100 as papers do; CIDEr is shown as it is."""
LABELS = {
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr",
    "cider_d": "CIDEr-D",
    "meteor_no_synonyms": "METEOR, no synonyms",
}
TARGETS = (("bleu_4", 0.18), ("cider", 0.40))


def main() -> None:
    """Describe, score, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    references = read_references(args)
    args.output.mkdir(parents=True, exist_ok=True)
    with (args.output / ITEMS).open("w", encoding="utf-8") as file:
        for image in references:
            file.write(json.dumps({"id": image, "media": str((args.photos / image).resolve())}) + "\n")
    qa, identity = load_qa(args.model)
    files = [(args.model, predict(qa, identity, args.output, describe=True)), *args.predictions]
    wordnet = find_wordnet()
    rows = [
        score(name, read_captions(path, references), references, wordnet, args.seed) for name, path in files
    ]
    aims = [Target(label(name), wanted, rows[0]["scores"][name]["value"]) for name, wanted in TARGETS]
    figures = {
        "model": identity,
        "num_photos": len(references),
        "rows": rows,
        "targets": [target.to_dict() for target in aims],
    }
    write_report("captions", args, figures, [table(rows, len(references)), target_table(aims)], began)


def read_captions(path: Path, references: References) -> list[str]:
    """The predicted caption of each photo, empty where there is an error in its place.

    Raises:
        RecordError: if a photo has no line.
    """
    rows = {row["id"]: row for row in read_lines(path, ("id",))}
    missing = [image for image in references if image not in rows]
    if missing:
        raise RecordError(
            f"{path}: {len(missing):,} of {len(references):,} photos have no line, {missing[0]} first; "
            "every photo needs one. Describe them all."
        )
    return [str(rows[image].get("answer") or "") for image in references]


def find_wordnet() -> WordNet | None:
    """WordNet or NLTK's matching without it; None where NLTK is not installed."""
    try:
        return load_wordnet()
    except MissingExtra:
        return None


def score(
    name: str, captions: Sequence[str], references: References, wordnet: WordNet | None, seed: int
) -> dict[str, Any]:
    """One row: every metric with its interval, and how varied the captions are."""
    scores = caption_scores(
        captions,
        list(references.values()),
        wordnet=wordnet,
        resampling=Resampling(list(references), seed),
    )
    return {
        "name": name,
        "scores": {metric: interval.to_dict() for metric, interval in scores.items()},
        "distinct_share": len(set(captions)) / len(captions),
        "mean_words": float(np.mean([len(caption_tokens(caption)) for caption in captions])),
        "num_empty": sum(not caption for caption in captions),
    }


def label(metric: str) -> str:
    """The metric as it is written: BLEU-4, CIDEr."""
    return LABELS.get(metric, metric.upper().replace("_", "-"))


def table(rows: Sequence[dict[str, Any]], num_photos: int) -> Table:
    """A line a metric, a column a model."""
    lines = [
        (label(metric), *(_cell(metric, row["scores"].get(metric)) for row in rows))
        for metric in rows[0]["scores"]
    ]
    lines.append(("distinct captions, %", *(f"{100 * row['distinct_share']:.1f}" for row in rows)))
    lines.append(("words a caption", *(f"{row['mean_words']:.1f}" for row in rows)))
    note = "All but CIDEr times 100 [95 % interval, photos resampled]."
    return Table(
        f"Captions of {num_photos:,} photos", ("metric", *(row["name"] for row in rows)), tuple(lines), note
    )


def _cell(metric: str, interval: dict[str, Any] | None) -> str:
    if interval is None:
        return ABSENT
    times, digits = (100, 1) if metric in HUNDREDFOLD else (1, 3)
    low, high = interval["ci95"]
    return f"{times * interval['value']:.{digits}f} [{times * low:.{digits}f}, {times * high:.{digits}f}]"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_photo_flags(parser)
    parser.add_argument("--dataset", default="flickr8k")
    parser.add_argument("--limit", type=int, help="at most so many photos, for a first look")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--output", type=Path, default=Path("runs/captions"), help="folder of the model's captions"
    )
    parser.add_argument(
        "--predictions", type=named_file, action="append", default=[], metavar="NAME=FILE",
        help="another model's captions of the same photos; may be repeated",
    )  # fmt: skip
    add_model_flag(parser)
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
