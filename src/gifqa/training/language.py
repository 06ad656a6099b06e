"""Stage three of the lite recipe: Q-Former, projection and LoRA learn together what the language model should say.

The answer head keeps its loss, so that its scores stay true to the moving Q-Former. The masked-video-modelling loss
is a switch.
"""

import json
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.model.vision_language_model import IGNORE_INDEX, LanguageBatch, VisionLanguageModel, build_language_batch
from gifqa.prompt import DESCRIBE_QUESTION
from gifqa.training.batches import FRAME_CHOICES, Sampler, choose_rows, fixed_rows, pack_grids
from gifqa.training.losses import draw_kept, mvm_loss
from gifqa.training.qformer import Targets
from gifqa.training.samples import Sample
from gifqa.training.store import FeatureStore, TextStore


class LanguageTraining(BaseModel):
    """Settings of the stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = 1000
    batch_size: int = 48
    caption_share: float = 0.4
    lora_rank: int = 16
    lora_alpha: int = 32
    lora_learning_rate: float = 1e-3
    qformer_learning_rate: float = 1.5e-4
    warmup_steps: int = 40
    average_decay: float = 0.995
    answer_weight: float = 0.3
    """Of the answer head's loss beside the language model's."""
    mvm_weight: float = 0.0
    """Of the masked-video-modelling loss; 0 leaves its second pass out."""
    num_frames: int = 4
    validate_every: int = 200
    seed: int = 1
    vision: str = "grid"
    """What is seen: "grid", "pooled" (one vector a frame, no Q-Former) or "none" (blind)."""


class LanguageStage:
    """One run of the stage; resumable from its folder."""

    def __init__(
        self,
        model: VisionLanguageModel,
        tokenizer: Any,
        store: FeatureStore,
        texts: TextStore,
        targets: Targets,
        settings: LanguageTraining,
    ) -> None:
        self.model, self.tokenizer, self.store, self.texts = model, tokenizer, store, texts
        self.targets, self.settings = targets, settings
        self.sampler = Sampler(targets.annotations, texts, settings.seed)
        lora = [value for name, value in model.named_parameters() if value.requires_grad and "lora_" in name]
        rest = [value for name, value in model.named_parameters() if value.requires_grad and "lora_" not in name]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": lora, "lr": settings.lora_learning_rate, "weight_decay": 0.0},
                {"params": rest, "lr": settings.qformer_learning_rate, "weight_decay": 0.02},
            ],
            betas=(0.9, 0.98),
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.average = {name: value.detach().clone() for name, value in self.trained().items()}
        self.step = 0

    def trained(self) -> dict[str, Tensor]:
        """The parameters that this stage moves, by name."""
        return {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    def _rate(self, step: int) -> float:
        if step < self.settings.warmup_steps:
            return (step + 1) / self.settings.warmup_steps
        done = (step - self.settings.warmup_steps) / max(1, self.settings.steps - self.settings.warmup_steps)
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def draw(self) -> list[Sample]:
        """A batch: captions as answers to `DESCRIBE_QUESTION`, and questions."""
        captions = round(self.settings.batch_size * self.settings.caption_share)
        described = [
            Sample(name, DESCRIBE_QUESTION, caption.rstrip(" .").lower(), "captions", "summary")
            for name, caption in self.sampler.draw_captions(captions)
        ]
        questions = self.sampler.draw(2 * self.settings.batch_size)
        questions = [sample for sample in questions if sample.source != "match"]
        return described + questions[: self.settings.batch_size - captions]

    def encode(self, samples: Sequence[Sample], rows: Sequence[Sequence[int]]) -> Tensor:
        """Query states of a batch, (B, K, D)."""
        grid, frame_mask = pack_grids(self.store, rows)
        question, question_mask = self.texts.states([sample.question for sample in samples])
        return self.model.qformer(grid, frame_mask, question, question_mask)

    def losses(self, samples: Sequence[Sample], rows: Sequence[Sequence[int]], answers: Sequence[str]) -> dict[str, Tensor]:
        """Language, answer-head and, where switched on, masked-video-modelling loss of a batch."""
        num_visual = self.model.qformer.config.num_query_tokens
        questions = [sample.question for sample in samples]
        batch = build_language_batch(self.tokenizer, questions, answers, num_visual, self.eos)
        with torch.autocast("cpu", torch.bfloat16):
            states = self.encode(samples, rows)
            tokens = self.model.language_projection(states)
            head = self.model.answer_head(states).float()
            found = {}
            if self.settings.mvm_weight and self.model.training:
                logits, labels, found["mvm"] = self.masked_pass(tokens, batch)
            else:
                logits, labels = self.model.answer_logits(tokens, batch)
        found["language"] = F.cross_entropy(logits.float(), labels)
        wanted = self.targets.answers(samples)
        if bool((wanted != IGNORE_INDEX).any()):
            found["answer"] = F.cross_entropy(head, wanted)
        return found

    def masked_pass(self, tokens: Tensor, batch: LanguageBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and labels of the pass that sees some visual tokens, and its distance from the full pass.

        The first token is always kept: it stands twice.
        """
        count = tokens.shape[1]
        kept = torch.cat(
            [torch.ones(len(tokens), 1, dtype=torch.bool), draw_kept(count - 1, len(tokens), self.sampler.chance)], 1
        )
        with torch.no_grad():
            full = self.model.last_hidden(self.model.inputs_embeds(tokens, batch), batch.attention_mask)[:, :count]
        embeds = self.model.inputs_embeds(tokens, batch)
        stay = torch.cat([kept, torch.ones(len(tokens), embeds.shape[1] - count, dtype=torch.bool)], dim=1)
        length = int(stay[0].sum())
        embeds = embeds[stay].view(len(tokens), length, -1)
        hidden = self.model.last_hidden(embeds, batch.attention_mask[stay].view(len(tokens), length))
        labels = batch.labels[stay].view(len(tokens), length)[:, 1:]
        at = labels != IGNORE_INDEX
        logits = self.model.language_model.get_output_embeddings()(hidden[:, :-1][at])
        return logits, labels[at], mvm_loss(hidden[:, : int(kept[0].sum())].float(), full.float(), kept)

    @property
    def eos(self) -> int:
        """The token that ends an answer."""
        return int(self.model.language_model.config.eos_token_id)

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        self.model.train()
        chance = self.sampler.chance
        samples = self.draw()
        num_frames = chance.choice(FRAME_CHOICES)
        rows = [choose_rows(self.store, s.picture, num_frames, chance, s.has_sides) for s in samples]
        losses = self.losses(samples, rows, [sample.answer for sample in samples])
        weights = {"language": 1.0, "answer": self.settings.answer_weight, "mvm": self.settings.mvm_weight}
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        if not bool(total.isfinite()):
            raise FloatingPointError(f"the loss is {total.item()} at step {self.step}; the last checkpoint stands")
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(self.trained().values(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        decay = min(self.settings.average_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for name, value in self.trained().items():
                self.average[name].lerp_(value, 1 - decay)
        return {name: value.item() for name, value in losses.items()}

    @torch.no_grad()
    def validate(self, samples: Sequence[Sample]) -> dict[str, float]:
        """Nats a token and the share of answers that greedy decoding gets whole, by source."""
        kept = {name: value.clone() for name, value in self.trained().items()}
        self._load(self.average)
        self.model.eval()
        totals: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for start in range(0, len(samples), 64):
            part = samples[start : start + 64]
            batch = build_language_batch(
                self.tokenizer, [s.question for s in part], [s.answer for s in part],
                self.model.qformer.config.num_query_tokens, self.eos,
            )  # fmt: skip
            with torch.autocast("cpu", torch.bfloat16):
                rows = [fixed_rows(self.store, s.picture, self.settings.num_frames) for s in part]
                tokens = self.model.language_projection(self.encode(part, rows))
                logits, labels = self.model.answer_logits(tokens, batch)
            nats = F.cross_entropy(logits.float(), labels, reduction="none")
            right = logits.argmax(-1) == labels
            owner = (batch.labels[:, 1:] != IGNORE_INDEX).nonzero()[:, 0]
            for row, sample in enumerate(part):
                mine = owner == row
                totals[f"{sample.source}/{'yes-no' if sample.answer_type == 'yes/no' else 'open'}"].append(
                    (nats[mine].mean().item(), bool(right[mine].all()))
                )
        self._load(kept)
        figures: dict[str, float] = {}
        for name, rows in sorted(totals.items()):
            figures[f"{name} nats"] = round(sum(value for value, _ in rows) / len(rows), 4)
            figures[f"{name} exact"] = round(sum(value for _, value in rows) / len(rows), 4)
        return figures | {"mean nats": round(sum(v for k, v in figures.items() if k.endswith("nats")) / len(totals), 4)}

    def _load(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.trained().items():
                value.copy_(values[name])

    def run(self, folder: Path, validation: Sequence[Sample]) -> None:
        """Train to the last step; writes metrics.jsonl, last.pt and the best running mean as best.safetensors."""
        folder.mkdir(parents=True, exist_ok=True)
        state_path = folder / "last.pt"
        best = math.inf
        if state_path.exists():
            state = torch.load(state_path, weights_only=True)
            self._load(state["trained"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.average, self.step, best = state["average"], state["step"], state["best"]
        started, first = time.monotonic(), self.step
        recent: dict[str, list[float]] = defaultdict(list)
        while self.step < self.settings.steps:
            for name, value in self.train_step().items():
                recent[name].append(value)
            if self.step % 20 == 0:
                mean = {name: round(sum(values) / len(values), 3) for name, values in recent.items()}
                recent.clear()
                pace = (time.monotonic() - started) / (self.step - first)
                self._log(folder, {"step": self.step, "seconds_per_step": round(pace, 2), **mean})
            if self.step % self.settings.validate_every == 0 or self.step == self.settings.steps:
                figures = self.validate(validation)
                self._log(folder, {"step": self.step, **figures})
                if figures["mean nats"] < best:
                    best = figures["mean nats"]
                    partial = folder / "best.tmp"
                    save_file({name: value.contiguous() for name, value in self.average.items()}, partial)
                    partial.replace(folder / "best.safetensors")
                state = {"trained": self.trained(), "optimizer": self.optimizer.state_dict(), "best": best,
                         "schedule": self.schedule.state_dict(), "average": self.average, "step": self.step}  # fmt: skip
                partial = state_path.with_suffix(".tmp")
                torch.save(state, partial)
                partial.replace(state_path)

    def _log(self, folder: Path, line: dict[str, float]) -> None:
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
