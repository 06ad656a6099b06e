import json

import pytest

from gifqa.data.captions import CaptionColumns
from gifqa.data.clip_folder import FRACTIONS
from gifqa.data.links import Link, read_links
from gifqa.data.tgif import split_of
from gifqa.errors import ConfigError, RecordError

CAT, DOG = "https://media.example/1/cat.gif", "https://media.example/2/dog.gif"


@pytest.fixture
def read(tmp_path):
    """`read("tgif.tsv", text, **arguments)`: the table of this text."""

    def run(name, text, columns=None, **more):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_links(tmp_path / name, columns, **more)

    return run


def split(url):
    return split_of(url, None, FRACTIONS)


def test_a_gif_of_several_rows_is_one_link_with_one_split(read):
    found = read("tgif.tsv", f"{CAT}\ta cat sits\n{DOG}\ta dog\n{CAT}\ta pet\n{CAT}\ta cat sits\n")

    assert found.links == [Link(CAT, ("a cat sits", "a pet"), split(CAT)), Link(DOG, ("a dog",), split(DOG))]
    assert found.bad_rows == []


def test_official_lists_come_before_the_rows_and_the_rows_before_the_hash(read):
    rows = [{"gif": CAT, "caption": "a", "split": "train"}, {"gif": DOG, "caption": "b", "split": "val"}]
    found = read("t.jsonl", "".join(map("{}\n".format, map(json.dumps, rows))), split_lists={"cat": "test"})

    assert [link.split for link in found.links] == ["test", "val"]


def test_two_addresses_of_one_gif_are_in_one_split(read):
    mirrors = [f"https://{host}.media.example/tumblr_x{n}_400.gif" for n in range(40) for host in "ab"]
    links = read("t.tsv", "".join(f"{url}\ta cat\n" for url in mirrors)).links

    assert [link.split for link in links[::2]] == [link.split for link in links[1::2]]
    assert len({link.split for link in links}) > 1


def test_the_format_may_be_named_where_the_extension_does_not_tell(read):
    """TGIF's test captions: a number behind the URL, then several sentences."""
    found = read("test-data.sorted", f"{CAT}\t1\ta cat\ta pet\n", kind="tsv")

    assert [link.captions for link in found.links] == [("a cat", "a pet")]


def test_rows_that_cannot_be_used_are_handed_back(read):
    found = read("t.csv", f"url,caption\n{CAT},a cat\n{DOG}\n")

    assert [link.url for link in found.links] == [CAT]
    (row,) = found.bad_rows
    assert "t.csv:3: 1 of 2 fields" in str(row)


def test_a_gif_in_two_splits_is_an_error(read):
    text = f"url,caption,split\n{CAT},a cat,train\n{CAT},a pet,test\n"
    with pytest.raises(RecordError, match=r"t\.csv:3: https://\S+ is in test here and in train before"):
        read("t.csv", text)


def test_a_table_without_urls_says_which_flag_names_their_column(read):
    table = f"gif,link,caption\ncat,{CAT},a cat\n"
    with pytest.raises(ConfigError, match=r"names no URL \(its first GIF is 'cat'\); .* --gif-column"):
        read("t.csv", table)
    assert read("t.csv", table, CaptionColumns(gif="link")).links[0].url == CAT
    with pytest.raises(ConfigError, match=r"names no URL \(it has no row with a GIF and a caption"):
        read("empty.tsv", "")
