"""The loop that the stages share: steps, metrics, validation, checkpoints, and going on after a kill.

    metrics.jsonl      a line of losses every `log_every` steps, and one of figures each validation
    step-00000400.pt   all that the next step depends on, the random numbers' state included; the last few
    best.safetensors   the weights of the best validation so far
    samples.jsonl      what the model answered at each validation; samples/ has it with the frames
    curves.png         losses and figures so far, of runs that take their time

A run that was killed goes on from its last checkpoint and takes the steps that it would have taken: lines
beyond that checkpoint are dropped and written again. Of several processes each runs the loop, and the main
one writes; see `gifqa.training.loop.distribution`.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from gifqa.errors import ConfigError
from gifqa.training.loop.checkpoints import reason, save_weights
from gifqa.training.loop.distribution import Processes
from gifqa.training.loop.interrupt import Interrupt
from gifqa.training.loop.metrics import StepLog, Trackers, read_metrics
from gifqa.training.loop.plots import draw_overview
from gifqa.training.loop.progress import Bar, Pace, progress_bar
from gifqa.training.loop.resume import check_figure, load_progress, save_progress
from gifqa.training.loop.shown_answers import draw_answers
from gifqa.training.loop.stage import COUNTED, Plan, ShowsAnswers, Stage

__all__ = ["Plan", "Stage", "best_figures", "check_finite", "read_metrics", "run_stage"]

DRAW_EVERY_SECONDS = 60

logger = logging.getLogger(__name__)


def run_stage(
    stage: Stage, folder: Path, plan: Plan, validate: Callable[[], dict[str, float]]
) -> dict[str, float]:
    """Train to the last step, or go on to it from the folder's checkpoint.

    Args:
        stage: model, data and optimiser; one that is a `ShowsAnswers` is asked for answers as well.
        folder: gets the files named above.
        plan: length and criterion.
        validate: the figures of `stage.weights()`; called in each process, and the main one's count.

    Returns:
        The figures of the best validation.

    Raises:
        CheckpointError: if a checkpoint or a log cannot be read or written.
        ConfigError: if a loss, a figure or a weight is not finite, or memory runs out.
        MissingExtra: if a tracker of the plan is not installed.
        KeyboardInterrupt: on Ctrl-C, when the step at hand is finished and saved.
    """
    try:
        return _Loop(stage, folder, plan, validate).run()
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise ConfigError(
            f"{folder.name} ran out of memory at step {stage.step} ({reason(error)}); the last checkpoint "
            f"stands. Lower {' or '.join(plan.memory_settings)}."
        ) from error


def best_figures(folder: Path, plan: Plan) -> dict[str, float]:
    """The best validation line of a run's metrics.jsonl."""
    lines = [line for line in read_metrics(folder) if plan.criterion in line]
    return max(lines, key=lambda line: line[plan.criterion] * (1 if plan.higher_is_better else -1))


def check_finite(loss: Tensor, step: int, pictures: list[str]) -> None:
    """Stop a run whose loss is no number, before the weights are spoilt.

    Raises:
        ConfigError: if `loss` is infinite or NaN; it names some pictures of the batch.
    """
    if not bool(loss.isfinite()):
        raise ConfigError(
            f"the loss is {loss.item()} at step {step} (batch of {', '.join(pictures[:4])}, ...); it must be "
            "finite. The last checkpoint stands: lower the learning rate, or look at these pictures."
        )


class _Loop:
    """One run of a stage in this process."""

    def __init__(
        self, stage: Stage, folder: Path, plan: Plan, validate: Callable[[], dict[str, float]]
    ) -> None:
        self.stage, self.folder, self.plan, self.validate = stage, folder, plan, validate
        folder.mkdir(parents=True, exist_ok=True)
        self.processes = Processes()
        self.progress = load_progress(stage, folder, self.processes)
        self.metrics, self.shown = StepLog(folder / "metrics.jsonl"), StepLog(folder / "samples.jsonl")
        self.pace = Pace(stage.step)
        self.trackers: Trackers | None = None
        self.drawn = time.monotonic()

    def run(self) -> dict[str, float]:
        """The loop itself; the best figures."""
        stage, plan, is_main = self.stage, self.plan, self.processes.is_main
        with ExitStack() as stack:
            if is_main and self.progress.goes_on(stage.step, plan):
                self.metrics.cut_back(stage.step)
                self.shown.cut_back(stage.step)
                options = {"tensorboard": plan.tensorboard, "wandb": plan.wandb}
                self.trackers = Trackers(self.folder, stage.step, **options)
                stack.callback(self.trackers.close)
            interrupt = stack.enter_context(Interrupt(is_alone=self.processes.count == 1))
            bar = stack.enter_context(progress_bar(self.folder.name, stage.step, plan.steps, wanted=is_main))
            while self.progress.goes_on(stage.step, plan):
                self._step(bar)
                if any(self.processes.gather(interrupt.is_set)):
                    self._save_and_stop()
        return dict(self.processes.from_main(best_figures(self.folder, plan) if is_main else None))

    def _step(self, bar: Bar) -> None:
        """A step, and what is due after it."""
        stage, plan = self.stage, self.plan
        started = time.monotonic()
        found = stage.train_step()
        counts = [found.pop(name, 0.0) for name in COUNTED]
        self.pace.count(time.monotonic() - started, *counts)
        for name, value in found.items():
            self.progress.recent[name].append(value)
        bar.show(stage.step, "  ".join(f"{name} {value:.3f}" for name, value in found.items()))
        is_last = stage.step == plan.steps
        if stage.step % plan.log_every == 0 or is_last:
            self._log_losses()
        if stage.step % plan.validate_every == 0 or is_last:
            self._validate()

    def _log_losses(self) -> None:
        step, recent = self.stage.step, self.progress.recent
        sums: defaultdict[str, list[float]] = defaultdict(list)
        counts = []
        for losses, counted in self.processes.gather((dict(recent), self.pace.counted)):
            counts.append(counted)
            for name, values in losses.items():
                sums[name] += values
        timings = self.pace.timings(
            step, self.plan.steps, [sum(values) for values in zip(*counts, strict=True)]
        )
        recent.clear()
        mean = {name: round(sum(values) / len(values), 6) for name, values in sums.items()}
        self._log({"step": step, **timings, **mean})

    def _validate(self) -> None:
        plan, step, is_main = self.plan, self.stage.step, self.processes.is_main
        figures = self.processes.from_main(self.validate())
        check_figure(figures[plan.criterion], f"{plan.criterion} of the validation", step)
        answers = self.stage.samples() if isinstance(self.stage, ShowsAnswers) else ()
        weights = self.stage.weights()
        self._log({"step": step, **figures})
        is_best = self.progress.take(figures[plan.criterion], plan)
        if is_main:
            for answer in answers:
                self.shown.add({"step": step, **answer.texts()})
            draw_answers(answers, plan.media, self.folder / "samples" / f"step-{step:08d}.png")
            if is_best:
                save_weights(self.folder / "best.safetensors", weights)
            if time.monotonic() - self.drawn > DRAW_EVERY_SECONDS:
                draw_overview({self.folder.name: self.folder}, self.folder / "curves.png")
                self.drawn = time.monotonic()
        self._save()
        if is_main and step < plan.steps and not self.progress.goes_on(step, plan):
            logger.info("%s: no gain for %d validations, stops", self.folder.name, self.progress.stale)

    def _save_and_stop(self) -> None:
        path = self._save()
        if path is not None:
            logger.warning(
                "%s: stopped after step %d of %d and saved in %s; the same command goes on from there",
                self.folder.name, self.stage.step, self.plan.steps, path,
            )  # fmt: skip
        raise KeyboardInterrupt

    def _save(self) -> Path | None:
        return save_progress(self.stage, self.folder, self.progress, self.processes, self.plan.keep_last)

    def _log(self, line: Mapping[str, float]) -> None:
        if self.trackers is not None:
            self.metrics.add(line)
            self.trackers.add(line)
            logger.info("%s: %s", self.folder.name, _readable(line))


def _readable(line: Mapping[str, float]) -> str:
    """`step 40, loss 0.812, 40.1 samples/s, about 19 minutes left`."""
    parts = [f"step {line['step']}"]
    for name, value in line.items():
        if name == "minutes_left":
            parts.append(f"about {value:.0f} minutes left")
        elif name.endswith("_per_second"):
            parts.append(f"{value:.1f} {name.removesuffix('_per_second')}/s")
        elif name == "seconds_per_step":
            parts.append(f"{value:.2f} s/step")
        elif name != "step":
            parts.append(f"{name} {value:.4g}")
    return ", ".join(parts)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether torch or Python ran out of memory; on the CPU torch says so in a plain RuntimeError."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)
