import pytest

torch = pytest.importorskip("torch")

from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.training.loop import checkpoints  # noqa: E402
from gifqa.training.loop.checkpoints import load_best, load_trained_weights, reason, save_state, save_weights  # noqa: E402


def test_what_is_saved_is_loaded(tmp_path):
    model, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    save_weights(tmp_path / "run" / "best.safetensors", model.state_dict())
    load_best(other, tmp_path / "run")

    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["best.safetensors"]


def full_disk(*_):
    raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")


@pytest.mark.parametrize(("save", "writer"), [(save_state, "torch.save"), (save_weights, "save_file")])
def test_a_full_disk_leaves_what_stood_there(tmp_path, monkeypatch, save, writer):
    path = tmp_path / "last.pt"
    save(path, {"weight": torch.zeros(2)})
    before = path.read_bytes()
    error = (
        full_disk
        if writer == "torch.save"
        else lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    monkeypatch.setattr(f"gifqa.training.loop.checkpoints.{writer}", error)

    with pytest.raises(
        CheckpointError, match=r"last.pt cannot be written .*what stood there before is kept. Free some"
    ):
        save(path, {"weight": torch.ones(2)})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.pt"]


def test_weights_of_another_shape_are_refused(tmp_path):
    save_weights(tmp_path / "best.safetensors", {"weight": torch.zeros(2, 2)})

    with pytest.raises(
        CheckpointError, match=r"best.safetensors does not fit the model .*the same recipe. Train"
    ):
        load_best(torch.nn.Linear(2, 2), tmp_path)
    with pytest.raises(CheckpointError, match=r"bias is only in one of them"):
        load_trained_weights(torch.nn.Linear(2, 2), tmp_path / "best.safetensors")
    with pytest.raises(CheckpointError, match="does not fit"):
        load_best(torch.nn.Linear(2, 2), tmp_path / "nowhere")


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "best.safetensors").write_bytes(b"12345678nonsense")

    with pytest.raises(CheckpointError, match="does not fit the model"):
        load_best(torch.nn.Linear(2, 2), tmp_path)


def test_only_trained_weights_are_loaded(tmp_path):
    model = torch.nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    save_weights(tmp_path / "best.safetensors", {"weight": torch.ones(2, 2)})
    load_trained_weights(model, tmp_path / "best.safetensors")

    assert model.weight.tolist() == [[1, 1], [1, 1]]


def test_reasons_are_one_short_line():
    assert reason(checkpoints.pickle.UnpicklingError("long\nstory")) == "it is damaged"
    assert reason(ValueError("two\n  lines")) == "two lines"
    assert len(reason(ValueError("x" * 1000))) == 200
