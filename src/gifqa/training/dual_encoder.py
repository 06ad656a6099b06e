"""Stage one of the lite recipe: the two heads of the dual encoder, by symmetric contrast on captions.

    python -m gifqa.training.dual_encoder --captions captions.jsonl --features runs/features -o runs/dual
"""

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.training.store import FeatureStore, TextStore


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture's name in the feature store, with what people wrote about it."""

    name: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class ContrastSettings:
    """How the heads are trained."""

    batch_size: int = 512
    epochs: int = 14
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    feature_noise: float = 0.1
    seed: int = 0


def recall(heads: DualEncoderHeads, store: FeatureStore, texts: TextStore, pictures: Sequence[CaptionedPicture]) -> dict[str, float]:
    """Recall at 1, 5 and 10, text to image and image to text, on whole pictures."""
    rows = [store.rows(picture.name)[0] for picture in pictures]
    captions = [(index, caption) for index, picture in enumerate(pictures) for caption in picture.captions]
    owner = torch.tensor([index for index, _ in captions])
    heads.eval()
    with torch.no_grad():
        frames = torch.cat([heads.encode_frames(store.grid(rows[i : i + 256]).float(), store.pooled(rows[i : i + 256])) for i in range(0, len(rows), 256)])
        sentences = heads.encode_texts(texts.sentence([caption for _, caption in captions]))
        scores = sentences @ frames.T
    rank = (scores > scores.gather(1, owner[:, None])).sum(1)
    best = torch.full((len(rows), len(rows)), -1.0)
    for column in range(len(rows)):
        best[column] = scores[owner == column].max(0).values
    ours = scores.T.where(owner[None] == torch.arange(len(rows))[:, None], torch.tensor(-2.0)).max(1).values
    image_rank = torch.stack([(scores[:, i][owner != i] > ours[i]).sum() for i in range(len(rows))])
    figures = {f"text_to_image_r{k}": (rank < k).float().mean().item() for k in (1, 5, 10)}
    return figures | {f"image_to_text_r{k}": (image_rank < k).float().mean().item() for k in (1, 5, 10)}


def contrast_loss(scores: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE over (B, B) scores; pairs of the same picture, true in `same`, are no negatives."""
    scores = scores.masked_fill(same & ~torch.eye(len(scores), dtype=torch.bool), float("-inf"))
    target = torch.arange(len(scores))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


def train_heads(
    heads: DualEncoderHeads,
    store: FeatureStore,
    texts: TextStore,
    pictures: Sequence[CaptionedPicture],
    settings: ContrastSettings,
) -> None:
    """Train in place; one epoch shows every caption once, with a random view or frame of its picture."""
    chance = random.Random(settings.seed)
    torch.manual_seed(settings.seed)
    pairs = [(index, caption) for index, picture in enumerate(pictures) for caption in picture.captions]
    steps = settings.epochs * (len(pairs) // settings.batch_size)
    optimizer = torch.optim.AdamW(heads.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    heads.train()
    for step in range(steps):
        if step % (len(pairs) // settings.batch_size) == 0:
            chance.shuffle(pairs)
        at = step % (len(pairs) // settings.batch_size) * settings.batch_size
        batch = pairs[at : at + settings.batch_size]
        rows = [chance.choice(store.rows(pictures[index].name)) for index, _ in batch]
        grid, pooled = store.grid(rows).float(), store.pooled(rows)
        grid = grid + settings.feature_noise * torch.randn_like(grid)
        owner = torch.tensor([index for index, _ in batch])
        with torch.autocast("cpu", torch.bfloat16):
            scores = heads(grid, pooled, texts.sentence([caption for _, caption in batch]))
        loss = contrast_loss(scores.float(), owner[:, None] == owner[None])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(heads.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            heads.log_temperature.clamp_(max=math.log(100))
        if step % 50 == 0:
            yield_line = {"step": step, "steps": steps, "loss": round(loss.item(), 3)}
            print(json.dumps(yield_line), flush=True)  # noqa: T201
