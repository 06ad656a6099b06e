"""`gifqa download`: the GIFs of a table, by URL."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gifqa.data.download import DownloadConfig
from gifqa.limits import FLAGS, MediaLimits

if TYPE_CHECKING:
    from gifqa.data.links import LinkTable

_INPUT, _RUN, _LIMITS = "Input", "Run", "Limits"
_MEGABYTE = 2**20
_RUNS, _DEFAULTS = DownloadConfig(), MediaLimits()
_MISSING = ("dead", "still", "too large", "no media", "refused", "failed")


def download(  # noqa: PLR0913  (each parameter is a flag)
    table: Annotated[
        Path,
        typer.Argument(metavar="IN", help="A URL and a caption a row: TSV (TGIF's), CSV, JSONL, Parquet."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the GIFs; gone on with.")
    ],
    *,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Only the first N GIFs; 0: all.", rich_help_panel=_INPUT)
    ] = 0,
    split_lists: Annotated[
        Path | None,
        typer.Option("--split-lists", help="Folder of TGIF's train/val/test.txt.", rich_help_panel=_INPUT),
    ] = None,
    gif_column: Annotated[
        str | None, typer.Option("--gif-column", help="Column of the URL.", rich_help_panel=_INPUT)
    ] = None,
    caption_column: Annotated[
        str | None, typer.Option("--caption-column", help="Column of the caption(s).", rich_help_panel=_INPUT)
    ] = None,
    kind: Annotated[
        Literal["jsonl", "csv", "tsv", "parquet"] | None,
        typer.Option("--format", help="Of IN, where the extension does not tell.", rich_help_panel=_INPUT),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", help="Of a csv.", rich_help_panel=_INPUT)
    ] = None,
    rate: Annotated[
        float,
        typer.Option("--rate", min=0.01, max=100, help="Requests a second to a host.", rich_help_panel=_RUN),
    ] = _RUNS.rate,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, max=64, help="Downloads at a time.", rich_help_panel=_RUN)
    ] = _RUNS.jobs,
    tries: Annotated[
        int,
        typer.Option("--tries", min=1, max=10, help="Of a URL that does not answer.", rich_help_panel=_RUN),
    ] = _RUNS.max_tries,
    retry_missing: Annotated[
        bool,
        typer.Option("--retry-missing", help="Fetch what was dead, still ... again.", rich_help_panel=_RUN),
    ] = False,
    max_megabytes: Annotated[
        float,
        typer.Option(FLAGS["max_bytes"], min=0.001, help="Size of a GIF, in MiB.", rich_help_panel=_LIMITS),
    ] = _DEFAULTS.max_bytes / _MEGABYTE,
    max_seconds: Annotated[
        float,
        typer.Option(
            FLAGS["url_timeout_seconds"], min=0.1, help="Seconds of a download.", rich_help_panel=_LIMITS
        ),
    ] = _DEFAULTS.url_timeout_seconds,
    max_redirects: Annotated[
        int,
        typer.Option(FLAGS["max_redirects"], min=0, help="Redirects of a download.", rich_help_panel=_LIMITS),
    ] = _DEFAULTS.max_redirects,
) -> None:
    """Fetch the GIFs that a table of captions names by URL, into a folder that `gifqa train` reads.

    gifqa download tgif-v1.0.tsv -o data/clips --split-lists TGIF-Release/data/splits --limit 1000
    """
    from gifqa.data.captions import CaptionColumns
    from gifqa.data.download import download as run
    from gifqa.data.links import read_links
    from gifqa.data.tgif import read_split_lists

    found = read_links(
        table,
        CaptionColumns(gif_column, caption_column),
        kind=kind,
        delimiter="\t" if delimiter == "\\t" else delimiter,
        split_lists=None if split_lists is None else read_split_lists(split_lists),
    )
    limits = MediaLimits(
        max_bytes=round(max_megabytes * _MEGABYTE),
        url_timeout_seconds=max_seconds,
        max_redirects=max_redirects,
    )
    config = DownloadConfig(rate=rate, jobs=jobs, max_tries=tries, retry_missing=retry_missing, limits=limits)
    links = found.links[: limit or None]
    with _Progress() as progress:
        try:
            report = run(links, output, config, on_progress=progress.update)
        except KeyboardInterrupt:
            typer.echo(f"stopped; what is done is in {output}. The same command goes on.", err=True)
            raise
    _show(report, found, output)


class _Progress:
    """A bar on stderr while a run goes on; quiet when stderr is no terminal."""

    def __enter__(self) -> "_Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("GIFs", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int, counts: Mapping[Any, int]) -> None:
        """Called by the run for each link."""
        missing = sum(counts[status] for status in _MISSING)
        self._bar.update(
            self._task, completed=done, total=total, description=f"{counts['ok']:,} here, {missing:,} not"
        )


def _show(report: Mapping[str, Any], found: "LinkTable", output: Path) -> None:
    from gifqa.data.downloads import MISSING, REPORT

    typer.echo(
        f"{report['ok']:,} of {report['links']:,} GIFs are in {output}, {report['bytes'] / 1e6:,.1f} MB"
    )
    reasons = ", ".join(f"{report[status]:,} {status}" for status in _MISSING if report[status])
    if reasons:
        typer.echo(f"  {reasons}: {output / MISSING}")
    splits = ", ".join(f"{split} {counts.get('ok', 0):,}" for split, counts in report["splits"].items())
    typer.echo(f"  {splits}\nreport: {output / REPORT}")
    if report["failed"]:
        typer.echo(f"{report['failed']:,} did not answer; the same command tries them again.", err=True)
    if found.bad_rows:
        typer.echo(f"warning: {len(found.bad_rows):,} rows hold no URL and caption, for example:", err=True)
        typer.echo(f"  {found.bad_rows[0]}", err=True)
