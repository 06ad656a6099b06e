"""Two runs against each other."""

import pytest

from gifqa.errors import ConfigError, RecordError
from gifqa.evaluation.compare import compare_runs
from gifqa.evaluation.run import run_evaluation


@pytest.fixture
def two_runs(config, make_qa, tmp_path):
    """The lite stand-in, and the most frequent answer, on the same six questions."""
    run_evaluation(config(output=tmp_path / "lite"), make_qa=make_qa)
    run_evaluation(config(output=tmp_path / "floor", baseline="most-frequent", model=None, media=None))
    return tmp_path / "floor", tmp_path / "lite"


def test_the_difference_its_tests_and_the_flips(two_runs):
    comparison = compare_runs(*two_runs)
    assert (comparison.shared, comparison.only_first, comparison.only_second) == (6, 0, 0)
    assert comparison.first_score == pytest.approx(2 / 6)
    assert comparison.second_score == pytest.approx(4 / 6)
    assert comparison.bootstrap.difference == comparison.mcnemar.difference == pytest.approx(2 / 6)
    assert comparison.mcnemar.p_value == pytest.approx(0.5)  # two coin flips alike, either way
    assert comparison.by_kind["colour"][:2] == (3, pytest.approx(2 / 3))
    assert {flip.id for flip in comparison.flips} == {"FRAMEQA3", "FRAMEQA4"}
    assert comparison.flips[0].gain == 1.0


def test_only_shared_questions_are_compared(config, make_qa, tmp_path, two_runs):
    run_evaluation(config(output=tmp_path / "part", limit=2), make_qa=make_qa)
    comparison = compare_runs(two_runs[1], tmp_path / "part")
    assert (comparison.shared, comparison.only_first, comparison.only_second) == (2, 4, 0)
    assert comparison.bootstrap.p_value == 1.0
    assert comparison.flips == ()


def test_counts_are_compared_by_their_squared_errors_without_mcnemar(config, write_table, tmp_path):
    columns, rows = "gif_name question answer vid_id key", [("g", "How many ?", 2, "COUNT1", 1)]
    path = write_table("c.csv", columns, rows)
    settings = {"benchmark": "tgif-qa/count", "annotations": path, "model": None, "media": None}
    for name, baseline in (("a", "random"), ("b", "most-frequent")):
        run_evaluation(config(output=tmp_path / name, baseline=baseline, **settings))
    comparison = compare_runs(tmp_path / "a", tmp_path / "b")
    assert comparison.headline == "mse"
    assert comparison.mcnemar is None
    assert comparison.second_score == 0.0


def test_runs_on_different_benchmarks_are_not_compared(config, write_table, tmp_path, two_runs):
    rows = [("g", "How many ?", 2, "COUNT1", 1)]
    path = write_table("c.csv", "gif_name question answer vid_id key", rows)
    run_evaluation(
        config(
            output=tmp_path / "count",
            benchmark="tgif-qa/count",
            annotations=path,
            baseline="random",
            model=None,
            media=None,
        )
    )
    with pytest.raises(ConfigError, match=r"is a run on tgif-qa/frameqa and .* one on tgif-qa/count"):
        compare_runs(two_runs[0], tmp_path / "count")


def test_runs_on_different_answers_are_not_compared(config, make_qa, frameqa, tmp_path, two_runs):
    frameqa.write_text(frameqa.read_text(encoding="utf-8").replace("wall", "room"), encoding="utf-8")
    run_evaluation(config(output=tmp_path / "other"), make_qa=make_qa)
    with pytest.raises(ConfigError, match=r"different right answers to 1 questions, 'FRAMEQA6' among them"):
        compare_runs(two_runs[0], tmp_path / "other")


def test_runs_without_a_shared_question_are_not_compared(config, make_qa, frameqa, tmp_path, two_runs):
    text = frameqa.read_text(encoding="utf-8").replace("FRAMEQA", "FRAMEQA9")
    frameqa.write_text(text, encoding="utf-8")
    run_evaluation(config(output=tmp_path / "other"), make_qa=make_qa)
    with pytest.raises(ConfigError, match=r"have no question in common \(6 and 6 answers\)"):
        compare_runs(two_runs[0], tmp_path / "other")


def test_a_folder_that_is_no_run_is_an_error(tmp_path, two_runs):
    with pytest.raises(RecordError, match=r"no run \(manifest.json is missing or damaged\)"):
        compare_runs(tmp_path, two_runs[0])
    (two_runs[0] / "predictions.jsonl").unlink()
    with pytest.raises(RecordError, match=r"predictions.jsonl: cannot be read"):
        compare_runs(*two_runs)
