"""What the names of models stand for. Nothing here loads a real one."""

import threading

import pytest

from gifqa.answering import models as models_module
from gifqa.answering.models import Models
from gifqa.errors import CheckpointError, ConfigError


@pytest.fixture
def bundle(monkeypatch, colour_embedder, fake_answerer):
    """Stands for the bundle; gives the folders it was loaded from."""
    loaded = []

    def load(self):
        if self._bundle is None:
            loaded.append(self._model)
            self._bundle = (colour_embedder, fake_answerer)
        return self._bundle

    monkeypatch.setattr(Models, "_load_bundle", load)
    return loaded


def test_lite_gives_both_halves_of_the_bundle_and_loads_it_once(bundle, colour_embedder, fake_answerer):
    models = Models()
    assert bundle == []
    assert models.encoder is colour_embedder
    assert models.answerer is fake_answerer
    assert bundle == ["lite"]


def test_a_folder_is_a_bundle(bundle, tmp_path):
    assert Models(tmp_path).answerer is not None
    assert bundle == [str(tmp_path)]


def test_threads_load_it_once(bundle):
    models = Models()
    threads = [threading.Thread(target=lambda: (models.encoder, models.answerer)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bundle == ["lite"]


@pytest.mark.parametrize("name", ["light", "gpt-4", "no/such/folder", "", "ftp://host#m"])
def test_an_unknown_name_is_refused_at_once(name):
    with pytest.raises(
        CheckpointError, match="is no model and no folder; a model is 'lite', a bundle's folder"
    ):
        Models(name)


@pytest.mark.parametrize("name", ["http://host/v1", "https://host/v1#", "http://#model"])
def test_a_server_without_a_model_is_refused(name):
    with pytest.raises(CheckpointError, match=r"names no model; a server is written .*Add #MODEL"):
        Models(name)


def test_an_empty_checkpoint_name_is_refused():
    with pytest.raises(
        CheckpointError, match=r"'hf:' names no checkpoint; write hf:ID or hf:FOLDER. Add one"
    ):
        Models("hf:")


def test_an_encoder_needs_its_prefix():
    with pytest.raises(CheckpointError, match="'openai/clip' is no encoder; an encoder is 'hf:ID-OR-FOLDER'"):
        Models("lite", encoder="openai/clip")


def test_a_remote_model_takes_keyframes_from_the_encoder_of_the_bundle(bundle, colour_embedder):
    models = Models("http://localhost:8000/v1/#my/model")

    assert models.answerer.name == "my/model at localhost:8000"
    assert models.answerer.needs_pixels
    assert bundle == []
    assert models.encoder is colour_embedder


def test_the_name_of_a_remote_model_has_no_password():
    assert Models("https://user:secret@host/v1#m").answerer.name == "m at host"


def test_hugging_face_names_reach_the_loaders(monkeypatch):
    monkeypatch.setattr(models_module, "HuggingFaceEncoder", lambda name: f"encoder {name}")
    monkeypatch.setattr(
        "gifqa.answering.transformers.TransformersAnswerer", lambda name: f"answerer {name}", raising=True
    )
    models = Models("hf:org/vlm", encoder="hf:org/clip")

    assert (models.encoder, models.answerer) == ("encoder org/clip", "answerer org/vlm")


def test_the_bundle_does_not_answer_from_the_features_of_another_encoder(bundle, colour_embedder):
    models = Models("lite", encoder=colour_embedder)

    assert models.encoder is colour_embedder
    with pytest.raises(ConfigError, match=r"answers from its own encoder's features. Leave --encoder out"):
        _ = models.answerer
