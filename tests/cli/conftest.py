"""The command line in this process, on the stand-in models."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest


class Outcome(NamedTuple):
    """What a command left: its exit code and what it wrote."""

    code: int
    out: str
    err: str


@pytest.fixture
def gifqa(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`gifqa("ask", path, "What?") -> Outcome`."""
    from gifqa.cli.main import run

    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*words: Any) -> Outcome:
        capsys.readouterr()
        code = run([str(word) for word in words])
        return Outcome(code, *capsys.readouterr())

    return call


@pytest.fixture
def fake_models(monkeypatch: pytest.MonkeyPatch, colour_embedder: Any, fake_answerer: Any) -> Any:
    """Every `GifQA` answers by colour; gives the answerer, which remembers what it was asked."""
    from gifqa.answering.models import Models

    def stand_in(model: str, *, encoder: Any = None, answerer: Any = None, **settings: Any) -> Models:
        return Models(model, encoder=colour_embedder, answerer=fake_answerer, **settings)

    monkeypatch.setattr("gifqa.pipeline.Models", stand_in)
    return fake_answerer
