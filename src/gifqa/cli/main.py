"""`gifqa`: finds the sub-command, runs it, and turns errors into one line and an exit code.

    0 done    1 a GifQAError    2 usage    130 Ctrl-C

Only the module of the command that is run is imported, so that `gifqa --help` stays quick. A command whose
room is not installed is not shown.
"""

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gifqa.errors import GifQAError


@dataclass(frozen=True)
class Command:
    """Where a sub-command lives: the function `name` of `gifqa.cli.<name>`."""

    name: str
    summary: str
    panel: str

    @property
    def module(self) -> str:
        """Dotted name of the module."""
        return f"gifqa.cli.{self.name}"


COMMANDS = (
    Command("ask", "Ask about a GIF, an animation, an image or a short video.", "Ask"),
    Command("describe", "Say in a sentence what a GIF shows.", "Ask"),
    Command("keyframes", "Find the frames that a question is about.", "Ask"),
    Command("download", "Fetch the GIFs that a table of captions names by URL.", "Data"),
    Command("synthesize", "Make question-answer pairs from captions.", "Data"),
    Command("triples", "List who does what to whom in captions.", "Data"),
    Command("evaluate", "Score answers against references.", "Measure"),
    Command("compare", "Compare two sets of answers.", "Measure"),
    Command("train", "Train a model from a recipe.", "Model"),
    Command("export", "Turn a trained run into a bundle.", "Model"),
    Command("model", "Show what a model holds, check its files, push it.", "Model"),
)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what stands after `gifqa`; None takes it from `sys.argv`.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((word for word in words if not word.startswith("-")), None)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # what it would warn of, gifqa checks itself
    try:
        command = typer.main.get_command(build_app(chosen))
        command(args=words, prog_name="gifqa")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except GifQAError as error:
        return _report(error)
    except KeyboardInterrupt:
        return 130
    return 0


def build_app(chosen: str | None) -> typer.Typer:
    """The application, with the module of the command `chosen` loaded and only the summaries of the others.

    Raises:
        MissingExtra: if the module needs a package that is not installed.
    """
    app = typer.Typer(
        add_completion=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Ask questions about GIFs: offline on a CPU with the model it ships, or with a stronger one.",
    )
    app.callback()(_root)
    for command in COMMANDS:
        if command.name == chosen and _exists(command):
            _add(app, command, getattr(importlib.import_module(command.module), command.name))
        elif _exists(command):
            app.command(command.name, help=command.summary, rich_help_panel=command.panel)(_unloaded)
    return app


def _add(app: typer.Typer, command: Command, entry: Any) -> None:
    """Give the application a command, or a group of them, with its errors reported here."""
    if not isinstance(entry, typer.Typer):
        app.command(command.name, rich_help_panel=command.panel)(_guarded(entry))
        return
    group = typer.Typer(no_args_is_help=True, help=entry.info.help)
    for part in entry.registered_commands:
        if part.callback is not None:
            group.command(part.name)(_guarded(part.callback))
    app.add_typer(group, name=command.name, rich_help_panel=command.panel)


def _exists(command: Command) -> bool:
    return importlib.util.find_spec(command.module) is not None


def _print_version(wanted: bool) -> None:
    if wanted:
        import gifqa

        typer.echo(f"gifqa {gifqa.__version__}")
        raise typer.Exit()


def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """The flags before the command; the callback of `--version` has done its work by now."""


def _unloaded() -> None:
    """Stands for a command in the list of `--help`; only the chosen command is ever run."""


def _guarded(function: Callable[..., None]) -> Callable[..., None]:
    """The command, with its errors reported here: typer would turn Ctrl-C into exit code 1."""

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except GifQAError as error:
            raise typer.Exit(_report(error)) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(130) from error

    return guarded


def _report(error: GifQAError) -> int:
    """The error as one line on stderr; gives the exit code."""
    typer.echo(f"gifqa: {' '.join(str(error).split())}", err=True)
    return 1
