"""The examples of the documents run, on the stand-in models."""

import json
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", "docs/cli.md", "docs/python-api.md", "examples/README.md")
NEEDS_SHELL = (" < ", "| ")


def blocks(document, language):
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


COMMANDS = [
    line.partition("  #")[0].strip()
    for document in DOCUMENTS
    for block in blocks(document, "bash")
    for line in block.splitlines()
    if line.startswith("gifqa ") and not any(sign in line for sign in NEEDS_SHELL)
]
PROGRAMS = [block for document in DOCUMENTS for block in blocks(document, "python")]


@pytest.fixture
def in_a_folder_with_a_cat(make_gif, monkeypatch, tmp_path, fake_models):
    make_gif(["red", "green", "blue", "yellow", "white", "black"], name="cat.gif")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "questions.txt").write_text("What is it?\n", encoding="utf-8")
    line = '{"id": 1, "media": "cat.gif", "question": "What is it?"}\n'
    (tmp_path / "questions.jsonl").write_text(line, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def test_the_documents_have_examples():
    assert len(COMMANDS) > 15 and len(PROGRAMS) > 6


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("in_a_folder_with_a_cat")
def test_a_command_of_the_documents_runs(gifqa, command):
    outcome = gifqa(*shlex.split(command)[1:])

    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.usefixtures("in_a_folder_with_a_cat")
def test_a_program_of_the_documents_runs(program):
    exec(compile(program, "<document>", "exec"), {})


@pytest.mark.parametrize("document", [*DOCUMENTS, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_the_documents_lead_somewhere(document):
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{document} links {target}"


def test_the_json_of_the_documents_has_the_fields_of_an_answer(gifqa, make_gif, fake_models):
    (shown,) = blocks("docs/cli.md", "json")
    real = json.loads(gifqa("ask", make_gif(["red"]), "What?", "--json").out)

    assert list(json.loads(shown)) == list(real)
    assert list(json.loads(shown)["timings"]) == list(real["timings"])


def test_examples_are_small_and_described():
    described = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.gif"):
        assert path.stat().st_size <= 300_000, path.name
        assert f"`{path.name}`" in described
