"""What every benchmark does with its figures: a table to read, JSON to keep, Markdown to paste.

--json FILE       every figure with its interval, the settings and the machine
--markdown FILE   the tables as Markdown, `-` for the terminal
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gifqa.errors import GifQAError
from gifqa.evaluation.manifest import versions

ABSENT = "–"
"""Stands in a table where there is no figure."""


@dataclass(frozen=True)
class Table:
    """A heading and rows of text; the first column is read from the left, the others are figures."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def show(self) -> None:
        """Print it in the terminal."""
        from rich.console import Console
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, title_justify="left", caption=self.note, caption_justify="left")
        for place, column in enumerate(self.columns):
            table.add_column(column, justify="right" if place else "left", no_wrap=not place)
        for row in self.rows:
            table.add_row(*row)
        Console(file=sys.stdout, highlight=False, markup=False, emoji=False).print(table)

    def to_markdown(self) -> str:
        """The title, the table and the note as Markdown."""

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in cells) + " |"

        ruler = "|" + "|".join("---:" if place else "---" for place in range(len(self.columns))) + "|"
        lines = [f"**{self.title}**", "", line(self.columns), ruler, *map(line, self.rows)]
        return "\n".join(lines + (["", self.note] if self.note else [])) + "\n"


@dataclass(frozen=True)
class Target:
    """A figure that was aimed at, beside the one that was measured."""

    name: str
    wanted: float
    measured: float | None
    """None where it was not measured in this run."""
    at_least: bool = True
    """Whether more is better; if not, `wanted` is the most that is allowed."""
    unit: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the figure reaches the target; None if it was not measured."""
        if self.measured is None:
            return None
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def to_dict(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        sign = "at_least" if self.at_least else "at_most"
        return {"name": self.name, sign: self.wanted, "measured": self.measured, "is_met": self.is_met}


def target_table(targets: Sequence[Target]) -> Table:
    """Each target, what was measured and whether it was met."""
    rows = []
    for target in targets:
        sign = "≥" if target.at_least else "≤"
        measured = ABSENT if target.measured is None else f"{target.measured:.3g}{target.unit}"
        verdict = {True: "yes", False: "no", None: "not measured"}[target.is_met]
        rows.append((target.name, f"{sign} {target.wanted:.3g}{target.unit}", measured, verdict))
    return Table("Targets", ("target", "wanted", "measured", "met"), tuple(rows))


def percent(interval: Mapping[str, Any]) -> str:
    """A share with its interval, as `Interval.to_dict` gives it, in per cent: `41.2 [39.0, 43.4]`."""
    low, high = interval["ci95"]
    return f"{100 * interval['value']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def add_output_flags(parser: argparse.ArgumentParser) -> None:
    """`--json` and `--markdown`."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables here as Markdown; - prints them")


def write_report(
    benchmark: str, args: argparse.Namespace, figures: dict[str, Any], tables: Sequence[Table], began: float
) -> None:
    """Print the tables, and write what `--json` and `--markdown` ask for.

    Args:
        benchmark: its name.
        args: the command line.
        figures: what was measured, ready for JSON.
        tables: the same to read.
        began: `time.perf_counter()` of the beginning.
    """
    for table in tables:
        table.show()
    if args.markdown:
        text = "\n".join(table.to_markdown() for table in tables)
        if args.markdown == "-":
            print(text)
        else:
            Path(args.markdown).write_text(text, encoding="utf-8")
    if args.json:
        settings = {key: _plain(value) for key, value in vars(args).items()}
        report = {"benchmark": benchmark, "settings": settings, "machine": machine(), **figures}
        report["seconds"] = round(time.perf_counter() - began, 1)
        args.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """The processor, the number of its cores, and the versions of what ran."""
    return {"processor": processor_name(), "cpus": os.cpu_count(), **versions()}


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as Linux tells it; elsewhere what Python knows."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def run(main: Callable[[], None]) -> None:
    """Run a benchmark; an error of gifqa becomes one line on stderr and exit code 1."""
    try:
        main()
    except GifQAError as error:
        raise SystemExit(f"error: {' '.join(str(error).split())}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
