"""What a model answers at each validation of its training: as lines, and with the frames as one PNG."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gifqa.errors import GifQAError
from gifqa.evidence import draw_strip, write_png
from gifqa.frames import decode_frames
from gifqa.limits import MediaLimits
from gifqa.media import load_media
from gifqa.retrieval.clip_cut import Keyframes

FRAMES_DRAWN = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShownAnswer:
    """A validation question with its answers."""

    picture: str
    """Its name in the feature store."""
    question: str
    reference: str
    answer: str
    """What the model says."""

    def texts(self) -> dict[str, str]:
        """As a line of samples.jsonl holds it."""
        return asdict(self)


def draw_answers(answers: Sequence[ShownAnswer], media: Sequence[Path], path: Path) -> bool:
    """Draw the answers one below the other, each with the frames of its picture.

    Args:
        answers: those whose picture is in none of the folders, or does not decode, are left out.
        media: folders in which the pictures are looked for by their names.
        path: the PNG.

    Returns:
        Whether there was anything to draw.

    Raises:
        ConfigError: if the file cannot be written.
    """
    strips = [strip for answer in answers if (strip := _draw(answer, media)) is not None]
    if not strips:
        return False
    page = Image.new(
        "RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)), "white"
    )
    top = 0
    for strip in strips:
        page.paste(strip, (0, top))
        top += strip.height
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(page, path)
    return True


def _draw(answer: ShownAnswer, media: Sequence[Path]) -> Image.Image | None:
    found = next((path for folder in media if (path := folder / answer.picture).is_file()), None)
    if found is None:
        return None
    try:
        frames = decode_frames(load_media(found), MediaLimits(max_frames=FRAMES_DRAWN))
    except GifQAError as error:
        logger.warning("%s is not drawn: %s", answer.picture, error)
        return None
    scores = np.full(len(frames), np.nan, np.float32)
    shown = Keyframes(
        frames.frame_indices, frames.pts_seconds, scores, None, frames.num_frames, frames.duration_seconds
    )
    return draw_strip(frames.pixels, shown, answer.question, answer.answer, None, reference=answer.reference)
