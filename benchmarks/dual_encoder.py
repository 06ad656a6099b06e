"""Does the encoder find the photo of a caption, and a caption of the photo? Recall at 1, 5 and 10.

    python benchmarks/dual_encoder.py --photos DIR --captions FILE.jsonl [--model lite|FOLDER|hf:ID]
        [--json OUT] [--markdown OUT]

Text to image: each caption ranks all photos of the split. Image to text: each photo ranks all captions, and
the best of its own counts. Equal scores count against the encoder, so that one that sees no difference gets
0. Intervals are over photos; what is searched stays whole.

A record of the JSONL has `image` (relative to --photos), `split`, `dataset` and `captions` [text].
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from photo_records import References, add_photo_flags, read_references
from predicting import add_encoder_flag, load_encoder
from reporting import Table, Target, add_output_flags, percent, run, target_table, write_report

from gifqa.evaluation.statistics import bootstrap_mean
from gifqa.frames import decode_frames
from gifqa.media import load_media
from gifqa.retrieval.embedder import DualEncoder

CUTOFFS = (1, 5, 10)
TEXTS_AT_ONCE = 64
DIRECTIONS = {"text_to_image": "text → image", "image_to_text": "image → text"}
TARGETS = ((1, 0.24), (10, 0.66))
"""Of text to image."""

Vectors = NDArray[np.float32]
Ranks = NDArray[np.int64]


def main() -> None:
    """Embed, rank, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    references = read_references(args)
    encoder = load_encoder(args.model)
    photos = embed_photos([args.photos / image for image in references], encoder)
    seconds_per_photo = (time.perf_counter() - began) / len(references)
    owners = np.repeat(np.arange(len(references)), [len(captions) for captions in references.values()])
    texts = embed_texts([caption for captions in references.values() for caption in captions], encoder)
    ranks = {
        "text_to_image": (ranks_of_photos(texts, photos, owners), owners),
        "image_to_text": (ranks_of_captions(texts, photos, owners), np.arange(len(photos))),
    }
    rows = [summarise(direction, *found, args.seed) for direction, found in ranks.items()]
    aims = [
        Target(f"text → image recall@{k}", wanted, rows[0]["recall"][str(k)]["value"])
        for k, wanted in TARGETS
    ]
    figures = {
        "encoder": encoder.name,
        "num_photos": len(references),
        "num_captions": len(owners),
        "seconds_per_photo": seconds_per_photo,
        "rows": rows,
        "targets": [target.to_dict() for target in aims],
    }
    shown = [table(rows, references), target_table(aims)]
    write_report("dual_encoder", args, figures, shown, began)


def embed_photos(paths: Sequence[Path], encoder: DualEncoder) -> Vectors:
    """A unit vector for each photo, read as gifqa reads media, (N, D); one by one, since sizes differ."""
    frames = (decode_frames(load_media(path)).pixels[:1] for path in paths)
    return np.concatenate([encoder.encode_frames(pixels).embeddings for pixels in frames])


def embed_texts(texts: Sequence[str], encoder: DualEncoder) -> Vectors:
    """A unit vector for each text, (M, D)."""
    starts = range(0, len(texts), TEXTS_AT_ONCE)
    return np.concatenate([encoder.encode_texts(texts[start : start + TEXTS_AT_ONCE]) for start in starts])


def ranks_of_photos(texts: Vectors, photos: Vectors, owners: Ranks) -> Ranks:
    """For each text the rank of its own photo among all, 0 for the first.

    Args:
        texts: (M, D).
        photos: (N, D).
        owners: the photo of each text, (M,).

    Returns:
        Photos that score as high as the own one or higher, (M,).
    """
    scores = texts @ photos.T
    own = scores[np.arange(len(texts)), owners]
    return np.asarray((scores >= own[:, None]).sum(1) - 1)


def ranks_of_captions(texts: Vectors, photos: Vectors, owners: Ranks) -> Ranks:
    """For each photo the rank of its best own text among the texts of others, 0 for the first, (N,)."""
    scores = photos @ texts.T
    is_own = owners[None, :] == np.arange(len(photos))[:, None]
    best = np.where(is_own, scores, -np.inf).max(1)
    return np.asarray(((scores >= best[:, None]) & ~is_own).sum(1))


def summarise(direction: str, ranks: Ranks, groups: Ranks, seed: int) -> dict[str, Any]:
    """Recall at each cut-off with its interval, and the median rank; `groups` has the photo of each rank."""
    recall = {
        str(k): bootstrap_mean((ranks < k).astype(np.float64), groups.tolist(), seed=seed).to_dict()
        for k in CUTOFFS
    }
    return {"direction": direction, "recall": recall, "median_rank": float(np.median(ranks) + 1)}


def table(rows: Sequence[dict[str, Any]], references: References) -> Table:
    """A line a direction."""
    lines = [
        (
            DIRECTIONS[row["direction"]],
            *(percent(row["recall"][str(k)]) for k in CUTOFFS),
            f"{row['median_rank']:.1f}",
        )
        for row in rows
    ]
    columns = ("search", *(f"recall@{k}" for k in CUTOFFS), "median rank")
    title = f"{sum(map(len, references.values())):,} captions and {len(references):,} photos"
    return Table(title, columns, tuple(lines), "Recall in per cent [95 % interval, photos resampled].")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_photo_flags(parser)
    add_encoder_flag(parser)
    parser.add_argument("--dataset", default="flickr8k")
    parser.add_argument("--limit", type=int, help="at most so many photos: a smaller gallery is easier")
    parser.add_argument("--seed", type=int, default=0)
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
