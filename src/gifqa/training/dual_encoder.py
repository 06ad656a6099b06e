"""Stage one of the lite recipe: the two heads of the dual encoder, by symmetric contrast on captions."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gifqa.errors import ConfigError
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.training.loop import Plan, check_finite, run_stage
from gifqa.training.recipe import ContrastSettings
from gifqa.training.store import FeatureStore, TextStore

LOG_EVERY = 50
CLIP_NORM = 1.0


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture's name in the feature store, with what people wrote about it."""

    name: str
    captions: tuple[str, ...]


class DualEncoderStage:
    """One run of the stage; resumable from its folder.

    One epoch shows every caption once, with a random view or frame of its picture.

    Raises:
        ConfigError: if there are fewer captions than a batch takes.
    """

    def __init__(
        self,
        heads: DualEncoderHeads,
        store: FeatureStore,
        texts: TextStore,
        pictures: Sequence[CaptionedPicture],
        settings: ContrastSettings,
    ) -> None:
        self.heads, self.store, self.texts, self.settings = heads, store, texts, settings
        self.pictures = pictures
        self.pairs = [(index, text) for index, picture in enumerate(pictures) for text in picture.captions]
        self.steps_per_epoch = len(self.pairs) // settings.batch_size
        if not self.steps_per_epoch:
            raise ConfigError(
                f"dual_encoder.batch_size is {settings.batch_size}, but there are only {len(self.pairs)} "
                "captions; an epoch must have a batch. Lower it, or check the data folder."
            )
        self.steps = settings.epochs * self.steps_per_epoch
        self.chance = random.Random(settings.seed)
        torch.manual_seed(settings.seed)
        self.order = list(range(len(self.pairs)))
        self.optimizer = torch.optim.AdamW(
            heads.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.learning_rate, total_steps=self.steps
        )
        self.step = 0

    def next_batch(self) -> list[tuple[int, str]]:
        """Indices of pictures and a caption of each."""
        place = self.step % self.steps_per_epoch
        if place == 0:
            self.chance.shuffle(self.order)
        size = self.settings.batch_size
        return [self.pairs[index] for index in self.order[place * size : (place + 1) * size]]

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the loss."""
        self.heads.train()
        batch = self.next_batch()
        names = [self.pictures[index].name for index, _ in batch]
        rows = [self.chance.choice(self.store.rows(name)) for name in names]
        grid, pooled = self.store.grid(rows).float(), self.store.pooled(rows)
        if self.settings.feature_noise:
            grid = grid + self.settings.feature_noise * torch.randn_like(grid)
        owner = torch.tensor([index for index, _ in batch])
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.heads(grid, pooled, self.texts.sentence([caption for _, caption in batch]))
        loss = contrast_loss(scores.float(), owner[:, None] == owner[None])
        check_finite(loss, self.step, names)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.heads.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            self.heads.log_temperature.clamp_(max=math.log(100))
        self.step += 1
        return {"loss": loss.item()}

    def weights(self) -> dict[str, Tensor]:
        """All weights of the heads."""
        return dict(self.heads.state_dict())

    def state(self) -> dict[str, Any]:
        """See `gifqa.training.loop.Stage`."""
        return {
            "model": self.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.order,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `gifqa.training.loop.Stage`."""
        self.heads.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.order = state["order"]

    def run(self, folder: Path, validation: Sequence[CaptionedPicture]) -> dict[str, float]:
        """Train to the last step, validating after each epoch; returns the best figures."""
        plan = Plan(self.steps, LOG_EVERY, self.steps_per_epoch, "mean", higher_is_better=True)
        return run_stage(self, folder, plan, lambda: recall(self.heads, self.store, self.texts, validation))


def recall(
    heads: DualEncoderHeads, store: FeatureStore, texts: TextStore, pictures: Sequence[CaptionedPicture]
) -> dict[str, float]:
    """Recall at 1, 5 and 10 on whole pictures, text to image and image to text, and the mean of the six."""
    rows = [store.rows(picture.name)[0] for picture in pictures]
    captions = [(index, caption) for index, picture in enumerate(pictures) for caption in picture.captions]
    owner = torch.tensor([index for index, _ in captions])
    heads.eval()
    with torch.no_grad():
        parts = (rows[start : start + 256] for start in range(0, len(rows), 256))
        frames = torch.cat(
            [heads.encode_frames(store.grid(part).float(), store.pooled(part)) for part in parts]
        )
        scores = heads.encode_texts(texts.sentence([caption for _, caption in captions])) @ frames.T
    image_rank = (scores > scores.gather(1, owner[:, None])).sum(1)
    is_own = owner[None] == torch.arange(len(rows))[:, None]
    best_own = scores.T.masked_fill(~is_own, -math.inf).amax(1, keepdim=True)
    text_rank = ((best_own < scores.T) & ~is_own).sum(1)
    ranks = {"text_to_image": image_rank, "image_to_text": text_rank}
    figures = {
        f"{name}_r{k}": round((rank < k).float().mean().item(), 4)
        for name, rank in ranks.items()
        for k in (1, 5, 10)
    }
    return figures | {"mean": round(sum(figures.values()) / len(figures), 4)}


def contrast_loss(scores: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE over (B, B) scores; pairs of the same picture, true in `same`, are no negatives."""
    scores = scores.masked_fill(same & ~torch.eye(len(scores), dtype=torch.bool), float("-inf"))
    target = torch.arange(len(scores))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
