"""Caption files of many shapes: good rows come through, bad ones come as values that name file and line."""

import io

import pytest

from gifqa.data.captions import CaptionColumns, CaptionItem, read_captions
from gifqa.errors import RecordError


def read(path, **options):
    return list(read_captions(path, **options))


def captions(items):
    return [(item.gif, item.captions) for item in items if isinstance(item, CaptionItem)]


def messages(items):
    return [str(item) for item in items if isinstance(item, RecordError)]


def test_tgifs_tsv_has_no_header(tmp_path):
    path = tmp_path / "tgif.tsv"
    path.write_text('https://x.org/a.gif\ta man is "glaring" .\nhttps://x.org/b.gif\ta cat runs .\n')
    assert captions(read(path)) == [
        ("https://x.org/a.gif", ('a man is "glaring" .',)),
        ("https://x.org/b.gif", ("a cat runs .",)),
    ]


def test_tgifs_test_file_has_a_number_and_several_sentences(tmp_path):
    path = tmp_path / "test.tsv"
    path.write_text("https://x.org/a.gif\t1\ta man runs\ta guy jogs\ta man runs\n")
    assert captions(read(path)) == [("https://x.org/a.gif", ("a man runs", "a guy jogs"))]


def test_tgif_qas_csv_is_separated_by_tabs(tmp_path):
    path = tmp_path / "frameqa.csv"
    path.write_text("gif_name\tquestion\tanswer\tdescription\nt_1\twhat ?\tcat\ta cat, black, runs .\n")
    assert captions(read(path)) == [("t_1", ("a cat, black, runs .",))]


@pytest.mark.parametrize("mark", [",", ";", "|"])
def test_the_delimiter_of_a_csv_is_found(tmp_path, mark):
    path = tmp_path / "c.csv"
    path.write_text(f'url{mark}caption{mark}split\na.gif{mark}"a man{mark} two dogs\nand a cat"{mark}test\n')
    item = read(path)[0]
    assert item.captions == (f"a man{mark} two dogs and a cat",)
    assert item.split == "test"


def test_jsonl_and_parquet_take_lists_of_captions(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [
        {"image": "a.jpg", "captions": ["one dog", "a dog", "one dog"], "split": "valid"},
        {"image": "b.jpg", "captions": []},
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("\n".join(__import__("json").dumps(row) for row in rows))
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "c.parquet")
    for file in (path, tmp_path / "c.parquet"):
        items = read(file)
        assert captions(items) == [("a.jpg", ("one dog", "a dog")), ("b.jpg", ())]
        assert items[0].split == "val"


def test_a_description_comes_with_further_captions(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text('{"clip": "a", "description": "a man runs", "captions": ["a guy jogs", "a man runs"]}\n')
    assert captions(read(path, columns=CaptionColumns(caption="description"))) == [
        ("a", ("a man runs", "a guy jogs"))
    ]


def test_standard_input_is_a_stream(tmp_path):
    stream = io.BytesIO(b"a.gif\ta man runs\n")
    assert captions(read(stream, kind="tsv")) == [("a.gif", ("a man runs",))]


def test_named_columns(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("key,words\na.gif,a man runs\n")
    assert captions(read(path, columns=CaptionColumns("key", "words"))) == [("a.gif", ("a man runs",))]


def test_a_missing_column_is_named_with_its_flag(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("url,words\na.gif,a man runs\n")
    with pytest.raises(
        RecordError, match=r"c.csv:2: no column of a known name among url, words; .* --caption-column"
    ):
        read(path)
    with pytest.raises(RecordError, match=r"c.csv:2: no column 'text' among url, words; .* --caption-column"):
        read(path, columns=CaptionColumns(caption="text"))


def test_a_wrong_delimiter_is_reported(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text("https://x.org/a.gif,a man runs\n")
    with pytest.raises(RecordError, match=r"c.tsv:1: one field only, .* --delimiter"):
        read(path)


def test_rows_with_too_few_fields_are_reported_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("url,caption\na.gif,a man runs\nb.gif\nc.gif,a dog sits\n,nobody runs\n")
    items = read(path)
    assert captions(items) == [("a.gif", ("a man runs",)), ("c.gif", ("a dog sits",))]
    few, empty = messages(items)
    assert few.startswith("c.csv:3: 1 of 2 fields; the header names url, caption. Check the delimiter")
    assert empty.startswith('c.csv:5: the field "url" is empty. A row needs')


def test_invalid_utf8_costs_its_line_only(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_bytes(b"https://x/a\ta man runs\nhttps://x/b\tcaf\xe9\nhttps://x/c\ta dog sits\n")
    items = read(path)
    assert [gif for gif, _ in captions(items)] == ["https://x/a", "https://x/c"]
    assert messages(items) == [
        "c.tsv:2: byte 0xe9 at 15 is not UTF-8, the only encoding read. Save the file as UTF-8."
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes(b"\xef\xbb\xbfurl,caption\na.gif,a man runs\n")
    assert captions(read(path)) == [("a.gif", ("a man runs",))]


def test_a_quote_without_end_does_not_swallow_the_file(tmp_path):
    path = tmp_path / "c.csv"
    rows = "".join(f"{i}.gif,a man runs\n" for i in range(200))
    path.write_text('url,caption\nx.gif,"a man\n' + rows)
    items = read(path)
    assert len(captions(items)) >= 140


def test_a_line_without_end_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr("gifqa.data.tables._MAX_LINE_BYTES", 64)
    path = tmp_path / "c.tsv"
    path.write_text("https://x/a\t" + "very " * 100 + "long\nhttps://x/b\ta dog sits\n")
    items = read(path)
    assert captions(items) == [("https://x/b", ("a dog sits",))]
    assert "c.tsv:1: the line is over" in messages(items)[0]


def test_what_is_no_parquet_says_so(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "c.parquet"
    path.write_text("url,caption\n")
    with pytest.raises(RecordError, match=r"is no Parquet file .* Check that it was written to its end"):
        read(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(RecordError, match=r"nothing.tsv cannot be read: No such file"):
        read(tmp_path / "nothing.tsv")


def test_an_empty_file_has_no_captions(tmp_path):
    path = tmp_path / "c.tsv"
    path.touch()
    assert read(path) == []
