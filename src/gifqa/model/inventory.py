"""What a folder of a model holds: a bundle, a checkpoint, or the folder of a run. Loads no weights.

bundle      config.json and checksums.json, see `gifqa.answering.bundle`
checkpoint  config.json of the model type `gifqa`, see `gifqa.model.checkpoint_config`; checksums.json where
it came from a run
run         recipe.json, and a done.json a stage
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gifqa.answering.bundle import SHIPPED, Bundle, file_checksum
from gifqa.errors import CheckpointError
from gifqa.model.checkpoint_config import CheckpointConfig, Source, is_checkpoint, read_config

CHECKSUMS = "checksums.json"
FIGURES = "figures.json"
Kind = Literal["bundle", "checkpoint", "run"]


@dataclass(frozen=True)
class ModelFile:
    """A file of the model."""

    name: str
    """Its path below the folder."""
    num_bytes: int
    checksum: str
    """SHA-256 in hex."""


@dataclass(frozen=True)
class Inventory:
    """What a folder holds."""

    kind: Kind
    folder: str
    name: str
    version: str
    parts: dict[str, str]
    """What the model is made of; of a run its stages."""
    files: tuple[ModelFile, ...]
    figures: dict[str, Any]
    """What was measured; empty where nothing was."""

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(file.num_bytes for file in self.files)


def take_inventory(folder: Path | None = None) -> Inventory:
    """Parts, files and figures of a model.

    Args:
        folder: a bundle, a checkpoint or the folder of a run; None is the bundle that gifqa ships.

    Raises:
        CheckpointError: if it is none of these, or a config cannot be read.
    """
    folder = folder or SHIPPED
    kind = kind_of(folder)
    if kind == "bundle":
        return _bundle_inventory(folder)
    return _checkpoint_inventory(folder) if kind == "checkpoint" else _run_inventory(folder)


def verify(folder: Path | None = None) -> Inventory:
    """The inventory of a model whose every file is as it was written.

    Args:
        folder: see `take_inventory`; of a run its bundle or checkpoint is what is looked at.

    Raises:
        CheckpointError: at the first file that is missing or differs from its checksum.
    """
    folder = folder or SHIPPED
    kind = kind_of(folder)
    if kind == "run":
        return verify(_result_of(folder))
    if kind == "bundle":
        Bundle(folder)
    else:
        _verify_checkpoint(folder)
    return take_inventory(folder)


def kind_of(folder: Path) -> Kind:
    """What the folder is.

    Raises:
        CheckpointError: if it is no folder of a model.
    """
    if is_checkpoint(folder):
        return "checkpoint"
    if (folder / "recipe.json").is_file():
        return "run"
    if (folder / "config.json").is_file():
        return "bundle"
    what = "holds no model" if folder.is_dir() else "is no folder"
    raise CheckpointError(
        f"{folder} {what}; a model is a bundle, a checkpoint or the folder of a run. Check the path, or "
        "leave it out for the bundle that gifqa ships."
    )


def write_checksums(folder: Path) -> None:
    """Write checksums.json for every other file below a checkpoint's folder."""
    sums = {file.name: file.checksum for file in _files(folder) if file.name != CHECKSUMS}
    (folder / CHECKSUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")


def _bundle_inventory(folder: Path) -> Inventory:
    bundle = Bundle(folder)
    config = bundle.config
    parts = {
        "vision": f"{config.image_size} x {config.image_size} pixels, at most {config.max_frames} frames",
        "reader": f"{config.num_visual_tokens} visual tokens, {len(bundle.answers)} known answers",
        "decoder": f"{config.num_layers} layers",
        "text": f"at most {config.max_text_tokens} tokens",
    }
    return Inventory(
        "bundle", str(folder), config.name, config.version, parts, tuple(_files(folder)), config.figures
    )


def _checkpoint_inventory(folder: Path) -> Inventory:
    config = read_config(folder)
    figures = _read(folder / FIGURES) if (folder / FIGURES).exists() else {}
    files = tuple(_files(folder))
    return Inventory(
        "checkpoint", str(folder), config.name, config.version, _parts_of(config), files, figures
    )


def _parts_of(config: CheckpointConfig) -> dict[str, str]:
    lora = " with LoRA" if config.has_adapter else ""
    parts = {
        "vision": f"{config.vision.kind}{_named(config.vision.source)}",
        "connector": config.connector.kind,
        "projection": config.projection,
        "language model": f"{'in the folder' if config.language_model is None else ''}"
        f"{_named(config.language_model)}{lora}".strip(),
        "frames": str(config.num_frames),
    }
    if config.answers is not None:
        parts["answer head"] = f"{len(config.answers)} known answers"
    return parts


def _named(source: Source | None) -> str:
    return "" if source is None else f" {source.source} at {source.revision[:19]}"


def _run_inventory(folder: Path) -> Inventory:
    recipe = _read(folder / "recipe.json")
    done = {path.parent.name: _read(path) for path in sorted(folder.glob("*/done.json"))}
    parts = {name: f"done in {figures.get('seconds', 0):g} s" for name, figures in done.items()}
    figures = {
        f"{stage} {name}": value
        for stage, found in done.items()
        for name, value in found.items()
        if isinstance(value, int | float) and name != "seconds"
    }
    name, version = str(recipe.get("name", "")), str(recipe.get("version", ""))
    return Inventory("run", str(folder), name, version, parts, tuple(_trained(folder)), figures)


def _trained(folder: Path) -> Iterator[ModelFile]:
    """The weights that the stages of a run left."""
    for path in sorted(folder.glob("*/best.safetensors")):
        yield _described(path, folder)


def _files(folder: Path) -> Iterator[ModelFile]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".py":
            yield _described(path, folder)


def _described(path: Path, folder: Path) -> ModelFile:
    return ModelFile(path.relative_to(folder).as_posix(), path.stat().st_size, file_checksum(path))


def _result_of(run: Path) -> Path:
    for name in ("bundle", "checkpoint"):
        if (run / name / "config.json").is_file():
            return run / name
    raise CheckpointError(
        f"{run} has neither a bundle nor a checkpoint yet; the last stages of a recipe write one. Go on with "
        "gifqa train."
    )


def _verify_checkpoint(folder: Path) -> None:
    read_config(folder)
    if not (folder / CHECKSUMS).exists():
        raise CheckpointError(
            f"{folder} has no {CHECKSUMS}, so nothing says what its files were; `gifqa train` writes it. "
            "Load it with gifqa ask to see whether every weight is there."
        )
    expected = _read(folder / CHECKSUMS)
    found = {file.name: file.checksum for file in _files(folder)}
    for name, checksum in expected.items():
        if found.get(name) != checksum:
            state = "is missing" if name not in found else "differs from its checksum"
            raise CheckpointError(
                f"{folder / name} {state}; all {len(expected)} files must be as they were written. Copy the "
                "whole folder again, or train the stage `checkpoint` again."
            )


def _read(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({error}); it must be a JSON object. Restore it, or train again."
        ) from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} is no JSON object, as it must be. Restore it, or train again.")
    return values
