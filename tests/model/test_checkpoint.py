"""Models of every kind of part, saved, loaded and asked: tiny, but of the real architectures."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from gifqa.errors import CheckpointError  # noqa: E402
from gifqa.model.checkpoint import from_pretrained  # noqa: E402
from gifqa.model.checkpoint_config import is_checkpoint  # noqa: E402
from gifqa.model.checkpoint_saving import push_to_hub, save_pretrained  # noqa: E402
from gifqa.model.language import load_language_model  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
QUESTION, ANSWER = "is the dog red ?", "red"


def logits_of(checkpoint):
    """What the whole model says of one answer about two frames."""
    model = checkpoint.model
    pixels = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (2, 28, 28, 3), np.uint8))
    with torch.no_grad():
        grid, _ = checkpoint.vision(pixels)
        question, mask = (
            torch.randn(1, 4, 12, generator=torch.Generator().manual_seed(1)),
            torch.ones(1, 4) > 0,
        )
        if model.connector.reads_question == "ids":
            question, mask = model.connector.encode_questions([QUESTION])
        states = model.connector(grid[None], torch.ones(1, 2, dtype=torch.bool), question, mask)
        batch = model.language_batch(checkpoint.tokenizer, [QUESTION], [ANSWER])
        return model.answer_logits(model.visual_tokens(states), batch)[0]


@pytest.mark.parametrize(
    ("kind", "tower", "global_local", "include_frozen"),
    [
        ("blip2", "clip", False, True),
        ("instructblip", "siglip", False, False),
        ("mlp", "dinov2", True, True),
        ("blip2", "clip", True, False),
    ],
)
def test_a_saved_checkpoint_answers_as_before(kind, tower, global_local, include_frozen, make_seed, tmp_path):
    checkpoint = make_seed(kind, tower, global_local)
    folder = tmp_path / "saved"
    save_pretrained(checkpoint, folder, include_frozen=include_frozen)
    loaded = from_pretrained(folder)

    torch.testing.assert_close(logits_of(loaded), logits_of(checkpoint), atol=1e-5, rtol=1e-5)
    assert (folder / "language_model").exists() == include_frozen
    assert (folder / "vision").exists() == include_frozen
    assert is_checkpoint(folder)
    assert not list(folder.rglob("*.bin")) + list(folder.rglob("*.pt"))
    assert "gifqa-seed 0.1" in (folder / "README.md").read_text()
    if include_frozen:
        own = [path for path in folder.rglob("*.json") if path.parent.name != "vision"]
        assert not [path for path in own if str(tmp_path) in path.read_text(encoding="utf-8")]


def test_every_head_and_the_text_tower_come_back(lite, tmp_path):
    save_pretrained(lite, tmp_path / "saved")
    loaded = from_pretrained(tmp_path / "saved")

    torch.testing.assert_close(logits_of(loaded), logits_of(lite))
    states, grid, pooled = torch.randn(1, 3, 16), torch.randn(2, 16, 16), torch.randn(2, 16)
    ids, mask = torch.tensor([[3, 4, 5]]), torch.ones(1, 3, dtype=torch.long)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model.answer_head(states), lite.model.answer_head(states))
        torch.testing.assert_close(
            loaded.dual_encoder.encode_frames(grid, pooled), lite.dual_encoder.encode_frames(grid, pooled)
        )
        torch.testing.assert_close(loaded.text(ids, mask)[1], lite.text(ids, mask)[1])
    assert loaded.answers == ("red", "blue")
    assert not any(module.training for module in (loaded.model, loaded.vision, loaded.dual_encoder))


@pytest.mark.parametrize("file", ["model.safetensors", "adapter/adapter_model.safetensors"])
def test_missing_and_unknown_keys_are_refused_by_name(file, make_seed, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "saved"
    save_pretrained(make_seed(), folder)
    weights = load_file(folder / file)
    key = next(iter(sorted(weights)))
    save_file({name: value for name, value in weights.items() if name != key}, folder / file)
    with pytest.raises(CheckpointError, match=rf"does not fit the model: it lacks {key}\. Every key"):
        from_pretrained(folder)

    save_file(weights | {"foreign.weight": torch.zeros(1)}, folder / file)
    with pytest.raises(CheckpointError, match=r"it has unknown foreign\.weight"):
        from_pretrained(folder)


def test_a_damaged_file_is_one_line(make_seed, tmp_path):
    save_pretrained(make_seed(), tmp_path / "saved")
    (tmp_path / "saved" / "model.safetensors").write_bytes(b"damaged")

    with pytest.raises(
        CheckpointError, match=r"cannot be loaded \(.*\); it must be as save_pretrained"
    ) as caught:
        from_pretrained(tmp_path / "saved")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_one_line(make_seed, tmp_path):
    save_pretrained(make_seed(), tmp_path / "saved")
    (tmp_path / "saved" / "adapter" / "adapter_model.safetensors").unlink()

    with pytest.raises(CheckpointError, match="cannot be loaded"):
        from_pretrained(tmp_path / "saved")


def test_a_named_part_that_has_changed_is_refused(make_seed, tmp_path):
    checkpoint = make_seed()
    save_pretrained(checkpoint, tmp_path / "saved", include_frozen=False)
    model = load_language_model(checkpoint.language_source)
    torch.nn.init.zeros_(model.transformer.wpe.weight)
    model.save_pretrained(checkpoint.language_source)

    with pytest.raises(
        CheckpointError, match=r"the language model .* has the weights sha256:.* trained with"
    ):
        from_pretrained(tmp_path / "saved")


def test_another_config_is_refused(tmp_path, make_seed):
    folder = tmp_path / "saved"
    save_pretrained(make_seed(), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": 2}))
    with pytest.raises(CheckpointError, match=r"no config of a gifqa checkpoint of format 1 \(format: "):
        from_pretrained(folder)

    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        from_pretrained(folder)
    assert not is_checkpoint(folder)


def test_what_is_no_folder_is_looked_for_on_the_hub(monkeypatch, tmp_path):
    import huggingface_hub

    def refuse(source):
        raise huggingface_hub.errors.HFValidationError(f"no such repository {source}")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(CheckpointError, match="someone/model is no folder and cannot be had from the hub"):
        from_pretrained("someone/model")


def test_a_folder_goes_to_the_hub_and_comes_from_it(monkeypatch, make_seed, tmp_path):
    import huggingface_hub

    checkpoint, folder, calls = make_seed(), tmp_path / "saved", []
    save_pretrained(checkpoint, folder)
    monkeypatch.setattr(
        huggingface_hub, "create_repo", lambda name, **settings: calls.append((name, settings))
    )
    monkeypatch.setattr(
        huggingface_hub, "upload_folder", lambda repo_id, folder_path: f"hub/{repo_id}/{folder_path}"
    )
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda source: str(folder))

    assert push_to_hub(folder, "me/seed") == f"hub/me/seed/{folder}"
    assert calls == [("me/seed", {"private": True, "exist_ok": True})]
    torch.testing.assert_close(logits_of(from_pretrained("me/seed")), logits_of(checkpoint))


def test_a_refusal_of_the_hub_is_one_line(monkeypatch, tmp_path):
    import huggingface_hub

    def refuse(*args, **settings):
        raise OSError("no token")

    monkeypatch.setattr(huggingface_hub, "create_repo", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be pushed to me/seed \(no token\); .* hf auth login"):
        push_to_hub(tmp_path, "me/seed")


def test_saving_again_replaces_the_folder_and_a_failure_leaves_it(make_seed, tmp_path, monkeypatch):
    checkpoint, folder = make_seed(), tmp_path / "saved"
    save_pretrained(checkpoint, folder)
    (folder / "stale").touch()
    save_pretrained(checkpoint, folder)
    assert not (folder / "stale").exists()

    def fail(*args, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gifqa.model.checkpoint_saving.save_file", fail)
    with pytest.raises(CheckpointError, match=r"cannot be written \(.*No space left.*\)\. Free some space"):
        save_pretrained(checkpoint, folder)
    assert is_checkpoint(folder)
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
