"""From samples to tensors: which views or frames stand for a picture, and which samples share a batch."""

import random
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gifqa.errors import ConfigError
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.training.data.samples import Annotations, Sample
from gifqa.training.data.store import FeatureStore, TextStore

FRAME_CHOICES = (1, 1, 1, 4)
"""How many frames a batch shows of each picture, drawn anew for every batch."""
SOURCE_SHARES = {
    "caption-open": 0.50,
    "caption-yes/no": 0.11,
    "match": 0.08,
    "objects": 0.06,
    "visual7w": 0.14,
    "vqa2": 0.07,
    "vqa2-yn": 0.03,
    "statements": 0.01,
}
"""What share of a batch each source gets where the recipe has no `[data] weights`; sources that the data lack
are left out. "match" asks whether a whole caption is true."""
HARD_CANDIDATES = 24
TOO_ALIKE = 0.75


class Sampler:
    """Draws samples by source, captions for contrast, and captions of other pictures that nearly fit.

    Raises:
        ConfigError: if the annotations hold nothing to draw.
    """

    def __init__(self, annotations: Annotations, texts: TextStore, seed: int) -> None:
        self.chance = random.Random(seed)
        self.texts = texts
        self.groups = annotations.by_source()
        self.captions = annotations.captions
        self.names = list(annotations.captions)
        self.labels = annotations.labels
        self.shares = self._shares(annotations.weights)

    def _shares(self, weights: Mapping[str, float]) -> dict[str, float]:
        """The share of each source that there is, by the given weights or else by `SOURCE_SHARES`."""
        there = [*self.groups, *(["match"] if self.names and self.texts.index else [])]
        if not there:
            raise ConfigError(
                "no question and no caption is left to train on; at least one must have its picture. See "
                "`failed` in the figures of the stage `features`."
            )
        shares = {name: share for name, share in (weights or SOURCE_SHARES).items() if name in there}
        if not shares:
            raise ConfigError(
                f"data.weights names {', '.join(weights)}, of which nothing is left to train on; there are "
                f"{', '.join(there)}. Name one of these, or leave the weights out."
            )
        return shares

    def draw(self, size: int) -> list[Sample]:
        """`size` samples, their sources in the proportions of the shares."""
        sources = self.chance.choices(list(self.shares), list(self.shares.values()), k=size)
        return [
            self.match() if source == "match" else self.chance.choice(self.groups[source])
            for source in sources
        ]

    def match(self) -> Sample:
        """A caption as a statement about its own picture (yes) or another one (no)."""
        name = self.chance.choice(self.names)
        caption = self.chance.choice(self.captions[name])
        if self.chance.random() < 0.5:
            return Sample(name, caption, "yes", "match", "yes/no")
        return Sample(name, self.wrong_caption(name, caption), "no", "match", "yes/no")

    def wrong_caption(self, name: str, caption: str) -> str:
        """Of some random captions of other pictures the one most like `caption`, short of a paraphrase."""
        names = self.chance.sample(self.names, min(HARD_CANDIDATES, len(self.names)))
        others = [self.chance.choice(self.captions[other]) for other in names]
        alike = self.texts.sentence(others) @ self.texts.sentence([caption])[0]
        own = set(self.captions[name])
        ranked = sorted(zip(alike.tolist(), others, strict=True), reverse=True)
        return next((text for score, text in ranked if score < TOO_ALIKE and text not in own), ranked[-1][1])

    def draw_captions(self, size: int, each: int = 1) -> list[tuple[str, list[str]]]:
        """`size` different pictures, all where there are fewer, with up to `each` of their captions."""
        names = self.chance.sample(self.names, min(size, len(self.names)))
        captions = self.captions
        return [(name, self.chance.sample(captions[name], min(each, len(captions[name])))) for name in names]


def choose_rows(
    store: FeatureStore, name: str, num_frames: int, chance: random.Random, keep_sides: bool
) -> list[int]:
    """Up to `num_frames` rows of a picture: frames of a clip in order, or views of a photo as a camera move.

    One frame of a photo is the whole photo half of the time, else a crop.

    Args:
        store: has the picture.
        name: of the picture.
        num_frames: how many rows are wanted.
        chance: draws them.
        keep_sides: leave mirrored views out, as `gifqa.training.data.mirroring` asks for some texts.
    """
    rows = list(store.rows(name))
    if store.is_clip(name):
        chosen = sorted(chance.sample(range(len(rows)), min(num_frames, len(rows))))
        return [rows[index] for index in chosen]
    if keep_sides:
        rows = upright_rows(store, name)
    if num_frames == 1:
        return [rows[0] if chance.random() < 0.5 else chance.choice(rows)]
    chance.shuffle(rows)
    return rows[:num_frames]


def upright_rows(store: FeatureStore, name: str) -> list[int]:
    """The rows of a picture that are not mirrored: at least the whole photo, and all frames of a clip."""
    item = store.items[name]
    return [row for row, flipped in zip(item["rows"], item["flipped"], strict=True) if not flipped]


def fixed_rows(store: FeatureStore, name: str, num_frames: int) -> list[int]:
    """The rows that validation looks at: the whole photo, or frames spread evenly over a clip."""
    rows = store.rows(name)
    if not store.is_clip(name):
        return rows[:1]
    count = min(num_frames, len(rows))
    return [rows[int((index + 0.5) * len(rows) / count)] for index in range(count)]


def draw_validation(annotations: Annotations, counts: Mapping[str, int], seed: int) -> list[Sample]:
    """Up to `counts[source]` samples of each source; "captions" are whole captions of pictures."""
    chance = random.Random(seed)
    groups = annotations.by_source()
    groups["captions"] = [
        caption_sample(name, captions[0]) for name, captions in annotations.captions.items()
    ]
    return [
        sample
        for source, count in counts.items()
        for sample in chance.sample(groups[source], min(count, len(groups[source])))
    ]


def caption_sample(name: str, *captions: str) -> Sample:
    """A caption, or several, as the answer to the question what happens."""
    first, *others = (caption.rstrip(" .").lower() for caption in captions)
    return Sample(name, DESCRIBE_QUESTION, first, "captions", "summary", other_answers=tuple(others))


def pack_grids(store: FeatureStore, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Grids of a batch, float32 (B, F, G, C), padded to the longest, and their bool mask (B, F)."""
    longest = max(len(row) for row in rows)
    mask = torch.tensor([[index < len(row) for index in range(longest)] for row in rows])
    flat = [row[min(index, len(row) - 1)] for row in rows for index in range(longest)]
    grid = store.grid(flat).float()
    return grid.view(len(rows), longest, *grid.shape[1:]), mask
