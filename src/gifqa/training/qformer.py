"""Stage two of the lite recipe: the Q-Former learns to see and to answer before it meets the language model.

One step is two passes. Questions: the answer, as a softmax over known answers; the answer's content words, as the
nearest words of the first visual token; the right one of four options. Captions: contrast with the captions of the
batch, and the words of all captions of the picture, each meant by some visual token.
"""

import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.model.qformer import QFormer, QFormerConfig
from gifqa.model.qformer_heads import AnswerHead, CaptionHead, LanguageProjection, WordHead
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.training.batches import FRAME_CHOICES, Sampler, choose_rows, fixed_rows, pack_grids
from gifqa.training.samples import Annotations, Sample
from gifqa.training.store import FeatureStore, TextStore

STOP_WORDS = frozenset(
    "a an the is are was were be been of in on at to and or with by for from into onto over under near next his her"
    " its their it he she they there this that as while who which some one out up down off".split()
)


class QFormerTraining(BaseModel):
    """Settings of the stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 2000
    questions_per_step: int = 256
    captions_per_step: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    warmup_steps: int = 100
    average_decay: float = 0.998
    """Of the running mean of the weights, which is what is validated and kept."""
    label_smoothing: float = 0.02
    num_frames: int = 4
    validate_every: int = 250
    seed: int = 0
    blind: bool = False
    """Train without pictures: the floor that seeing has to beat."""


class PretrainingQFormer(nn.Module):
    """The Q-Former with its projection and the heads of this stage."""

    def __init__(self, config: QFormerConfig, answers: Tensor, words: Tensor, embedding_norm: float) -> None:
        super().__init__()
        self.qformer = QFormer(config)
        self.language_projection = LanguageProjection(config.hidden_size, words.shape[1], embedding_norm)
        self.answer_head = AnswerHead(config.hidden_size, answers)
        self.word_head = WordHead(words)
        self.caption_head = CaptionHead(config.hidden_size, config.text_size)


def content_words(text: str) -> list[str]:
    """The words of a text that carry its meaning, lower case."""
    return [word for word in text.lower().replace(".", " ").replace(",", " ").split() if word not in STOP_WORDS]


def common_answers(samples: Sequence[Sample], minimum: int, most: int) -> list[str]:
    """Answers given at least `minimum` times, the commonest first."""
    counts = Counter(sample.answer for sample in samples if sample.source != "match")
    counts.update({"yes": 1, "no": 1})
    return [answer for answer, count in counts.most_common(most) if count >= minimum]


def common_words(annotations: Annotations, answers: Sequence[str], minimum: int) -> list[str]:
    """Content words of the captions that occur at least `minimum` times, and those of the answers."""
    counts = Counter(word for texts in annotations.captions.values() for text in texts for word in content_words(text))
    known = {word for word, count in counts.items() if count >= minimum and word.isalpha()}
    return sorted(known | {word for answer in answers for word in content_words(answer) if word.isalpha()})


class Targets:
    """Indices of answers and words, and the tensors that the losses compare with."""

    def __init__(self, answers: Sequence[str], words: Sequence[str], annotations: Annotations) -> None:
        self.answer_index = {answer: index for index, answer in enumerate(answers)}
        self.word_index = {word: index for index, word in enumerate(words)}
        classes = {label for labels in annotations.labels.values() for label in labels}
        self.class_words = [self.word_index[label] for label in sorted(classes) if label in self.word_index]
        self.annotations = annotations

    def answers(self, samples: Sequence[Sample]) -> Tensor:
        """Index of each sample's answer, -100 where it is not a known one; (B,)."""
        return torch.tensor([self.answer_index.get(sample.answer, -100) for sample in samples])

    def answer_words(self, samples: Sequence[Sample]) -> Tensor:
        """(B, W): the answer's content words share 1; a row of zeros where none is known."""
        target = torch.zeros(len(samples), len(self.word_index))
        for row, sample in enumerate(samples):
            known = [self.word_index[word] for word in content_words(sample.answer) if word in self.word_index]
            for column in known:
                target[row, column] = 1 / len(known)
        return target

    def picture_words(self, names: Sequence[str]) -> Tensor:
        """(B, W): 1 for every content word of any caption of the picture."""
        target = torch.zeros(len(names), len(self.word_index))
        for row, name in enumerate(names):
            for caption in self.annotations.captions[name]:
                for word in content_words(caption):
                    if word in self.word_index:
                        target[row, self.word_index[word]] = 1
            for label in self.annotations.labels.get(name, ()):
                if label in self.word_index:
                    target[row, self.word_index[label]] = 1
        return target


class QFormerStage:
    """One run of the stage: model, data, optimiser; resumable from its folder."""

    def __init__(
        self, model: PretrainingQFormer, store: FeatureStore, texts: TextStore, targets: Targets, settings: QFormerTraining
    ) -> None:
        self.model, self.store, self.texts, self.targets, self.settings = model, store, texts, targets, settings
        self.sampler = Sampler(targets.annotations, texts, settings.seed)
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()}
        decayed = [value for value in model.parameters() if value.requires_grad and value.ndim > 1]
        plain = [value for value in model.parameters() if value.requires_grad and value.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, settings.learning_rate, betas=(0.9, 0.98))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.step = 0

    def _rate(self, step: int) -> float:
        """Warm-up, then half a cosine down to a fiftieth."""
        if step < self.settings.warmup_steps:
            return (step + 1) / self.settings.warmup_steps
        done = (step - self.settings.warmup_steps) / max(1, self.settings.steps - self.settings.warmup_steps)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def grids(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Grids of a training batch; zeros for a blind run."""
        grid, mask = pack_grids(self.store, rows)
        return (torch.zeros_like(grid) if self.settings.blind else grid), mask

    def question_loss(self, samples: Sequence[Sample], num_frames: int) -> dict[str, Tensor]:
        """Losses of the question pass."""
        chance = self.sampler.chance
        rows = [choose_rows(self.store, s.picture, num_frames, chance, s.has_sides) for s in samples]
        grid, frame_mask = self.grids(rows)
        question, question_mask = self.texts.states([sample.question for sample in samples])
        model = self.model
        choices = [index for index, sample in enumerate(samples) if sample.options]
        with torch.autocast("cpu", torch.bfloat16):
            states = model.qformer(grid, frame_mask, question, question_mask)
            logits = model.answer_head(states).float()
            words = model.word_head(model.language_projection(states[:, :1])).float()[:, 0]
            scores = None
            if choices:
                options = [option for index in choices for option in samples[index].options]
                sentences = self.texts.sentence(options).view(len(choices), 4, -1)
                scores = model.answer_head.score(states[choices], sentences).float()
        weight = torch.tensor([0.5 if sample.source == "vqa2-yn" else 1.0 for sample in samples])
        answer = F.cross_entropy(
            logits, self.targets.answers(samples), reduction="none", label_smoothing=self.settings.label_smoothing
        )
        losses = {"answer": (answer * weight).mean()}
        wanted = self.targets.answer_words(samples)
        losses["word"] = -(wanted * words.log_softmax(-1)).sum(-1).mean()
        if scores is not None:
            losses["choice"] = F.cross_entropy(scores, torch.zeros(len(choices), dtype=torch.long))
        return losses

    def caption_loss(self, num_frames: int) -> dict[str, Tensor]:
        """Losses of the caption pass."""
        pairs = self.sampler.draw_captions(self.settings.captions_per_step)
        names = [name for name, _ in pairs]
        rows = [choose_rows(self.store, name, num_frames, self.sampler.chance, False) for name in names]
        grid, frame_mask = self.grids(rows)
        question, question_mask = self.texts.states([DESCRIBE_QUESTION] * len(names))
        model = self.model
        with torch.autocast("cpu", torch.bfloat16):
            states = model.qformer(grid, frame_mask, question, question_mask)
            alike = model.caption_head(states, self.texts.sentence([caption for _, caption in pairs])).float()
            words = model.word_head.any_token(model.language_projection(states)).float()
        own = torch.arange(len(names))
        contrast = (F.cross_entropy(alike, own) + F.cross_entropy(alike.T, own)) / 2
        wanted = self.targets.picture_words(names)
        meant = F.binary_cross_entropy_with_logits(words, wanted, reduction="none").sum(-1).mean() / 10
        return {"contrast": contrast, "words": meant}

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        self.model.train()
        num_frames = self.sampler.chance.choice(FRAME_CHOICES)
        size = self.settings.questions_per_step if num_frames == 1 else self.settings.questions_per_step // 3
        losses = self.question_loss(self.sampler.draw(size), num_frames)
        if not self.settings.blind:
            losses |= self.caption_loss(num_frames)
        weights = {"answer": 1.0, "word": 0.3, "choice": 0.3, "contrast": 0.3, "words": 0.5}
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        decay = min(self.settings.average_decay, self.step / (self.step + 20))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        return {name: value.item() for name, value in losses.items()}

    def save(self, path: Path, weights: dict[str, Tensor]) -> None:
        """Write weights atomically."""
        partial = path.with_suffix(".tmp")
        save_file({name: value.contiguous() for name, value in weights.items()}, partial)
        partial.replace(path)

    def run(self, folder: Path, validation: Sequence[Sample]) -> None:
        """Train to the last step; writes metrics.jsonl, last.pt and the best running mean as best.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        state_path = folder / "last.pt"
        best = -1.0
        if state_path.exists():
            state = torch.load(state_path, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.average, self.step, best = state["average"], state["step"], state["best"]
        started, first = time.monotonic(), self.step
        recent: dict[str, list[float]] = defaultdict(list)
        while self.step < self.settings.steps:
            for name, value in self.train_step().items():
                recent[name].append(value)
            if self.step % 25 == 0:
                mean = {name: round(sum(values) / len(values), 3) for name, values in recent.items()}
                recent.clear()
                pace = (time.monotonic() - started) / (self.step - first)
                self._log(folder, {"step": self.step, "seconds_per_step": round(pace, 2), **mean})
            if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
                figures = self.validate(validation)
                self._log(folder, {"step": self.step, **figures})
                if figures["mean"] > best:
                    best = figures["mean"]
                    self.save(folder / "best.safetensors", self.average)
                state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "best": best,
                         "schedule": self.schedule.state_dict(), "average": self.average, "step": self.step}
                partial = state_path.with_suffix(".tmp")
                torch.save(state, partial)
                partial.replace(state_path)

    def validate(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Accuracy of the running mean's answers by source and type, and the four-way choice."""
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        predictions = predict(self.model, self.store, self.texts, samples, self.settings)
        self.model.load_state_dict(kept)
        names = list(self.targets.answer_index)
        right: dict[str, list[float]] = defaultdict(list)
        for sample, (logits, scores) in zip(samples, predictions, strict=True):
            guess = names[int(logits.argmax())]
            if sample.answer in {"yes", "no"}:
                guess = max(("yes", "no"), key=lambda word: float(logits[self.targets.answer_index[word]]))
            group = f"{sample.source}/{'yes-no' if sample.answer_type == 'yes/no' else 'open'}"
            right[group].append(guess == sample.answer)
            if sample.source == "caption-open":
                right[sample.answer_type].append(guess == sample.answer)
            if scores is not None:
                right["choice"].append(int(scores.argmax()) == 0)
        figures = {name: round(sum(values) / len(values), 4) for name, values in sorted(right.items())}
        groups = [value for name, value in figures.items() if "/" in name or name == "choice"]
        return figures | {"mean": round(sum(groups) / len(groups), 4)}

    def _log(self, folder: Path, line: dict[str, float]) -> None:
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


@torch.no_grad()
def predict(
    model: PretrainingQFormer, store: FeatureStore, texts: TextStore, samples: Sequence[Sample], settings: QFormerTraining
) -> list[tuple[Tensor, Tensor | None]]:
    """Answer logits (A,) and, where there are options, their scores (4,), for each sample."""
    model.eval()
    found: list[tuple[Tensor, Tensor | None]] = []
    for start in range(0, len(samples), 128):
        batch = samples[start : start + 128]
        grid, frame_mask = pack_grids(store, [fixed_rows(store, sample.picture, settings.num_frames) for sample in batch])
        if settings.blind:
            grid = torch.zeros_like(grid)
        question, question_mask = texts.states([sample.question for sample in batch])
        with torch.autocast("cpu", torch.bfloat16):
            states = model.qformer(grid, frame_mask, question, question_mask)
            logits = model.answer_head(states).float()
            for row, sample in enumerate(batch):
                scores = None
                if sample.options:
                    sentences = texts.sentence(sample.options)[None]
                    scores = model.answer_head.score(states[row : row + 1], sentences)[0].float()
                found.append((logits[row], scores))
    return found


def load_best(model: nn.Module, folder: Path) -> None:
    """Load `best.safetensors`, every key accounted for."""
    model.load_state_dict(load_file(folder / "best.safetensors"), strict=True)
