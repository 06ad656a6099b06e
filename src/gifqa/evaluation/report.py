"""A run as one self-contained HTML page, as Markdown, and as a results file in the manner of lmms-eval.

DIR/report.html          headline beside the baselines, plots, gallery; opens offline, needs nothing
DIR/report.md            the tables
DIR/lmms_eval.json       {"results": {task: {"metric,none": value, "metric_stderr,none": ...}}, ...}
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gifqa.evaluation import plots
from gifqa.evaluation.gallery import Example, choose_rows, make_example
from gifqa.evaluation.manifest import read_manifest
from gifqa.evaluation.report_page import draw_page
from gifqa.evaluation.report_tables import MOST_GROUPS, is_share, judge_line, score_rows, title_of
from gifqa.evaluation.run import Evaluation

HTML, MARKDOWN, LMMS_EVAL = "report.html", "report.md", "lmms_eval.json"
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
    path.write_text(draw_page(evaluation, examples, judged), encoding="utf-8")
    return path


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
    made = []
    for place in chosen:
        prediction = answered[rows[place]]
        path = evaluation.paths[prediction.question.id]
        made.append(make_example(prediction, right[place] == 1.0, path, evaluation.config.limits))
    return [example for example in made if example is not None]


def _is_right(evaluation: Evaluation, row: int) -> bool:
    """For the mark in the gallery; a description is close from a ROUGE-L of one half."""
    value = evaluation.scores.values[row]
    if evaluation.benchmark.task == "count":
        return bool(value == 0)
    return bool(value >= (0.5 if evaluation.benchmark.task == "caption" else 1.0))


def _markdown(evaluation: Evaluation, judged: Mapping[str, Any] | None) -> str:
    headline = evaluation.scores.headline
    lines = [evaluation.summary, "", f"# {evaluation.benchmark.name}: {title_of(evaluation)}", ""]
    lines += [f"| | {headline} (95 % interval) | |", "|---|---|---|"]
    for name, score, _, note in score_rows(evaluation):
        lines.append(f"| {name} | {plots.format_score(score, as_percent=is_share(headline))} | {note} |")
    lines += ["", "| metric | value (95 % interval) |", "|---|---|"]
    for name, score in evaluation.scores.metrics.items():
        lines.append(f"| {name} | {plots.format_score(score, as_percent=is_share(name))} |")
    lines += ["", judge_line(judged)] if judged else []
    for heading, groups in (
        ("question type", evaluation.scores.by_kind),
        ("first word", evaluation.scores.by_first_word),
    ):
        if groups:
            lines += ["", f"| {heading} | questions | {headline} |", "|---|---|---|"]
            for group in groups[:MOST_GROUPS]:
                shown = plots.format_score(group.score, as_percent=is_share(headline))
                lines.append(f"| {group.name} | {group.count:,} | {shown} |")
    return "\n".join(lines) + "\n"
