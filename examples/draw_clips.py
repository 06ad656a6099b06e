"""Draw clips whose every answer is known, and say what they show: data to try `gifqa train` with.

    python examples/draw_clips.py drawn
    gifqa train recipes/smoke.toml --data drawn --pairs drawn/pairs.jsonl -o runs/smoke

Writes a GIF a clip, clips.jsonl (what each shows) and pairs.jsonl (three questions about each). Needs Pillow.
"""

import argparse
import itertools
import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 80, 220), "yellow": (240, 220, 60)}
SHAPES = ("circle", "square")
DIRECTIONS = ("up", "down", "left", "right")
SIZE, RADIUS, NUM_FRAMES, DELAY_MS = 64, 12, 8, 100


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw clips to try training with.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=24, help="clips of the split train")
    parser.add_argument("--val", type=int, default=8, help="clips of the split val")
    given = parser.parse_args()
    draw_clips(given.folder, {"train": given.train, "val": given.val})


def draw_clips(folder: Path, counts: dict[str, int]) -> None:
    """Draw so many clips of each split, no two alike; 32 there are."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = list(itertools.product(COLOURS, SHAPES, DIRECTIONS))
    random.Random(0).shuffle(scenes)
    if sum(counts.values()) > len(scenes):
        raise SystemExit(
            f"{sum(counts.values())} clips were asked for; there are {len(scenes)} different ones."
        )
    splits = [split for split, count in counts.items() for _ in range(count)]
    clips, pairs = [], []
    for split, (colour, shape, direction) in zip(splits, scenes, strict=False):
        name = f"{colour}-{shape}-{direction}.gif"
        save(folder / name, COLOURS[colour], shape, direction)
        sentence = f"a {colour} {shape} moves {direction}"
        clips.append({"clip": name, "split": split, "description": sentence})
        for question, answer, kind in (
            (f"What colour is the {shape}?", colour, "colour"),
            (f"What is {colour}?", shape, "object"),
            (f"Where does the {shape} move?", direction, "place"),
        ):
            pairs.append(
                {"gif": name, "split": split, "question": question, "answer": answer, "answer_type": kind}
            )
    write_lines(folder / "clips.jsonl", clips)
    write_lines(folder / "pairs.jsonl", pairs)


def save(path: Path, colour: tuple[int, int, int], shape: str, direction: str) -> None:
    """Write the GIF: the shape crosses the picture through its middle."""
    frames = []
    for number in range(NUM_FRAMES):
        way = RADIUS + (SIZE - 2 * RADIUS) * number / (NUM_FRAMES - 1)
        along = way if direction in ("down", "right") else SIZE - way
        x, y = (along, SIZE / 2) if direction in ("left", "right") else (SIZE / 2, along)
        frame = Image.new("RGB", (SIZE, SIZE), (20, 20, 20))
        draw = ImageDraw.Draw(frame)
        outline = draw.ellipse if shape == "circle" else draw.rectangle
        outline((x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS), fill=colour)
        frames.append(frame)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=DELAY_MS, loop=0)


def write_lines(path: Path, lines: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
