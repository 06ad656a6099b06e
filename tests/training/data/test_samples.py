import json

import pytest

from gifqa.errors import RecordError
from gifqa.training.data.samples import Annotations, Sample
from gifqa.training.data.sources import read_dataset

PHOTO = {
    "image": "coco/1.jpg",
    "split": "train",
    "captions": ["A man on a horse.", "Man riding"],
    "qa": [["What colour is it?", "The Brown"], ["Is it day?", "Yes."], ["How many?", "2"], ["Empty?", "?"]],
    "qa_source": ["visual7w", "vqa2-yn", "vqa2", "vqa2"],
    "qa_wrong": [["black", "white", "a grey"], None, None, None],
    "objects": [["person", 0, 0, 1, 1], ["horse", 0, 0, 1, 1], ["person", 0, 0, 1, 1]],
    "labels": ["horse", "person"],
    "statements": [["The man is left of the tree.", True], ["The man is under the horse.", False]],
}
OTHER = {
    "image": "coco/2.jpg",
    "split": "train",
    "captions": [],
    "qa": [],
    "labels": ["apple"],
    "objects": [["apple", 0, 0, 1, 1]],
}
CLIP = {"clip": "cats/1.webp", "split": "train", "description": "a cat jumps", "captions": ["cat jumping"]}
PAIRS = [
    {"gif": "coco/1.jpg", "question": "Who?", "answer": "a man", "answer_type": "person", "split": "train"},
    {
        "gif": "coco/1.jpg",
        "question": "Is it a man?",
        "answer": "yes",
        "answer_type": "yes/no",
        "split": "train",
    },
    {"gif": "coco/9.jpg", "question": "Who?", "answer": "a dog", "answer_type": "animal", "split": "val"},
]


@pytest.fixture
def read(tmp_path):
    """`read("train", photos=..., clips=..., pairs=...)`: the annotations of a split of a data folder."""

    def run(split, photos=(PHOTO, OTHER), clips=(CLIP,), pairs=PAIRS):
        files = {"photos/captions.jsonl": photos, "clips/clips.jsonl": clips, "pairs.jsonl": pairs}
        for name, lines in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
            (tmp_path / name).write_text("".join(f"{text}\n" for text in texts))
        return read_dataset(tmp_path, [tmp_path / "pairs.jsonl"]).annotations[split]

    return run


def test_captions_and_labels_of_a_split(read):
    found = read("train")

    assert found.captions == {
        "coco/1.jpg": ("A man on a horse.", "Man riding"),
        "cats/1.webp": ("cat jumping", "a cat jumps"),
    }
    assert found.labels == {"coco/1.jpg": ("horse", "person"), "coco/2.jpg": ("apple",)}
    assert not read("test").samples


def test_pairs_of_captions_are_open_or_yes_no(read):
    groups = read("train").by_source()

    assert groups["caption-open"] == [Sample("coco/1.jpg", "Who?", "man", "caption-open", "person")]
    assert [sample.answer for sample in groups["caption-yes/no"]] == ["yes"]
    assert [sample.answer for sample in read("val").by_source()["caption-open"]] == ["dog"]


def test_what_people_asked_keeps_its_source_and_its_options(read):
    groups = read("train").by_source()

    (choice,) = groups["visual7w"]
    assert choice.answer == "brown"
    assert choice.options == ("brown", "black", "white", "grey")
    assert [(sample.answer, sample.answer_type) for sample in groups["vqa2-yn"]] == [("yes", "yes/no")]
    assert [sample.answer for sample in groups["vqa2"]] == ["two"]  # the empty answer is left out


def test_statements_are_questions_of_yes_and_no(read):
    statements = read("train").by_source()["statements"]

    assert [sample.answer for sample in statements] == ["yes", "no"]
    assert [sample.has_sides for sample in statements] == [True, False]


def test_boxes_become_presence_absence_and_number(read):
    objects = read("train").by_source()["objects"]
    asked = {(s.picture, s.question): s.answer for s in objects}

    assert asked["coco/1.jpg", "How many people are there?"] == "two"
    assert asked["coco/1.jpg", "Is there a horse?"] == "yes"
    assert asked["coco/2.jpg", "Is there an apple?"] == "yes"
    absent = {
        question
        for (picture, question), answer in asked.items()
        if answer == "no" and picture == "coco/2.jpg"
    }
    assert absent <= {"Is there a horse?", "Is there a person?"}


def test_only_keeps_what_is_known_of_some_pictures(read):
    found = read("train").only({"coco/2.jpg"})

    assert found.captions == {}
    assert set(found.labels) == {"coco/2.jpg"}
    assert {sample.picture for sample in found.samples} == {"coco/2.jpg"}


def test_groups_name_source_and_kind():
    assert Sample("a", "b", "yes", "vqa2", "yes/no").group == "vqa2/yes-no"
    assert Sample("a", "b", "dog", "vqa2", "human").group == "vqa2/open"
    assert Annotations().by_source() == {}


def test_a_line_without_a_field_is_named_by_file_and_line(read):
    with pytest.raises(
        RecordError, match=r'clips\.jsonl:2: no field "description"; it has clip, split\. A line needs'
    ):
        read("train", clips=(CLIP, {"clip": "a.webp", "split": "train"}))


def test_a_line_that_is_no_json_is_named_by_file_and_line(read):
    with pytest.raises(RecordError, match=r"captions\.jsonl:1"):
        read("train", photos=("{",))


def test_an_option_about_sides_keeps_the_picture_as_it_is():
    assert Sample("a", "Which side?", "both", "vqa2", "human", ("both", "left", "top", "none")).has_sides
