"""The last stage of training: connector, projection and LoRA learn what the language model should say.

The answer head, where there is one, keeps its loss, so that its scores stay true to the moving connector. The
loss of masked video modelling is a switch (`gifqa.training.masking`).

A step's batch is `batch_size` times `gradient_accumulation` samples, however many processes share it: each
reads its part in `gradient_accumulation` passes, and the sum of all gradients is that of the batch as one.
"""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gifqa.errors import ConfigError
from gifqa.model.pooled_frames import PooledFrames
from gifqa.model.vision_language_model import LanguageBatch, VisionLanguageModel
from gifqa.training.data.batches import Sampler, caption_sample, pack_grids
from gifqa.training.data.frame_choice import FrameChoice, FrameVectors
from gifqa.training.data.samples import Sample
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.data.targets import Targets
from gifqa.training.gradients import add_gradients, add_values
from gifqa.training.language_validation import Figure, greedy_answer, pick_shown, summary, token_figures
from gifqa.training.learner import LanguageLearner
from gifqa.training.loop.distribution import Processes
from gifqa.training.loop.schedule import RunningMean, cosine_rate
from gifqa.training.loop.sharding import load_values, shard, share_of, share_state, whole
from gifqa.training.loop.shown_answers import ShownAnswer
from gifqa.training.loop.steps import Plan, check_finite, run_stage
from gifqa.training.masking import draw_kept
from gifqa.training.parts import Batch, Pass, cut, on_device, take_sequences
from gifqa.training.recipe import LanguageTraining

LOWEST_RATE = 0.05
LOG_EVERY = 20
CLIP_NORM = 1.0
VALIDATION_BATCH = 64
MEMORY_SETTINGS = ("language.batch_size", "language.num_frames")


@dataclass(frozen=True)
class LanguageData:
    """What the stage reads."""

    store: FeatureStore
    texts: TextStore
    targets: Targets
    """Of the training split; without known answers the answer head has nothing to learn."""
    vectors: FrameVectors | None = None
    """What CLIP-Cut chooses frames by, if it is to."""
    media: tuple[Path, ...] = ()
    """Folders with the pictures themselves, for the frames beside shown answers."""


class LanguageStage:
    """One run of the stage; resumable from its folder.

    Raises:
        ConfigError: if `settings` and the model or the data do not go together.
    """

    def __init__(
        self, model: VisionLanguageModel, tokenizer: Any, data: LanguageData, settings: LanguageTraining
    ) -> None:
        if isinstance(model.connector, PooledFrames) != (settings.vision == "pooled"):
            raise ConfigError(
                f"language.vision is {settings.vision!r}, but the model has a "
                f'{type(model.connector).__name__}; "pooled" needs PooledFrames, the others another '
                "connector. Build the model for the setting."
            )
        self.model, self.tokenizer, self.data, self.settings = model, tokenizer, data, settings
        self.processes = Processes()
        self.frames = FrameChoice(data.store, settings, data.vectors)
        self.sampler = Sampler(data.targets.annotations, data.texts, settings.seed)
        self.learner = LanguageLearner(model, settings)
        if self.processes.shards:
            shard(self.learner, self.learner.layers(), ("scores", "write"), self.processes)
        else:
            self.learner.to(self.processes.device)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=(0.9, 0.98))
        rate = cosine_rate(settings.warmup_steps, settings.steps, LOWEST_RATE)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, rate)
        self.mean = RunningMean(self.trained(), settings.average_decay, delay=10)
        self.shown: list[Sample] = []
        self.step = 0

    @property
    def chance(self) -> random.Random:
        """Draws the batches."""
        return self.sampler.chance

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.processes.device

    def trained(self) -> dict[str, Tensor]:
        """The parameters of the model that this stage moves, by name."""
        return {name: value for name, value in self.model.named_parameters() if value.requires_grad}

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters by learning rate, those of a decoder of masked video modelling included."""
        settings = self.settings
        moved = {name: value for name, value in self.learner.named_parameters() if value.requires_grad}
        lora = [value for name, value in moved.items() if "lora_" in name]
        rest = [value for name, value in moved.items() if "lora_" not in name]
        groups = [
            {"params": lora, "lr": settings.lora_learning_rate, "weight_decay": 0.0},
            {"params": rest, "lr": settings.qformer_learning_rate, "weight_decay": 0.02},
        ]
        return [group for group in groups if group["params"]]

    def draw(self) -> list[Sample]:
        """Samples of a batch: captions as answers to `DESCRIBE_QUESTION`, and questions."""
        size = self.settings.batch_size * self.settings.gradient_accumulation
        has_questions = any(source != "match" for source in self.sampler.shares)
        captions = round(size * self.settings.caption_share) if has_questions else size
        drawn = self.sampler.draw_captions(captions, self.settings.captions_per_picture)
        described = [caption_sample(name, *texts) for name, texts in drawn]
        questions = [sample for sample in self.sampler.draw(2 * size) if sample.source != "match"]
        return described + questions[: size - len(described)]

    def draw_batch(self) -> Batch:
        """All that a step learns from: the same in all processes."""
        samples = self.draw()
        rows = self.frames.draw(samples, self.chance)
        kept = None
        if self.settings.mvm.weight:
            count, always_kept = self.model.num_visual_tokens, int(self.model.hint)
            kept = draw_kept(count, len(samples), self.settings.mvm, self.chance, always_kept=always_kept)
        return Batch(samples, rows, self.sequences(samples), self.data.targets.answers(samples), kept)

    def sequences(self, samples: Sequence[Sample], *, with_answers: bool = True) -> LanguageBatch:
        """Questions and answers as token sequences."""
        answers = [(sample.answer, *sample.other_answers) if with_answers else "" for sample in samples]
        return self.model.language_batch(self.tokenizer, [sample.question for sample in samples], answers)

    def load_pass(self, batch: Batch, chosen: Sequence[int]) -> Pass:
        """The tensors of some samples of a batch."""
        grid, frame_mask = pack_grids(self.data.store, [batch.rows[index] for index in chosen])
        if self.settings.vision == "none":
            grid = torch.zeros_like(grid)
        question, question_mask = self.questions([batch.samples[index].question for index in chosen])
        kept = None if batch.kept is None else batch.kept[list(chosen)]
        sequences = take_sequences(batch.sequences, chosen)
        answers = batch.answers[list(chosen)]
        part = Pass(grid, frame_mask, question, question_mask, sequences, answers, kept)
        return on_device(part, self.device)

    def questions(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Questions as the connector reads them, and their mask."""
        connector: Any = self.model.connector
        if connector.reads_question == "ids":
            ids, mask = connector.encode_questions(questions)
            return ids, mask
        return self.data.texts.states(
            questions if connector.reads_question == "states" else [None] * len(questions)
        )

    def train_step(self) -> dict[str, float]:
        """One optimiser step; the losses of the whole batch, and what this process read of it."""
        self.learner.train()
        self.optimizer.zero_grad(set_to_none=True)
        batch = self.draw_batch()
        losses, counted = self.add_up(batch)
        moved = [value for group in self.optimizer.param_groups for value in group["params"]]
        add_gradients(moved, self.processes)
        losses = add_values(losses, self.processes)
        pictures = [sample.picture for sample in batch.samples]
        check_finite(torch.tensor(sum(losses.values())), self.step, pictures)
        nn.utils.clip_grad_norm_(moved, CLIP_NORM)
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        self.mean.update(self.trained(), self.step)
        return losses | counted

    def add_up(self, batch: Batch) -> tuple[dict[str, float], dict[str, float]]:
        """Gradients and losses of this process's passes, each divided by the counts of the whole batch.

        Returns:
            The losses' parts, which add up over the processes to those of the batch; samples and tokens read.
        """
        settings, counts = self.settings, batch.counts()
        weights = {"language": 1.0, "answer": settings.answer_weight, "mvm": settings.mvm.weight}
        passes = cut(
            batch, settings.gradient_accumulation, self.processes.count, bucketing=settings.length_bucketing
        )
        losses: defaultdict[str, float] = defaultdict(float)
        counted = {"samples": 0.0, "tokens": 0.0}
        for chosen in passes[self.processes.rank]:
            part = self.load_pass(batch, chosen)
            shares = {
                name: value / counts[name] for name, value in self.learner(part).items() if counts[name]
            }
            torch.autograd.backward(
                torch.stack([weights[name] * value for name, value in shares.items()]).sum()
            )
            for name, value in shares.items():
                losses[name] += value.item()
            counted["samples"] += len(chosen)
            counted["tokens"] += int(part.sequences.attention_mask.sum())
        return dict(losses), counted

    def weights(self) -> dict[str, Tensor]:
        """The running mean of the trained parameters."""
        return whole(self.mean.values)

    def state(self) -> dict[str, Any]:
        """See `gifqa.training.stage.Stage`."""
        decoder = self.learner.decoder
        state = {
            "trained": {name: value.detach() for name, value in self.trained().items()},
            "decoder": {} if decoder is None else decoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.mean.values,
        }
        return whole(state)

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See `gifqa.training.stage.Stage`."""
        self.load_trained(state["trained"])
        if self.learner.decoder is not None:
            load_values(dict(self.learner.decoder.named_parameters()), state["decoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        share_state(self.optimizer)
        self.schedule.load_state_dict(state["schedule"])
        average = state["average"]
        self.mean.values = {name: share_of(average[name], value) for name, value in self.trained().items()}

    def load_trained(self, values: Mapping[str, Tensor]) -> None:
        """Set the trained parameters; every one must be there."""
        load_values(self.trained(), values)

    def run(self, folder: Path, validation: Sequence[Sample]) -> dict[str, float]:
        """Train to the last step; see `run_stage`. Returns the best figures."""
        settings = self.settings
        self.shown = pick_shown(validation, settings.samples_shown)
        plan = Plan(
            settings.steps, LOG_EVERY, settings.validate_every, "mean nats", higher_is_better=False,
            patience=settings.patience, keep_last=settings.keep_last, tensorboard=settings.tensorboard,
            wandb=settings.wandb, media=self.data.media, memory_settings=MEMORY_SETTINGS,
        )  # fmt: skip
        return run_stage(self, folder, plan, lambda: self.validate(validation))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The running mean in the model's place, in evaluation mode."""
        kept = {name: value.detach().clone() for name, value in self.trained().items()}
        self.load_trained(self.mean.values)
        self.learner.eval()
        try:
            yield
        finally:
            self.load_trained(kept)

    def fixed_batch(self, samples: Sequence[Sample], *, with_answers: bool = True) -> Batch:
        """A batch without chance, as validation shows it."""
        rows = [self.frames.fixed(sample) for sample in samples]
        sequences = self.sequences(samples, with_answers=with_answers)
        return Batch(samples, rows, sequences, self.data.targets.answers(samples), None)

    def validate(self, samples: Sequence[Sample]) -> dict[str, float]:
        """By group: nats a token, and the share of answers that greedy decoding gets whole.

        Each process answers its share of the samples.
        """
        count = self.processes.count
        own = samples[self.processes.rank :: count]
        passed = [*own, *samples[:1]][: len(samples[::count])]  # equally many in each process
        found: list[Figure] = []
        with self.averaged():
            for start in range(0, len(passed), VALIDATION_BATCH):
                chosen = passed[start : start + VALIDATION_BATCH]
                part = self.load_pass(self.fixed_batch(chosen), range(len(chosen)))
                found += token_figures(self.learner, chosen, part)
        return summary([figure for part in self.processes.gather(found[: len(own)]) for figure in part])

    def samples(self) -> list[ShownAnswer]:
        """See `gifqa.training.stage.ShowsAnswers`; answered by the main process alone, or by all in step."""
        if not (self.processes.is_main or self.processes.shards):
            return []
        agree = self.processes.from_main if self.processes.shards else int
        answers = []
        with self.averaged():
            for sample in self.shown:
                part = self.load_pass(self.fixed_batch([sample], with_answers=False), [0])
                answers.append(greedy_answer(self.learner, self.tokenizer, part, agree))
        return [
            ShownAnswer(sample.picture, sample.question, sample.answer, answer)
            for sample, answer in zip(self.shown, answers, strict=True)
        ]
