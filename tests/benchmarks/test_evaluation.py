"""The evaluation room measured: published rows from tiny files, and what the harness costs."""

import json

import pytest


@pytest.fixture
def files(tmp_path):
    """TGIF-QA's files of two parts: action with its training file, transition without."""
    columns = "gif_name\tquestion\ta1\ta2\ta3\ta4\ta5\tanswer\tvid_id\tkey"
    rows = [
        "g\tWhat does it do ?\trun\tjump\tnod\twink\twave\t0\t{0}1\t1",
        "h\tWhat does it do ?\tsit\trun\teat\tsing\tfall\t1\t{0}2\t2",
    ]
    for name, prefix in (("Test_action", "ACTION"), ("Train_action", "ACTION"), ("Test_transition", "TRANS")):
        text = "\n".join([columns, *(row.format(prefix) for row in rows)]) + "\n"
        (tmp_path / f"{name}_question.csv").write_text(text, encoding="utf-8")
    return tmp_path


def test_rows_say_what_they_were_counted_from_and_what_is_left_out(files, run_script, tmp_path):
    out = run_script("evaluation", "rows", "--tgif", files, "--json", tmp_path / "rows.json")
    rows = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    found = {(row["part"], row["baseline"]): row for row in rows}
    assert found["action", "most-frequent"]["ours"] == pytest.approx(100.0)
    assert found["action", "random"]["ours"] == pytest.approx(20.0)
    assert "TEST file" not in found["action", "most-frequent"]["definition"]
    assert found["transition", "most-frequent"]["definition"].endswith(
        "of the TEST file, for want of the training file"
    )
    assert "left out: transition, question-only: no training file" in out
    assert "left out: count, most-frequent: no test file" in out


@pytest.fixture
def stand_in_model(script, monkeypatch, colour_embedder, fake_answerer):
    from gifqa.pipeline import GifQA

    def load(model):
        return GifQA(model, encoder=colour_embedder, answerer=fake_answerer)

    monkeypatch.setattr(script("evaluation"), "GifQA", load)


@pytest.mark.usefixtures("stand_in_model")
def test_the_cost_of_a_run_and_of_a_question_are_told_apart(run_script, make_gif, tmp_path):
    make_gif(["red", "blue"], name="a.gif")
    lines = [{"gif": "a.gif", "question": f"What colour is it, {n}?", "answer": "red"} for n in range(8)]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    words = ("--annotations", path, "--media", tmp_path, "--limit", 8, "--repeats", 2)
    out = run_script("evaluation", "overhead", *words, "--json", tmp_path / "o.json")
    results = json.loads((tmp_path / "o.json").read_text(encoding="utf-8"))
    for clock in ("processor", "clock"):
        found = results[clock]
        few, many = found["outside_seconds"].values()
        line = found["fixed_seconds"] + 8 * found["seconds_a_question"]
        assert line == pytest.approx(many)
        assert found["share"] == pytest.approx(many / (8 * found["model_seconds_a_question"]))
        assert few > 0
    assert "8 questions" in out
