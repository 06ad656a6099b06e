"""The report's plots as SVG: no library, no script, colours from the page's style sheet."""

from collections.abc import Sequence
from html import escape

from gifqa.evaluation.calibration import ReliabilityBin
from gifqa.evaluation.statistics import Interval

_FONT = 13
_ROW = 26
_LABEL_WIDTH = 160
_BAR_WIDTH = 190
_VALUE_WIDTH = 186
_SIDE = 240
_PAD_LEFT = 46
_PAD_BOTTOM = 44
_PAD_TOP = 12
_CELL = 30
_CELL_LABEL = 92


def interval_chart(rows: Sequence[tuple[str, Interval, bool]], *, as_percent: bool, title: str) -> str:
    """Horizontal bars with their 95 % intervals.

    Args:
        rows: label, score, and whether the bar is the run's own (in the accent colour).
        as_percent: scores are 0..1 and shown in per cent; else as they are.
        title: what the picture is called, for screen readers.

    Returns:
        The SVG.
    """
    top = 1.0 if as_percent else max(1e-9, *(score.high for _, score, _ in rows))
    width, height = _LABEL_WIDTH + _BAR_WIDTH + _VALUE_WIDTH, _ROW * len(rows) + 4
    parts = []
    for number, (label, score, is_own) in enumerate(rows):
        middle = _ROW * number + _ROW / 2 + 2
        start, end, low, high = (
            _LABEL_WIDTH + _BAR_WIDTH * min(1.0, max(0.0, value / top))
            for value in (0.0, score.value, score.low, score.high)
        )
        bar = "own" if is_own else "other"
        parts.append(
            f'<text x="{_LABEL_WIDTH - 8}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{escape(_short(label, 24))}</text>"
            f'<rect class="{bar}" x="{start:.1f}" y="{middle - 7:.1f}" width="{max(0.5, end - start):.1f}" '
            f'height="14" rx="2"/><line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle:.1f}" '
            f'y2="{middle:.1f}"/><text x="{max(end, high) + 8:.1f}" y="{middle + 4:.1f}">'
            f"{escape(format_score(score, as_percent=as_percent))}</text>"
        )
    return _svg(width, height, title, "".join(parts))


def format_score(score: Interval, *, as_percent: bool) -> str:
    """A score with its interval: "43.7 % (42.7 to 44.8)" or "7.78 (7.40 to 8.17)"."""
    if as_percent:
        return f"{100 * score.value:.1f} % ({100 * score.low:.1f} to {100 * score.high:.1f})"
    return f"{score.value:.2f} ({score.low:.2f} to {score.high:.2f})"


def reliability_chart(bins: Sequence[ReliabilityBin]) -> str:
    """Accuracy against confidence: calibrated bars end on the diagonal, darker ones hold more answers."""
    most = max(bin_.count for bin_ in bins)
    bars = []
    for bin_ in bins:
        left, right = _x(bin_.lower), _x(bin_.upper)
        shade = 0.25 + 0.75 * bin_.count / most
        bars.append(
            f'<rect class="own" opacity="{shade:.2f}" x="{left + 1:.1f}" y="{_y(bin_.accuracy):.1f}" '
            f'width="{right - left - 2:.1f}" height="{_y(0) - _y(bin_.accuracy):.1f}">'
            f"<title>confidence {bin_.lower:.0%} to {bin_.upper:.0%}: {bin_.count} answers, "
            f"{bin_.accuracy:.0%} right</title></rect>"
        )
    diagonal = f'<line class="guide" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
    return _square(
        "confidence", "right", "Reliability: share of right answers by confidence", "".join(bars) + diagonal
    )


def risk_chart(points: Sequence[tuple[float, float]]) -> str:
    """Share of wrong answers when only the surest are given, against how many are given."""
    path = " ".join(f"{_x(coverage):.1f},{_y(risk):.1f}" for coverage, risk in points)
    level = points[-1][1]
    guide = f'<line class="guide" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(level):.1f}" y2="{_y(level):.1f}"/>'
    curve = f'<polyline class="curve" points="{path}"/>'
    return _square("answered, surest first", "wrong", "Risk against coverage", guide + curve)


def confusion_chart(entries: Sequence[tuple[str, str, int]]) -> str:
    """Right answers in rows, given answers in columns, each row as shares."""
    rows = list(dict.fromkeys(right for right, _, _ in entries))
    columns = list(dict.fromkeys(given for _, given, _ in entries))
    totals = {right: sum(count for row, _, count in entries if row == right) or 1 for right in rows}
    parts = []
    for number, name in enumerate(columns):
        place = f"translate({_CELL_LABEL + _CELL * (number + 0.5) + 4:.1f} {_CELL_LABEL - 6}) rotate(-50)"
        parts.append(f'<text transform="{place}">{escape(_short(name, 11))}</text>')
    for number, name in enumerate(rows):
        middle = _CELL_LABEL + _CELL * (number + 0.5) + 4
        label = escape(_short(name, 11))
        parts.append(f'<text x="{_CELL_LABEL - 6}" y="{middle}" text-anchor="end">{label}</text>')
    for right, given, count in entries:
        x, y = _CELL_LABEL + _CELL * columns.index(given), _CELL_LABEL + _CELL * rows.index(right)
        parts.append(_cell(x, y, (right, given, count), count / totals[right]))
    width, height = _CELL_LABEL + _CELL * len(columns) + 40, _CELL_LABEL + _CELL * len(rows) + 4
    return _svg(width, height, "Right answers against given ones", "".join(parts))


def _cell(x: int, y: int, entry: tuple[str, str, int], share: float) -> str:
    """One square of the confusion chart, with its count where that is not 0."""
    right, given, count = entry
    kind = "own" if right == given else "wrong"
    square = (
        f'<rect class="{kind}" opacity="{0.06 + 0.94 * share:.2f}" x="{x + 1}" y="{y + 1}" '
        f'width="{_CELL - 2}" height="{_CELL - 2}"><title>{escape(right)} answered '
        f"{escape(given)}: {count}</title></rect>"
    )
    ink = ' class="on-dark"' if share > 0.5 else ""
    label = f'<text{ink} x="{x + _CELL / 2}" y="{y + _CELL / 2 + 4}" text-anchor="middle">{count}</text>'
    return square + (label if count else "")


def _x(share: float) -> float:
    return _PAD_LEFT + _SIDE * share


def _y(share: float) -> float:
    return _PAD_TOP + _SIDE * (1 - share)


def _square(x_label: str, y_label: str, title: str, content: str) -> str:
    """A square plot of shares with its axes."""
    ticks = "".join(
        f'<line class="grid" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(share):.1f}" y2="{_y(share):.1f}"/>'
        f'<text x="{_PAD_LEFT - 6}" y="{_y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        f'<text x="{_x(share):.1f}" y="{_y(0) + 18:.1f}" text-anchor="middle">{share:.0%}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    labels = (
        f'<text x="{_x(0.5):.1f}" y="{_y(0) + 38:.1f}" text-anchor="middle">{escape(x_label)}</text>'
        f'<text x="{_x(0) + 6}" y="{_y(1) + 14:.1f}">{escape(y_label)}</text>'
    )
    return _svg(_PAD_LEFT + _SIDE + 24, _PAD_TOP + _SIDE + _PAD_BOTTOM, title, ticks + content + labels)


def _svg(width: float, height: float, title: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'font-size="{_FONT}"><title>{escape(title)}</title>{content}</svg>'
    )


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
