"""`gifqa evaluate`: a model or a baseline on a benchmark, with a report."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gifqa.cli.limits import with_limits
from gifqa.errors import GifQAError

if TYPE_CHECKING:
    from gifqa.evaluation.run import Evaluation, OnProgress
    from gifqa.limits import MediaLimits

_ANSWERER = "Who answers"
_RUN = "The run"
_JUDGE = "A judge (costs money with paid servers; never the only figure)"


class Engine(StrEnum):
    """Where questions are answered."""

    LOCAL = "local"
    POOL = "pool"
    RAY = "ray"


@with_limits
def evaluate(  # noqa: PLR0913  (each parameter is a flag)
    benchmark: Annotated[
        str,
        typer.Option(
            "--benchmark",
            metavar="NAME",
            help="tgif-qa/frameqa, /action, /transition, /count; msvd-qa, msrvtt-qa, activitynet-qa, "
            "next-qa, mvbench; own, captions, retrieval.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the run.")],
    *,
    annotations: Annotated[
        Path | None,
        typer.Option("--annotations", metavar="FILE", help="Published annotations: a file or their folder."),
    ] = None,
    media: Annotated[
        Path | None, typer.Option("--media", metavar="DIR", help="Folder with the GIFs or videos.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="One folder with both annotations and media."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="lite, a bundle's or checkpoint's folder, hf:ID-OR-FOLDER, or http(s)://HOST/v1#MODEL.",
            rich_help_panel=_ANSWERER,
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="NAME",
            help="random, most-frequent, most-frequent-per-kind, question-only; with --model: "
            "uniform-frames, top-frames, middle-frame, shuffled-frames, blank-frame, original-frames.",
            rich_help_panel=_ANSWERER,
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            "--train",
            metavar="FILE",
            help="Training annotations, for the baselines shown beside the score.",
            rich_help_panel=_ANSWERER,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder", metavar="hf:ID", help="Choose keyframes with this model.", rich_help_panel=_ANSWERER
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k", "-k", min=1, max=64, metavar="N", help="Keyframes.", rich_help_panel=_ANSWERER
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Draw N questions.", rich_help_panel=_RUN),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Of everything drawn.", rich_help_panel=_RUN)
    ] = 0,
    engine: Annotated[
        Engine,
        typer.Option("--engine", help="This process, a pool of processes, or Ray.", rich_help_panel=_RUN),
    ] = Engine.LOCAL,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=0, metavar="N", help="Processes; 0 is one a core.", rich_help_panel=_RUN
        ),
    ] = 0,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--beside",
            metavar="DIR",
            help="Another run to show beside this one; repeatable.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    gallery: Annotated[
        int,
        typer.Option(
            "--gallery",
            min=0,
            metavar="N",
            help="Examples in the report, pictures inside.",
            rich_help_panel=_RUN,
        ),
    ] = 48,
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="URL#MODEL",
            help="Also have an OpenAI-compatible server judge the answers, after Video-ChatGPT.",
            rich_help_panel=_JUDGE,
        ),
    ] = None,
    judge_repeats: Annotated[
        int, typer.Option("--judge-repeats", min=1, help="Verdicts an answer.", rich_help_panel=_JUDGE)
    ] = 1,
    judge_price: Annotated[
        float | None,
        typer.Option(
            "--judge-price", min=0, metavar="X", help="Price of a million tokens.", rich_help_panel=_JUDGE
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json.")] = False,
    limits: "MediaLimits",
) -> None:
    """Evaluate a model or a baseline on a benchmark.

    A run that was stopped goes on when the same command is given again.

    gifqa evaluate --benchmark tgif-qa/frameqa --data TGIF --model lite -o runs/lite

    gifqa evaluate --benchmark tgif-qa/count --data TGIF --train train.csv --baseline most-frequent -o runs/mf

    gifqa evaluate --benchmark own --annotations my.jsonl --media gifs -m lite --beside runs/mf -o runs/mine
    """
    from gifqa.engine import EngineConfig
    from gifqa.evaluation.config import EvaluationConfig
    from gifqa.evaluation.report import write_report
    from gifqa.evaluation.run import run_evaluation

    annotations, media = annotations or data, media or data
    if annotations is None:
        raise typer.BadParameter("give --annotations FILE, or --data DIR with annotations and media in it.")
    config = EvaluationConfig(
        benchmark=benchmark,
        annotations=annotations,
        output=output,
        media=media,
        model=model,
        baseline=baseline,
        train=train,
        encoder=encoder,
        top_k=top_k,
        limits=limits,
        limit=limit,
        seed=seed,
        engine=EngineConfig(kind=engine.value, workers=workers),
        beside=tuple(beside or ()),
        gallery_size=gallery,
    )
    try:
        evaluation = _with_progress(lambda report: run_evaluation(config, on_progress=report))
        judged = _judge(evaluation, judge, judge_repeats, judge_price) if judge else None
    except (KeyboardInterrupt, GifQAError):
        if (output / "shards").is_dir():
            typer.echo(
                f"gifqa: answers so far are kept in {output}; the same command goes on from there", err=True
            )
        raise
    if judged and judged["unusable"]:
        typer.echo(
            f"gifqa: warning: {judged['unusable']:,} of {judge_repeats * len(evaluation.answered):,} "
            "verdicts could not be read as yes or no and a score; they count as no and 0. "
            "Take another --judge.",
            err=True,
        )
    page = write_report(evaluation, judged)
    if as_json:
        typer.echo(json.dumps(evaluation.to_dict() | ({"judge": judged} if judged else {})))
    else:
        _print(evaluation, judged, page)


def _with_progress(work: "Any") -> "Any":
    """Run with a progress bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        report: OnProgress = lambda done, total: progress.update(task, completed=done, total=total)  # noqa: E731
        return work(report)


def _judge(evaluation: "Evaluation", server: str, repeats: int, price: float | None) -> dict[str, Any]:
    from gifqa.evaluation.judge import judge_answers, make_judge

    output = evaluation.config.output
    with make_judge(server) as judge:
        judgement = judge_answers(judge, evaluation.answered, output / "judge.jsonl", repeats=repeats)
    cost = {} if price is None else {"cost": judgement.tokens / 1_000_000 * price}
    return {**judgement.to_dict(), **cost}


def _print(evaluation: "Evaluation", judged: dict[str, Any] | None, page: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from gifqa.evaluation.plots import format_score
    from gifqa.evaluation.report_tables import is_share, title_of

    console = Console(highlight=False, markup=False, emoji=False)
    console.print(evaluation.summary, soft_wrap=True)
    table = Table("metric", title_of(evaluation), box=None)
    for name, score in evaluation.scores.metrics.items():
        table.add_row(name, format_score(score, as_percent=is_share(name)))
    for other in evaluation.beside:
        shown = format_score(other.score, as_percent=is_share(evaluation.scores.headline))
        table.add_row(f"  {other.name}", f"{shown} {other.note}")
    if judged:
        table.add_row("judge: yes", f"{judged['accuracy']['value']:.1%}, agreement {judged['agreement']:.1%}")
    console.print(table)
    console.print(f"report: {page}", soft_wrap=True)
