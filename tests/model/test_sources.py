import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.model.sources import open_tokenizer, read_tensors, revision_of  # noqa: E402

WEIGHTS = {"qformer.a": torch.ones(2), "qformer.b": torch.zeros(3), "language_model.c": torch.ones(4)}


@pytest.fixture
def sharded(tmp_path):
    """A checkpoint in two files, as the hub has large ones."""
    shards = {
        "model-00001-of-00002.safetensors": ["qformer.a"],
        "model-00002-of-00002.safetensors": ["qformer.b", "language_model.c"],
    }
    for name, keys in shards.items():
        safetensors.save_file({key: WEIGHTS[key] for key in keys}, tmp_path / name)
    table = {key: name for name, keys in shards.items() for key in keys}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    return tmp_path


def test_only_what_is_asked_for_is_read_from_all_shards(sharded):
    found = read_tensors(str(sharded), ("qformer.",))

    assert found.keys() == {"qformer.a", "qformer.b"}
    assert all(torch.equal(value, WEIGHTS[key]) for key, value in found.items())


def test_a_shard_that_is_not_there_is_named(sharded):
    (sharded / "model-00002-of-00002.safetensors").unlink()

    with pytest.raises(
        CheckpointError, match=r"lacks model-00002-of-00002\.safetensors, which its index names"
    ):
        read_tensors(str(sharded), ("qformer.",))


def test_a_damaged_file_is_one_line(sharded):
    (sharded / "model-00001-of-00002.safetensors").write_bytes(b"damaged")

    with pytest.raises(
        CheckpointError, match=r"00001-of-00002\.safetensors cannot be read \(.*\); it must be"
    ):
        read_tensors(str(sharded), ("qformer.",))


def test_a_pickle_is_not_read(tmp_path):
    torch.save(WEIGHTS, tmp_path / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match=r"has no model\.safetensors; only safetensors are loaded"):
        read_tensors(str(tmp_path), ("qformer.",))


def test_the_revision_of_a_folder_is_what_its_weights_are(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.save_file(WEIGHTS, path)
    first = revision_of(str(tmp_path))
    (tmp_path / "README.md").write_text("of no weight")
    assert revision_of(str(tmp_path)) == first

    safetensors.save_file(WEIGHTS | {"qformer.a": torch.full((2,), 2.0)}, path)
    assert revision_of(str(tmp_path)) != first


def test_a_damaged_tokenizer_is_one_line(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")

    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json cannot be opened \(.*\); it must be a tokenizer"
    ):
        open_tokenizer(tmp_path / "tokenizer.json")
