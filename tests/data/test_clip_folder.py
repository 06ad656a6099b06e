import json

import pytest

from gifqa.data.clip_folder import FRACTIONS, Clip, read_clip_folder
from gifqa.data.media_folder import MediaFolder
from gifqa.data.tgif import split_of
from gifqa.errors import RecordError


@pytest.fixture
def read(tmp_path):
    """`read({file name: text})`: the clips of a folder with these files."""

    def run(files):
        for name, text in files.items():
            (tmp_path / name).write_text(text, encoding="utf-8")
        return read_clip_folder(MediaFolder(tmp_path))

    return run


def split(name):
    return split_of(name, None, FRACTIONS)


def lines(*values):
    return "".join(json.dumps(value) + "\n" for value in values)


def test_descriptions_stand_behind_other_captions_and_splits_may_be_left_out(read):
    described = {"clip": "cat.gif", "description": "a cat", "captions": ["cat"], "split": "test"}

    assert read({"clips.jsonl": lines(described, {"clip": "dog.gif", "description": "a dog"})}) == [
        Clip("cat.gif", ("cat", "a cat"), "test"),
        Clip("dog.gif", ("a dog",), split("dog.gif")),
    ]


def test_tables_of_captions_are_read_by_url_and_all_rows_of_a_gif_belong_together(read):
    rows = (("1/cat.gif", "a cat sits"), ("2/dog.gif", "a dog runs"), ("1/cat.gif", "a pet"))
    table = "".join(f"https://x.org/{gif}\t{caption}\n" for gif, caption in rows)

    assert read({"captions.tsv": table, "cat.gif": "", "cat.txt": "unread"}) == [
        Clip("cat.gif", ("a cat sits", "a pet"), split("cat.gif")),
        Clip("https://x.org/2/dog.gif", ("a dog runs",), split("dog.gif")),
    ]


def test_the_columns_of_hugging_face(read):
    assert read({"metadata.csv": "file_name,text\ncat.gif,a cat\n"}) == [
        Clip("cat.gif", ("a cat",), split("cat.gif"))
    ]


def test_texts_beside_the_clips(read):
    files = {
        "cat.gif": "",
        "cat.txt": "a cat\n\n  a  pet \na cat\n",
        "dog.gif": "",
        "fox.gif": "",
        "fox.txt": "\n",
    }

    assert read(files) == [Clip("cat.gif", ("a cat", "a pet"), split("cat.gif"))]


def test_a_folder_without_captions_has_no_clips(read):
    assert read({"cat.gif": ""}) == []


def test_a_gif_in_two_splits_is_an_error(read):
    table = lines(
        {"gif": "cat.gif", "caption": "a cat", "split": "train"},
        {"gif": "cat.gif", "caption": "a pet", "split": "test"},
    )
    with pytest.raises(
        RecordError, match=r"captions.jsonl:2: cat.gif is in test here and in train before; .* Correct"
    ):
        read({"captions.jsonl": table})


def test_bad_lines_are_named(read):
    with pytest.raises(RecordError, match=r'clips.jsonl:1: no field "description"; it has clip'):
        read({"clips.jsonl": lines({"clip": "cat.gif"})})
    with pytest.raises(RecordError, match=r"clips.jsonl:1: is no JSON"):
        read({"clips.jsonl": "{\n"})


def test_a_text_in_another_encoding_is_named(tmp_path):
    (tmp_path / "cat.gif").write_bytes(b"")
    (tmp_path / "cat.txt").write_bytes(b"caf\xe9")
    with pytest.raises(RecordError, match=r"cat\.txt cannot be read .*a caption a line, in UTF-8"):
        read_clip_folder(MediaFolder(tmp_path))
