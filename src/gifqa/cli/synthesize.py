"""`gifqa synthesize`: captions become question-answer pairs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from gifqa.data.records import QARecord
    from gifqa.synthesis.review import Verdict
    from gifqa.synthesis.synthesize import Job, Outcome

_INPUT, _ASK, _KEEP, _RUN = "Input", "Questions", "Filters", "Run"


def _option(*names: str, help: str, panel: str, **more: Any) -> Any:
    return typer.Option(
        *names, help=help, rich_help_panel=panel, show_default=more.pop("show_default", True), **more
    )


def synthesize(  # noqa: PLR0913  (each parameter is a flag)
    captions: Annotated[
        str, typer.Argument(metavar="IN", help="Captions: TSV, CSV, JSONL or Parquet; - for standard input.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Pairs: .jsonl, .parquet, .csv, .tsv, or a folder."
        ),
    ],
    *,
    generator: Annotated[
        Literal["rules", "lm", "t5", "remote"],
        _option("--generator", help="Who words the questions.", panel=_ASK),
    ] = "rules",
    model: Annotated[
        str | None,
        _option(
            "--model", "-m", help="For lm, t5: id or folder. For remote: http://HOST/v1#MODEL.", panel=_ASK
        ),
    ] = None,
    style: Annotated[
        Literal["short", "full", "both"], _option("--style", help="Rules: short, or as TGIF-QA.", panel=_ASK)
    ] = "short",
    per_caption: Annotated[
        int, _option("--per-caption", min=0, help="At most so many pairs a caption; 0: all.", panel=_ASK)
    ] = 0,
    yes_no: Annotated[
        bool, _option("--yes-no/--no-yes-no", help="Yes/no pairs, balanced.", panel=_ASK)
    ] = True,
    temporal: Annotated[
        bool, _option("--temporal", help="Repetition and order, with options.", panel=_ASK)
    ] = False,
    summary: Annotated[
        bool, _option("--summary", help='"What is happening in the GIF?"', panel=_ASK)
    ] = False,
    triples: Annotated[bool, _option("--triples", help="Questions from triples too.", panel=_ASK)] = False,
    seed: Annotated[int, _option("--seed", help="Draws swaps, wordings, distractors.", panel=_ASK)] = 0,
    round_trip: Annotated[
        Literal["rules", "lm", "off"],
        _option("--round-trip", help="Who must find the answer again.", panel=_KEEP),
    ] = "rules",
    judge: Annotated[
        str | None, _option("--judge", help="Causal LM for --round-trip lm, --max-perplexity.", panel=_KEEP)
    ] = None,
    max_perplexity: Annotated[
        float | None, _option("--max-perplexity", help="Reject less likely questions.", panel=_KEEP)
    ] = None,
    all_answers: Annotated[
        bool, _option("--all-answers", help="Keep every answer to a question about a GIF.", panel=_KEEP)
    ] = False,
    unsafe_words: Annotated[
        Path | None,
        _option("--unsafe-words", help="File of words in place of the shipped list.", panel=_KEEP),
    ] = None,
    max_cost: Annotated[
        float | None, _option("--max-cost", help="Remote: stop at this cost.", panel=_ASK)
    ] = None,
    price: Annotated[
        float, _option("--price-per-million-tokens", help="Remote: to reckon the cost.", panel=_ASK)
    ] = 0.0,
    gif_column: Annotated[
        str | None, _option("--gif-column", help="Column of the GIF.", panel=_INPUT)
    ] = None,
    caption_column: Annotated[
        str | None, _option("--caption-column", help="Column of the caption(s).", panel=_INPUT)
    ] = None,
    kind: Annotated[
        Literal["jsonl", "csv", "tsv", "parquet"] | None,
        _option("--format", help="Of the input, where the extension does not tell.", panel=_INPUT),
    ] = None,
    delimiter: Annotated[str | None, _option("--delimiter", help="Of a csv.", panel=_INPUT)] = None,
    fractions: Annotated[
        str, _option("--fractions", help="Shares of train, val, test without a list.", panel=_INPUT)
    ] = "0.9,0.05,0.05",
    max_caption_words: Annotated[
        int, _option("--max-caption-words", min=2, help="Longer captions are rejected.", panel=_INPUT)
    ] = 80,
    split_lists: Annotated[
        Path | None, _option("--split-lists", help="Folder of TGIF's train/val/test.txt.", panel=_INPUT)
    ] = None,
    spacy: Annotated[str, _option("--spacy", help="spaCy pipeline.", panel=_RUN)] = "en_core_web_sm",
    engine: Annotated[
        Literal["local", "pool", "ray"], _option("--engine", help="Where it runs.", panel=_RUN)
    ] = "local",
    workers: Annotated[int, _option("--workers", min=0, help="Processes; 0: one a core.", panel=_RUN)] = 0,
    resume: Annotated[bool, _option("--resume", help="Go on with an unfinished run.", panel=_RUN)] = False,
    overwrite: Annotated[bool, _option("--overwrite", help="Replace what is there.", panel=_RUN)] = False,
    review: Annotated[
        bool, _option("--review", help="IN holds pairs: accept or reject each, here.", panel=_RUN)
    ] = False,
) -> None:
    """Make question-answer pairs from captions.

    gifqa synthesize tgif-v1.0.tsv -o qa.parquet --engine pool
    """
    if review:
        _review(Path(captions), output)
        return
    from gifqa.synthesis.config import SynthesisConfig
    from gifqa.synthesis.synthesize import synthesize as run

    words = None if unsafe_words is None else _read_words(unsafe_words)
    config = _checked(
        SynthesisConfig,
        generator=generator,
        model=model,
        style=style,
        per_caption=per_caption,
        yes_no=yes_no,
        temporal=temporal,
        summary=summary,
        triples=triples,
        seed=seed,
        spacy=spacy,
        round_trip=round_trip,
        judge=judge,
        max_perplexity=max_perplexity,
        one_answer=not all_answers,
        unsafe_words=words,
        fractions=_read_fractions(fractions),
        max_caption_words=max_caption_words,
        max_cost=max_cost,
        price_per_million_tokens=price,
    )
    reading = {
        "gif_column": gif_column,
        "caption_column": caption_column,
        "kind": kind,
        "delimiter": "\t" if delimiter == "\\t" else delimiter,
        "split_lists": split_lists,
    }
    job = _job(
        captions, output, reading, {"kind": engine, "workers": workers}, resume=resume, overwrite=overwrite
    )
    with _Progress() as progress:
        try:
            outcome = run(job, config, progress.update)
        except KeyboardInterrupt:
            typer.echo(f"stopped; what is done is in {job.work}. Go on with --resume.", err=True)
            raise
    _show(outcome)


def _job(
    captions: str,
    output: Path,
    reading: dict[str, Any],
    running: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
) -> "Job":
    from gifqa.engine import EngineConfig
    from gifqa.errors import ConfigError
    from gifqa.synthesis.partition import InputConfig
    from gifqa.synthesis.synthesize import Job

    if resume and overwrite:
        raise ConfigError(
            "--resume and --overwrite exclude each other; one goes on, one starts over. Give one."
        )
    return Job(
        source=None if captions == "-" else Path(captions),
        output=output,
        input=_checked(InputConfig, **reading),
        engine=_checked(EngineConfig, **running),
        mode="resume" if resume else "overwrite" if overwrite else "new",
    )


def _read_words(path: Path) -> tuple[str, ...]:
    from gifqa.errors import ConfigError

    try:
        return tuple(path.read_text(encoding="utf-8").lower().split())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read as a list of words ({error}); it is a text file. Check it."
        ) from error


def _read_fractions(text: str) -> tuple[float, ...]:
    from gifqa.errors import ConfigError

    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--fractions is {text!r}; three numbers are needed, such as 0.9,0.05,0.05."
        ) from error


def _checked(settings: Any, /, **values: Any) -> Any:
    """A config, with pydantic's complaint as one line."""
    from pydantic import ValidationError

    from gifqa.errors import ConfigError

    try:
        return settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {message}" if where else message) from error


class _Progress:
    """A bar on stderr while a run goes on; quiet when stderr is no terminal."""

    def __enter__(self) -> "_Progress":
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
        self._bar.start()
        self._task = self._bar.add_task("captions", total=None)
        self._kept = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int, summary: dict[str, Any]) -> None:
        """Called by the run for each shard."""
        self._kept += int(summary["kept"])
        self._bar.update(self._task, completed=done, total=total, description=f"{self._kept:,} pairs")


def _show(outcome: "Outcome") -> None:
    tally = outcome.tally
    typer.echo(
        f"{tally.kept:,} pairs from {tally.captions:,} captions of {tally.gifs:,} GIFs: {outcome.output}"
    )
    types = ", ".join(f"{kind} {count:,}" for kind, count in tally.types.most_common())
    typer.echo(f"  {types}")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.reasons.most_common(6))
    typer.echo(f"{tally.rejected:,} rejected: {outcome.rejected}\n  {reasons or 'none'}")
    typer.echo(f"report: {outcome.report}")
    bad = tally.reasons.get("input", 0)
    if bad:
        examples = tally.examples["input"]
        typer.echo(f"warning: {bad:,} rows of the input hold no caption, for example:", err=True)
        for _, row in examples:
            typer.echo(f"  {str(row['reason']).removeprefix('input: ')}", err=True)


def _review(pairs: Path, output: Path) -> None:
    from gifqa.synthesis.review import review

    counts = review(pairs, output, _ask)
    typer.echo(
        f"{counts.accepted} accepted, {counts.rejected} rejected, {counts.left} left; nothing else changed."
    )


def _ask(record: "QARecord", number: int) -> "tuple[Verdict, str]":
    typer.echo(f"\n{number}. {record.caption}\n   {record.question}  ->  {record.answer}")
    while True:
        try:
            reply = input("   [a]ccept, [r]eject and why, [s]kip, [q]uit: ").strip()
        except EOFError:
            return "quit", ""
        key, _, remark = reply.partition(" ")
        verdicts: dict[str, Verdict] = {"a": "accept", "r": "reject", "s": "skip", "q": "quit"}
        if key.lower()[:1] in verdicts:
            return verdicts[key.lower()[:1]], remark.strip()
