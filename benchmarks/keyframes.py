"""Do the keyframes show what was asked about? CLIP-Cut against uniform, random and the original's choice.

Each GIF is six segments, each a slow pan or zoom over another photo; a question is about one of them. A
method is right when one of its three keyframes is of that segment. All methods see the same decoded GIF;
those that read the question use the same encoder.

    clip-cut    what gifqa does: groups embedded coarse to fine, relevance with diversity
    top-scores  the same frames, the best scores alone (the setting strategy="relevance")
    original    every second frame, the best scores alone. The original ranked by L2 over CLIP vectors that
                were not normalised, and swapped red and blue; an encoder here gives unit vectors, on which
                L2 and cosine rank alike, so this row is kinder to it than its own code was.
    uniform     three frames spread evenly over the playing time
    random      three different frames; mean over 20 draws a question

The questions are of three kinds: a caption of the photo, the same caption as a wh-question ("When do we see
...?"), and questions that people asked about the photo in Visual7W or VQA. Of these, the ones about a photo
as such ("When was this picture taken?") are left out, since they are about no segment more than another;
others ("Who is on the chair?") may still fit several.

    python benchmarks/keyframes.py --photos DIR --captions FILE.jsonl
        [--model lite|FOLDER|hf:ID] [--json OUT] [--markdown OUT]

A record of the JSONL has `image` (relative to --photos), `split`, `captions` [text], and, if people asked
about it, `qa` [[question, answer]] with `qa_source` [name].
"""

import argparse
import io
import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from photo_records import add_photo_flags, read_photos
from PIL import Image
from predicting import add_encoder_flag, load_encoder
from reporting import Table, add_output_flags, percent, run, write_report

from gifqa.errors import ConfigError
from gifqa.evaluation.statistics import bootstrap_mean, bootstrap_statistic, paired_bootstrap
from gifqa.frames import Frames, decode_frames
from gifqa.media import load_media
from gifqa.retrieval.clip_cut import encode_frames, select_keyframes
from gifqa.retrieval.config import ClipCutConfig
from gifqa.retrieval.embedder import DualEncoder

METHODS = ("clip-cut", "top-scores", "original", "uniform", "random")
RANDOM_DRAWS = 20
FRAME_MS = 100
ZOOM = (0.75, 1.0)
"""Side of the window that moves over a photo, as a share of the photo's."""
NOISY_QUESTIONS = "vqa2-yn"
"""A `qa_source` of machine rephrasings, left out."""

ABOUT_THE_PHOTO = re.compile(r"\b(photo|photograph|picture|image|scene|this|these|it|taken)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """One question, the kind of its wording and the segment that it is about."""

    text: str
    kind: str
    segment: int


@dataclass(frozen=True)
class Outcome:
    """Whether each method hit the segment of one question: 0 or 1, for `random` a share of draws."""

    gif: int
    kind: str
    hits: dict[str, float]
    frames_embedded: dict[str, int]
    """Of its GIF, by the ways that read the question."""


def pan(photo: Image.Image, num_frames: int, side: int, chance: random.Random) -> list[Image.Image]:
    """The photo seen through a window that moves and grows or shrinks steadily, `side` pixels square."""

    def window() -> np.ndarray:
        share = chance.uniform(*ZOOM)
        left, top = chance.uniform(0, 1 - share), chance.uniform(0, 1 - share)
        return np.array([left, top, left + share, top + share])

    start, end = window(), window()
    scale = np.array(photo.size * 2)
    boxes = (start + (end - start) * step for step in np.linspace(0, 1, num_frames))
    return [photo.resize((side, side), Image.Resampling.BICUBIC, box=tuple(box * scale)) for box in boxes]


def compose(photos: Sequence[Path], frames_per_segment: int, side: int, chance: random.Random) -> Frames:
    """The frames of a real GIF, written and decoded again, one segment a photo."""
    pictures: list[Image.Image] = []
    for path in photos:
        with Image.open(path) as photo:
            pictures += pan(photo.convert("RGB"), frames_per_segment, side, chance)
    file = io.BytesIO()
    first, *others = pictures
    first.save(file, "GIF", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    return decode_frames(load_media(file.getvalue()))


def ask_about(segment: int, record: dict[str, Any], chance: random.Random) -> list[Question]:
    """The questions about one segment: a caption, a wh-question, one that somebody asked."""
    questions = []
    if record["captions"]:
        caption = chance.choice(record["captions"]).strip().rstrip(".").strip()
        lowered = caption[:1].lower() + caption[1:]
        questions.append(Question(caption, "caption", segment))
        questions.append(Question(f"When do we see {lowered}?", "wh", segment))
    asked = human_questions(record)
    if asked:
        questions.append(Question(chance.choice(asked), "human", segment))
    return questions


def human_questions(record: dict[str, Any]) -> list[str]:
    """What people asked about things in the photo, without the machine's rephrasings."""
    pairs = zip(record.get("qa", []), record.get("qa_source", []), strict=True)
    asked = [question for (question, _), source in pairs if source != NOISY_QUESTIONS]
    return [question for question in asked if not ABOUT_THE_PHOTO.search(question)]


def evaluate(
    frames: Frames, questions: list[Question], encoder: DualEncoder, args: argparse.Namespace, gif: int
) -> list[Outcome]:
    """Every method on every question about one GIF."""
    # By time and not by index: Pillow writes frames that come out alike as one frame that lasts longer.
    segment_of = np.floor(frames.pts_seconds * 1000 / FRAME_MS / args.frames_per_segment + 1e-6).astype(int)
    adaptive = ClipCutConfig(top_k=args.top_k)
    scores_only = adaptive.model_copy(update={"strategy": "relevance"})
    encoded = encode_frames(frames, encoder, adaptive)
    every_second = np.arange(0, len(frames), 2)
    original = encoder.encode_frames(frames.pixels[every_second]).embeddings
    moments = (np.arange(args.top_k) + 0.5) * frames.duration_seconds / args.top_k
    uniform = np.searchsorted(frames.pts_seconds, moments, side="right") - 1
    chance = random.Random(f"{args.seed} draws {gif}")

    def chosen_by(config: ClipCutConfig, text: str) -> np.ndarray:
        return np.searchsorted(frames.frame_indices, select_keyframes(encoded, text, encoder, config).indices)

    outcomes = []
    for question in questions:
        query = encoder.encode_texts([question.text])[0]
        best = every_second[np.argsort(-(original @ query), kind="stable")[: args.top_k]]
        chosen = {
            "clip-cut": chosen_by(adaptive, question.text),
            "top-scores": chosen_by(scores_only, question.text),
            "original": best,
            "uniform": uniform,
        }
        hits = {
            method: float(question.segment in segment_of[positions]) for method, positions in chosen.items()
        }
        draws = [chance.sample(range(len(frames)), args.top_k) for _ in range(RANDOM_DRAWS)]
        hits["random"] = float(np.mean([question.segment in segment_of[draw] for draw in draws]))
        embedded = {"clip-cut": len(encoded), "original": len(every_second)}
        outcomes.append(Outcome(gif, question.kind, hits, embedded))
    return outcomes


def summarise(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """One row a kind of question: each method's recall, and CLIP-Cut against uniform and the original."""
    rows = []
    for kind in dict.fromkeys(outcome.kind for outcome in outcomes):
        chosen = [outcome for outcome in outcomes if outcome.kind == kind]
        gifs = [outcome.gif for outcome in chosen]
        hits = {method: np.array([outcome.hits[method] for outcome in chosen]) for method in METHODS}
        ratio = bootstrap_statistic(partial(ratio_of, hits), gifs)
        gain = paired_bootstrap(hits["original"], hits["clip-cut"], gifs)
        rows.append(
            {
                "questions": kind,
                "num_questions": len(chosen),
                "num_gifs": len(set(gifs)),
                "frames_embedded": {
                    method: float(np.mean([outcome.frames_embedded[method] for outcome in chosen]))
                    for method in ("clip-cut", "original")
                },
                "recall": {method: bootstrap_mean(hits[method], gifs).to_dict() for method in METHODS},
                "clip_cut_over_uniform": ratio.to_dict(),
                "clip_cut_minus_original": {
                    "value": gain.difference,
                    "ci95": [gain.low, gain.high],
                    "p_value": gain.p_value,
                },
            }
        )
    return rows


def ratio_of(hits: dict[str, np.ndarray], rows: np.ndarray) -> float:
    """How many times as often CLIP-Cut is right as uniform sampling, on these rows."""
    return float(hits["clip-cut"][rows].sum() / max(hits["uniform"][rows].sum(), 1.0))


def table(rows: list[dict[str, Any]], top_k: int) -> Table:
    """Recall of the right segment with its interval, and CLIP-Cut against uniform and the original."""
    lines = []
    for row in rows:
        gain = row["clip_cut_minus_original"]
        low, high = (100 * bound for bound in gain["ci95"])
        lines.append(
            (
                f"{row['questions']} ({row['num_questions']})",
                *(percent(row["recall"][method]) for method in METHODS),
                f"{row['clip_cut_over_uniform']['value']:.2f}",
                f"{100 * gain['value']:+.1f} [{low:+.1f}, {high:+.1f}]",
            )
        )
    columns = ("questions", *METHODS, "/ uniform", "- original")
    embedded, by_original = (
        np.mean([row["frames_embedded"][method] for row in rows]) for method in ("clip-cut", "original")
    )
    note = (
        "In per cent [95 % interval, GIFs resampled]; the last two columns are of clip-cut, for which "
        f"{embedded:.1f} frames a GIF were embedded; for the original {by_original:.1f}."
    )
    return Table(f"The right segment is among {top_k} keyframes", columns, tuple(lines), note)


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_photo_flags(parser)
    add_encoder_flag(parser)
    parser.add_argument(
        "--gifs", type=int, default=100, help="GIFs of captioned photos, and again of asked ones"
    )
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--frames-per-segment", type=int, default=8)
    parser.add_argument("--top-k", type=int, default=3)
    parser.add_argument("--side", type=int, default=160, help="pixels of a GIF's side")
    parser.add_argument("--seed", type=int, default=0)
    add_output_flags(parser)
    return parser.parse_args()


def measure(args: argparse.Namespace, encoder: DualEncoder) -> list[Outcome]:
    """Compose GIFs of captioned photos, and again of asked ones, and try every method on each.

    Raises:
        ConfigError: if there are too few photos for one GIF.
    """
    records = [
        row for row in read_photos(args.captions, args.split) if (args.photos / row["image"]).is_file()
    ]
    captioned = [record for record in records if record["captions"]]
    asked = [record for record in records if human_questions(record)]
    outcomes: list[Outcome] = []
    for gif in range(2 * args.gifs):
        drawn, kinds = (captioned, {"caption", "wh"}) if gif < args.gifs else (asked, {"human"})
        if len(drawn) < args.segments:
            continue
        chance = random.Random(f"{args.seed} {gif}")
        shown = chance.sample(drawn, args.segments)
        paths = [args.photos / record["image"] for record in shown]
        frames = compose(paths, args.frames_per_segment, args.side, chance)
        questions = [
            q for i, record in enumerate(shown) for q in ask_about(i, record, chance) if q.kind in kinds
        ]
        outcomes += evaluate(frames, questions, encoder, args, gif)
    if not outcomes:
        raise ConfigError(
            f"{args.captions} has fewer than {args.segments} photos of the split {args.split}; a GIF is made "
            "of so many. Check --split and --photos, or lower --segments."
        )
    return outcomes


def main() -> None:
    """Compose, ask, choose, print, write."""
    args = parse_arguments()
    began = time.perf_counter()
    encoder = load_encoder(args.model)
    rows = summarise(measure(args, encoder))
    write_report("keyframes", args, {"encoder": encoder.name, "rows": rows}, [table(rows, args.top_k)], began)


if __name__ == "__main__":
    run(main)
