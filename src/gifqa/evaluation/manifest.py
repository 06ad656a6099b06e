"""What a run was made from: input hashes, versions, seed; and the check that a folder holds that run."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gifqa.errors import ConfigError, RecordError
from gifqa.evaluation.config import EvaluationConfig

MANIFEST = "manifest.json"
_CHECKSUMS = "checksums.json"
_PACKAGES = ("gifqa", "numpy", "pillow", "av", "onnxruntime", "torch", "transformers")
_READ_BYTES = 2**20


def file_hash(*paths: Path) -> str:
    """SHA-256 of files one after another, in hexadecimal; of one file it is that of the file.

    Raises:
        RecordError: if one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(_READ_BYTES):
                    digest.update(block)
        except OSError as error:
            raise RecordError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    return digest.hexdigest()


def describe_run(
    config: EvaluationConfig, annotations: Sequence[Path], train: Sequence[Path] = ()
) -> dict[str, Any]:
    """The settings and the hashes of everything that the predictions depend on.

    Args:
        config: the run's settings.
        annotations: the files with the questions.
        train: the training files; they count only where a baseline learns its answers from them.
    """
    return {
        **config.identity(),
        "annotations_sha256": file_hash(*annotations),
        "train_sha256": file_hash(*train) if train and not config.needs_media else None,
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
    if output.is_dir() and any(not entry.name.startswith(".") for entry in output.iterdir()):
        raise ConfigError(
            f"{output} is not empty and holds no run; a run needs a new folder, an empty one or its own. "
            "Choose another folder with -o."
        )
    try:
        output.mkdir(parents=True, exist_ok=True)
        manifest = {"run": dict(run), "versions": versions(), "started": datetime.now(UTC).isoformat()}
        write_whole(path, json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise ConfigError(
            f"{output} cannot be written ({error.strerror}); a run writes its results there. Check -o."
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write a file by one rename: after a kill there is all of it or what stood there before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


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
    """What tells a folder's weights from others; None for a model by its name on a hub or server.

    A bundle lists the SHA-256 of each of its files, and loading it compares them: the hash is the list's.
    Of other folders it is that of all files.
    """
    if model is None:
        return None
    if model == "lite":
        package = find_spec("gifqa")
        places = list(package.submodule_search_locations or []) if package else []
        return _folder_hash(Path(places[0]) / "bundle") if places else None
    return _folder_hash(Path(model.removeprefix("hf:")))


def _folder_hash(folder: Path) -> str | None:
    if (folder / _CHECKSUMS).is_file():
        return file_hash(folder / _CHECKSUMS)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return file_hash(*files) if files else None
