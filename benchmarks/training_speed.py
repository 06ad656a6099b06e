"""How fast does lite's stage `language` train beside the straightforward loop, and in how much memory?

    loops     samples a second of both, in alternating blocks on the same samples
    memory    the peak of a process that reads the data, trains, validates and saves
    masked    the masked pass of masked video modelling beside the full pass, forward and backward
    packed    captions a second with up to five of a picture in one sample beside one in each

    python benchmarks/training_speed.py RUN --data DIR --pairs photos.jsonl clips.jsonl
        [--blocks 3] [--steps 2] [--batch-size N] [--vocabulary 49152] [--only loops memory masked packed]
        [--recipe TOML] [--json FILE] [--markdown FILE]

The straightforward loop has the vision tower in it, scores the whole vocabulary at every position of a batch
padded to its longest sample, and its vocabulary is not cut: RUN's is filled up to --vocabulary tokens, whose
rows are made up, since only their cost counts. Connector, LoRA, precision, optimiser and samples are those of
the other; pictures are decoded before the clock starts, and text states are cached for both. There a sample
has one caption.

Close what else uses the processor. Linux and macOS only.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from plain_loop import PlainLoop
from reporting import ABSENT, Table, Target, add_output_flags, run, target_table, write_report
from speed import run_python
from training_runs import add_run_flags, changed, language_stage, open_run, positive, with_recipe

from gifqa.training.data.batches import caption_sample
from gifqa.training.language import LanguageStage
from gifqa.training.masking import ReadSequences, draw_kept, drop_tokens
from gifqa.training.parts import Batch, Pass
from gifqa.training.recipe import MaskedVideoModelling
from gifqa.training.run_state import Run
from gifqa.training.stages import validation_samples

PARTS = ("loops", "memory", "masked", "packed")
GIGABYTE = 10**9
MEMORY_STEPS = 6
MEMORY_SAMPLES = 128
"""Of its validation."""
DRAWS = 8
"""Batches of which memory is measured with the one of most frames."""
PASSES = 5
PACKED_PICTURES, PACKED_CAPTIONS = 8, 5
SPEEDUP = "times as fast as the straightforward loop"


def main() -> None:
    """Measure, print, write."""
    args = parse_arguments()
    if args.child:
        train_a_little(args)
        return
    began = time.perf_counter()
    figures: dict[str, Any] = {}
    if "memory" in args.only:  # first, while this process holds nothing
        figures["memory"] = measure_memory(args)
    if {"loops", "masked", "packed"} & set(args.only):
        finished = open_few_steps(args, captions_per_picture=1)
        stage = language_stage(finished)
        batches = [stage.draw_batch() for _ in range(args.blocks * args.steps)]
        if "loops" in args.only:
            plain = PlainLoop(finished, args.vocabulary)
            figures["loops"] = measure_loops(stage, plain, batches, args.steps)
        if "masked" in args.only:
            figures["masked"] = measure_masked(stage, batches[0])
        if "packed" in args.only:
            figures["packed"] = measure_packed(stage, args.blocks)
    aims = targets(figures)
    figures["targets"] = [target.to_dict() for target in aims]
    write_report("training_speed", args, figures, [table(figures), target_table(aims)], began)


def open_few_steps(args: argparse.Namespace, **settings: int) -> Run:
    """The run with some settings of its stage changed, cut down to a few steps, without masking."""
    language = settings | {
        "steps": MEMORY_STEPS, "warmup_steps": 1, "validate_every": MEMORY_STEPS,
        "mvm": {"weight": 0.0}, "samples_shown": 0, "tensorboard": False, "wandb": False,
    }  # fmt: skip
    if args.batch_size:
        language |= {"batch_size": args.batch_size, "gradient_accumulation": 1}
    finished = open_run(args)
    return with_recipe(finished, changed(finished.recipe, {"language": language}))


def measure_loops(
    stage: LanguageStage, plain: PlainLoop, batches: Sequence[Batch], steps: int
) -> dict[str, Any]:
    """Samples a second of each block of `steps` batches, by one loop and then by the other.

    Each takes a step before that, which is not counted.
    """
    pixels = {id(batch): plain.decode(batch) for batch in batches}
    loops: dict[str, Callable[[Batch], Any]] = {
        "gifqa": lambda batch: take_step(stage, batch),
        "plain": lambda batch: plain.step(batch, pixels[id(batch)]),
    }
    for loop in loops.values():
        loop(batches[0])
    plain.tower_seconds = 0.0
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for start in range(0, len(batches), steps):
        block = batches[start : start + steps]
        for name, loop in loops.items():
            began = time.perf_counter()
            for batch in block:
                loop(batch)
            rates[name].append(sum(len(batch.samples) for batch in block) / (time.perf_counter() - began))
    ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
    tower = plain.tower_seconds / len(batches)
    return {**rates, "ratios": ratios, "ratio": statistics.median(ratios), "tower_seconds_per_step": tower}


def take_step(stage: LanguageStage, batch: Batch) -> None:
    """A step of the project's loop on a batch that was drawn before."""
    stage.draw_batch = lambda: batch
    stage.train_step()


def measure_masked(stage: LanguageStage, batch: Batch) -> dict[str, Any]:
    """Seconds of the language model's full and masked pass in turns, forward and backward; no teacher."""
    count, rows = stage.model.num_visual_tokens, len(batch.samples)
    kept = draw_kept(count, rows, MaskedVideoModelling(), stage.chance, always_kept=int(stage.model.hint))
    part = stage.load_pass(batch, range(rows))
    stage.learner.train()
    with torch.no_grad(), stage.learner.autocast(part):
        states = stage.learner.states(part)
        embeds = stage.model.inputs_embeds(stage.model.visual_tokens(states), part.sequences)
    seconds: dict[str, list[float]] = {"full": [], "masked": []}
    for turn in range(PASSES + 1):
        for name, found in seconds.items():
            began = time.perf_counter()
            read_once(stage, part, embeds, kept if name == "masked" else None)
            if turn:  # the first warms up
                found.append(time.perf_counter() - began)
    ratio = statistics.median(seconds["masked"]) / statistics.median(seconds["full"])
    lengths = {"full": embeds.shape[1], "masked": embeds.shape[1] - count + int(kept[0].sum())}
    return {"seconds": seconds, "ratio": ratio, "positions": lengths}


def read_once(stage: LanguageStage, part: Pass, embeds: torch.Tensor, kept: torch.Tensor | None) -> None:
    """The language model's loss and its gradient on sequences whole or without the dropped tokens."""
    leaf = embeds.detach().requires_grad_()
    with stage.learner.autocast(part):
        read = ReadSequences.of(leaf, part.sequences)
        if kept is not None:
            read = drop_tokens(leaf, part.sequences, kept)
        hidden = stage.model.last_hidden(read.inputs_embeds, read.attention_mask, read.segments)
        logits, labels = stage.learner.answer_logits(hidden, read.labels)
        loss = torch.nn.functional.cross_entropy(logits.float(), labels)
    loss.backward()


def measure_packed(stage: LanguageStage, blocks: int) -> dict[str, Any]:
    """Captions a second, in turns: those of a picture in one sample, and in a sample each."""
    captions = stage.sampler.captions
    names = sorted(captions, key=lambda name: -len(captions[name]))[:PACKED_PICTURES]
    shown = [(name, captions[name][:PACKED_CAPTIONS]) for name in names]
    together = [caption_sample(name, *texts) for name, texts in shown]
    apart = [caption_sample(name, text) for name, texts in shown for text in texts]
    batches = {"packed": stage.fixed_batch(together), "single": stage.fixed_batch(apart)}
    rates: dict[str, list[float]] = {name: [] for name in batches}
    for turn in range(blocks + 1):
        for name, found in rates.items():
            began = time.perf_counter()
            take_step(stage, batches[name])
            if turn:  # the first warms up
                found.append(len(apart) / (time.perf_counter() - began))
    ratio = statistics.median(rates["packed"]) / statistics.median(rates["single"])
    lengths = {name: int(batch.sequences.attention_mask.sum()) for name, batch in batches.items()}
    return {"captions_per_second": rates, "ratio": ratio, "captions": len(apart), "positions": lengths}


def measure_memory(args: argparse.Namespace) -> dict[str, Any]:
    """The peak of a process of its own that does what `train_a_little` does."""
    words: list[Any] = [args.run, "--data", args.data, "--child"]
    words += ["--batch-size", args.batch_size] if args.batch_size else []
    words += ["--pairs", *args.pairs] if args.pairs else []
    words += ["--recipe", args.recipe] if args.recipe else []
    words += ["--threads", args.threads] if args.threads else []
    finished = run_python(__file__, *words)
    return {"gigabytes": finished.peak_bytes / GIGABYTE, "seconds": finished.seconds, "steps": MEMORY_STEPS}


def train_a_little(args: argparse.Namespace) -> None:
    """Read the data, take a few steps with the largest of several batches each, validate and save."""
    finished = open_few_steps(args)
    stage = language_stage(finished)
    draw = stage.draw_batch

    def draw_large() -> Batch:
        return max((draw() for _ in range(DRAWS)), key=lambda batch: sum(map(len, batch.rows)))

    stage.draw_batch = draw_large
    with tempfile.TemporaryDirectory() as folder:
        stage.run(Path(folder), validation_samples(finished, "language")[:MEMORY_SAMPLES])


def targets(figures: dict[str, Any]) -> list[Target]:
    """What was aimed at, measured or not."""
    found = {name: figures.get(name, {}) for name in PARTS}
    return [
        Target(SPEEDUP, 1.5, found["loops"].get("ratio"), unit="x"),
        Target("peak memory", 6.0, found["memory"].get("gigabytes"), at_least=False, unit=" GB"),
        Target(
            "masked pass beside the full pass", 1.0, found["masked"].get("ratio"), at_least=False, unit="x"
        ),
    ]


def table(figures: dict[str, Any]) -> Table:
    """Each figure, with the lowest and the highest block."""
    lines = []
    if "loops" in figures:
        loops = figures["loops"]
        lines.append(("gifqa's loop", *_cells(loops["gifqa"], " samples/s", 1)))
        lines.append(("straightforward loop", *_cells(loops["plain"], " samples/s", 1)))
        lines.append((SPEEDUP, *_cells(loops["ratios"], "x", 2)))
        lines.append(("its vision tower, a step", f"{loops['tower_seconds_per_step']:.2f} s", ABSENT))
    if "memory" in figures:
        lines.append(
            ("peak memory of a training process", f"{figures['memory']['gigabytes']:.2f} GB", ABSENT)
        )
    if "masked" in figures:
        masked = figures["masked"]
        for name, seconds in masked["seconds"].items():
            label = f"{name} pass, {masked['positions'][name]} positions"
            lines.append((label, *_cells(seconds, " s", 2)))
    if "packed" in figures:
        packed = figures["packed"]
        for name, rates in packed["captions_per_second"].items():
            label = f"captions, {name}, {packed['positions'][name]} positions for {packed['captions']}"
            lines.append((label, *_cells(rates, " captions/s", 1)))
    return Table("Training of the stage `language`", ("measured", "median", "blocks"), tuple(lines))


def _cells(values: Sequence[float], unit: str, digits: int) -> tuple[str, str]:
    low, median, high = (f"{v:.{digits}f}" for v in (min(values), statistics.median(values), max(values)))
    return f"{median}{unit}", f"{low} to {high}"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add_run_flags(parser)
    parser.add_argument("--blocks", type=positive, default=3, help="of each loop, in turns")
    parser.add_argument("--steps", type=positive, default=2, help="of a block")
    parser.add_argument(
        "--batch-size", type=positive, help="samples to a step and pass; else as the recipe has it"
    )
    parser.add_argument(
        "--vocabulary", type=positive, default=49152, help="tokens of the uncut language model"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    add_output_flags(parser)
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
