"""The overview of a run: every stage's losses and validation figures over its steps, as one PNG."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gifqa.extras import require
from gifqa.training.loop.metrics import TIMINGS, read_metrics

Lines = dict[str, tuple[list[float], list[float]]]
"""Name -> steps and values."""
NOT_DRAWN = {"step", *TIMINGS}
PANEL_INCHES = (6.0, 3.6)
DOTS_PER_INCH = 110
NUM_COLOURS = 10
"""After so many lines matplotlib begins again with the first colour."""
LINE_STYLES = ("-", "--", ":")


def draw_overview(stages: Mapping[str, Path], path: Path) -> bool:
    """Draw one row a stage: losses on the left, validation figures on the right.

    Args:
        stages: name of a stage -> its folder with metrics.jsonl; those without are left out.
        path: the PNG.

    Returns:
        Whether there was anything to draw.

    Raises:
        MissingExtra: if matplotlib is not installed.
    """
    metrics = {name: read_metrics(folder) for name, folder in stages.items()}
    metrics = {name: lines for name, lines in metrics.items() if lines}
    if not metrics:
        return False
    figures = require("matplotlib.figure", "train")
    width, height = PANEL_INCHES
    figure = figures.Figure(
        figsize=(2 * width, len(metrics) * height), dpi=DOTS_PER_INCH, layout="constrained"
    )
    panels = figure.subplots(len(metrics), 2, squeeze=False)
    for row, (name, lines) in zip(panels, metrics.items(), strict=True):
        losses = [line for line in lines if "seconds_per_step" in line]
        validations = [line for line in lines if "seconds_per_step" not in line]
        _draw(row[0], f"{name}: losses", collect(losses), "")
        _draw(row[1], f"{name}: validation", collect(validations), "o")
    partial = path.with_suffix(".tmp")
    figure.savefig(partial, format="png")
    partial.replace(path)
    return True


def collect(lines: Sequence[Mapping[str, float]]) -> Lines:
    """The values of lines of metrics, by name."""
    found: Lines = {}
    for line in lines:
        for name, value in line.items():
            if name not in NOT_DRAWN:
                steps, values = found.setdefault(name, ([], []))
                steps.append(line["step"])
                values.append(value)
    return found


def _draw(panel: Any, title: str, lines: Lines, marker: str) -> None:
    """One panel; its legend stands beside it: many lines leave no corner free."""
    for index, (name, (steps, values)) in enumerate(lines.items()):
        style = LINE_STYLES[index // NUM_COLOURS % len(LINE_STYLES)]
        width = 2.4 if name.startswith("mean") else 1.2
        panel.plot(steps, values, style, label=name, marker=marker, markersize=3, linewidth=width)
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("step", fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
    if lines:
        panel.legend(fontsize=6, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
