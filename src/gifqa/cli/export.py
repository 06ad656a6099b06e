"""`gifqa export`: a trained run becomes a bundle."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run of gifqa train.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The bundle's folder; new.")],
    *,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The run's data, to calibrate with its validation split."),
    ] = None,
    pairs: Annotated[
        list[Path] | None, typer.Option("--pairs", metavar="FILE", help="The run's pairs; repeatable.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=0, help="0 takes one a core.")] = 0,
) -> None:
    """Turn a trained run into a bundle, which answers without torch.

    gifqa export runs/lite -o bundle
    """
    from gifqa.extras import require

    require("gifqa.training.run", "train")  # tells what to install where torch is not
    from gifqa.training.exporting import export_run
    from gifqa.training.run_state import Inputs

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    inputs = None if data is None else Inputs(data, tuple(pairs or ()))
    figures = export_run(run, output, inputs, threads=threads or os.cpu_count() or 1)
    size = sum(path.stat().st_size for path in output.iterdir())
    typer.echo(f"{output}: {size / 1e6:.1f} MB")
    for name, value in figures.items():
        typer.echo(f"  {name:<24}{value}")
    if not figures:
        typer.echo("not calibrated: give --data and --pairs of the run for that", err=True)
    typer.echo(f'gifqa ask cat.gif "What is it?" --model {output}')
