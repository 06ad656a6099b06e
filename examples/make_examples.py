"""Make the GIFs of this folder again. Needs Pillow, and for the two photographs their files:

    pip download scikit-image --no-deps --dest /tmp/wheel
    unzip -j /tmp/wheel/scikit_image-*.whl skimage/data/chelsea.png skimage/data/coffee.png -d /tmp/photos
    python examples/make_examples.py --photos /tmp/photos

Without `--photos` only the drawn ones are made. The README of this folder has the credits.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent
DRAWN_SIZE = (240, 160)
PHOTO_SIZE = (240, 160)
EDGE = 4  # shapes are drawn this many times larger and scaled down, so that edges are smooth


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the example GIFs.")
    parser.add_argument("--photos", type=Path, help="a folder with chelsea.png and coffee.png")
    photos = parser.parse_args().photos
    for name, draw, num_frames, delay_ms in (
        ("red_ball.gif", draw_ball, 16, 80),
        ("two_squares.gif", draw_squares, 10, 200),
        ("three_circles.gif", draw_circles, 12, 200),
        ("sunset.gif", draw_sunset, 16, 120),
    ):
        save(FOLDER / name, drawn(draw, num_frames), delay_ms, num_colours=32)
    if photos is not None:
        save(FOLDER / "chelsea.gif", camera_move(photos / "chelsea.png", PHOTO_SIZE, 11), 150, num_colours=80)
        save(FOLDER / "coffee.gif", camera_move(photos / "coffee.png", PHOTO_SIZE, 11), 150, num_colours=64)


def save(path: Path, frames: Iterator[Image.Image], delay_ms: int, *, num_colours: int) -> None:
    """Write a GIF that repeats for ever; one palette and no dithering keep it small."""
    images = list(frames)
    sheet = Image.new("RGB", (images[0].width * len(images), images[0].height))
    for i, image in enumerate(images):
        sheet.paste(image, (i * image.width, 0))
    palette = sheet.quantize(num_colours, method=Image.Quantize.MEDIANCUT)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=delay_ms, loop=0, optimize=True)
    with Image.open(path) as image:
        num_frames = image.n_frames  # equal frames were merged
    print(f"{path.name}: {num_frames} frames, {path.stat().st_size / 1000:.0f} kB")


def camera_move(path: Path, size: tuple[int, int], num_frames: int) -> Iterator[Image.Image]:
    """A slow zoom out of a photograph with a slight pan, from two thirds of it to all of it."""
    photo = Image.open(path).convert("RGB")
    width, height = fitted(photo.size, size)
    for i in range(num_frames):
        progress = i / (num_frames - 1)
        scale = 2 / 3 + progress / 3
        left = (photo.width - width * scale) * (0.35 + 0.15 * progress)
        top = (photo.height - height * scale) / 2
        yield photo.resize(
            size,
            Image.Resampling.LANCZOS,
            box=(left, top, left + width * scale, top + height * scale),
        )


def fitted(photo: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """The largest part of the photograph with the proportions of `size`."""
    scale = min(photo[0] / size[0], photo[1] / size[1])
    return size[0] * scale, size[1] * scale


def drawn(draw: Callable[[ImageDraw.ImageDraw, float], None], num_frames: int) -> Iterator[Image.Image]:
    """The frames of a drawing; `draw` is given how far the GIF has played, 0 to 1."""
    large = (DRAWN_SIZE[0] * EDGE, DRAWN_SIZE[1] * EDGE)
    for i in range(num_frames):
        image = Image.new("RGB", large)
        draw(ImageDraw.Draw(image), i / (num_frames - 1))
        yield image.resize(DRAWN_SIZE, Image.Resampling.BOX)


def fill(canvas: ImageDraw.ImageDraw, colour: str) -> None:
    canvas.rectangle((0, 0, DRAWN_SIZE[0] * EDGE, DRAWN_SIZE[1] * EDGE), fill=colour)


def disc(canvas: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: str) -> None:
    box = (x - radius, y - radius, x + radius, y + radius)
    canvas.ellipse(tuple(value * EDGE for value in box), fill=colour)


def draw_ball(canvas: ImageDraw.ImageDraw, progress: float) -> None:
    """A red ball rolls over a green field from left to right."""
    fill(canvas, "forestgreen")
    disc(canvas, 30 + 180 * progress, 95, 25, "red")


def draw_squares(canvas: ImageDraw.ImageDraw, progress: float) -> None:
    """First a blue square slides down at the left, then a yellow one at the right."""
    fill(canvas, "white")
    left, colour = (40, "blue") if progress < 0.5 else (130, "gold")
    top = 20 + 80 * (progress % 0.5)
    canvas.rectangle(tuple(value * EDGE for value in (left, top, left + 70, top + 70)), fill=colour)


def draw_circles(canvas: ImageDraw.ImageDraw, progress: float) -> None:
    """Three orange circles come one after another."""
    fill(canvas, "midnightblue")
    for i in range(3):
        if progress >= i / 3:
            disc(canvas, 50 + 70 * i, 80, 25, "orange")


def draw_sunset(canvas: ImageDraw.ImageDraw, progress: float) -> None:
    """The sun goes down behind the sea and the sky turns from blue to dark."""
    sky = tuple(round(day + (night - day) * progress) for day, night in ((120, 20), (190, 25), (255, 70)))
    fill(canvas, "#{:02x}{:02x}{:02x}".format(*sky))
    disc(canvas, 120, 35 + 110 * progress, 24, "orange")
    canvas.rectangle((0, 110 * EDGE, DRAWN_SIZE[0] * EDGE, DRAWN_SIZE[1] * EDGE), fill="navy")


if __name__ == "__main__":
    main()
