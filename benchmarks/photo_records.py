"""The photos of a benchmark: a JSON object a line with `image`, `split` and what was said of it."""

import argparse
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from json_lines import read_lines

from gifqa.errors import ConfigError

References = dict[str, list[str]]
"""Name of a photo -> its captions."""


def add_photo_flags(parser: argparse.ArgumentParser) -> None:
    """`--photos`, `--captions` and `--split`."""
    parser.add_argument("--photos", type=Path, required=True, help="folder of the photos")
    parser.add_argument("--captions", type=Path, required=True, help="JSONL with one record a photo")
    parser.add_argument("--split", default="test")


def read_photos(path: Path, split: str) -> Iterator[dict[str, Any]]:
    """The records of a split, in their order.

    Raises:
        RecordError: if a line lacks `image`, `split` or `captions`, or the file cannot be read.
    """
    records = read_lines(path, ("image", "split", "captions"))
    return (record for record in records if record["split"] == split)


def read_references(args: argparse.Namespace) -> References:
    """The captions of each photo of `--split` and `--dataset`; with `--limit`, of some drawn by their names.

    Raises:
        ConfigError: if there is no captioned photo.
        RecordError: as `read_photos` does.
    """
    found = {
        record["image"]: record["captions"]
        for record in read_photos(args.captions, args.split)
        if record.get("dataset") == args.dataset and record["captions"]
    }
    if not found:
        raise ConfigError(
            f"{args.captions} has no captioned photo of the split {args.split} of {args.dataset}; at least "
            "one is needed. Check --split and --dataset."
        )
    order = sorted(found, key=lambda image: hashlib.sha256(f"{args.seed} {image}".encode()).digest())
    kept = set(order[: args.limit])
    return {image: captions for image, captions in found.items() if image in kept}
