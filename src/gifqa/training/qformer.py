"""Stage two of the lite recipe: the Q-Former learns to see and to answer before it meets the language model.

One step is two passes. Questions: the answer, as a softmax over known answers; the answer's content words, as
the nearest words of the first visual token; the right one of four options. Captions: contrast with the
captions of the batch, and the words of all captions of a picture, each meant by some visual token.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.model.precision import autocast
from gifqa.model.qformer import QFormer, QFormerConfig
from gifqa.model.qformer_heads import AnswerHead, CaptionHead, LanguageProjection, WordHead
from gifqa.prompt import DESCRIBE_QUESTION, STATEMENT_ANSWERS
from gifqa.training.data.batches import FRAME_CHOICES, Sampler, choose_rows, fixed_rows, pack_grids
from gifqa.training.data.samples import NUM_OPTIONS, Sample
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.data.targets import Targets
from gifqa.training.loop.schedule import RunningMean, cosine_rate
from gifqa.training.loop.steps import Plan, check_finite, run_stage
from gifqa.training.recipe import QFormerTraining

LOSS_WEIGHTS = {"answer": 1.0, "word": 0.3, "choice": 0.3, "contrast": 0.3, "words": 0.5}
SOURCE_WEIGHTS = {"vqa2-yn": 0.5}
"""Weight of a source's answers in the loss where it is not 1: these are noisy."""
WORDS_SCALE = 10
"""The words' loss is a sum over thousands of words; divided by this it is of the size of the others."""
LOWEST_RATE = 0.02
LOG_EVERY = 25
CLIP_NORM = 1.0
VALIDATION_BATCH = 128


class PretrainingQFormer(nn.Module):
    """The Q-Former with its projection and the heads of this stage.

    Args:
        config: shape of the Q-Former.
        answers: (A, 384) sentence vectors of the known answers.
        words: (W, E) unit vectors of the known words in the language model's input space.
        embedding_norm: length of that model's word embeddings.
    """

    def __init__(self, config: QFormerConfig, answers: Tensor, words: Tensor, embedding_norm: float) -> None:
        super().__init__()
        self.qformer = QFormer(config)
        self.language_projection = LanguageProjection(config.hidden_size, words.shape[1], embedding_norm)
        self.answer_head = AnswerHead(config.hidden_size, answers)
        self.word_head = WordHead(words)
        self.caption_head = CaptionHead(config.hidden_size, config.text_size)


class QFormerStage:
    """One run of the stage: model, data, optimiser; resumable from its folder."""

    def __init__(
        self,
        model: PretrainingQFormer,
        store: FeatureStore,
        texts: TextStore,
        targets: Targets,
        settings: QFormerTraining,
    ) -> None:
        self.model, self.store, self.texts = model, store, texts
        self.targets, self.settings = targets, settings
        self.sampler = Sampler(targets.annotations, texts, settings.seed)
        self.mean = RunningMean(model.state_dict(), settings.average_decay, delay=20)
        decayed = [value for value in model.parameters() if value.requires_grad and value.ndim > 1]
        plain = [value for value in model.parameters() if value.requires_grad and value.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, settings.learning_rate, betas=(0.9, 0.98))
        rate = cosine_rate(settings.warmup_steps, settings.steps, LOWEST_RATE)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
        self.step = 0

    @property
    def chance(self) -> random.Random:
        """Draws the batches."""
        return self.sampler.chance

    def grids(
        self, names: Sequence[str], num_frames: int, keep_sides: Sequence[bool]
    ) -> tuple[Tensor, Tensor]:
        """Grids of a training batch, zeros for a blind run, and their mask; see `pack_grids`."""
        chosen = zip(names, keep_sides, strict=True)
        rows = [choose_rows(self.store, name, num_frames, self.chance, sides) for name, sides in chosen]
        grid, mask = pack_grids(self.store, rows)
        if self.settings.blind:
            return torch.zeros_like(grid), mask
        noise = self.settings.grid_noise
        return (grid + noise * torch.randn_like(grid) if noise else grid), mask

    def question_loss(self, samples: Sequence[Sample], num_frames: int) -> dict[str, Tensor]:
        """Losses of the question pass."""
        sides = [sample.has_sides for sample in samples]
        grid, frame_mask = self.grids([sample.picture for sample in samples], num_frames, sides)
        question, question_mask = self.texts.states([sample.question for sample in samples])
        model = self.model
        choices = [index for index, sample in enumerate(samples) if sample.options]
        scores = None
        with autocast():
            states = model.qformer(grid, frame_mask, question, question_mask)
            logits = model.answer_head(states).float()
            words = model.word_head(model.language_projection(states[:, :1])).float()[:, 0]
            if choices:
                options = [option for index in choices for option in samples[index].options]
                sentences = self.texts.sentence(options).view(len(choices), NUM_OPTIONS, -1)
                scores = model.answer_head.score(states[choices], sentences).float()
        weight = torch.tensor([SOURCE_WEIGHTS.get(sample.source, 1.0) for sample in samples])
        wanted = self.targets.answers(samples)
        smoothing = self.settings.label_smoothing
        answer = F.cross_entropy(logits, wanted, reduction="none", label_smoothing=smoothing)
        losses = {"answer": (answer * weight).mean()}
        losses["word"] = -(self.targets.answer_words(samples) * words.log_softmax(-1)).sum(-1).mean()
        if scores is not None:
            losses["choice"] = F.cross_entropy(scores, torch.zeros(len(choices), dtype=torch.long))
        return losses

    def caption_loss(self, num_frames: int) -> dict[str, Tensor]:
        """Losses of the caption pass."""
        pairs = self.sampler.draw_captions(self.settings.captions_per_step)
        names, captions = [name for name, _ in pairs], [caption for _, (caption,) in pairs]
        grid, frame_mask = self.grids(
            names, num_frames, [self.targets.annotations.has_sides(name) for name in names]
        )
        question, question_mask = self.texts.states([DESCRIBE_QUESTION] * len(names))
        model = self.model
        with autocast():
            states = model.qformer(grid, frame_mask, question, question_mask)
            alike = model.caption_head(states, self.texts.sentence(captions)).float()
            words = model.word_head.any_token(model.language_projection(states)).float()
        own = torch.arange(len(names))
        contrast = (F.cross_entropy(alike, own) + F.cross_entropy(alike.T, own)) / 2
        wanted = self.targets.picture_words(names)
        meant = (
            F.binary_cross_entropy_with_logits(words, wanted, reduction="none").sum(-1).mean() / WORDS_SCALE
        )
        return {"contrast": contrast, "words": meant}

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        self.model.train()
        num_frames = self.chance.choice(FRAME_CHOICES)
        size = self.settings.questions_per_step if num_frames == 1 else self.settings.questions_per_step // 3
        samples = self.sampler.draw(size)
        losses = self.question_loss(samples, num_frames)
        if not self.settings.blind:
            losses |= self.caption_loss(num_frames)
        total = torch.stack([LOSS_WEIGHTS[name] * value for name, value in losses.items()]).sum()
        check_finite(total, self.step, [sample.picture for sample in samples])
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        self.mean.update(self.model.state_dict(), self.step)
        return {name: value.item() for name, value in losses.items()}

    def weights(self) -> dict[str, Tensor]:
        """The running mean of all weights."""
        return self.mean.values

    def state(self) -> dict[str, Any]:
        """See `gifqa.training.loop.stage.Stage`."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.mean.values,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `gifqa.training.loop.stage.Stage`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.mean.values = state["average"]

    def run(self, folder: Path, validation: Sequence[Sample]) -> dict[str, float]:
        """Train to the last step; see `run_stage`. Returns the best figures."""
        plan = Plan(
            self.settings.steps, LOG_EVERY, self.settings.validate_every, "mean", higher_is_better=True
        )
        return run_stage(self, folder, plan, lambda: self.validate(validation))

    def validate(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Accuracy of the running mean's answers by source and type, and the four-way choice.

        A yes/no question is right if the right one of yes and no has the higher score. "mean" is over the
        groups and the choice.
        """
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.mean.values)
        predictions = predict(self.model, self.store, self.texts, samples, self.settings)
        self.model.load_state_dict(kept)
        index = self.targets.answer_index
        names = list(index)
        right: dict[str, list[float]] = defaultdict(list)
        for sample, (logits, scores) in zip(samples, predictions, strict=True):
            guess = names[int(logits.argmax())]
            if sample.answer in STATEMENT_ANSWERS:
                either = {word: float(logits[index[word]]) for word in STATEMENT_ANSWERS}
                guess = max(either, key=either.__getitem__)
            right[sample.group].append(guess == sample.answer)
            if sample.source == "caption-open":
                right[sample.answer_type].append(guess == sample.answer)
            if scores is not None:
                right["choice"].append(int(scores.argmax()) == 0)
        figures = {name: round(sum(values) / len(values), 4) for name, values in sorted(right.items())}
        groups = [value for name, value in figures.items() if "/" in name or name == "choice"]
        return figures | {"mean": round(sum(groups) / len(groups), 4)}


@torch.no_grad()
def predict(
    model: PretrainingQFormer,
    store: FeatureStore,
    texts: TextStore,
    samples: Sequence[Sample],
    settings: QFormerTraining,
) -> list[tuple[Tensor, Tensor | None]]:
    """Answer logits (A,) and, where there are options, their scores (4,), for each sample."""
    model.eval()
    found: list[tuple[Tensor, Tensor | None]] = []
    for start in range(0, len(samples), VALIDATION_BATCH):
        batch = samples[start : start + VALIDATION_BATCH]
        rows = [fixed_rows(store, sample.picture, settings.num_frames) for sample in batch]
        grid, frame_mask = pack_grids(store, rows)
        if settings.blind:
            grid = torch.zeros_like(grid)
        question, question_mask = texts.states([sample.question for sample in batch])
        with autocast():
            states = model.qformer(grid, frame_mask, question, question_mask)
            logits = model.answer_head(states).float()
            for row, sample in enumerate(batch):
                scores = None
                if sample.options:
                    sentences = texts.sentence(sample.options)[None]
                    scores = model.answer_head.score(states[row : row + 1], sentences)[0].float()
                found.append((logits[row], scores))
    return found
