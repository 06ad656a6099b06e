import json
import shutil

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from gifqa.answering.bundle import SHIPPED, Bundle
from gifqa.errors import CheckpointError, ConfigError
from gifqa.training.exporting import export_run, read_recipe
from gifqa.training.recipe import Recipe
from gifqa.training.run_folder import claim_folder, mark_done
from gifqa.training.run_state import Inputs


@pytest.fixture
def run(tmp_path):
    """A run whose bundle is the shipped one."""
    folder = tmp_path / "run"
    claim_folder(folder, Recipe().model_dump(mode="json") | {"inputs": {"clips": "1234"}})
    for stage in ("language", "export"):
        mark_done(folder, stage, {})
    shutil.copytree(SHIPPED, folder / "bundle", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_what_was_exported_before_is_copied_whole(run, tmp_path):
    figures = export_run(run, tmp_path / "out")

    assert figures == Bundle().config.figures
    assert Bundle(tmp_path / "out").digest == Bundle().digest


def test_a_full_folder_is_left_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")

    with pytest.raises(ConfigError, match=r"out is not empty; a bundle gets a folder of its own"):
        export_run(run, tmp_path / "out")


def test_other_data_are_refused(run, tmp_path):
    (tmp_path / "clips.jsonl").write_text("")

    with pytest.raises(ConfigError, match=r"made with another recipe: inputs.clips is '1234' there and '"):
        export_run(run, tmp_path / "out", Inputs(tmp_path))


def test_a_run_that_is_not_trained_yet_is_refused(run, tmp_path):
    (run / "language" / "done.json").unlink()

    with pytest.raises(
        CheckpointError, match=r"holds no trained model yet: its stage `language` is not done"
    ):
        export_run(run, tmp_path / "out")


def test_a_recipe_of_other_parts_says_what_a_bundle_needs(tmp_path):
    recipe = Recipe(ends_with="checkpoint", connector={"kind": "mlp"}, pretraining={"steps": 0})
    claim_folder(tmp_path / "run", recipe.model_dump(mode="json"))

    with pytest.raises(
        ConfigError, match=r"ask it by --model, .* \(a bundle needs connector.kind to be 'qformer'"
    ):
        export_run(tmp_path / "run", tmp_path / "out")


def test_folders_that_are_no_runs_are_told_apart(tmp_path):
    with pytest.raises(CheckpointError, match=r"is no folder of a run: it has no recipe.json, which"):
        read_recipe(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "gifqa"}')
    with pytest.raises(CheckpointError, match=r"is a checkpoint, which is asked as it is: gifqa ask --model"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"recipe.json cannot be read \(.* Delete the damaged file"),
        ('{"language": {"mvm_weight": 0}}', r"language.mvm_weight: Extra inputs .* another version of gifqa"),
    ],
)
def test_a_damaged_or_old_recipe_is_told(tmp_path, text, message):
    (tmp_path / "recipe.json").write_text(text)

    with pytest.raises(CheckpointError, match=message):
        read_recipe(tmp_path)


def test_the_recipe_is_read_as_it_was_written(run):
    assert read_recipe(run) == Recipe()
    assert "inputs" in json.loads((run / "recipe.json").read_text())
