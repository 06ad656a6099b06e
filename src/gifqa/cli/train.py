"""`gifqa train`: a recipe and data become a model."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gifqa.training.recipe import Recipe


def train(  # noqa: PLR0913  (each parameter is a flag)
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML file, such as recipes/lite.toml.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of photos, clips or both.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="RUN", help="Folder of the run, new or begun."),
    ],
    *,
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", metavar="FILE", help="Pairs of gifqa synthesize; repeatable."),
    ] = None,
    stage: Annotated[
        list[str] | None,
        typer.Option("--stage", metavar="NAME", help="Only this stage; repeatable."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Replace a value; repeatable."),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=0, help="0 takes one a core.")] = 0,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="BUNDLE", help="Start from its parts: lite, or the folder of a bundle."
        ),
    ] = None,
    language_model: Annotated[
        str | None,
        typer.Option("--language-model", metavar="PATH", help="Folder or .gguf in place of the recipe's id."),
    ] = None,
) -> None:
    """Train a model from a recipe.

    gifqa train recipes/lite.toml --data data --pairs pairs.jsonl -o runs/lite

    Several processes: torchrun --nproc-per-node 2 -m gifqa train ...

    Sharded by FSDP: accelerate launch --config_file FILE -m gifqa train ...
    """
    from gifqa.extras import require

    require("gifqa.training.run", "train")  # tells what to install where torch is not
    from gifqa.training.loop.distribution import Processes
    from gifqa.training.recipe_file import load_recipe
    from gifqa.training.run import run_recipe
    from gifqa.training.run_state import Inputs

    is_main = Processes().is_main
    level = logging.INFO if is_main else logging.ERROR
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", stream=sys.stderr)
    chosen = load_recipe(recipe, overrides or ())
    inputs = Inputs(
        data, tuple(pairs or ()), language_model, None if start is None else _bundle_folder(start)
    )
    figures = run_recipe(chosen, inputs, output, stages=tuple(stage or ()), threads=threads)
    if is_main:
        _report(chosen, output, figures)


def _bundle_folder(name: str) -> Path:
    """The folder of a whole bundle, of which `lite` is the shipped one."""
    from gifqa.answering.bundle import Bundle
    from gifqa.answering.models import LITE

    return Bundle(None if name == LITE else Path(name)).folder


def _report(recipe: "Recipe", folder: Path, figures: dict[str, dict[str, Any]]) -> None:
    """What each stage measured, what was left out, and what the model can be asked with."""
    for name, found in figures.items():
        numbers = [f"{key} {value:g}" for key, value in found.items() if isinstance(value, int | float)]
        typer.echo(f"{name:<16}{', '.join(numbers)}")
    left_out = figures.get("features", {}).get("failed")
    if left_out:
        first, why = next(iter(left_out.items()))
        typer.echo(
            f"{len(left_out)} pictures are left out, such as {first} ({why}); all are listed in "
            f"{folder / 'features' / 'done.json'}",
            err=True,
        )
    if {"checkpoint", "calibrate"} & figures.keys():
        typer.echo(f'gifqa ask cat.gif "What is it?" --model {folder / recipe.ends_with}')
