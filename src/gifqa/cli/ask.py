"""`gifqa ask`: one question, several, a dialogue, or a file of them."""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gifqa.cli.limits import with_limits
from gifqa.cli.options import Approach, Description, Encoder, Json, Model, NoCache, TopK, make_qa
from gifqa.cli.output import print_answer, print_json, print_warnings
from gifqa.errors import ConfigError, GifQAError, RecordError

if TYPE_CHECKING:
    from gifqa.answering.base import Answer
    from gifqa.limits import MediaLimits
    from gifqa.pipeline import GifQA

_PANEL = "Many questions"
_LEAVE = frozenset({"exit", "quit", ":q"})


@dataclass(frozen=True)
class _Request:
    """What every question of one run shares."""

    options: list[str] | None
    top_k: int | None
    description: str | None
    as_json: bool
    evidence: Path | None


@with_limits
def ask(  # noqa: PLR0913  (each parameter is a flag)
    media: Annotated[
        str | None,
        typer.Argument(
            metavar="MEDIA",
            help="A GIF, WebP, APNG, image or video: path, folder of frames, URL, or - for standard input.",
            show_default=False,
        ),
    ] = None,
    question: Annotated[
        str | None, typer.Argument(metavar="QUESTION", help="Without one, questions are read one by one.")
    ] = None,
    *,
    options: Annotated[
        str | None,
        typer.Option(
            "--options",
            metavar="A,B,C",
            help='Answers to choose from; or JSON: ["a, b", "c"].',
            show_default=False,
        ),
    ] = None,
    top_k: TopK = None,
    model: Model = "lite",
    encoder: Encoder = None,
    approach: Approach = "frames",
    description: Description = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Say what the GIF shows; no question.")
    ] = False,
    as_json: Json = False,
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", metavar="PNG", help="Draw the answer and its frames.", show_default=False),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            "--questions",
            metavar="FILE",
            help="Questions about MEDIA, one a line; - is standard input.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            "--batch",
            metavar="IN.jsonl",
            help='Lines {"id", "media", "question", "options"?}; needs --output.',
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            metavar="OUT.jsonl",
            help="Answers of --batch; a second run goes on where the first stopped.",
            show_default=False,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    no_cache: NoCache = False,
    limits: "MediaLimits",
) -> None:
    """Ask about a GIF, an animation, an image or a short video.

    gifqa ask cat.gif "What is the cat doing?" --evidence strip.png

    gifqa ask cat.gif "What animal is it?" --options cat,dog,horse --json

    gifqa ask --batch questions.jsonl --output answers.jsonl
    """
    request = _Request(_split_options(options), top_k, description, as_json, evidence)
    given = {
        "MEDIA": media is not None,
        "QUESTION": question is not None,
        "--questions": questions is not None,
        "--options": options is not None,
        "--evidence": evidence is not None,
        "--description": description is not None,
    }
    if media is None and batch is None and output is None:
        raise typer.BadParameter("give MEDIA and a question, or --batch and --output.")
    qa = make_qa(model, limits, encoder=encoder, no_cache=no_cache, approach=approach)
    if batch is not None or output is not None:
        _refuse(given, "--batch", *given)
        if batch is None or output is None:
            raise typer.BadParameter("--batch and --output go together; give both.")
        _ask_file(qa, batch, output, describe, top_k)
    elif describe:
        _refuse(given, "--describe", "QUESTION", "--questions", "--options", "--description")
        show_description(qa, media, top_k=top_k, as_json=as_json, evidence=evidence)
    elif question is not None:
        _refuse(given, "QUESTION", "--questions")
        _ask_once(qa, media, question, request)
    else:
        _refuse(given, "several questions", "--evidence")
        _ask_each(qa, media, _questions(media, questions), request)


def show_description(
    qa: "GifQA", media: Any, *, top_k: int | None, as_json: bool, evidence: Path | None
) -> None:
    """Describe the media, print the description and draw its frames if asked to."""
    _check_evidence(evidence)
    media = qa.open(media)
    answer = qa.describe(media, top_k)
    _show(answer, as_json)
    if evidence is not None:
        _draw(qa, media, "", answer, evidence)


def _ask_once(qa: "GifQA", media: Any, question: str, request: _Request) -> None:
    _check_evidence(request.evidence)
    media = qa.open(media)
    answer = qa.ask(media, question, request.options, request.top_k, request.description)
    _show(answer, request.as_json)
    if request.evidence is not None:
        _draw(qa, media, question, answer, request.evidence)


def _ask_each(qa: "GifQA", media: Any, questions: Iterable[str], request: _Request) -> None:
    """A dialogue: each question knows the earlier ones. One that fails is reported and the others go on."""
    chat = qa.chat(media)
    failure: GifQAError | None = None
    for question in questions:
        try:
            answer = chat.ask(question, request.options, request.top_k, request.description)
        except ConfigError as error:
            failure = error
            typer.echo(f"gifqa: {error}", err=True)
        else:
            _show(answer, request.as_json)
    if failure is not None:
        raise typer.Exit(1)


def _ask_file(qa: "GifQA", source: Path, output: Path, describe: bool, top_k: int | None) -> None:
    """Answer a file with a progress bar on stderr, and say at the end what became of its lines."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from gifqa.batch import ask_file

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def on_progress(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        try:
            report = ask_file(qa, source, output, describe=describe, top_k=top_k, on_progress=on_progress)
        except KeyboardInterrupt:
            typer.echo(
                f"gifqa: stopped; {output} is whole, and the same command goes on from there", err=True
            )
            raise
    typer.echo(
        f"{report.answered} answered, {report.failed} with an error, {report.skipped} done before: {output}",
        err=True,
    )


def _show(answer: "Answer", as_json: bool) -> None:
    if as_json:
        print_json(answer.to_dict())
    else:
        print_answer(answer)
        print_warnings(answer.warnings)


def _check_evidence(path: Path | None) -> None:
    """Refuse a picture that cannot be written before anything is answered."""
    if path is not None:
        from gifqa.evidence import check_target

        check_target(path, ".png")


def _draw(qa: "GifQA", media: Any, question: str, answer: "Answer", path: Path) -> None:
    from gifqa.evidence import draw_strip, write_png

    pixels = qa.pixels(media, answer.keyframes)
    write_png(draw_strip(pixels, answer.keyframes, question, answer.text, answer.confidence), path)


def _questions(media: str | None, file: Path | None) -> Iterator[str]:
    """The lines of a file or of standard input that are not blank; a prompt if that is a terminal."""
    if file is not None and str(file) != "-":
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise RecordError(
                f"{file} cannot be read ({reason}); questions are a text file, one a line. Check the path."
            ) from error
        yield from filter(str.strip, text.splitlines())
        return
    if media == "-":
        raise typer.BadParameter("standard input is MEDIA already; give a QUESTION or --questions FILE.")
    if not sys.stdin.isatty():
        try:
            yield from filter(str.strip, sys.stdin)
        except UnicodeDecodeError as error:
            raise RecordError(
                "standard input is not UTF-8; questions are text, one a line. Convert it."
            ) from error
        return
    typer.echo("Ask; an empty line or Ctrl-D ends.", err=True)
    while (line := _prompt()).strip() and line.strip() not in _LEAVE:
        yield line


def _prompt() -> str:
    """A line from the terminal; what is printed for it stays out of answers that go elsewhere."""
    is_shown = sys.stdout.isatty()
    if not is_shown:
        typer.echo("? ", nl=False, err=True)
    try:
        return input("? " if is_shown else "")
    except EOFError:
        typer.echo(err=True)
        return ""


def _split_options(text: str | None) -> list[str] | None:
    """`a,b,c` or a JSON list of strings, for options with commas in them."""
    if text is None:
        return None
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except ValueError as error:
            raise typer.BadParameter(f'{text!r} is no JSON list; write a,b,c or ["a", "b"].') from error
        if all(isinstance(value, str) for value in values):
            return list(values)
        raise typer.BadParameter(f'{text!r} holds more than strings; write a,b,c or ["a", "b"].')
    return text.split(",")


def _refuse(given: dict[str, bool], beside: str, *names: str) -> None:
    """A usage error for what makes no sense beside another flag."""
    for name in names:
        if given[name] and name != beside:
            raise typer.BadParameter(f"{name} does not go with {beside}; leave one of them out.")
