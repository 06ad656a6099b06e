"""What a run was made from: input hashes, versions, seed; and the check that a folder holds that run."""

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gifqa.errors import ConfigError, RecordError
from gifqa.evaluation.config import EvaluationConfig

MANIFEST = "manifest.json"
_PACKAGES = ("gifqa", "numpy", "pillow", "av", "onnxruntime", "torch", "transformers")
_READ_BYTES = 2**20


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names, in hexadecimal.

    Raises:
        RecordError: if it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if part.is_file():
                digest.update(f"{part.relative_to(path)}\0".encode() if path.is_dir() else b"")
                with part.open("rb") as file:
                    while block := file.read(_READ_BYTES):
                        digest.update(block)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    return digest.hexdigest()


def describe_run(config: EvaluationConfig) -> dict[str, Any]:
    """The settings and the hashes of everything that the predictions depend on."""
    return {
        **config.identity(),
        "annotations_sha256": file_hash(config.annotations),
        "train_sha256": file_hash(config.train) if config.train and not config.needs_media else None,
        "model_sha256": _model_hash(config.model),
    }


def fingerprint(run: Mapping[str, Any]) -> str:
    """One hash for the whole description of a run."""
    return hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()


def check_output(output: Path, run: Mapping[str, Any]) -> None:
    """Write the manifest of a new run, or hold the folder's own against it.

    Args:
        output: the run's folder, made when missing.
        run: from `describe_run`.

    Raises:
        ConfigError: if the folder holds another run, or other files and no run.
    """
    path = output / MANIFEST
    if path.is_file():
        held = read_manifest(output)["run"]
        changed = [name for name in run if held.get(name) != run[name]]
        if changed:
            differences = "; ".join(
                f"{name}: {held.get(name)!r} there, {run[name]!r} now" for name in changed[:3]
            )
            raise ConfigError(
                f"{output} holds another run ({differences}). A run goes on with the same settings and files "
                "only. Choose another folder with -o, or delete this one."
            )
        return
    if output.is_dir() and any(output.iterdir()):
        raise ConfigError(
            f"{output} is not empty and holds no run; a run needs a new folder, an empty one or its own. "
            "Choose another folder with -o."
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        manifest = {"run": dict(run), "versions": versions(), "started": datetime.now(UTC).isoformat()}
        path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{output} cannot be written ({error.strerror}); a run writes its results there. Check -o."
        ) from error


def read_manifest(output: Path) -> dict[str, Any]:
    """The manifest of a run's folder.

    Raises:
        RecordError: if there is none.
    """
    try:
        manifest: dict[str, Any] = json.loads((output / MANIFEST).read_text(encoding="utf-8"))
        _ = manifest["run"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"{output}: no run ({MANIFEST} is missing or damaged); `gifqa evaluate -o` makes one. "
            "Give the folder of a run."
        ) from error
    return manifest


def versions() -> dict[str, str]:
    """Python, the platform and the packages that answers depend on, those that are installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _model_hash(model: str | None) -> str | None:
    """The hash of a bundle's files; None for a model by its name on a hub or server."""
    if model is None:
        return None
    if model == "lite":
        package = find_spec("gifqa")
        places = list(package.submodule_search_locations or []) if package else []
        folder = Path(places[0]) / "bundle" if places else Path()
        return file_hash(folder) if places and folder.is_dir() else None
    return file_hash(Path(model)) if Path(model).is_dir() else None
