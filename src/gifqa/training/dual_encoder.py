"""Stage one of the lite recipe: the two heads of the dual encoder.

Symmetric contrast on captions is what the search for frames needs; the fit of statements, right and wrong, is
what the third opinion on an answer needs.
"""

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
from gifqa.model.precision import autocast
from gifqa.training.data.batches import upright_rows
from gifqa.training.data.mirroring import forbids_mirroring
from gifqa.training.data.statements import FitScale, StatementGroup, fits, statement_loss
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.loop.steps import Plan, check_finite, run_stage
from gifqa.training.recipe import ContrastSettings

LOG_EVERY = 50
CLIP_NORM = 1.0
TIE = 1e-6
"""Cosines closer than this are equal: matrix products round each column in its own way."""


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture's name in the feature store, with what people wrote about it."""

    name: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Statements:
    """Statements about pictures with their sentence vectors."""

    groups: Sequence[StatementGroup]
    store: TextStore

    def vectors(self, groups: Sequence[StatementGroup]) -> Tensor:
        """Sentence vectors (len(groups), S, text_size)."""
        texts = [text for group in groups for text in group.statements]
        return self.store.sentence(texts).view(len(groups), -1, self.store.size)


class DualEncoderStage:
    """One run of the stage; resumable from its folder.

    One epoch shows every caption once, with a random view or frame of its picture; statements are drawn.
    None leaves the statements out.

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
        statements: Statements | None = None,
    ) -> None:
        self.heads, self.store, self.texts, self.settings = heads, store, texts, settings
        self.statements, self.fit_scale = statements, FitScale()
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
            [*heads.parameters(), *self.fit_scale.parameters()],
            settings.learning_rate,
            weight_decay=settings.weight_decay,
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
        """One optimiser step; returns the losses."""
        self.heads.train()
        batch = self.next_batch()
        names = [self.pictures[index].name for index, _ in batch]
        owner = torch.tensor([index for index, _ in batch])
        features = self.features([(name, [caption]) for name, (_, caption) in zip(names, batch, strict=True)])
        with autocast():
            scores = self.heads(*features, self.texts.sentence([caption for _, caption in batch]))
        losses = {"loss": contrast_loss(scores.float(), owner[:, None] == owner[None])}
        if self.statements is not None:
            losses["statements"] = self.statement_loss(self.statements)
        total = losses["loss"] + self.settings.statement_weight * losses.get("statements", torch.zeros(()))
        check_finite(total, self.step, names)
        self.optimizer.zero_grad()
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(self.heads.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.schedule.step()
        with torch.no_grad():
            self.heads.log_temperature.clamp_(max=math.log(100))
        self.step += 1
        return {name: value.item() for name, value in losses.items()}

    def features(self, shown: Sequence[tuple[str, Sequence[str]]]) -> tuple[Tensor, Tensor]:
        """Grids and pooled heads of a random view or frame of each picture, of which its texts stay true."""
        rows = [
            self.chance.choice(
                upright_rows(self.store, name)
                if any(map(forbids_mirroring, texts))
                else self.store.rows(name)
            )
            for name, texts in shown
        ]
        grid = self.store.grid(rows).float()
        if self.settings.feature_noise:
            grid = grid + self.settings.feature_noise * torch.randn_like(grid)
        return grid, self.store.pooled(rows)

    def statement_loss(self, statements: Statements) -> Tensor:
        """See `gifqa.training.statements.statement_loss`, on groups drawn at random."""
        groups = self.chance.sample(
            statements.groups, min(self.settings.statements_per_step, len(statements.groups))
        )
        features = self.features([(group.picture, group.statements) for group in groups])
        with autocast():
            frames = self.heads.encode_frames(*features)
            said = self.heads.encode_texts(statements.vectors(groups))
        is_yes_no = torch.tensor([group.is_yes_no for group in groups])
        return statement_loss(fits(frames.float(), said.float()), is_yes_no, self.fit_scale)

    def weights(self) -> dict[str, Tensor]:
        """All weights of the heads."""
        return dict(self.heads.state_dict())

    def state(self) -> dict[str, Any]:
        """See `gifqa.training.loop.stage.Stage`."""
        return {
            "model": self.heads.state_dict(),
            "fit_scale": self.fit_scale.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "order": self.order,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `gifqa.training.loop.stage.Stage`."""
        self.heads.load_state_dict(state["model"])
        self.fit_scale.load_state_dict(state["fit_scale"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.order = state["order"]

    def run(
        self, folder: Path, validation: Sequence[CaptionedPicture], statements: Statements | None = None
    ) -> dict[str, float]:
        """Train to the last step, validating after each epoch; returns the best figures."""
        plan = Plan(self.steps, LOG_EVERY, self.steps_per_epoch, "mean", higher_is_better=True)

        def validate() -> dict[str, float]:
            figures = recall(self.heads, self.store, self.texts, validation)
            if statements is not None:
                figures |= fit_accuracy(self.heads, self.store, statements)
            return figures | {"mean": round(sum(figures.values()) / len(figures), 4)}

        return run_stage(self, folder, plan, validate)


@torch.no_grad()
def fit_accuracy(heads: DualEncoderHeads, store: FeatureStore, statements: Statements) -> dict[str, float]:
    """How often the right statement fits best, by kind; yes/no also against those of all pictures."""
    heads.eval()
    pictures = sorted({group.picture for group in statements.groups})
    place = {name: index for index, name in enumerate(pictures)}
    frames = encode_rows(heads, store, [store.rows(name)[0] for name in pictures])
    said = heads.encode_texts(statements.vectors(statements.groups))
    similarity = said @ frames.T
    own = torch.tensor([place[group.picture] for group in statements.groups])
    fit = similarity.gather(2, own[:, None, None].expand(-1, said.shape[1], 1))[..., 0] - similarity.mean(-1)
    fit = fit / similarity.std(-1)
    is_yes_no = torch.tensor([group.is_yes_no for group in statements.groups])
    figures = {}
    for name, chosen in (("open", ~is_yes_no), ("yes_no", is_yes_no)):
        if bool(chosen.any()):
            figures[f"fit_{name}"] = round((fit[chosen].argmax(1) == 0).float().mean().item(), 4)
    if bool(is_yes_no.any()):
        right, wrong = fit[is_yes_no][:, 0], fit[is_yes_no][:, 1]
        figures["fit_any_picture"] = round((right[:, None] > wrong[None]).float().mean().item(), 4)
    return figures


def encode_rows(heads: DualEncoderHeads, store: FeatureStore, rows: Sequence[int]) -> Tensor:
    """Unit vectors of rows of the store, (len(rows), D)."""
    parts = (rows[start : start + 256] for start in range(0, len(rows), 256))
    return torch.cat([heads.encode_frames(store.grid(part).float(), store.pooled(part)) for part in parts])


def recall(
    heads: DualEncoderHeads, store: FeatureStore, texts: TextStore, pictures: Sequence[CaptionedPicture]
) -> dict[str, float]:
    """Recall at 1, 5 and 10 on whole pictures, text to image and image to text."""
    rows = [store.rows(picture.name)[0] for picture in pictures]
    captions = [(index, caption) for index, picture in enumerate(pictures) for caption in picture.captions]
    owner = torch.tensor([index for index, _ in captions])
    heads.eval()
    with torch.no_grad():
        frames = encode_rows(heads, store, rows)
        scores = heads.encode_texts(texts.sentence([caption for _, caption in captions])) @ frames.T
    image_rank = (scores > scores.gather(1, owner[:, None]) + TIE).sum(1)
    is_own = owner[None] == torch.arange(len(rows))[:, None]
    best_own = scores.T.masked_fill(~is_own, -math.inf).amax(1, keepdim=True)
    text_rank = ((best_own + TIE < scores.T) & ~is_own).sum(1)
    ranks = {"text_to_image": image_rank, "image_to_text": text_rank}
    return {
        f"{name}_r{k}": round((rank < k).float().mean().item(), 4)
        for name, rank in ranks.items()
        for k in (1, 5, 10)
    }


def contrast_loss(scores: Tensor, same: Tensor) -> Tensor:
    """Symmetric InfoNCE over (B, B) scores; pairs of the same picture, true in `same`, are no negatives."""
    scores = scores.masked_fill(same & ~torch.eye(len(scores), dtype=torch.bool), float("-inf"))
    target = torch.arange(len(scores))
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2
