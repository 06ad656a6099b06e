"""Stage three of the lite recipe: Q-Former, projection and LoRA learn what the language model should say.

The answer head keeps its loss, so that its scores stay true to the moving Q-Former. The loss of masked video
modelling is a switch.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.errors import ConfigError
from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.vision_language_model import (
    IGNORE_INDEX,
    LanguageBatch,
    VisionLanguageModel,
    build_language_batch,
)
from gifqa.training.batches import (
    FRAME_CHOICES,
    Sampler,
    caption_sample,
    choose_rows,
    fixed_rows,
    pack_grids,
)
from gifqa.training.loop import Plan, check_finite, run_stage
from gifqa.training.losses import mvm_loss
from gifqa.training.masking import draw_kept, drop_tokens, teacher_states
from gifqa.training.recipe import LanguageTraining
from gifqa.training.samples import Sample
from gifqa.training.schedule import RunningMean, cosine_rate
from gifqa.training.store import FeatureStore, TextStore
from gifqa.training.targets import UNKNOWN, Targets

LOWEST_RATE = 0.05
LOG_EVERY = 20
CLIP_NORM = 1.0
VALIDATION_BATCH = 64


class LanguageStage:
    """One run of the stage; resumable from its folder.

    Raises:
        ConfigError: if `settings.vision` and the model do not go together.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        tokenizer: Any,
        store: FeatureStore,
        texts: TextStore,
        targets: Targets,
        settings: LanguageTraining,
    ) -> None:
        if isinstance(model.connector, PooledFrames) != (settings.vision == "pooled"):
            raise ConfigError(
                f"language.vision is {settings.vision!r}, but the model has a {type(model.connector).__name__};"
                ' "pooled" needs PooledFrames, the others a QFormer. Build the model for the setting.'
            )
        self.model, self.tokenizer, self.store, self.texts = model, tokenizer, store, texts
        self.targets, self.settings = targets, settings
        self.sampler = Sampler(targets.annotations, texts, settings.seed)
        lora = [value for name, value in self.trained().items() if "lora_" in name]
        rest = [value for name, value in self.trained().items() if "lora_" not in name]
        groups = [
            {"params": lora, "lr": settings.lora_learning_rate, "weight_decay": 0.0},
            {"params": rest, "lr": settings.qformer_learning_rate, "weight_decay": 0.02},
        ]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        rate = cosine_rate(settings.warmup_steps, settings.steps, LOWEST_RATE)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
        self.mean = RunningMean(self.trained(), settings.average_decay, delay=10)
        self.step = 0

    @property
    def chance(self) -> random.Random:
        """Draws the batches."""
        return self.sampler.chance

    @property
    def eos(self) -> int:
        """The token that ends an answer."""
        return int(self.model.language_model.config.eos_token_id)

    @property
    def num_visual(self) -> int:
        """K, the visual tokens of a sequence."""
        return self.model.num_visual_tokens

    def trained(self) -> dict[str, Tensor]:
        """The parameters that this stage moves, by name."""
        return {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    def draw(self) -> list[Sample]:
        """A batch: captions as answers to `DESCRIBE_QUESTION`, and questions."""
        captions = round(self.settings.batch_size * self.settings.caption_share)
        described = [caption_sample(name, caption) for name, caption in self.sampler.draw_captions(captions)]
        questions = self.sampler.draw(2 * self.settings.batch_size)
        questions = [sample for sample in questions if sample.source != "match"]
        return described + questions[: self.settings.batch_size - captions]

    def encode(self, samples: Sequence[Sample], rows: Sequence[Sequence[int]]) -> Tensor:
        """Query states of a batch, (B, K, D)."""
        grid, frame_mask = pack_grids(self.store, rows)
        if self.settings.vision == "none":
            grid = torch.zeros_like(grid)
        question, question_mask = self.texts.states([sample.question for sample in samples])
        states: Tensor = self.model.connector(grid, frame_mask, question, question_mask)
        return states

    def language_batch(self, samples: Sequence[Sample]) -> LanguageBatch:
        """Questions and answers as token sequences."""
        questions, answers = [sample.question for sample in samples], [sample.answer for sample in samples]
        return build_language_batch(self.tokenizer, questions, answers, self.num_visual, self.eos)

    def losses(self, samples: Sequence[Sample], rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Language, answer-head and, where switched on, masked-video-modelling loss of a batch.

        Args:
            samples: B questions with their answers.
            rows: rows of the feature store to show with each.

        Returns:
            Scalars by name; "answer" only if an answer of the batch is a known one.
        """
        batch = self.language_batch(samples)
        found = {}
        with torch.autocast("cpu", torch.bfloat16):
            states = self.encode(samples, rows)
            tokens = self.model.language_projection(states)
            head = self.model.answer_head(states).float()
            if self.settings.mvm_weight and self.model.training:
                logits, labels, found["mvm"] = self.masked_pass(tokens, batch)
            else:
                logits, labels = self.model.answer_logits(tokens, batch)
        found["language"] = F.cross_entropy(logits.float(), labels)
        wanted = self.targets.answers(samples)
        if bool((wanted != UNKNOWN).any()):
            found["answer"] = F.cross_entropy(head, wanted, ignore_index=UNKNOWN)
        return found

    def masked_pass(self, tokens: Tensor, batch: LanguageBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and labels of the pass that sees some visual tokens, and its distance from the full pass.

        The first token is always kept: it stands twice.

        Args:
            tokens: visual tokens (B, K, E).
            batch: the sequences they stand in.

        Returns:
            Logits (M, V), labels (M,), and the masked-video-modelling loss.
        """
        rows, count = tokens.shape[:2]
        kept = draw_kept(count, rows, self.settings.mvm, self.chance, always_kept=1)
        embeds = self.model.inputs_embeds(tokens, batch)
        masked = drop_tokens(embeds, batch, kept)
        hidden = self.model.last_hidden(masked.inputs_embeds, masked.attention_mask)
        at = masked.labels[:, 1:] != IGNORE_INDEX
        logits = self.model.language_model.get_output_embeddings()(hidden[:, :-1][at])
        read = hidden[masked.visual_mask].view(rows, -1, hidden.shape[-1])
        target = teacher_states(self.model, embeds, batch)
        distance = mvm_loss(read.float(), target.float(), kept, self.settings.mvm.distance)
        return logits, masked.labels[:, 1:][at], distance

    def train_step(self) -> dict[str, float]:
        """One optimiser step; returns the losses."""
        self.model.train()
        samples = self.draw()
        num_frames = self.chance.choice(FRAME_CHOICES)
        rows = [choose_rows(self.store, s.picture, num_frames, self.chance, s.has_sides) for s in samples]
        losses = self.losses(samples, rows)
        weights = {"language": 1.0, "answer": self.settings.answer_weight, "mvm": self.settings.mvm_weight}
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        check_finite(total, self.step, [sample.picture for sample in samples])
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.trained().values(), CLIP_NORM)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        self.mean.update(self.trained(), self.step)
        return {name: value.item() for name, value in losses.items()}

    def weights(self) -> dict[str, Tensor]:
        """The running mean of the trained parameters."""
        return self.mean.values

    def state(self) -> dict[str, Any]:
        """See `gifqa.training.loop.Stage`."""
        return {
            "trained": {name: value.detach() for name, value in self.trained().items()},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.mean.values,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `gifqa.training.loop.Stage`."""
        self.load_trained(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.mean.values = state["average"]

    @torch.no_grad()
    def load_trained(self, values: Mapping[str, Tensor]) -> None:
        """Set the trained parameters; every one must be there."""
        for name, value in self.trained().items():
            value.copy_(values[name])

    def run(self, folder: Path, validation: Sequence[Sample]) -> dict[str, float]:
        """Train to the last step; see `run_stage`. Returns the best figures."""
        every = self.settings.validate_every
        plan = Plan(self.settings.steps, LOG_EVERY, every, "mean nats", higher_is_better=False)
        return run_stage(self, folder, plan, lambda: self.validate(validation))

    @torch.no_grad()
    def validate(self, samples: Sequence[Sample]) -> dict[str, float]:
        """By group: nats a token, and the share of answers that greedy decoding gets whole."""
        kept = {name: value.clone() for name, value in self.trained().items()}
        self.load_trained(self.mean.values)
        self.model.eval()
        found: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for start in range(0, len(samples), VALIDATION_BATCH):
            part = samples[start : start + VALIDATION_BATCH]
            for sample, pair in zip(part, self.token_figures(part), strict=True):
                found[sample.group].append(pair)
        self.load_trained(kept)
        figures: dict[str, float] = {}
        for name, rows in sorted(found.items()):
            figures[f"{name} nats"] = round(sum(nats for nats, _ in rows) / len(rows), 4)
            figures[f"{name} exact"] = round(sum(exact for _, exact in rows) / len(rows), 4)
        nats = [value for name, value in figures.items() if name.endswith("nats")]
        return figures | {"mean nats": round(sum(nats) / len(nats), 4)}

    def token_figures(self, samples: Sequence[Sample]) -> list[tuple[float, bool]]:
        """For each sample: nats a token of its answer, and whether its every token is the likeliest there."""
        batch = self.language_batch(samples)
        rows = [fixed_rows(self.store, sample.picture, self.settings.num_frames) for sample in samples]
        with torch.autocast("cpu", torch.bfloat16):
            tokens = self.model.language_projection(self.encode(samples, rows))
            logits, labels = self.model.answer_logits(tokens, batch)
        nats = F.cross_entropy(logits.float(), labels, reduction="none")
        right = logits.argmax(-1) == labels
        owner = (batch.labels[:, 1:] != IGNORE_INDEX).nonzero()[:, 0]
        return [
            (nats[owner == row].mean().item(), bool(right[owner == row].all())) for row in range(len(samples))
        ]
