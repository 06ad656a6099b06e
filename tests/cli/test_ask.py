"""`gifqa ask` from arguments to exit code, on the stand-in models."""

import io
import json
import re
import sys

import pytest
from PIL import Image

pytestmark = pytest.mark.usefixtures("fake_models")
THREE = ["red", "green", "blue"]


class Standard(io.TextIOWrapper):
    """Standard input as a pipe or as a terminal."""

    def __init__(self, data, *, is_terminal=False):
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def stdin(monkeypatch):
    def give(data, **settings):
        monkeypatch.setattr(sys, "stdin", Standard(data, **settings))

    return give


def test_the_answer_stands_first_then_what_it_rests_on(gifqa, make_gif):
    outcome = gifqa("ask", make_gif(THREE, 200), "Is it green?", "--top-k", 1)
    lines = outcome.out.splitlines()

    assert (outcome.code, outcome.err) == (0, "")
    assert lines[0] == "green"
    assert lines[1].split() == ["confidence", "75%,", "then", "red", "4%,", "blue", "4%,", "yellow", "4%"]
    assert lines[2].split() == ["keyframes", "at", "0.20", "s,", "of", "3", "frames", "in", "0.60", "s"]
    assert lines[3].split()[:3] == ["model", "fake", "1.0,"]
    assert len(lines) == 4


def test_json_is_one_object_on_one_line(gifqa, make_gif):
    outcome = gifqa("ask", make_gif(THREE), "Is it green?", "-k", 1, "--json")
    value = json.loads(outcome.out)

    assert (outcome.code, outcome.err, outcome.out.count("\n")) == (0, "", 1)
    assert value["answer"] == "green"
    assert value["keyframes"][0]["index"] == 1
    assert set(value) == {"answer", "confidence", "alternatives", "keyframes", "model", "timings", "warnings"}


@pytest.mark.parametrize("text", ["red,green, blue", '["red", "green", "blue"]'])
def test_options_are_a_list(gifqa, make_gif, fake_models, text):
    assert gifqa("ask", make_gif(["green"]), "What is it?", "--options", text).out.startswith("green\n")
    assert fake_models.calls[0]["options"] == ("red", "green", "blue")


@pytest.mark.parametrize("text", ['["red"', "[1, 2]"])
def test_options_that_are_broken_json_are_a_usage_error(gifqa, make_gif, text):
    assert gifqa("ask", make_gif(["green"]), "What is it?", "--options", text).code == 2


def test_one_option_is_an_error(gifqa, make_gif):
    outcome = gifqa("ask", make_gif(["green"]), "What is it?", "--options", "red")

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "gifqa: 1 option given; a choice needs 2 to 100. Give more, fewer or none.\n"


def test_evidence_is_a_picture_of_the_keyframes(gifqa, make_gif, tmp_path):
    strip = tmp_path / "strip.png"
    outcome = gifqa("ask", make_gif(THREE), "red or blue?", "--top-k", 2, "--evidence", strip)

    assert outcome.code == 0
    with Image.open(strip) as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**20)}
    assert {(255, 0, 0), (0, 0, 255)} <= colours
    assert (0, 255, 0) not in colours


@pytest.mark.parametrize(
    ("name", "message"),
    [("strip.jpg", "does not end in .png"), ("none/strip.png", "the folder .*none does not exist. Make it")],
)
def test_evidence_with_no_place_is_refused_before_anything_is_answered(
    gifqa, make_gif, fake_models, tmp_path, name, message
):
    """The answer was worked out first, and the picture then missing."""
    outcome = gifqa("ask", make_gif(["red"]), "What?", "--evidence", tmp_path / name)

    assert (outcome.code, outcome.out, fake_models.calls) == (1, "", [])
    assert outcome.err.count("\n") == 1 and re.search(message, outcome.err)


def test_evidence_that_cannot_be_written_does_not_lose_the_answer(gifqa, make_gif, tmp_path):
    (tmp_path / "strip.png").mkdir()
    outcome = gifqa("ask", make_gif(["red"]), "What?", "--evidence", tmp_path / "strip.png")

    assert outcome.code == 1
    assert outcome.out.startswith("red\n")
    assert outcome.err.count("\n") == 1 and "cannot be written" in outcome.err
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".tmp")] == ["strip.png"]


def test_media_come_from_standard_input(gifqa, make_gif, stdin, tmp_path):
    stdin(make_gif(["blue"]).read_bytes())
    outcome = gifqa("ask", "-", "What colour?", "--evidence", tmp_path / "strip.png")

    assert (outcome.code, outcome.out.splitlines()[0]) == (0, "blue")
    assert (tmp_path / "strip.png").exists()


def test_a_still_image_has_no_times(gifqa, tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "still.png")

    assert "the only frame" in gifqa("ask", tmp_path / "still.png", "What?").out


def test_warnings_go_to_stderr_or_into_the_json(gifqa, make_gif):
    path = make_gif(THREE)
    plain = gifqa("ask", path, "red\x07?")
    as_json = gifqa("ask", path, "red\x07?", "--json")

    assert "warning: 1 control character taken out of the question\n" in plain.err
    assert as_json.err == ""
    assert "1 control character taken out of the question" in json.loads(as_json.out)["warnings"]


def test_text_of_the_model_is_not_read_as_markup(gifqa, make_gif, fake_models):
    fake_models.colour_of = lambda *_: "[bold]red[/bold] :smile:"
    outcome = gifqa("ask", make_gif(["red"]), "What?", "--options", "[bold]red[/bold] :smile:,b")
    assert outcome.code == 2  # it begins like a JSON list

    outcome = gifqa("ask", make_gif(["red"]), "What?", "--options", "b,[bold]red[/bold] :smile:")
    assert outcome.out.splitlines()[0] == "[bold]red[/bold] :smile:"


def test_a_long_answer_is_not_broken_into_lines(gifqa, make_gif, fake_models):
    words = " ".join(["word"] * 80)
    fake_models.colour_of = lambda *_: words

    assert gifqa("describe", make_gif(["red"])).out.splitlines()[0] == f"a {words} screen"


def test_questions_from_a_file_are_a_dialogue(gifqa, make_gif, fake_models, tmp_path):
    questions = tmp_path / "questions.txt"
    questions.write_text("﻿red?\n\n  \nblue?\n", encoding="utf-8")
    outcome = gifqa("ask", make_gif(THREE), "--questions", questions, "-k", 1, "--json")

    assert outcome.code == 0
    assert [json.loads(line)["answer"] for line in outcome.out.splitlines()] == ["red", "blue"]
    assert fake_models.calls[0]["question"] == "red?"
    assert [turn.answer for turn in fake_models.calls[1]["history"]] == ["red"]


def test_a_bad_question_of_a_file_does_not_stop_the_others(gifqa, make_gif, tmp_path):
    questions = tmp_path / "questions.txt"
    questions.write_text("red?\n" + "x" * 3000 + "\nblue?\n", encoding="utf-8")
    outcome = gifqa("ask", make_gif(THREE), "--questions", questions, "-k", 1, "--json")

    assert outcome.code == 1
    assert len(outcome.out.splitlines()) == 2
    assert outcome.err.startswith("gifqa: the question has 3,000 characters")


def test_a_missing_file_of_questions_is_an_error(gifqa, make_gif, tmp_path):
    outcome = gifqa("ask", make_gif(["red"]), "--questions", tmp_path / "none.txt")

    assert outcome.code == 1
    assert "none.txt cannot be read (No such file or directory); questions are a text file" in outcome.err


def test_a_file_of_questions_that_is_no_text_is_an_error(gifqa, make_gif):
    path = make_gif(["red"])
    path.with_name("questions.bin").write_bytes(b"\xff\xfe\xfd")

    assert "it is not UTF-8" in gifqa("ask", path, "--questions", path.with_name("questions.bin")).err


def test_questions_come_from_a_pipe(gifqa, make_gif, stdin):
    stdin(b"red?\nblue?\n")
    outcome = gifqa("ask", make_gif(THREE), "-k", 1, "--json")

    assert [json.loads(line)["answer"] for line in outcome.out.splitlines()] == ["red", "blue"]


@pytest.mark.parametrize("end", [b"", b"\n", b"quit\n"])
def test_questions_come_from_a_prompt(gifqa, make_gif, stdin, end):
    stdin(b"red?\nblue?\n" + end, is_terminal=True)
    outcome = gifqa("ask", make_gif(THREE), "-k", 1)

    assert outcome.code == 0
    assert [line for line in outcome.out.splitlines() if line and line[0] != " "] == ["red", "blue"]


def test_what_the_prompt_prints_stays_out_of_the_json(gifqa, make_gif, stdin):
    """The file of `gifqa ask cat.gif --json > answers.jsonl` began with the prompt."""
    stdin(b"red?\nblue?\n", is_terminal=True)
    outcome = gifqa("ask", make_gif(THREE), "-k", 1, "--json")

    assert [json.loads(line)["answer"] for line in outcome.out.splitlines()] == ["red", "blue"]
    assert outcome.err.startswith("Ask; an empty line or Ctrl-D ends.\n? ")


def test_questions_from_a_pipe_that_is_no_text_are_one_line(gifqa, make_gif, stdin):
    stdin(b"\xff\xfe?\n")
    outcome = gifqa("ask", make_gif(["red"]))

    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "gifqa: standard input is not UTF-8; questions are text, one a line. Convert it.\n"


def test_a_pipe_cannot_be_both_media_and_questions(gifqa, make_gif, stdin):
    stdin(make_gif(["red"]).read_bytes())
    outcome = gifqa("ask", "-")

    assert outcome.code == 2
    assert "standard input is MEDIA already" in " ".join(outcome.err.split())


def test_batch_answers_a_file_and_goes_on(gifqa, make_gif, tmp_path):
    make_gif(THREE)
    rows = [{"id": colour, "media": "clip.gif", "question": f"{colour}?"} for colour in THREE]
    rows.append({"id": "none", "media": "none.gif", "question": "red?"})
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    first = gifqa("ask", "--batch", source, "--output", output, "-k", 1)
    second = gifqa("ask", "--batch", source, "--output", output, "-k", 1)

    assert (first.code, first.out, second.code, second.out) == (0, "", 0, "")
    assert first.err == f"3 answered, 1 with an error, 0 done before: {output}\n"
    assert second.err == f"0 answered, 0 with an error, 4 done before: {output}\n"
    found = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [row.get("answer") for row in found] == [*THREE, None]


def test_batch_stopped_by_ctrl_c_says_how_to_go_on(gifqa, make_gif, tmp_path, fake_models):
    make_gif(["red"])
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "media": "clip.gif", "question": "red?"}\n', encoding="utf-8")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    fake_models.answer = interrupted
    outcome = gifqa("ask", "--batch", source, "--output", output)

    assert outcome.code == 130
    assert outcome.err == f"gifqa: stopped; {output} is whole, and the same command goes on from there\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--batch", "in.jsonl"],
        ["--output", "out.jsonl"],
        ["cat.gif", "--batch", "in.jsonl", "--output", "out.jsonl"],
        ["--batch", "in.jsonl", "--output", "out.jsonl", "--options", "a,b"],
        ["--batch", "in.jsonl", "--output", "out.jsonl", "--evidence", "strip.png"],
        ["cat.gif", "what?", "--describe"],
        ["cat.gif", "--describe", "--options", "a,b"],
        ["cat.gif", "what?", "--questions", "questions.txt"],
        ["cat.gif", "--questions", "questions.txt", "--evidence", "strip.png"],
        ["cat.gif", "what?", "--top-k", "0"],
        ["cat.gif", "what?", "more"],
    ],
)
def test_what_does_not_go_together_is_a_usage_error(gifqa, words):
    outcome = gifqa("ask", *words)

    assert (outcome.code, outcome.out) == (2, "")
    assert "Usage: gifqa ask" in outcome.err


def test_no_cache_writes_no_file(gifqa, make_gif, private_cache_directory):
    path = make_gif(["red"])
    gifqa("ask", path, "What?", "--no-cache")
    assert not list(private_cache_directory.rglob("*.npz"))
    gifqa("ask", path, "What?")
    assert list(private_cache_directory.rglob("*.npz"))


def test_captions_stand_in_json_and_below_the_answer(gifqa, make_gif):
    gif = make_gif(THREE, 200)
    value = json.loads(
        gifqa("ask", gif, "What colour?", "--approach", "captions", "--top-k", 2, "--json").out
    )
    lines = gifqa("ask", gif, "What colour?", "--approach", "captions", "--top-k", 2).out.splitlines()

    assert value["captions"] == [f"a {THREE[frame['index']]} screen" for frame in value["keyframes"]]
    assert [" ".join(line.split()) for line in lines[4:]] == [
        f"at {frame['pts_seconds']:.2f} s {caption}"
        for frame, caption in zip(value["keyframes"], value["captions"], strict=True)
    ]


def test_an_approach_that_there_is_not_is_wrong_usage(gifqa, make_gif):
    outcome = gifqa("ask", make_gif(THREE), "What colour?", "--approach", "caption")

    assert outcome.code == 2
    assert "'caption'" in outcome.err and "'frames'" in outcome.err
