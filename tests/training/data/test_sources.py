import json

import pytest

pytest.importorskip("torch")

from gifqa.data.clip_folder import FRACTIONS
from gifqa.data.records import QARecord, write_records
from gifqa.data.tgif import split_of
from gifqa.errors import ConfigError, RecordError
from gifqa.training.data.sources import read_dataset

CAT, DOG = "https://media.example/1/cat.gif", "https://media.example/2/dog.gif"
TRAINED = next(f"{n}.gif" for n in range(99) if split_of(f"{n}.gif", None, FRACTIONS) == "train")


def pair(gif, question="What is it?", answer="a cat", **more):
    return {"gif": gif, "question": question, "answer": answer, **more}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def write(tmp_path, data):
    """`write("clips/cat.gif", lines...)`: a file below the data folder; of pairs, beside it."""

    def run(name, *lines):
        path = tmp_path / name if name.startswith("pairs") else data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return run


def test_photos_and_clips_stand_in_their_folders(write, data):
    write("photos/captions.jsonl", {"image": "a/1.jpg", "split": "train", "captions": ["a man"]})
    write("photos/images/a/1.jpg")
    write("clips/clips.jsonl", {"clip": "b/1.webp", "split": "val", "description": "a cat"})
    write("clips/b/1.webp")
    pairs = write("pairs.jsonl", pair("a/1.jpg", split="train"), pair("b/1.webp", split="val"))
    found = read_dataset(data, [pairs])

    assert found.photos == {"a/1.jpg": data / "photos/images/a/1.jpg"}
    assert found.clips == {"b/1.webp": data / "clips/b/1.webp"}
    assert found.annotations["train"].captions == {"a/1.jpg": ("a man",)}
    assert found.annotations["val"].captions == {"b/1.webp": ("a cat",)}
    assert [sample.picture for sample in found.annotations["val"].samples] == ["b/1.webp"]
    assert found.missing == {}


def test_pairs_find_their_media_in_a_folder_by_url_and_bring_captions_and_splits(write, data, tmp_path):
    write("gifs/cat.gif")
    write(TRAINED)
    records = [
        QARecord(id="1", caption="A cat sits.", **pair(CAT, split="train")),
        QARecord(id="2", caption="A cat sits.", **pair(CAT, "Is it a dog?", "no", split="train")),
        QARecord(id="3", caption="A pet.", **pair("gifs/cat.gif", split="train")),
        QARecord(id="4", **pair(TRAINED)),
    ]
    write_records(tmp_path / "pairs.jsonl", records)
    found = read_dataset(data, [tmp_path / "pairs.jsonl"])
    train = found.annotations["train"]

    assert found.clips == {"gifs/cat.gif": data / "gifs/cat.gif", TRAINED: data / TRAINED}
    assert train.captions == {"gifs/cat.gif": ("A cat sits.", "A pet.")}
    assert [sample.picture for sample in train.samples] == ["gifs/cat.gif"] * 3 + [TRAINED]
    assert [sample.source for sample in train.samples[:2]] == ["caption-open", "caption-yes/no"]


def test_parquet_and_dataset_folders_are_read_alike(write, data, tmp_path):
    pytest.importorskip("pyarrow")
    write("cat.gif")
    records = [QARecord(id="1", **pair("cat.gif", split="train"))]
    for name in ("pairs.parquet", "pairs"):
        write_records(tmp_path / name, records)

        assert len(read_dataset(data, [tmp_path / name]).annotations["train"].samples) == 1


def test_four_options_are_a_choice(write, data):
    write("cat.gif")
    options = ["dog", "a cat", "fox", "cow"]
    pairs = write("pairs.jsonl", pair("cat.gif", options=options, split="train"),
                  pair("cat.gif", options=options[:3], split="train"))  # fmt: skip
    choices = [sample.options for sample in read_dataset(data, [pairs]).annotations["train"].samples]

    assert choices == [("cat", "dog", "fox", "cow"), ()]


def test_records_without_media_are_counted_and_listed(write, data):
    write("clips.jsonl", {"clip": "cat.gif", "split": "train", "description": "a cat"},
          {"clip": "gone.gif", "split": "train", "description": "a dog", "captions": ["dog"]})  # fmt: skip
    write("cat.gif")
    pairs = write("pairs.jsonl", pair("gone.gif", split="train"), pair(DOG, split="test"), pair("cat.gif"))
    found = read_dataset(data, [pairs])

    assert found.missing.keys() == {"gone.gif", DOG}
    assert "gone.gif does not exist" in found.missing["gone.gif"]
    assert "has no such file, or more than one" in found.missing[DOG]
    skipped = found.skipped({"cat.gif": "damaged"})
    assert skipped["failed"].keys() == {"gone.gif", DOG, "cat.gif"}
    assert skipped["skipped"] == {"caption-open": 3, "captions": 3}


def test_a_gif_in_two_splits_is_an_error(write, data):
    write("clips.jsonl", {"clip": "cat.gif", "split": "test", "description": "a cat"})
    write("cat.gif")
    pairs = write("pairs.jsonl", pair(CAT, split="train"))

    with pytest.raises(RecordError, match=r"pairs.jsonl: https://\S+ is in train here and in test elsewhere"):
        read_dataset(data, [pairs])


def test_a_file_of_pairs_that_has_a_weight_is_a_source_of_its_own(write, data):
    write("cat.gif")
    first = write("pairs.jsonl", pair("cat.gif", split="train"))
    second = write("pairs-of-people.jsonl", pair("cat.gif", split="train"))
    weights = {"pairs-of-people": 1.0, "caption-open": 3.0}
    train = read_dataset(data, [first, second], weights).annotations["train"]

    assert set(train.by_source()) == set(weights)
    assert train.weights == train.only({"cat.gif"}).weights == weights
    with pytest.raises(
        ConfigError, match=r"data\.weights names 'vqa2', but .* it has caption-open\. .*Correct"
    ):
        read_dataset(data, [first], {"vqa2": 1.0})


def test_nothing_to_train_on_is_one_clear_line(write, data):
    write("cat.gif")
    with pytest.raises(ConfigError, match=r"hold no caption, no question; training needs some .*Looked for"):
        read_dataset(data)
    pairs = write("pairs.jsonl", pair("cat.gif", split="val"))
    with pytest.raises(ConfigError, match=r"hold only 1 questions and captions of other splits; training"):
        read_dataset(data, [pairs])
    with pytest.raises(ConfigError, match=r"--data is .*nowhere, which is no folder; .* Check it"):
        read_dataset(data / "nowhere")
