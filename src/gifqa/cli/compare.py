"""`gifqa compare`: two runs of `gifqa evaluate` on the same questions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gifqa.evaluation.compare import Comparison
    from gifqa.evaluation.statistics import PairedTest


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN_A", help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="RUN_B", help="Folder of another run.")],
    *,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two runs on the questions that both answered; one that was stopped, on the answers it has.

    gifqa compare runs/uniform runs/lite
    """
    from gifqa.evaluation.compare import compare_runs

    comparison = compare_runs(first, second, seed=seed)
    if as_json:
        typer.echo(json.dumps(comparison.to_dict()))
    else:
        _print(comparison)


def _print(comparison: "Comparison") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    console.print(
        f"{comparison.benchmark}: {comparison.shared:,} questions in both, {comparison.only_first:,} only "
        f"in {comparison.first}, {comparison.only_second:,} only in {comparison.second}",
        soft_wrap=True,
    )
    for folder in comparison.unfinished:
        console.print(
            f"{folder} is unfinished: only the answers that it has are compared. "
            "The command that began it goes on.",
            soft_wrap=True,
        )
    table = Table("", comparison.headline, box=None)
    table.add_row(Path(comparison.first).name, f"{comparison.first_score:.4f}")
    table.add_row(Path(comparison.second).name, f"{comparison.second_score:.4f}")
    table.add_row("paired bootstrap over GIFs", _shown(comparison.bootstrap))
    if comparison.mcnemar is not None:
        table.add_row("McNemar", _shown(comparison.mcnemar))
    for kind, (count, difference, low, high) in comparison.by_kind.items():
        table.add_row(f"  {kind or 'no type'} ({count:,})", f"{difference:+.4f} ({low:+.4f} to {high:+.4f})")
    console.print(table)
    for flip in comparison.flips:
        console.print(
            f"{flip.gain:+.2f}  {flip.question or flip.id}  right: {flip.answer}  "
            f"first: {flip.first or '(empty)'}  second: {flip.second or '(empty)'}",
            soft_wrap=True,
        )


def _shown(test: "PairedTest") -> str:
    return f"{test.difference:+.4f} ({test.low:+.4f} to {test.high:+.4f}), p = {test.p_value:.3g}"
