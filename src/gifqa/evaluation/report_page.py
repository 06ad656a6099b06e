"""The report as one HTML page that opens offline: style, script and pictures are inside it."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from gifqa.evaluation import plots
from gifqa.evaluation.gallery import Example
from gifqa.evaluation.manifest import read_manifest
from gifqa.evaluation.report_tables import MOST_GROUPS, better, is_share, judge_line, score_rows, title_of
from gifqa.evaluation.run import Evaluation


def draw_page(evaluation: Evaluation, examples: Sequence[Example], judged: Mapping[str, Any] | None) -> str:
    """The page.

    Args:
        evaluation: a finished run.
        examples: cards of the gallery; none leaves it out.
        judged: a judge's figures, or None.

    Returns:
        HTML without a reference to anything outside it.
    """
    room = files("gifqa.evaluation")
    style, script = (room.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    title = f"{evaluation.benchmark.name}: {title_of(evaluation)}"
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(evaluation.summary)}</p>",
        _headline_section(evaluation),
        f"<p>{escape(judge_line(judged))}</p>" if judged else "",
        _group_section(evaluation),
        _confidence_section(evaluation),
        _confusion_section(evaluation),
        _gallery_section(examples),
        _facts_section(evaluation),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{''.join(body)}"
        f"<script>{script}</script></body></html>\n"
    )


def _headline_section(evaluation: Evaluation) -> str:
    headline = evaluation.scores.headline
    rows = score_rows(evaluation)
    chart = plots.interval_chart(
        [(name, score, own) for name, score, own, _ in rows], as_percent=is_share(headline), title=headline
    )
    notes = "".join(
        f"<li>{escape(name)}: {escape(note)}</li>" for name, _, own, note in rows if note and not own
    )
    table = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">'
        f"{escape(plots.format_score(score, as_percent=is_share(name)))}</td>"
        f'<td class="faint">{"" if better(name) == better("accuracy") else better(name)}</td></tr>'
        for name, score in evaluation.scores.metrics.items()
    )
    return (
        f"<h2>Scores</h2><div class=plots><figure><h3>{escape(headline)}</h3>{chart}<figcaption>"
        f"{better(headline)}; in brackets and as lines: 95 % bootstrap intervals over GIFs<ul>{notes}</ul>"
        "</figcaption></figure>"
        f"<figure><h3>All metrics</h3><table><tbody>{table}</tbody></table></figure></div>"
    )


def _group_section(evaluation: Evaluation) -> str:
    headline = evaluation.scores.headline
    figures = []
    for name, groups in (
        ("question type", evaluation.scores.by_kind),
        ("first word", evaluation.scores.by_first_word),
    ):
        if groups:
            shown = groups[:MOST_GROUPS]
            rows = [(f"{group.name} ({group.count:,})", group.score, True) for group in shown]
            chart = plots.interval_chart(rows, as_percent=is_share(headline), title=f"{headline} by {name}")
            rest = f"<figcaption>{len(groups) - len(shown)} rarer ones not shown</figcaption>"
            figures.append(
                f"<figure><h3>By {name}</h3>{chart}{rest if len(groups) > len(shown) else ''}</figure>"
            )
    return f"<h2>{escape(headline)} by group</h2><div class=plots>{''.join(figures)}</div>" if figures else ""


def _confidence_section(evaluation: Evaluation) -> str:
    scores = evaluation.scores
    if not scores.reliability:
        return ""
    reliability, risk = plots.reliability_chart(scores.reliability), plots.risk_chart(scores.risk_curve)
    figures = (
        (
            "Reliability",
            reliability,
            "on the dashed line, confidence means what it says; strong: many answers",
        ),
        ("Risk and coverage", risk, "wrong answers when only the surest are given; dashed: no ranking"),
    )
    drawn = "".join(
        f"<figure class=square><h3>{name}</h3>{chart}<figcaption>{caption}</figcaption></figure>"
        for name, chart, caption in figures
    )
    return f"<h2>Confidence</h2><div class=plots>{drawn}</div>"


def _confusion_section(evaluation: Evaluation) -> str:
    if not evaluation.scores.confusion:
        return ""
    chart = plots.confusion_chart(evaluation.scores.confusion)
    caption = "<figcaption>rows: right answer; columns: given answer</figcaption>"
    return f"<h2>Commonest answers</h2><figure>{chart}{caption}</figure>"


def _gallery_section(examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    words = _verdict_words(examples[0])
    kinds = sorted({example.prediction.question.kind for example in examples})
    options = "".join(f'<option value="{escape(kind)}">{escape(kind)}</option>' for kind in kinds)
    menu = (
        '<select id="kind" aria-label="question type"><option value="all">all types</option>'
        f"{options}</select>"
    )
    buttons = "".join(
        f'<button type="button" data-verdict="{verdict}">{word}</button>'
        for verdict, word in zip(("all", "right", "wrong"), ("all", *words), strict=True)
    )
    cards = "".join(_card(example) for example in examples)
    return (
        f'<h2>Examples</h2><div class="filters">{buttons}{menu if len(kinds) > 1 else ""}'
        f'<span id="shown" class="faint"></span></div><div class="cards">{cards}</div>'
    )


def _verdict_words(example: Example) -> tuple[str, str]:
    """What a good and a bad answer are called: no description is simply right."""
    tasks = {"caption": ("close", "far"), "retrieval": ("found", "missed")}
    return tasks.get(example.prediction.question.task, ("right", "wrong"))


def _card(example: Example) -> str:
    prediction = example.prediction
    question = prediction.question
    verdict = "right" if example.is_right else "wrong"
    word = _verdict_words(example)[0 if example.is_right else 1]
    sure = (
        ""
        if prediction.confidence is None
        else f' <span class="faint">{prediction.confidence:.0%} sure</span>'
    )
    rows = [("answer", f'{escape(prediction.text) or "(empty)"}{sure} <span class="verdict">{word}</span>')]
    if question.answers:
        rows.insert(0, ("reference", escape(" / ".join(question.answers[:3]))))
    if question.options:
        rows.append(("options", escape(" | ".join(question.options))))
    if question.span:
        rows.insert(0, ("shown at", f"{question.span[0]:.2f} to {question.span[1]:.2f} s"))
    terms = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows)
    strip = "".join(
        f'<figure><img src="{picture}" alt="">'
        f"<figcaption>{float(keyframe['pts_seconds']):.2f} s</figcaption></figure>"
        for picture, keyframe in zip(example.keyframes, prediction.keyframes, strict=False)
    )
    return (
        f'<article class="card {verdict}" data-verdict="{verdict}" data-kind="{escape(question.kind)}">'
        f'<img src="{example.clip}" alt="{escape(question.gif)}"><p class="question">'
        f"{escape(question.question) or 'Description'}</p><dl>{terms}</dl>"
        f'<div class="strip">{strip}</div></article>'
    )


def _facts_section(evaluation: Evaluation) -> str:
    manifest = read_manifest(evaluation.config.output)
    facts = {**manifest["run"], **manifest["versions"], "started": manifest["started"]}
    facts["limits"] = ", ".join(f"{name} {value}" for name, value in facts["limits"].items())
    facts["missing media"] = evaluation.coverage.missing_media
    facts["empty answers"] = evaluation.coverage.empty
    if evaluation.stage_seconds:
        stages = (f"{stage} {1000 * seconds:.1f}" for stage, seconds in evaluation.stage_seconds.items())
        facts["milliseconds a question, median"] = ", ".join(stages)
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="wrap">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    return f"<h2>What this was made from</h2><figure><table><tbody>{rows}</tbody></table></figure>"
