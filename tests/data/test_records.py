"""Records: what is written is read back, and a bad line is named by file and line."""

import json

import pytest

from gifqa.data.records import QARecord, read_records, record_id, write_records
from gifqa.errors import RecordError

RECORDS = [
    QARecord(
        id=record_id("a.gif", "What is the man riding?", "horse"),
        gif="a.gif",
        question="What is the man riding?",
        answer="horse",
        caption='a man, says "hi",\trides a horse',
        answer_type="object",
        category="noun",
        span=(27, 32),
        generator="rules/object",
        score=0.5,
        split="train",
    ),
    QARecord(
        id=record_id("b.gif", "What does the girl do after jumping?", "schläft ein"),
        gif="b.gif",
        question="What does the girl do after jumping?",
        answer="schläft ein",
        split="val",
        options=("schläft ein", "run", "sit, then stand", 'say "no"', "eat"),
    ),
]


@pytest.mark.parametrize("name", ["qa.jsonl", "qa.csv", "qa.parquet", "folder"])
def test_what_is_written_is_read_back(tmp_path, name):
    assert write_records(tmp_path / name, RECORDS) == 2
    assert sorted(read_records(tmp_path / name), key=lambda r: r.gif) == RECORDS


def test_a_tsv_is_read_back_with_its_tabs_as_spaces(tmp_path):
    write_records(tmp_path / "qa.tsv", RECORDS)
    first, second = read_records(tmp_path / "qa.tsv")
    assert first == RECORDS[0].model_copy(update={"caption": 'a man, says "hi", rides a horse'})
    assert second == RECORDS[1]


def test_the_folder_has_a_card_that_names_its_files(tmp_path):
    write_records(tmp_path / "qa", RECORDS)
    card = (tmp_path / "qa" / "README.md").read_text()
    assert "visual-question-answering" in card and "| train | 1 |" in card and "| val | 1 |" in card
    assert "  - split: val\n    path: data/val-*.parquet\n" in card
    assert sorted(p.name for p in (tmp_path / "qa" / "data").iterdir()) == [
        "train-00000-of-00001.parquet",
        "val-00000-of-00001.parquet",
    ]


@pytest.mark.slow
def test_the_folder_loads_with_datasets(tmp_path):
    datasets = pytest.importorskip("datasets")
    write_records(tmp_path / "qa", RECORDS)
    loaded = datasets.load_dataset(str(tmp_path / "qa"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"][0]["span"] == [27, 32]
    assert loaded["val"][0]["options"][3] == 'say "no"'


def test_the_id_depends_on_gif_question_and_answer_only():
    assert record_id("a", "b", "c") == record_id("a", "b", "c")
    assert len({record_id("a", "b", "c"), record_id("ab", "", "c"), record_id("a", "b", "d")}) == 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"gif": "a", "question": "b?"}',
            r'qa.jsonl:2: no field "answer"; it has gif, question. A record needs',
        ),
        ("[1]", r"qa.jsonl:2: is a JSON list; a line of JSONL is one object"),
        ("{", r"qa.jsonl:2: is no JSON .* one object"),
        (
            '{"gif": "a", "question": "b?", "answer": "c", "score": "high"}',
            r"qa.jsonl:2: score is 'high': .* Correct the line",
        ),
        (
            '{"gif": "a", "question": "b?", "answer": "c", "span": "3-4"}',
            r"qa.jsonl:2: span is '3-4'; a list in JSON is needed, such as \[0, 4\]",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "qa.jsonl"
    path.write_text(json.dumps({"gif": "a", "question": "b?", "answer": "c"}) + "\n" + line + "\n")
    records = read_records(path)
    assert next(records).id == record_id("a", "b?", "c"), "a missing id is computed"
    with pytest.raises(RecordError, match=message):
        next(records)


def test_foreign_columns_are_ignored(tmp_path):
    path = tmp_path / "qa.jsonl"
    path.write_text('{"gif": 7, "question": "b?", "answer": "c", "qid": 1, "pred": "x"}\n')
    assert next(read_records(path)).gif == "7"


def test_an_unknown_extension_says_which_are_known(tmp_path):
    with pytest.raises(RecordError, match=r"extension '.xlsx'; allowed are .jsonl, .*--format"):
        write_records(tmp_path / "qa.xlsx", RECORDS)


def test_a_folder_without_parquet_says_so(tmp_path):
    with pytest.raises(RecordError, match=r"folder without data/\*.parquet; .* Give the folder"):
        list(read_records(tmp_path))


def failing_records():
    yield RECORDS[0]
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("name", ["qa.jsonl", "qa.parquet", "folder"])
def test_a_full_disk_keeps_what_was_there_and_leaves_nothing_else(tmp_path, name):
    write_records(tmp_path / name, RECORDS)
    with pytest.raises(RecordError, match=r"cannot be written: No space left on device. .* free some space"):
        write_records(tmp_path / name, failing_records())
    assert sorted(read_records(tmp_path / name), key=lambda r: r.gif) == RECORDS
    assert [path.name for path in tmp_path.iterdir()] == [name]
