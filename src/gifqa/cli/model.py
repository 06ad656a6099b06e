"""`gifqa model`: what a model holds, whether its files are whole, and to the hub with it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gifqa.cli.options import Json
from gifqa.cli.output import print_json

if TYPE_CHECKING:
    from gifqa.model.inventory import Inventory

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="PATH",
        help="A bundle, a checkpoint or the folder of a run.",
        show_default="the shipped bundle",
    ),
]

model = typer.Typer(no_args_is_help=True, help="Show what a model holds, check its files, push it.")


@model.command()
def show(path: Folder = None, *, as_json: Json = False) -> None:
    """List a model's parts, files and figures.

    gifqa model show runs/seed/checkpoint
    """
    from gifqa.model.inventory import take_inventory

    inventory = take_inventory(path)
    if as_json:
        print_json(dataclasses.asdict(inventory))
    else:
        _print(inventory)


@model.command()
def verify(path: Folder = None, *, as_json: Json = False) -> None:
    """Compare every file of a model with its checksum.

    gifqa model verify
    """
    from gifqa.model import inventory

    found = inventory.verify(path)
    if as_json:
        print_json({"folder": found.folder, "kind": found.kind, "files": len(found.files), "whole": True})
    else:
        typer.echo(f"{found.kind} {found.folder}: {len(found.files)} files are as they were written")


@model.command()
def push(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A checkpoint, or the folder of its run.")],
    repository: Annotated[str, typer.Argument(metavar="REPO", help="USER/NAME on the Hugging Face hub.")],
    *,
    public: Annotated[bool, typer.Option("--public", help="For all to see, if it is new.")] = False,
) -> None:
    """Upload a checkpoint to the Hugging Face hub, as the user who is logged in there.

    gifqa model push runs/seed/checkpoint USER/gifqa-seed
    """
    from gifqa.extras import require
    from gifqa.model import inventory

    found = inventory.verify(path)
    saving = require("gifqa.model.checkpoint_saving", "train")
    typer.echo(saving.push_to_hub(Path(found.folder), repository, private=not public))


def _print(inventory: "Inventory") -> None:
    typer.echo(f"{inventory.name} {inventory.version}: {inventory.kind} {inventory.folder}")
    for name, text in inventory.parts.items():
        typer.echo(f"  {name:<16}{text}")
    typer.echo(f"files, {inventory.num_bytes / 1e6:.1f} MB")
    width = max((len(file.name) for file in inventory.files), default=0) + 2
    for file in inventory.files:
        typer.echo(f"  {file.name:<{width}}{file.num_bytes / 1e6:>8.2f} MB  sha256 {file.checksum[:12]}")
    if inventory.figures:
        typer.echo("figures")
        for name, value in inventory.figures.items():
            typer.echo(f"  {name:<32}{value}")
