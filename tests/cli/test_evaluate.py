"""`gifqa evaluate` and `gifqa compare` from arguments to exit code, on the stand-in models."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("fake_models")
COLUMNS = ["gif_name", "question", "answer", "type", "vid_id", "key", "description"]


@pytest.fixture
def data(make_gif, tmp_path):
    """A folder with two coloured GIFs and TGIF-QA's annotations of three questions about them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for place, colour in enumerate(("red", "green")):
        shades = [tuple(level * (channel == place) for channel in range(3)) for level in (255, 220, 185)]
        make_gif(shades, name=f"{colour}.gif").rename(folder / f"{colour}.gif")
    rows = [
        ("red", "what is the color of it ?", "red", 2, "FRAMEQA1", 1, "it is red"),
        ("green", "what is the color of it ?", "green", 2, "FRAMEQA2", 2, "it is green"),
        ("gone", "where is it ?", "room", 3, "FRAMEQA3", 3, "it is in a room"),
    ]
    lines = ["\t".join(map(str, row)) for row in (COLUMNS, *rows)]
    (folder / "Test_frameqa_question.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_model_is_evaluated_and_the_coverage_stands_first(gifqa, data, tmp_path):
    outcome = gifqa(
        "evaluate", "--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r"
    )
    assert outcome.code == 0, outcome.err
    first = outcome.out.splitlines()[0]
    assert first == "tgif-qa/frameqa: 2 of 3 questions evaluated; 1 without media, listed in missing.txt"
    assert "100.0 %" in outcome.out
    assert (tmp_path / "r" / "report.html").is_file()


def test_json_is_what_results_json_holds(gifqa, data, tmp_path):
    run = tmp_path / "r"
    outcome = gifqa(
        "evaluate",
        "--benchmark",
        "tgif-qa/frameqa",
        "--data",
        data,
        "--baseline",
        "random",
        "-o",
        run,
        "--json",
    )
    assert json.loads(outcome.out) == json.loads((run / "results.json").read_text(encoding="utf-8"))


def test_two_runs_are_compared(gifqa, data, tmp_path):
    common = ("evaluate", "--benchmark", "tgif-qa/frameqa", "--data", data, "--gallery", 0)
    gifqa(*common, "--baseline", "most-frequent", "-o", tmp_path / "floor")
    gifqa(*common, "-m", "lite", "-o", tmp_path / "lite", "--beside", tmp_path / "floor")
    outcome = gifqa("compare", tmp_path / "floor", tmp_path / "lite")
    assert outcome.code == 0, outcome.err
    assert "2 questions in both" in outcome.out
    assert "McNemar" in outcome.out
    told = json.loads(gifqa("compare", tmp_path / "floor", tmp_path / "lite", "--json").out)
    assert told["shared"] == 2


def test_a_judge_is_asked_and_its_cost_told(gifqa, data, tmp_path, monkeypatch):
    from gifqa.evaluation.judge import Exchange, RemoteJudge

    monkeypatch.setattr(
        RemoteJudge, "ask", lambda *_: Exchange("{'pred': 'yes', 'score': 5}", "judge-0613", 500)
    )
    words = (
        "--benchmark",
        "tgif-qa/frameqa",
        "--data",
        data,
        "-m",
        "lite",
        "-o",
        tmp_path / "r",
        "--gallery",
        0,
    )
    judged = ("--judge", "http://127.0.0.1:9/v1#judge", "--judge-price", 2)
    outcome = gifqa("evaluate", *words, *judged, "--json")
    told = json.loads(outcome.out)["judge"]
    assert (told["tokens"], told["cost"], told["accuracy"]["value"]) == (1000, 0.002, 1.0)
    assert "agreement 100.0%" in gifqa("evaluate", *words, *judged).out
    assert "judge-0613" in (tmp_path / "r" / "report.md").read_text(encoding="utf-8")


def test_limits_of_media_can_be_raised_and_are_part_of_the_run(gifqa, data, tmp_path):
    words = ("--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r")
    outcome = gifqa("evaluate", *words, "--max-frames-scanned", 2)
    assert outcome.code == 1
    assert "none of 2 questions got an answer" in outcome.err
    assert "--max-frames-scanned" in outcome.err
    outcome = gifqa("evaluate", *words, "--max-frames-scanned", 5000)
    assert outcome.code == 1
    assert "holds another run (limits" in outcome.err


def test_ctrl_c_keeps_the_answers_and_says_how_to_go_on(gifqa, data, tmp_path, fake_models):
    def stop(*_, **__):
        raise KeyboardInterrupt

    fake_models.answer = stop
    outcome = gifqa(
        "evaluate", "--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r"
    )
    assert outcome.code == 130
    assert "answers so far are kept in" in outcome.err
    assert "the same command goes on from there" in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--benchmark", "tgif-qa/frame", "--baseline", "random"), 1, "Did you mean tgif-qa/frameqa?"),
        (("--benchmark", "tgif-qa/count", "--baseline", "random"), 1, "no annotations of tgif-qa/count"),
        (("--benchmark", "tgif-qa/frameqa"), 1, "neither --model nor --baseline was given"),
        (("--benchmark", "tgif-qa/frameqa", "--baseline", "random", "--limit", "0"), 2, "--limit"),
    ],
)
def test_mistakes_are_one_line(gifqa, data, tmp_path, words, code, message):
    outcome = gifqa("evaluate", *words, "--data", data, "-o", tmp_path / "r")
    assert outcome.code == code
    assert message in " ".join(outcome.err.split())


def test_annotations_are_asked_for(gifqa, tmp_path):
    outcome = gifqa("evaluate", "--benchmark", "mvbench", "--baseline", "random", "-o", tmp_path / "r")
    assert outcome.code == 2
    assert "give --annotations FILE, or --data DIR" in " ".join(outcome.err.replace("│", " ").split())


def test_a_folder_that_is_no_run_is_one_line(gifqa, tmp_path):
    outcome = gifqa("compare", tmp_path, tmp_path)
    assert outcome.code == 1
    assert "manifest.json is missing or damaged" in outcome.err
