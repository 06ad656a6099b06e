"""A recipe from data to a model: its stages in a row, each skipped when it is done.

    gifqa train recipes/lite.toml --data DIR --pairs pairs.jsonl -o runs/lite

`gifqa.training.stages` and `gifqa.training.release` have the stages.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from gifqa.errors import ConfigError
from gifqa.training.loop.distribution import Processes
from gifqa.training.loop.plots import draw_overview
from gifqa.training.recipe import Recipe
from gifqa.training.recipe_checks import EFFICIENTNET
from gifqa.training.release import RELEASE_STAGES
from gifqa.training.run_folder import claim_folder, figures_of, lock, mark_done
from gifqa.training.run_state import Figures, Inputs, Run
from gifqa.training.stages import TRAINING_STAGES
from gifqa.training.starting import taken_stages

logger = logging.getLogger(__name__)

Stage = Callable[[Run], Figures]

STAGES: dict[str, Stage] = TRAINING_STAGES | RELEASE_STAGES
"""Every stage that there is, in order."""
LOOPED = ("dual-encoder", "qformer", "language")
"""Run in each of several processes: `language` is shared among them, the others are trained alike in each."""


def stages_of(recipe: Recipe) -> list[str]:
    """The stages that a recipe has a use for, in order."""
    is_bundle = recipe.ends_with == "bundle"
    needed = {
        "vision": recipe.vision.tower == EFFICIENTNET,
        "texts": recipe.reads_text_states or recipe.compares_by_tower,
        "dual-encoder": recipe.trains_dual_encoder,
        "qformer": recipe.pretraining.steps > 0,
        "checkpoint": not is_bundle,
        "export": is_bundle,
        "calibrate": is_bundle,
    }
    return [name for name in STAGES if needed.get(name, True)]


def run_recipe(
    recipe: Recipe, inputs: Inputs, folder: Path, *, stages: Sequence[str] = (), threads: int = 0
) -> dict[str, Figures]:
    """Run the stages that are not done, in order; draws overview.png, also when a stage is interrupted.

    Args:
        recipe: the settings.
        inputs: the data.
        folder: of the run; gone on with if it holds the same recipe and data.
        stages: only these of `stages_of(recipe)`; empty for all.
        threads: of torch and ONNX Runtime; 0 takes one a core.

    Returns:
        What each complete stage measured.

    Raises:
        ConfigError: if a stage is unknown, or the folder belongs to another recipe or a running process.
        GifQAError: what a stage raises.
    """
    known = stages_of(recipe)
    unknown = [name for name in stages if name not in known]
    if unknown:
        raise ConfigError(
            f"--stage is {unknown[0]!r}; the recipe {recipe.name!r} has {', '.join(known)}. Choose one of "
            "them, or leave it out for all."
        )
    torch.set_num_threads(threads or os.cpu_count() or 1)
    with lock(folder):
        run = Run(recipe, inputs, folder, threads=torch.get_num_threads())
        inputs_read = run.dataset.annotations  # a mistaken path is told before the folder is claimed
        taken = taken_stages(run)
        logger.info("data: %s", {split: len(found.samples) for split, found in inputs_read.items()})
        config = recipe.model_dump(mode="json") | {"inputs": inputs.checksums()}
        Processes().in_main(lambda: claim_folder(folder, config))
        try:
            for name in stages or known:
                run_stage(run, name, taken.get(name))
        finally:
            if Processes().is_main:
                draw_overview({name: folder / name for name in known}, folder / "overview.png")
        found = {name: figures_of(folder, name) for name in known}
        return {name: figures for name, figures in found.items() if figures is not None}


def run_stage(run: Run, name: str, taken: Stage | None = None) -> None:
    """Run a stage, or what is `taken` in its place, if it is not done; its folder gets done.json."""
    if figures_of(run.folder, name) is not None:
        logger.info("%s: done before", name)
        return
    started, processes = time.monotonic(), Processes()
    logger.info("%s: begins", name)
    stage = taken or STAGES[name]
    is_shared = taken is None and name in LOOPED
    figures = stage(run) if is_shared else processes.in_main(lambda: stage(run))
    if processes.is_main:
        mark_done(run.folder, name, figures | {"seconds": round(time.monotonic() - started, 1)})
    processes.wait()
    logger.info("%s: done, %s", name, figures)
