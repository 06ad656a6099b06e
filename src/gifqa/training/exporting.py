"""From the folder of a run to a bundle elsewhere: `gifqa export`."""

import shutil
from pathlib import Path

from pydantic import ValidationError

from gifqa.answering.bundle import Bundle
from gifqa.errors import CheckpointError, ConfigError
from gifqa.model.checkpoint_config import is_checkpoint
from gifqa.training.recipe import Recipe
from gifqa.training.recipe_checks import bundle_fault
from gifqa.training.run import run_stage
from gifqa.training.run_folder import claim_folder, figures_of, lock, read_json
from gifqa.training.run_state import Figures, Inputs, Run


def export_run(folder: Path, output: Path, inputs: Inputs | None = None, *, threads: int = 1) -> Figures:
    """Write the bundle of a run; what the run has exported before is not made again.

    Args:
        folder: of a run whose stage `language` is done.
        output: the bundle's folder; it must be new or empty.
        inputs: the run's data; None leaves a bundle that is not calibrated yet as it is.
        threads: of ONNX Runtime.

    Returns:
        What was measured when the bundle was calibrated; empty if it is not.

    Raises:
        CheckpointError: if the folder is no run, or the run is not far enough.
        ConfigError: if its recipe makes no bundle, the data are others, or the output is not empty.
    """
    recipe = read_recipe(folder)
    fault = bundle_fault(recipe)
    if recipe.ends_with != "bundle" or fault:
        raise ConfigError(
            f"{folder} was trained by the recipe {recipe.name!r}, whose model is {folder / 'checkpoint'}: "
            "ask it by --model, or push it. A bundle can be exported of the parts of recipes/lite.toml alone "
            f"({fault or 'and ends_with = bundle'})."
        )
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConfigError(f"{output} is not empty; a bundle gets a folder of its own. Give another folder.")
    with lock(folder):
        if figures_of(folder, "language") is None:
            raise CheckpointError(
                f"{folder} holds no trained model yet: its stage `language` is not done. Go on with "
                "gifqa train."
            )
        if inputs is not None:
            claim_folder(folder, recipe.model_dump(mode="json") | {"inputs": inputs.checksums()})
        run = Run(recipe, inputs, folder, threads=threads)
        run_stage(run, "export")
        if inputs is not None:
            run_stage(run, "calibrate")
        _copy(folder / "bundle", output)
    return Bundle(output).config.figures


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run was made with.

    Raises:
        CheckpointError: if the folder is no run, or one of another version of gifqa.
    """
    if is_checkpoint(folder):
        raise CheckpointError(
            f"{folder} is a checkpoint, which is asked as it is: gifqa ask --model {folder}. A bundle is "
            "exported from the folder of a run: give that, the folder with recipe.json."
        )
    if not (folder / "recipe.json").is_file():
        raise CheckpointError(
            f"{folder} is no folder of a run: it has no recipe.json, which `gifqa train` writes. Check "
            "the path."
        )
    values = read_json(folder / "recipe.json")
    try:
        return Recipe.model_validate({key: value for key, value in values.items() if key != "inputs"})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "the recipe"
        raise CheckpointError(
            f"{folder / 'recipe.json'} cannot be used ({name}: {first['msg']}); it is of another version of "
            "gifqa, or was changed. Use the gifqa that made it."
        ) from error


def _copy(bundle: Path, output: Path) -> None:
    partial = output.with_name(f"{output.name}.tmp")
    try:
        shutil.copytree(bundle, partial, dirs_exist_ok=True)
        if output.exists():
            output.rmdir()
        partial.replace(output)
    except OSError as error:
        raise CheckpointError(
            f"{output} cannot be written ({error.strerror}); the bundle is still in {bundle}. Free some "
            "space, or give another folder."
        ) from error
