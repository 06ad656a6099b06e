"""The frame of the command line: help, version, exit codes, and what is not loaded."""

import subprocess
import sys

import pytest

from gifqa.cli import main
from gifqa.errors import MediaError


def test_help_lists_the_commands(gifqa):
    outcome = gifqa("--help")

    assert outcome.code == 0
    for name in ("ask", "describe", "keyframes"):
        assert f" {name} " in outcome.out
    assert "Traceback" not in outcome.out + outcome.err


def test_version_is_that_of_the_package(gifqa):
    from importlib.metadata import version

    assert gifqa("--version") == (0, f"gifqa {version('gifqa')}\n", "")


@pytest.mark.parametrize("command", ["ask", "describe", "keyframes"])
def test_each_command_has_help_with_an_example(gifqa, command):
    outcome = gifqa(command, "--help")

    assert outcome.code == 0
    assert f"gifqa {command} " in outcome.out
    assert "cat.gif" in outcome.out
    assert "--max-megabytes" in outcome.out


def test_no_command_is_a_usage_error(gifqa):
    assert gifqa().code == 2


def test_an_unknown_command_is_a_usage_error_with_the_near_miss(gifqa):
    outcome = gifqa("aks", "cat.gif")

    assert outcome.code == 2
    assert "ask" in outcome.err and outcome.out == ""


def test_an_unknown_flag_is_a_usage_error(gifqa):
    outcome = gifqa("ask", "cat.gif", "what?", "--modle", "lite")

    assert outcome.code == 2
    assert "--model" in outcome.err


def test_a_command_without_its_module_is_not_shown(gifqa, monkeypatch):
    monkeypatch.setattr(main, "COMMANDS", (*main.COMMANDS, main.Command("nothere", "Not there.", "Ask")))

    assert "nothere" not in gifqa("--help").out
    assert gifqa("nothere").code == 2


@pytest.mark.parametrize(
    ("raised", "code", "stderr"),
    [
        (MediaError("cat.gif is\n  broken; mend it"), 1, "gifqa: cat.gif is broken; mend it\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_one_line_and_a_code(gifqa, monkeypatch, raised, code, stderr):
    def broken(*_, **__):
        raise raised

    monkeypatch.setattr("gifqa.cli.ask.make_qa", broken)

    assert gifqa("ask", "cat.gif", "what?") == (code, "", stderr)


def test_a_fault_of_the_program_is_not_hidden(gifqa, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("gifqa.cli.ask.make_qa", broken)
    with pytest.raises(ZeroDivisionError):
        gifqa("ask", "cat.gif", "what?")


@pytest.mark.parametrize("words", [["--help"], ["ask", "--help"], ["--version"], ["nothere"]])
def test_the_program_starts_without_the_heavy_packages(words):
    heavy = {
        "torch",
        "transformers",
        "faiss",
        "onnxruntime",
        "spacy",
        "PIL",
        "av",
        "numpy",
        "pyarrow",
        "httpx",
    }
    code = (
        "import sys\nfrom gifqa.cli.main import run\n"
        f"run({words!r})\nprint(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_python_m_gifqa_is_the_program():
    done = subprocess.run(
        [sys.executable, "-m", "gifqa", "--version"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("gifqa ")
