import json

import pytest

from gifqa.errors import CheckpointError
from gifqa.model.inventory import kind_of, take_inventory, verify, write_checksums

CONFIG = {
    "model_type": "gifqa",
    "format": 1,
    "name": "gifqa-tiny",
    "version": "0.1.0",
    "num_frames": 4,
    "hint": False,
    "vision": {"kind": "hugging-face", "source": {"source": "a/clip", "revision": "sha256:1234"}},
    "connector": {"kind": "mlp", "arguments": {}},
    "projection": "linear",
    "has_adapter": True,
}


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "run" / "checkpoint"
    (folder / "adapter").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "adapter" / "adapter_model.safetensors").write_bytes(b"more")
    (folder / "figures.json").write_text('{"mean nats": 1.5}')
    write_checksums(folder)
    return folder


@pytest.fixture
def run(checkpoint):
    folder = checkpoint.parent
    (folder / "recipe.json").write_text('{"name": "seed", "version": "0.2.0"}')
    (folder / "language").mkdir()
    (folder / "language" / "done.json").write_text('{"seconds": 61.5, "mean nats": 1.5, "failed": {}}')
    (folder / "language" / "best.safetensors").write_bytes(b"weights")
    return folder


def test_the_shipped_bundle_is_shown_where_no_folder_is_given():
    found = take_inventory()

    assert (found.kind, found.name) == ("bundle", "gifqa-lite")
    assert {"vision.onnx", "decoder.onnx"} <= {file.name for file in found.files}
    assert found.num_bytes == sum(file.num_bytes for file in found.files) > 10**8


def test_a_checkpoint_has_parts_files_and_figures(checkpoint):
    found = take_inventory(checkpoint)

    assert (found.kind, found.name, found.version) == ("checkpoint", "gifqa-tiny", "0.1.0")
    assert found.parts == {
        "vision": "hugging-face a/clip at sha256:1234",
        "connector": "mlp",
        "projection": "linear",
        "language model": "in the folder with LoRA",
        "frames": "4",
    }
    assert "adapter/adapter_model.safetensors" in {file.name for file in found.files}
    assert found.figures == {"mean nats": 1.5}


def test_a_run_has_stages_weights_and_figures(run):
    found = take_inventory(run)

    assert (found.kind, found.name) == ("run", "seed")
    assert found.parts == {"language": "done in 61.5 s"}
    assert [file.name for file in found.files] == ["language/best.safetensors"]
    assert found.figures == {"language mean nats": 1.5}


def test_whole_files_are_verified_of_a_run_those_of_its_checkpoint(run, checkpoint):
    assert verify(checkpoint).kind == "checkpoint"
    assert verify(run).folder == str(checkpoint)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"other"), "model.safetensors differs from its checksum; all 4 files"),
        (lambda path: path.unlink(), "model.safetensors is missing; all 4 files must be as they were"),
        (lambda path: (path.parent / "checksums.json").unlink(), "has no checksums.json, so nothing says"),
        (lambda path: (path.parent / "checksums.json").write_text("["), "cannot be read .* a JSON object"),
        (lambda path: (path.parent / "checksums.json").write_text("[]"), "is no JSON object, as it must be"),
    ],
)
def test_a_damaged_checkpoint_is_told(checkpoint, damage, message):
    damage(checkpoint / "model.safetensors")

    with pytest.raises(CheckpointError, match=message):
        verify(checkpoint)


def test_a_run_without_a_result_has_nothing_to_verify(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")

    with pytest.raises(CheckpointError, match=r"neither a bundle nor a checkpoint yet; .* Go on with"):
        verify(tmp_path)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no model; a model is a bundle, a checkpoint or the"):
        kind_of(tmp_path)
    with pytest.raises(CheckpointError, match=r"nowhere is no folder; a model is a bundle"):
        kind_of(tmp_path / "nowhere")
