"""Every published annotation format, on tiny files of that form; wrong files are named for what they are."""

import pytest

from gifqa.errors import ConfigError, RecordError
from gifqa.evaluation.benchmarks import get_benchmark, read_questions

FRAMEQA = "gif_name question answer type vid_id key description"
ACTION = "gif_name question a1 a2 a3 a4 a5 answer vid_id key"
COUNT = "gif_name question answer vid_id key"
HQGA_OPEN = "video width height question answer qid"
HQGA_CHOICE = "video width height question a0 a1 a2 a3 a4 answer qid"


def read(name, path):
    return read_questions(get_benchmark(name), path)


def test_tgif_frameqa_as_published(frameqa):
    questions = read("tgif-qa/frameqa", frameqa)
    assert len(questions) == 6
    assert questions[0].media == ("red_gif", "1")
    assert [question.kind for question in questions] == [
        "colour",
        "object",
        "colour",
        "colour",
        "number",
        "location",
    ]


def test_tgif_choice_answers_are_numbers_of_options_from_0(write_table):
    path = write_table(
        "Test_action_question.csv", ACTION, [("g", "What does it do 3 times ?", *"abcde", 4, "ACTION7", 9)]
    )
    question = read("tgif-qa/action", path)[0]
    assert (question.task, question.answer, question.options) == ("choice", "e", tuple("abcde"))


def test_a_lone_quotation_mark_in_a_tsv_is_a_character(write_table):
    row = ("g", 'what says "no ?', *"abcde", 0, "TRANS1", 9)
    assert read("tgif-qa/transition", write_table("t.csv", ACTION, [row]))[0].question == 'what says "no ?'


def test_odd_line_ends_and_separators_inside_a_question(write):
    text = "gif_name\tquestion\tanswer\tvid_id\tkey\r\ng\tHow many\u2028times ?\t3\tCOUNT1\t9\r\n"
    question = read("tgif-qa/count", write("c.csv", text))[0]
    assert question.question == "How many\u2028times ?"
    assert question.media == ("g", "9")


def test_transitions_are_of_the_kind_before_or_after(write_table):
    rows = [
        ("g", "What does it do before b ?", *"abcde", 0, "TRANS1", 9),
        ("g", "What does it do after b ?", *"abcde", 0, "TRANS2", 9),
    ]
    assert [q.kind for q in read("tgif-qa/transition", write_table("t.csv", ACTION, rows))] == [
        "before",
        "after",
    ]


def test_the_recut_of_hqga_finds_gifs_by_key(write_table):
    path = write_table("test.csv", HQGA_OPEN, [(27138, 5, 5, "how many cats", "two", "FRAMEQA1159")], ",")
    question = read("tgif-qa/frameqa", path)[0]
    assert (question.media, question.kind) == (("27138",), "number")
    path = write_table("c.csv", HQGA_CHOICE, [(23, 5, 5, "what", *"abcde", 1, "TRANS23")], ",")
    assert read("tgif-qa/transition", path)[0].answer == "b"


def test_msvd_and_msrvtt_in_both_forms(write, write_table):
    msvd = write_table("msvd.csv", HQGA_OPEN, [(1451, 6, 4, "who runs", "man", 7)], ",")
    assert read("msvd-qa", msvd)[0].media == ("vid1451", "1451")
    entry = {"answer": "man", "id": 7, "question": "who runs?", "video_id": 1451}
    assert read("msvd-qa", write("m.json", [entry]))[0].id == "7"
    msrvtt = write_table("v.csv", "video question answer qid type", [(7010, "what", "show", 1, 10)], ",")
    assert read("msrvtt-qa", msrvtt)[0].media == ("video7010", "7010")
    question = read("msrvtt-qa", write("v.json", [{**entry, "category_id": 3}]))[0]
    assert (question.media[0], question.kind) == ("video1451", "who")


def test_activitynet_joins_questions_and_answers(write):
    write("anet/test_q.json", [{"video_name": "xy", "question": "is it day", "question_id": "v_xy_1"}])
    folder = write("anet/test_a.json", [{"answer": "no", "type": 3, "question_id": "v_xy_1"}]).parent
    question = read("activitynet-qa", folder)[0]
    assert (question.answer, question.kind, question.media) == ("no", "yes/no", ("v_xy", "xy"))


def test_activitynet_without_an_answer_is_an_error(write):
    write("test_q.json", [{"video_name": "xy", "question": "is it day", "question_id": "v_xy_1"}])
    path = write("test_a.json", [{"answer": "no", "type": 3, "question_id": "other"}])
    with pytest.raises(
        RecordError, match=r"test_q.json:1: 'v_xy_1' has no answer in test_a.json.*same split"
    ):
        read("activitynet-qa", path)


def test_nextqa_maps_videos_where_the_mapping_lies_beside(write, write_table):
    columns = "video frame_count width height question answer qid type a0 a1 a2 a3 a4"
    path = write_table("val.csv", columns, [(401, 9, 6, 4, "how", 2, 6, "CH", *"abcde")], ",")
    question = read("next-qa", path)[0]
    assert (question.id, question.answer, question.kind, question.media) == ("401_6", "c", "CH", ("401",))
    write("map_vid_vidorID.json", {"401": "1106/401"})
    assert read("next-qa", path)[0].media == ("1106/401", "401")


def test_mvbench_as_published_and_as_conversations(write):
    entry = {"video": "a.mp4", "question": "What?", "candidates": ["x", "y"], "answer": "y"}
    write("json/moving_count.json", [entry])
    folder = write("json/state_change.json", [entry, {**entry, "answer": "x"}]).parent
    questions = read("mvbench", folder)
    assert [(q.kind, q.answer) for q in questions] == [
        ("moving_count", "y"),
        ("state_change", "y"),
        ("state_change", "x"),
    ]
    turn = {"question": "What?", "choices": ["x", "y"], "answer": "y"}
    blocks = [{"video_path": f"/d/{n}.webm", "conversations": [turn], "video_id": n} for n in range(201)]
    questions = read("mvbench", write("mvbench.json", blocks))
    assert [questions[n].kind for n in (0, 199, 200)] == ["action_antonym", "action_antonym", "action_count"]


def test_own_records_are_choices_where_they_have_options(write):
    lines = (
        '{"gif": "a.gif", "question": "Who?", "answer": "cat", "options": ["cat", "dog"]}\n'
        '{"gif": "a.gif", "question": "How many?", "answer": "2", "answer_type": "number"}\n'
    )
    choice, opened = read("own", write("q.jsonl", lines))
    assert (choice.task, choice.options, choice.kind) == ("choice", ("cat", "dog"), "who")
    assert (opened.task, opened.kind) == ("open", "number")


def test_captions_of_one_gif_are_references_of_one_question(write):
    lines = '{"gif": "a.gif", "caption": "a cat"}\n{"gif": "a.gif", "caption": "one cat"}\n'
    lines += '{"gif": "b.gif", "captions": ["a dog", "a puppy"]}\n'
    questions = read("captions", write("c.jsonl", lines))
    assert [question.answers for question in questions] == [("a cat", "one cat"), ("a dog", "a puppy")]
    tsv = read("captions", write("c.tsv", "https://x.y/a.gif\ta cat\nhttps://x.y/a.gif\tone cat here\n"))
    assert tsv[0].answers == ("a cat", "one cat here")
    assert tsv[0].media == ("https://x.y/a.gif", "a.gif")


def test_retrieval_has_a_span_in_seconds(write):
    line = '{"gif": "a.gif", "question": "When is it red?", "start": 1.5, "end": 2}\n'
    assert read("retrieval", write("r.jsonl", line))[0].span == (1.5, 2.0)


def test_a_folder_is_searched_for_the_published_names(frameqa, write_table):
    write_table("Test_count_question.csv", COUNT, [("g", "How many times ?", 3, "COUNT1", 9)])
    assert read("tgif-qa/count", frameqa.parent)[0].answer == "3"
    with pytest.raises(
        RecordError, match=r"no annotations of next-qa; it has .*test.csv or val.csv is wanted"
    ):
        read("next-qa", frameqa.parent)


@pytest.mark.parametrize(
    ("name", "columns", "row", "mark", "message"),
    [
        (
            "tgif-qa/action",
            ACTION,
            ("g", "q", *"abcde", 1, "TRANS1", 9),
            "\t",
            "as tgif-qa/transition has them",
        ),
        ("msvd-qa", "video question answer qid type", (1, "q", "a", 1, 2), ",", "as msrvtt-qa has them"),
        ("msrvtt-qa", HQGA_OPEN, (1, 2, 3, "q", "a", 1), ",", "as msvd-qa has them"),
        (
            "tgif-qa/count",
            FRAMEQA,
            ("g", "q", "a", 0, "FRAMEQA1", 1, "c"),
            "\t",
            "as tgif-qa/frameqa has them",
        ),
        ("tgif-qa/count", "gif_name question vid_id key", ("g", "q", "COUNT1", 9), "\t", "also needs answer"),
        ("tgif-qa/count", COUNT, ("g", "How many ?", "many", "COUNT1", 9), "\t", "a count is a whole number"),
        ("tgif-qa/frameqa", FRAMEQA, ("g", "q", "", 0, "FRAMEQA1", 1, "c"), "\t", ":2: the answer is empty"),
        (
            "tgif-qa/action",
            ACTION,
            ("g", "q", *"abcde", 5, "ACTION1", 9),
            "\t",
            "number of an option, 0 to 4",
        ),
        ("tgif-qa/count", COUNT, ("g", "q", 3, "COUNT1"), "\t", ":2: 4 fields; the header has 5"),
        ("tgif-qa/count", COUNT, ("g", "q", 3, "COUNT1", 9, "x"), "\t", ":2: 6 fields; the header has 5"),
    ],
)
def test_a_wrong_file_is_named_for_what_it_is(write_table, name, columns, row, mark, message):
    with pytest.raises(RecordError, match=message):
        read(name, write_table("file.csv", columns, [row], mark))


def test_extra_columns_are_ignored(write_table):
    path = write_table("f.csv", f"{COUNT} colour", [("g", "How many ?", 3, "COUNT1", 9, "red")])
    assert read("tgif-qa/count", path)[0].answer == "3"


def test_a_row_of_another_benchmark_among_good_ones_is_named(write_table):
    rows = [("g", "How many ?", 3, "COUNT1", 9), ("g", "What ?", 3, "FRAMEQA1", 9)]
    with pytest.raises(RecordError, match=r"c.csv:3: the id 'FRAMEQA1' does not begin with COUNT"):
        read("tgif-qa/count", write_table("c.csv", COUNT, rows))


def test_an_id_twice_is_an_error(write_table):
    rows = [("g", "How many ?", 3, "COUNT1", 9), ("h", "How many ?", 4, "COUNT1", 8)]
    with pytest.raises(RecordError, match=r"the id 'COUNT1' stands at question 1 and at 2.*Take one out"):
        read("tgif-qa/count", write_table("c.csv", COUNT, rows))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no row of data"),
        ("gif_name\tquestion\n", "no row of data"),
        ("\u00ff", "no row of data"),
    ],
)
def test_an_empty_file_is_an_error(write, content, message):
    with pytest.raises(RecordError, match=message):
        read("tgif-qa/count", write("c.csv", content))


def test_files_that_cannot_be_read_are_errors(tmp_path, write):
    with pytest.raises(RecordError, match=r"nothing.csv: cannot be read \(No such file or directory\)"):
        read("tgif-qa/count", tmp_path / "nothing.csv")
    (tmp_path / "latin.csv").write_bytes(b"gif_name\tquestion\xff\n")
    with pytest.raises(RecordError, match="is not UTF-8 text"):
        read("tgif-qa/count", tmp_path / "latin.csv")
    with pytest.raises(RecordError, match=r"m.json:1: no JSON"):
        read("msvd-qa", write("m.json", "[{"))
    with pytest.raises(RecordError, match=r"m.json:1: no list of objects"):
        read("msvd-qa", write("m.json", "{}"))
    with pytest.raises(RecordError, match=r"m.json:2: no field 'b'"):
        read("msvd-qa", write("m.json", [{"a": 1, "b": 2}, {"a": 1}]))


@pytest.mark.parametrize(
    ("benchmark", "line", "message"),
    [
        ("own", '{"gif": "a", "question": "q", "answer": "x", "options": ["y", "z"]}', "none of the options"),
        ("retrieval", '{"gif": "a", "question": "q"}', 'no numbers "start" and "end"'),
        ("retrieval", '{"gif": "a", "question": "q", "start": 2, "end": 1}', "span is 2 to 1 seconds"),
        ("captions", '{"gif": "a"}', 'no field "caption"'),
        ("captions", '{"gif": "a", "captions": "one"}', "it must be a list of sentences"),
        ("own", "", "no row of data"),
    ],
)
def test_own_files_that_lack_something_are_errors(write, benchmark, line, message):
    with pytest.raises(RecordError, match=message):
        read(benchmark, write("own.jsonl", line))


def test_a_benchmark_that_is_not_there_gets_a_near_name():
    with pytest.raises(ConfigError, match=r"--benchmark is 'tgif-qa/frames'.*Did you mean tgif-qa/frameqa\?"):
        get_benchmark("tgif-qa/frames")
