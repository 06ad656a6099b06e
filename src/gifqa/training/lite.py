"""The lite recipe from data to a bundle: nine stages in a row, each skipped when it is done.

vision          fit the reduction of the vision tower, export the tower
features        the tower's grids of every photo and clip
texts           the text tower's states of every caption, question and answer
dual-encoder    the two heads of the dual encoder, by contrast
language-model  the language model with its vocabulary cut
qformer         the Q-Former without the language model
language        Q-Former, projection and LoRA with the language model
export          the bundle
calibrate       its weights of opinions and its confidences

python -m gifqa.training.lite recipes/lite.toml --data DIR --pairs pairs.jsonl -o runs/lite
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from gifqa.errors import ConfigError, GifQAError
from gifqa.training.lite_stages import Figures, Inputs, LiteRun
from gifqa.training.plots import draw_overview
from gifqa.training.recipe import Recipe
from gifqa.training.recipe_file import load_recipe
from gifqa.training.release import STAGES
from gifqa.training.run_folder import claim_folder, figures_of, lock, mark_done

logger = logging.getLogger(__name__)


def run_recipe(
    recipe: Recipe, inputs: Inputs, folder: Path, *, stages: Sequence[str] = (), threads: int = 0
) -> dict[str, Figures]:
    """Run the stages that are not done, in order; draws overview.png, also when a stage is interrupted.

    Args:
        recipe: the settings.
        inputs: the data.
        folder: of the run; gone on with if it holds the same recipe and data.
        stages: only these of `STAGES`; empty for all.
        threads: of torch and ONNX Runtime; 0 takes one a core.

    Returns:
        What each complete stage measured.

    Raises:
        ConfigError: if a stage is unknown, or the folder belongs to another recipe or a running process.
        GifQAError: what a stage raises.
    """
    unknown = [name for name in stages if name not in STAGES]
    if unknown:
        raise ConfigError(
            f"--stage is {unknown[0]!r}; there are {', '.join(STAGES)}. Choose one of them, or leave it out "
            "for all."
        )
    torch.set_num_threads(threads or os.cpu_count() or 1)
    with lock(folder):
        claim_folder(folder, recipe.model_dump(mode="json") | {"inputs": inputs.checksums()})
        run = LiteRun(recipe, inputs, folder, threads=torch.get_num_threads())
        try:
            for name in stages or STAGES:
                _run_stage(run, name)
        finally:
            draw_overview({name: folder / name for name in STAGES}, folder / "overview.png")
        found = {name: figures_of(folder, name) for name in STAGES}
        return {name: figures for name, figures in found.items() if figures is not None}


def _run_stage(run: LiteRun, name: str) -> None:
    if figures_of(run.folder, name) is not None:
        logger.info("%s: done before", name)
        return
    started = time.monotonic()
    logger.info("%s: begins", name)
    figures = STAGES[name](run)
    mark_done(run.folder, name, figures | {"seconds": round(time.monotonic() - started, 1)})
    logger.info("%s: done, %s", name, figures)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code: 0 done, 1 an error of the input, 130 Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m gifqa.training.lite", description=__doc__.splitlines()[0]
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with photos/ and clips/")
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, help="files of gifqa synthesize")
    parser.add_argument("--language-model", help="folder or .gguf file in place of the recipe's id")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--stage", action="append", default=[], help=f"only this one: {', '.join(STAGES)}")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="overrides")
    parser.add_argument("--threads", type=int, default=0, help="0 takes one a core")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        recipe = load_recipe(given.recipe, given.overrides)
        inputs = Inputs(given.data, tuple(given.pairs), given.language_model)
        run_recipe(recipe, inputs, given.output, stages=given.stage, threads=given.threads)
    except GifQAError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
