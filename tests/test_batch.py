"""Files of questions: what is written, what is skipped, and what survives a stop at any moment."""

import json

import pytest

from gifqa import GifQA
from gifqa.batch import MAX_MODEL_FAILURES, BatchReport, ask_file
from gifqa.errors import CheckpointError, ConfigError, RecordError


@pytest.fixture
def qa(colour_embedder, fake_answerer):
    return GifQA(encoder=colour_embedder, answerer=fake_answerer)


@pytest.fixture
def source(tmp_path, make_gif):
    """Questions about the three frames of one GIF, which lies beside the file."""
    make_gif(["red", "green", "blue"], name="clip.gif")
    return write(tmp_path / "in.jsonl", [question(colour) for colour in ("red", "green", "blue")])


def question(colour, **fields):
    return {"id": colour, "media": "clip.gif", "question": f"Is it {colour}?", **fields}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_line_gets_the_json_of_its_answer_and_its_id(qa, source, tmp_path):
    report = ask_file(qa, source, tmp_path / "out.jsonl", top_k=1)
    rows = read(tmp_path / "out.jsonl")

    assert report == BatchReport(answered=3, failed=0, skipped=0)
    assert [(row["id"], row["answer"]) for row in rows] == [
        (colour,) * 2 for colour in ("red", "green", "blue")
    ]
    expected = qa.ask(tmp_path / "clip.gif", "Is it blue?", top_k=1).to_dict()
    assert {**rows[2], "timings": None} == {"id": "blue", **expected, "timings": None}


def test_options_and_description_are_used(qa, tmp_path, make_gif):
    make_gif(["red", "green", "blue"], name="clip.gif")
    rows = [
        {"id": 1, "media": "clip.gif", "question": "green?", "options": ["red", "green"]},
        {"id": 2, "media": "clip.gif", "question": "what?", "description": "all blue", "options": None},
    ]
    ask_file(qa, write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl", top_k=1)

    assert [(row["id"], row["answer"]) for row in read(tmp_path / "out.jsonl")] == [(1, "green"), (2, "blue")]


def test_media_are_relative_to_the_file_wherever_it_is_run(qa, source, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    assert ask_file(qa, source, elsewhere / "out.jsonl").answered == 3


def test_absolute_paths_are_taken_as_they_are(qa, tmp_path, make_gif):
    path = make_gif(["red"])
    folder = tmp_path / "folder"
    folder.mkdir()
    source = write(folder / "in.jsonl", [{"id": 1, "media": str(path), "question": "red?"}])

    assert ask_file(qa, source, folder / "out.jsonl").answered == 1


def test_an_item_that_fails_gets_its_error_and_the_others_go_on(qa, tmp_path, make_gif):
    make_gif(["red"], name="clip.gif")
    rows = [
        {"id": 1, "media": "none.gif", "question": "red?"},
        {"id": 2, "media": "clip.gif", "question": " "},
        {"id": 3, "media": "clip.gif", "question": "red?", "options": ["red"]},
        {"id": 4, "media": "clip.gif", "question": "red?"},
    ]
    report = ask_file(qa, write(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    found = read(tmp_path / "out.jsonl")

    assert report == BatchReport(answered=1, failed=3, skipped=0)
    assert [set(row) for row in found[:3]] == [{"id", "error"}] * 3
    assert "does not exist" in found[0]["error"] and "question is empty" in found[1]["error"]
    assert found[3]["answer"] == "red"


def test_captions_need_no_question(qa, tmp_path, make_gif):
    make_gif(["red"], name="clip.gif")
    source = write(tmp_path / "in.jsonl", [{"id": 1, "media": "clip.gif"}])
    ask_file(qa, source, tmp_path / "out.jsonl", describe=True)

    assert read(tmp_path / "out.jsonl")[0]["answer"] == "a red screen"


def test_a_second_run_asks_nothing_again(qa, source, tmp_path, fake_answerer):
    ask_file(qa, source, tmp_path / "out.jsonl")
    before = (tmp_path / "out.jsonl").read_bytes()
    report = ask_file(qa, source, tmp_path / "out.jsonl")

    assert report == BatchReport(answered=0, failed=0, skipped=3)
    assert len(fake_answerer.calls) == 3
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_every_stop_within_the_output_resumes_to_the_same_file(qa, source, tmp_path, fake_answerer):
    """Cut anywhere, also within a character: what is whole is kept, what is not is asked again."""
    fake_answerer.colour_of = lambda keyframes, pixels: "röt"
    output = tmp_path / "out.jsonl"
    ask_file(qa, source, output)
    whole = output.read_bytes()

    def without_timings(data):
        return [{**json.loads(line), "timings": None} for line in data.splitlines()]

    for length in [*range(0, len(whole), 7), len(whole) - 1]:
        output.write_bytes(whole[:length])
        ask_file(qa, source, output)
        found = output.read_bytes()
        assert without_timings(found) == without_timings(whole)
        kept = whole[: whole[:length].rfind(b"\n") + 1]
        assert found.startswith(kept) and found.endswith(b"\n")


def test_a_whole_last_line_without_its_newline_is_kept(qa, source, tmp_path, fake_answerer):
    output = tmp_path / "out.jsonl"
    output.write_text('{"id": "red", "answer": "mine"}', encoding="utf-8")
    report = ask_file(qa, source, output)

    assert report.skipped == 1
    assert next(row["answer"] for row in read(output)) == "mine"
    assert len(read(output)) == 3


def test_lines_are_there_before_the_next_question_is_asked(qa, source, tmp_path, fake_answerer):
    output, lengths = tmp_path / "out.jsonl", []
    answer = fake_answerer.answer

    def spy(*args, **kwargs):
        lengths.append(len(read(output)))
        return answer(*args, **kwargs)

    fake_answerer.answer = spy
    ask_file(qa, source, output)

    assert lengths == [0, 1, 2]


def test_ctrl_c_loses_nothing(qa, source, tmp_path, fake_answerer):
    output, answer = tmp_path / "out.jsonl", fake_answerer.answer

    def interrupted(*args, **kwargs):
        if len(fake_answerer.calls) == 2:
            raise KeyboardInterrupt
        return answer(*args, **kwargs)

    fake_answerer.answer = interrupted
    with pytest.raises(KeyboardInterrupt):
        ask_file(qa, source, output)
    assert [row["id"] for row in read(output)] == ["red", "green"]

    fake_answerer.answer = answer
    assert ask_file(qa, source, output) == BatchReport(answered=1, failed=0, skipped=2)


def test_progress_counts_what_an_earlier_run_did(qa, source, tmp_path):
    ask_file(qa, write(tmp_path / "one.jsonl", [question("red")]), tmp_path / "out.jsonl")
    steps = []
    (tmp_path / "clip.gif").touch()
    ask_file(qa, source, tmp_path / "out.jsonl", on_progress=lambda done, total: steps.append((done, total)))

    assert steps == [(1, 3), (2, 3), (3, 3)]


def failing(answerer, calls):
    """Let the model fail at these calls, counted from 0."""
    answer, count = answerer.answer, iter(range(1000))

    def sometimes(*args, **kwargs):
        if next(count) in calls:
            raise CheckpointError("the server is down; start it")
        return answer(*args, **kwargs)

    answerer.answer = sometimes


def colours(tmp_path, count):
    return write(tmp_path / "in.jsonl", [question("red", id=number) for number in range(count)])


def test_a_failure_of_the_model_between_answers_is_a_failure_of_the_item(qa, source, tmp_path, fake_answerer):
    failing(fake_answerer, {1})
    report = ask_file(qa, source, tmp_path / "out.jsonl")

    assert report == BatchReport(answered=2, failed=1, skipped=0)
    assert read(tmp_path / "out.jsonl")[1] == {"id": "green", "error": "the server is down; start it"}


def test_a_model_that_keeps_failing_stops_the_run_and_loses_no_item(qa, source, tmp_path, fake_answerer):
    output = tmp_path / "out.jsonl"
    answer = fake_answerer.answer
    failing(fake_answerer, range(2, 100))
    with pytest.raises(CheckpointError, match="the server is down"):
        ask_file(qa, colours(tmp_path, 2 + MAX_MODEL_FAILURES + 5), output)
    assert [row["id"] for row in read(output)] == [0, 1]

    fake_answerer.answer = answer
    report = ask_file(qa, tmp_path / "in.jsonl", output)
    assert report == BatchReport(answered=MAX_MODEL_FAILURES + 5, failed=0, skipped=2)


def test_a_model_that_fails_the_last_item_leaves_it_for_the_next_run(qa, source, tmp_path, fake_answerer):
    failing(fake_answerer, {2})
    with pytest.raises(CheckpointError, match="the server is down"):
        ask_file(qa, source, tmp_path / "out.jsonl")

    assert ask_file(qa, source, tmp_path / "out.jsonl") == BatchReport(answered=1, failed=0, skipped=2)


def test_a_model_that_does_not_load_leaves_no_output(source, tmp_path, monkeypatch):
    def load(self):
        raise CheckpointError("the bundle is not there; install it")

    monkeypatch.setattr("gifqa.answering.models.Models._load_bundle", load)
    with pytest.raises(CheckpointError, match="the bundle is not there"):
        ask_file(GifQA(), source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", r"in.jsonl:2: this is no JSON object; each line must be one. Mend"),
        ("[1]", r"in.jsonl:2: this is no JSON object"),
        ("\xff", r"in.jsonl:2: this is no JSON object"),
        ('{"media": "a", "question": "b"}', r'in.jsonl:2: no "id" .*it has media, question. Add one'),
        ('{"id": true, "media": "a", "question": "b"}', r'in.jsonl:2: no "id" that is a string or a whole'),
        (
            '{"id": "red", "media": "a", "question": "b"}',
            r"in.jsonl:2: the id 'red' stands above already; ids",
        ),
        ('{"id": 1, "question": "b"}', r'in.jsonl:2: no "media" that is a string; it has id, question. Add'),
        ('{"id": 1, "media": "a"}', r'in.jsonl:2: no "question" that is a string'),
        ('{"id": 1, "media": "a", "question": 3}', r'in.jsonl:2: no "question" that is a string'),
        (
            '{"id": 1, "media": "a", "question": "b", "options": "c,d"}',
            r"options is 'c,d'; it must be a list",
        ),
        ('{"id": 1, "media": "a", "question": "b", "description": 1}', r'no "description" that is a string'),
        ("{}", r'in.jsonl:2: no "id" .*it has no field'),
    ],
)
def test_a_line_that_is_no_question_stops_the_run_before_it_begins(qa, tmp_path, make_gif, line, message):
    make_gif(["red"], name="clip.gif")
    source = tmp_path / "in.jsonl"
    source.write_bytes(json.dumps(question("red")).encode() + b"\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(RecordError, match=message):
        ask_file(qa, source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_blank_lines_are_skipped(qa, source, tmp_path):
    source.write_text("\n" + source.read_text(encoding="utf-8").replace("\n", "\n \n"), encoding="utf-8")

    assert ask_file(qa, source, tmp_path / "out.jsonl").answered == 3


def test_a_damaged_line_within_the_output_is_an_error_and_stays(qa, source, tmp_path):
    output = tmp_path / "out.jsonl"
    output.write_text('{"id": "red"}\n{"id": "gr\n{"id": "blue"}\n', encoding="utf-8")
    before = output.read_bytes()
    with pytest.raises(
        RecordError, match=r"out.jsonl:2: this is no JSON object; each line must be one. Mend"
    ):
        ask_file(qa, source, output)
    assert output.read_bytes() == before


def test_a_missing_input_is_an_error(qa, tmp_path):
    with pytest.raises(
        RecordError, match=r"none.jsonl cannot be read .*a JSONL file is needed. Check the path"
    ):
        ask_file(qa, tmp_path / "none.jsonl", tmp_path / "out.jsonl")


def test_an_output_that_cannot_be_written_is_an_error(qa, source, tmp_path):
    with pytest.raises(
        RecordError, match=r"out.jsonl cannot be written .*are kept. Make room or name another"
    ):
        ask_file(qa, source, tmp_path / "no" / "out.jsonl")


def test_the_output_may_not_be_the_input(qa, source):
    before = source.read_bytes()
    with pytest.raises(ConfigError, match=r"--batch and --output are both .*they must differ. Name another"):
        ask_file(qa, source, source.parent / "." / "in.jsonl")
    assert source.read_bytes() == before
