"""A run as one self-contained HTML page, as Markdown, and as a results file in the manner of lmms-eval.

DIR/report.html          headline beside the baselines, plots, gallery; opens offline, needs nothing
DIR/report.md            the tables
DIR/lmms_eval.json       {"results": {task: {"metric,none": value, "metric_stderr,none": ...}}, ...}
"""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from gifqa.evaluation import plots
from gifqa.evaluation.gallery import Example, choose_rows, make_example
from gifqa.evaluation.manifest import read_manifest
from gifqa.evaluation.run import Evaluation
from gifqa.evaluation.statistics import Interval

HTML, MARKDOWN, LMMS_EVAL = "report.html", "report.md", "lmms_eval.json"
_NOT_SHARES = frozenset({"mse", "mse_clipped", "expected_mse", "cider_d", "cider"})
_MOST_GROUPS = 24
_INTERVAL_TO_ERROR = 2 * 1.96


def write_report(evaluation: Evaluation, judged: Mapping[str, Any] | None = None) -> Path:
    """Write the three files into the run's folder.

    Args:
        evaluation: from `run_evaluation`.
        judged: a judge's figures, shown under the scores.

    Returns:
        The path of the HTML page.
    """
    output = evaluation.config.output
    examples = _examples(evaluation)
    (output / MARKDOWN).write_text(_markdown(evaluation, judged), encoding="utf-8")
    (output / LMMS_EVAL).write_text(json.dumps(lmms_results(evaluation), indent=2) + "\n", encoding="utf-8")
    path = output / HTML
    path.write_text(_html(evaluation, examples, judged), encoding="utf-8")
    return path


def title_of(evaluation: Evaluation) -> str:
    """Who answered: the model, or the baseline, or both."""
    config = evaluation.config
    return " with ".join(part for part in (config.baseline, config.model) if part)


def lmms_results(evaluation: Evaluation) -> dict[str, Any]:
    """The scores in the shape of lmms-eval's `results.json`."""
    task = evaluation.benchmark.name.replace("tgif-qa/", "tgifqa_").replace("-", "_")
    results: dict[str, Any] = {"alias": task}
    for name, score in evaluation.scores.metrics.items():
        results[f"{name},none"] = score.value
        results[f"{name}_stderr,none"] = (score.high - score.low) / _INTERVAL_TO_ERROR
    manifest = read_manifest(evaluation.config.output)
    return {
        "results": {task: results},
        "configs": {task: {"task": task, "metadata": {"version": 1.0}, **evaluation.config.identity()}},
        "versions": {task: 1.0},
        "n-samples": {
            task: {"original": evaluation.coverage.questions, "effective": evaluation.coverage.answered}
        },
        "config": {"model": title_of(evaluation), "random_seed": evaluation.config.seed},
        "git_hash": None,
        "date": manifest.get("started"),
    }


def _examples(evaluation: Evaluation) -> list[Example]:
    """Cards for questions whose media are there."""
    answered = evaluation.answered
    rows = [row for row, prediction in enumerate(answered) if prediction.question.id in evaluation.paths]
    right = [float(_is_right(evaluation, row)) for row in rows]
    kinds = [answered[row].question.kind for row in rows]
    chosen = choose_rows(right, kinds, evaluation.config.gallery_size, evaluation.config.seed)
    made = [
        make_example(answered[rows[n]], right[n] == 1.0, evaluation.paths[answered[rows[n]].question.id])
        for n in chosen
    ]
    return [example for example in made if example is not None]


def _is_right(evaluation: Evaluation, row: int) -> bool:
    """For the mark in the gallery; a caption counts as right from a ROUGE-L of one half."""
    value = evaluation.scores.values[row]
    if evaluation.benchmark.task == "count":
        return bool(value == 0)
    return bool(value >= (0.5 if evaluation.benchmark.task == "caption" else 1.0))


def is_share(metric: str) -> bool:
    """Whether a metric is 0..1 and shown in per cent."""
    return metric not in _NOT_SHARES


def _score_rows(evaluation: Evaluation) -> list[tuple[str, Interval, bool, str]]:
    own = evaluation.scores.metrics[evaluation.scores.headline]
    rows = [(title_of(evaluation), own, True, f"{evaluation.coverage.answered:,} questions")]
    return rows + [(other.name, other.score, False, other.note) for other in evaluation.beside]


def _markdown(evaluation: Evaluation, judged: Mapping[str, Any] | None) -> str:
    headline = evaluation.scores.headline
    lines = [evaluation.summary, "", f"# {evaluation.benchmark.name}: {title_of(evaluation)}", ""]
    lines += [f"| | {headline} (95 % interval) | |", "|---|---|---|"]
    for name, score, _, note in _score_rows(evaluation):
        lines.append(f"| {name} | {plots.format_score(score, as_percent=is_share(headline))} | {note} |")
    lines += ["", "| metric | value (95 % interval) |", "|---|---|"]
    for name, score in evaluation.scores.metrics.items():
        lines.append(f"| {name} | {plots.format_score(score, as_percent=is_share(name))} |")
    lines += ["", _judge_line(judged)] if judged else []
    for heading, groups in (
        ("question type", evaluation.scores.by_kind),
        ("first word", evaluation.scores.by_first_word),
    ):
        if groups:
            lines += ["", f"| {heading} | questions | {headline} |", "|---|---|---|"]
            for group in groups[:_MOST_GROUPS]:
                shown = plots.format_score(group.score, as_percent=is_share(headline))
                lines.append(f"| {group.name} | {group.count:,} | {shown} |")
    return "\n".join(lines) + "\n"


def _html(evaluation: Evaluation, examples: Sequence[Example], judged: Mapping[str, Any] | None) -> str:
    room = files("gifqa.evaluation")
    style, script = (room.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    title = f"{evaluation.benchmark.name}: {title_of(evaluation)}"
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(evaluation.summary)}</p>",
        _headline_section(evaluation),
        f"<p>{escape(_judge_line(judged))}</p>" if judged else "",
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


def _judge_line(judged: Mapping[str, Any]) -> str:
    """The judge's figures in a sentence, with what makes them doubtful."""
    accuracy, score = (
        Interval(judged[name]["value"], *judged[name]["ci95"]) for name in ("accuracy", "score")
    )
    return (
        f"Judge {', '.join(judged['models'])}: {plots.format_score(accuracy, as_percent=True)} right, score "
        f"{plots.format_score(score, as_percent=False)} of 5; verdicts agree with each other in "
        f"{judged['agreement']:.0%}, {judged['unusable']} unusable, {judged['tokens']:,} tokens."
    )


def _headline_section(evaluation: Evaluation) -> str:
    headline = evaluation.scores.headline
    rows = _score_rows(evaluation)
    chart = plots.interval_chart(
        [(name, score, own) for name, score, own, _ in rows], as_percent=is_share(headline), title=headline
    )
    better = "lower is better" if "mse" in headline else "higher is better"
    notes = "".join(
        f"<li>{escape(name)}: {escape(note)}</li>" for name, _, own, note in rows if note and not own
    )
    table = "".join(
        f'<tr><td>{escape(name)}</td><td class="number">'
        f"{escape(plots.format_score(score, as_percent=is_share(name)))}</td></tr>"
        for name, score in evaluation.scores.metrics.items()
    )
    return (
        f"<h2>Scores</h2><div class=plots><figure><h3>{escape(headline)}</h3>{chart}<figcaption>{better}; in "
        f"brackets and as lines: 95 % bootstrap intervals over GIFs<ul>{notes}</ul></figcaption></figure>"
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
            shown = groups[:_MOST_GROUPS]
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
        ("Reliability", reliability, "on the dashed line, confidence means what it says; dark: many answers"),
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
    kinds = sorted({example.prediction.question.kind for example in examples})
    options = "".join(f'<option value="{escape(kind)}">{escape(kind)}</option>' for kind in kinds)
    menu = (
        '<select id="kind" aria-label="question type"><option value="all">all types</option>'
        f"{options}</select>"
    )
    buttons = "".join(
        f'<button type="button" data-verdict="{verdict}">{verdict}</button>'
        for verdict in ("all", "right", "wrong")
    )
    cards = "".join(_card(example) for example in examples)
    return (
        f'<h2>Examples</h2><div class="filters">{buttons}{menu if len(kinds) > 1 else ""}'
        f'<span id="shown" class="faint"></span></div><div class="cards">{cards}</div>'
    )


def _card(example: Example) -> str:
    prediction = example.prediction
    question = prediction.question
    verdict = "right" if example.is_right else "wrong"
    sure = (
        ""
        if prediction.confidence is None
        else f' <span class="faint">{prediction.confidence:.0%} sure</span>'
    )
    rows = [
        ("answer", f'{escape(prediction.text) or "(empty)"}{sure} <span class="verdict">{verdict}</span>')
    ]
    if question.answers:
        rows.insert(0, ("reference", escape(" / ".join(question.answers[:3]))))
    if question.options:
        rows.append(("options", escape(", ".join(question.options))))
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
    facts["missing media"] = evaluation.coverage.missing_media
    facts["empty answers"] = evaluation.coverage.empty
    rows = "".join(
        f'<tr><td>{escape(name)}</td><td class="wrap">{escape(str(value))}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    return f"<h2>What this was made from</h2><figure><table><tbody>{rows}</tbody></table></figure>"
