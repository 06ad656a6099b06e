"""TGIF's split lists and TGIF-QA's files, on tables of the same shape written here."""

import pytest

from gifqa.data.tgif import gif_name, read_split_lists, read_tgif_qa, split_of
from gifqa.errors import ConfigError, RecordError

EVEN = (0.8, 0.1, 0.1)


def test_a_gif_has_one_name_in_all_files():
    assert gif_name("https://38.media.tumblr.com/abc/tumblr_x_400.gif") == "tumblr_x_400"
    assert gif_name("tumblr_x_400") == "tumblr_x_400"
    assert gif_name("photos/a.jpg?size=1") == "a"


def test_the_official_lists_decide_where_they_have_the_gif(tmp_path):
    (tmp_path / "val.txt").write_text("https://m.com/a/one.gif\n\n")
    (tmp_path / "test.txt").write_text("https://m.com/b/two.gif\n")
    lists = read_split_lists(tmp_path)
    assert split_of("one", lists, (1.0, 0.0, 0.0)) == "val"
    assert split_of("http://elsewhere.org/two.gif", lists, (1.0, 0.0, 0.0)) == "test"
    assert split_of("three", lists, (1.0, 0.0, 0.0)) == "train"


def test_without_lists_the_shares_are_kept_and_stable():
    splits = [split_of(f"gif{i}", None, EVEN) for i in range(2000)]
    assert splits == [split_of(f"https://x/gif{i}.gif", None, EVEN) for i in range(2000)]
    assert abs(splits.count("train") / 2000 - 0.8) < 0.04
    assert min(splits.count("val"), splits.count("test")) > 120


def test_a_gif_in_two_lists_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text("https://m.com/a/one.gif\n")
    (tmp_path / "test.txt").write_text("https://m.com/b/one.gif\n")
    with pytest.raises(ConfigError, match=r"test.txt:1: one is in train.txt too; .* Take it out"):
        read_split_lists(tmp_path)


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none of train.txt, val.txt and test.txt .* Give the folder"):
        read_split_lists(tmp_path)


def write(tmp_path, text):
    path = tmp_path / "questions.csv"
    path.write_text(text)
    return path


def test_frame_questions_have_their_type(tmp_path):
    path = write(
        tmp_path,
        "gif_name\tquestion\tanswer\ttype\tvid_id\tkey\tdescription\n"
        "g1\twhat is the color of the hat ?\tred\t2\tF1\t1\ta man in a red hat .\n"
        "g1\twhere is the man ?\troom\t3\tF2\t1\ta man in a room .\n",
    )
    colour, place = read_tgif_qa(path)
    assert (colour.answer_type, colour.category, colour.caption) == (
        "colour",
        "colour",
        "a man in a red hat .",
    )
    assert (place.answer_type, place.answer) == ("place", "room")


def test_of_multiple_choice_the_answer_is_the_text_of_the_right_option(tmp_path):
    path = write(
        tmp_path,
        "gif_name\tquestion\ta1\ta2\ta3\ta4\ta5\tanswer\n"
        "g1\tWhat does the man do before smile ?\tsit\ttip hat\tnod\tsing\trun\t1\n",
    )
    (record,) = read_tgif_qa(path)
    assert (record.answer, record.options, record.answer_type) == (
        "tip hat",
        ("sit", "tip hat", "nod", "sing", "run"),
        "action",
    )


def test_counts_and_hqgas_files(tmp_path):
    (record,) = read_tgif_qa(
        write(tmp_path, "gif_name\tquestion\tanswer\ng\tHow many times does he nod ?\t3\n")
    )
    assert (record.answer_type, record.answer) == ("number", "3")
    (record,) = read_tgif_qa(write(tmp_path, "video,question,a0,a1,a2,a3,a4,answer\n7,what ?,a,b,c,d,e,4\n"))
    assert (record.gif, record.answer) == ("7", "e")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gif_name\tquestion\ng\twhat ?\n", r'questions.csv:2: no field "answer"; it has gif_name, question'),
        (
            "gif_name\tquestion\ta1\ta2\ta3\ta4\ta5\tanswer\ng\twhat ?\ta\tb\tc\td\te\t7\n",
            r"questions.csv:2: answer is '7'; the number of an option from 0 to 4",
        ),
    ],
)
def test_a_row_that_is_no_question_is_named(tmp_path, text, message):
    with pytest.raises(RecordError, match=message):
        list(read_tgif_qa(write(tmp_path, text)))
