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


def test_a_judge_that_answers_nonsense_is_told_of(gifqa, data, tmp_path, monkeypatch):
    from gifqa.evaluation.judge import Exchange, RemoteJudge

    monkeypatch.setattr(RemoteJudge, "ask", lambda *_: Exchange("I like cats.", "judge-0613", 5))
    words = ("--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r")
    outcome = gifqa("evaluate", *words, "--judge", "http://127.0.0.1:9/v1#judge", "--judge-repeats", 2)
    assert outcome.code == 0
    assert "warning: 4 of 4 verdicts could not be read as yes or no and a score" in outcome.err
    assert "2 of 3 questions evaluated" in outcome.out


def test_a_judge_that_is_not_there_leaves_the_scores(gifqa, data, tmp_path):
    words = ("--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r")
    outcome = gifqa("evaluate", *words, "--judge", "http://127.0.0.1:9/v1#judge")
    assert outcome.code == 1
    assert "the judge judge at http://127.0.0.1:9/v1/ does not answer" in outcome.err
    assert (tmp_path / "r" / "results.json").is_file()


def annotate(data, change):
    """Change the rows of the annotations, each a list of fields, the header first."""
    path = data / "Test_frameqa_question.csv"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join("\t".join(row) + "\n" for row in change(rows)), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row[:5] + row[6:] for row in rows], "Test_frameqa_question.csv:1: the columns are"),
        (lambda rows: [*rows[:2], rows[2][:4], *rows[3:]], "Test_frameqa_question.csv:3: 4 fields"),
        (lambda rows: [*rows, rows[1]], "the id 'FRAMEQA1' stands at question 1 and at 4"),
        (lambda rows: [*rows[:-1], [*rows[-1][:4], "COUNT3", *rows[-1][5:]]], "does not begin with FRAMEQA"),
        (lambda rows: [*rows[:-1], [*rows[-1][:2], "", *rows[-1][3:]]], ":4: the answer is empty"),
    ],
    ids=["a column is missing", "a field is missing", "an id twice", "another benchmark's row", "no answer"],
)
def test_annotations_that_are_wrong_are_one_line_and_no_folder(gifqa, data, tmp_path, change, message):
    annotate(data, change)
    words = ("--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r")
    outcome = gifqa("evaluate", *words)
    assert outcome.code == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_further_columns_change_nothing(gifqa, data, tmp_path):
    annotate(data, lambda rows: [[*row, "more"] for row in rows])
    words = ("--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r")
    assert "2 of 3 questions evaluated" in gifqa("evaluate", *words).out


def test_the_folder_of_another_benchmark_is_named(gifqa, tmp_path):
    """HQGA calls the files of all its benchmarks test.csv."""
    text = "video,width,height,question,answer,qid\n1451,6,4,who runs,man,7\n"
    (tmp_path / "test.csv").write_text(text, encoding="utf-8")
    words = ("evaluate", "--data", tmp_path, "--baseline", "random", "-o", tmp_path / "r")
    outcome = gifqa(*words, "--benchmark", "next-qa")
    assert outcome.code == 1
    assert "as msvd-qa has them, not next-qa. Give --benchmark msvd-qa." in " ".join(outcome.err.split())


def test_media_that_cannot_be_decoded_are_counted_and_the_rest_is_evaluated(gifqa, data, tmp_path):
    (data / "green.gif").write_bytes(b"GIF89a, and nothing after it")
    words = ("--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r")
    outcome = gifqa("evaluate", *words)
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == (
        "tgif-qa/frameqa: 1 of 3 questions evaluated; 1 without media, listed in missing.txt, "
        "1 whose media or question could not be used"
    )


def test_empty_answers_are_counted_in_the_report(gifqa, data, tmp_path, fake_models):
    from gifqa.answering.base import Reply

    fake_models.answer = lambda *_, **__: Reply(text="", confidence=None)
    words = ("--benchmark", "tgif-qa/frameqa", "--data", data, "-m", "lite", "-o", tmp_path / "r")
    outcome = gifqa("evaluate", *words)
    assert outcome.code == 0
    assert "2 answers are empty and count as wrong" in outcome.out.splitlines()[0]


def test_a_stopped_run_is_compared_and_said_to_be_unfinished(gifqa, data, tmp_path, fake_models):
    common = ("evaluate", "--benchmark", "tgif-qa/frameqa", "--data", data, "--gallery", 0)
    gifqa(*common, "--baseline", "most-frequent", "-o", tmp_path / "floor")
    answer = fake_models.answer

    def stop_at_the_second(*words, **more):
        if fake_models.calls:
            raise KeyboardInterrupt
        return answer(*words, **more)

    fake_models.answer = stop_at_the_second
    assert gifqa(*common, "-m", "lite", "-o", tmp_path / "lite").code == 130
    outcome = gifqa("compare", tmp_path / "floor", tmp_path / "lite")
    assert outcome.code == 0
    assert "1 questions in both, 2 only in" in " ".join(outcome.out.split())
    assert f"{tmp_path / 'lite'} is unfinished" in outcome.out


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
