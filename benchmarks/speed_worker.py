"""What `speed.py` measures inside a fresh process. Each command prints one JSON object.

draw            a GIF whose frames all differ
warm            the first and the second question about a GIF, of a model that is loaded
side-by-side    from file to keyframes, the original's way and gifqa's, with one encoder
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORIGINAL_SIDE = 512
"""Pixels of the square that the original resized every frame to, whatever its encoder took."""
ORIGINAL_STEP = 2
"""It embedded every second frame."""
TOP_K = 3
TEXTURE_CELL = 25
"""Pixels from one random colour of the drawn texture to the next."""
PIXELS_A_FRAME = 3
"""How far the window moves over the texture between two frames."""


@dataclass(frozen=True)
class GifSize:
    """Frames, and pixels of a frame."""

    num_frames: int = 40
    width: int = 400
    height: int = 300


def draw(path: Path, size: GifSize, seed: int = 0) -> None:
    """Write a GIF of a window that moves over smooth coloured noise.

    The texture moves steadily, as in a camera pan: neighbours are no cut, and frames three apart no
    near-duplicates, so that none of its fourteen groups is merged by its thumbnail. It is one scene, all of
    which looks alike to the encoder; a GIF of several costs more looks.
    """
    import numpy as np
    from PIL import Image

    extra = PIXELS_A_FRAME * size.num_frames
    cells = ((size.height + extra) // TEXTURE_CELL + 2, (size.width + extra) // TEXTURE_CELL + 2, 3)
    noise = np.random.default_rng(seed).integers(0, 256, cells, dtype=np.uint8)
    texture = Image.fromarray(noise).resize(
        (cells[1] * TEXTURE_CELL, cells[0] * TEXTURE_CELL), Image.Resampling.BICUBIC
    )
    windows = [
        texture.crop((at, at, at + size.width, at + size.height)).quantize(128, dither=Image.Dither.NONE)
        for at in range(0, extra, PIXELS_A_FRAME)
    ]
    windows[0].save(path, "GIF", save_all=True, append_images=windows[1:], duration=80, loop=0)


def warm(qa: Any, gif: Path, warm_up: Path, questions: Sequence[str]) -> dict[str, Any]:
    """Seconds of the first and the second question about `gif`, after one about another GIF.

    Returns:
        `first_seconds`, `second_seconds`, the timings of both by stage, and `answers`.
    """
    qa.load()
    qa.ask(warm_up, questions[0])
    seconds, answers = [], []
    for question in questions:
        began = time.perf_counter()
        answers.append(qa.ask(gif, question))
        seconds.append(time.perf_counter() - began)
    return {
        "first_seconds": seconds[0],
        "second_seconds": seconds[1],
        "timings": [dict(answer.timings) for answer in answers],
        "answers": [answer.text for answer in answers],
    }


def original_keyframes(gif: Path, question: str, encoder: Any) -> Sequence[int]:
    """Indices of the keyframes as the original chose them, best first.

    It decoded all frames, resized each, embedded every second one in a call of its own, ranked by L2, and
    kept nothing for the next question. Decoder and encoder are gifqa's, so that only the way differs.
    """
    import numpy as np
    from PIL import Image

    from gifqa.frames import decode_frames
    from gifqa.media import load_media

    frames = decode_frames(load_media(gif))
    side = (ORIGINAL_SIDE, ORIGINAL_SIDE)
    squares = [Image.fromarray(frame).resize(side, Image.Resampling.BILINEAR) for frame in frames.pixels]
    embeddings = np.concatenate(
        [encoder.encode_frames(np.asarray(square)[None]).embeddings for square in squares[::ORIGINAL_STEP]]
    )
    distances = np.square(embeddings - encoder.encode_texts([question])).sum(1)
    return [int(place) * ORIGINAL_STEP for place in np.argsort(distances, kind="stable")[:TOP_K]]


def gifqa_keyframes(gif: Path, question: str, encoder: Any) -> Sequence[int]:
    """Indices of the keyframes as gifqa chooses them, without its cache."""
    from gifqa.frames import decode_frames
    from gifqa.media import load_media
    from gifqa.retrieval.clip_cut import encode_frames, select_keyframes
    from gifqa.retrieval.config import ClipCutConfig

    config = ClipCutConfig(top_k=TOP_K)
    encoded = encode_frames(decode_frames(load_media(gif)), encoder, config)
    return [int(index) for index in select_keyframes(encoded, question, encoder, config).indices]


class CountingEncoder:
    """An encoder that counts the frames and the calls it was given."""

    def __init__(self, encoder: Any) -> None:
        """Stand before `encoder`."""
        self._encoder = encoder
        self.name = encoder.name
        self.num_frames = self.num_calls = 0

    def encode_frames(self, pixels: Any) -> Any:
        """What the encoder gives, counted."""
        self.num_frames += len(pixels)
        self.num_calls += 1
        return self._encoder.encode_frames(pixels)

    def encode_texts(self, texts: Sequence[str]) -> Any:
        """What the encoder gives."""
        return self._encoder.encode_texts(texts)


def side_by_side(gif: Path, question: str, encoder: Any, num_runs: int) -> dict[str, Any]:
    """Seconds from file to keyframes of both ways, run in turns after one run of each that does not count.

    Returns:
        By way (`original`, `gifqa`): `seconds` of each run, `frames_encoded`, `encoder_calls`, `keyframes`.
    """
    ways: dict[str, Callable[..., Sequence[int]]] = {"original": original_keyframes, "gifqa": gifqa_keyframes}
    found: dict[str, Any] = {}
    for name, way in ways.items():
        counting = CountingEncoder(encoder)
        chosen = way(gif, question, counting)
        counts = {"frames_encoded": counting.num_frames, "encoder_calls": counting.num_calls}
        found[name] = {"seconds": [], **counts, "keyframes": sorted(chosen)}
    for _ in range(num_runs):
        for name, way in ways.items():
            began = time.perf_counter()
            way(gif, question, encoder)
            found[name]["seconds"].append(time.perf_counter() - began)
    return found


def peak_bytes() -> int:
    """The most memory that this process held at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Do what the command line says and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("command", choices=("draw", "warm", "side-by-side"))
    parser.add_argument("gif", type=Path)
    parser.add_argument("--frames", type=int, default=GifSize.num_frames)
    parser.add_argument("--width", type=int, default=GifSize.width)
    parser.add_argument("--height", type=int, default=GifSize.height)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warm-up", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--question", action="append", default=[])
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    result: dict[str, Any] = {}
    if args.command == "draw":
        draw(args.gif, GifSize(args.frames, args.width, args.height), args.seed)
    elif args.command == "warm":
        from gifqa.pipeline import GifQA

        result = warm(GifQA(args.model), args.gif, args.warm_up, args.question)
    else:
        from predicting import load_encoder

        result = side_by_side(args.gif, args.question[0], load_encoder(args.model), args.runs)
    print(json.dumps({**result, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main()
