"""`examples/evaluate.ipynb` runs from top to bottom, on the stand-in models."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "evaluate.ipynb"


@pytest.fixture
def stand_in_models(monkeypatch, colour_embedder, fake_answerer):
    from gifqa.answering.models import Models

    def models(model, *, encoder=None, answerer=None, **settings):
        return Models(model, encoder=colour_embedder, answerer=fake_answerer, **settings)

    monkeypatch.setattr("gifqa.pipeline.Models", models)


def test_the_stored_outputs_are_those_of_one_run_of_the_shipped_model():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if "outputs" in cell]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "execute_result"}
    text = "".join(line for output in outputs for line in output.get("text", []))
    assert text.count("24 of 24 questions evaluated") >= 2
    assert "| lite |" in text
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.usefixtures("stand_in_models")
def test_every_cell_of_the_notebook_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.mkdtemp", lambda: str(tmp_path))
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), names)
    assert names["seeing"].coverage.answered == 24
    assert names["blind"].scores.metrics["accuracy"].value < 1
    assert names["retrieval"].scores.metrics["segment_recall"].value == 1.0
    assert (tmp_path / "runs" / "model" / "report.html").is_file()
    assert "tgif-qa/frameqa: 24 of 24 questions evaluated" in capsys.readouterr().out
