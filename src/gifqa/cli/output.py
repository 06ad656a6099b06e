"""How answers, keyframes and warnings look in a terminal."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from gifqa.answering.base import Answer
    from gifqa.retrieval.clip_cut import Keyframes

_ALTERNATIVES_SHOWN = 3


def print_json(value: Any) -> None:
    """One JSON object on one line."""
    typer.echo(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode())


def print_warnings(warnings: Sequence[str]) -> None:
    """Each warning as a line on stderr."""
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def print_answer(answer: "Answer") -> None:
    """The answer, then in smaller print what it rests on."""
    from rich.text import Text

    console = _console()
    console.print(Text(answer.text, style="bold"), soft_wrap=True)
    for label, value in (
        ("confidence", _confidence(answer)),
        ("keyframes", _times(answer.keyframes)),
        ("model", f"{answer.model}, {answer.timings.get('total', 0.0):.2f} s"),
    ):
        console.print(Text(f"  {label:<12}{value}", style="dim"), soft_wrap=True)
    for pts_seconds, caption in zip(answer.keyframes.pts_seconds, answer.captions, strict=False):
        console.print(Text(f"  {f'at {pts_seconds:.2f} s':<12}{caption}", style="dim"), soft_wrap=True)


def print_keyframes(keyframes: "Keyframes") -> None:
    """A table of the keyframes."""
    from rich.table import Table

    table = Table(title=f"{len(keyframes.indices)} of {keyframes.num_frames} frames", title_justify="left")
    for heading in ("frame", "seconds", "score"):
        table.add_column(heading, justify="right")
    rows = zip(keyframes.indices, keyframes.pts_seconds, keyframes.scores, strict=True)
    for index, pts_seconds, score in rows:
        table.add_row(str(int(index)), f"{pts_seconds:.2f}", f"{score:.3f}")
    _console().print(table)


def _console() -> "Console":
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def _confidence(answer: "Answer") -> str:
    if answer.confidence is None:
        return "not given by this model"
    others = [f"{other.answer} {other.confidence:.0%}" for other in answer.alternatives[:_ALTERNATIVES_SHOWN]]
    return f"{answer.confidence:.0%}" + (f", then {', '.join(others)}" if others else "")


def _times(keyframes: "Keyframes") -> str:
    if keyframes.num_frames == 1:
        return "the only frame"
    times = " ".join(f"{pts_seconds:.2f}" for pts_seconds in keyframes.pts_seconds)
    return f"at {times} s, of {keyframes.num_frames} frames in {keyframes.duration_seconds:.2f} s"
