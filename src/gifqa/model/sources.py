"""Where pretrained parts come from: files of a Hugging Face folder or id, and what tells two of a name apart.

Of weights only safetensors are read.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gifqa.errors import CheckpointError
from gifqa.extras import require

NAMES_SHOWN = 3
"""Keys that a message names of those that do not fit."""


def find_file(source: str, name: str, *, subfolder: str = "") -> Path | None:
    """A file of a folder or of a repository of the hub, downloaded if need be; None if there is none.

    Raises:
        CheckpointError: if the source is neither, or the hub cannot be reached.
    """
    hub = require("transformers.utils.hub", "train")
    try:
        path = hub.cached_file(source, name, subfolder=subfolder, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{source} is no folder and cannot be had from the hub ({short(error)}); a pretrained part is a "
            "Hugging Face folder or id. Check the spelling, or give a folder."
        ) from error
    return None if path is None else Path(path)


def weight_files(source: str) -> dict[str, Path]:
    """The safetensors files of a source and, by key, which of them holds it.

    Raises:
        CheckpointError: if there is none.
    """
    index = find_file(source, "model.safetensors.index.json")
    if index is not None:
        table = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        files = {name: find_file(source, name) for name in sorted(set(table.values()))}
        missing = [name for name, path in files.items() if path is None]
        if missing:
            raise CheckpointError(
                f"{source} lacks {missing[0]}, which its index names; all parts of the weights are needed. "
                "Download it again."
            )
        return {key: path for key, name in table.items() if (path := files[name]) is not None}
    path = find_file(source, "model.safetensors")
    if path is None:
        raise CheckpointError(
            f"{source} has no model.safetensors; only safetensors are loaded. "
            "Convert it with save_pretrained, or give another."
        )
    return dict.fromkeys(_keys(path), path)


def read_tensors(source: str, prefixes: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors whose keys begin with one of the prefixes; others are not even read.

    Raises:
        CheckpointError: if the files are missing or damaged.
    """
    files = weight_files(source)
    wanted = {key: path for key, path in files.items() if key.startswith(prefixes)}
    found: dict[str, Tensor] = {}
    for path in sorted(set(wanted.values())):
        try:
            with safe_open(path, framework="pt") as file:
                found |= {key: file.get_tensor(key) for key, where in wanted.items() if where == path}
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from error
    return found


def load_exactly(module: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Load weights into a module: every key must be there, no other, each of its shape.

    Raises:
        CheckpointError: if not; the message names the keys.
    """
    check_keys(module.state_dict(), weights, source)
    module.load_state_dict(weights, strict=True)


def check_keys(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str) -> None:
    """Nothing, if the weights have the keys and the shapes of the model's own.

    Raises:
        CheckpointError: if not; the message names the keys.
    """
    missing = [key for key in own if key not in weights]
    unexpected = [key for key in weights if key not in own]
    misshapen = [
        f"{key} {tuple(weights[key].shape)} for {tuple(value.shape)}"
        for key, value in own.items()
        if key in weights and weights[key].shape != value.shape
    ]
    faults = {"lacks": missing, "has unknown": unexpected, "has of another shape": misshapen}
    told = [f"{fault} {_listed(keys)}" for fault, keys in faults.items() if keys]
    if told:
        raise CheckpointError(
            f"{source} does not fit the model: it {'; '.join(told)}. Every key must be there, and no other. "
            "Give a checkpoint of this architecture."
        )


def check_report(source: str, report: dict[str, Any], what: str) -> None:
    """Nothing, if `from_pretrained` found every weight of the model.

    Args:
        source: named in the message.
        report: what `output_loading_info=True` gives.
        what: the part is called so in the message.

    Raises:
        CheckpointError: if weights were missing or of another shape, so that they would be random.
    """
    keys = sorted({*report["missing_keys"], *(str(row[0]) for row in report.get("mismatched_keys") or ())})
    if keys:
        raise CheckpointError(
            f"{what} {source} lacks {_listed(keys)}; every weight must be in the checkpoint. "
            "Download it again, or give another."
        )


def revision_of(source: str) -> str:
    """What tells the weights from others of the same name: the hub's commit, or the SHA-256 of the files.

    Raises:
        CheckpointError: if there are no weights.
    """
    hub = require("transformers.utils.hub", "train")
    files = sorted(set(weight_files(source).values()))
    commit = None if Path(source).is_dir() else hub.extract_commit_hash(str(files[0]), None)
    if commit:
        return str(commit)
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def open_tokenizer(path: Path) -> Any:
    """A `tokenizers.Tokenizer` from its file.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    try:
        return require("tokenizers", "train").Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - the library raises nothing narrower
        reason = error
    raise CheckpointError(
        f"{path} cannot be opened ({short(reason)}); it must be a tokenizer.json. Download or save it again."
    ) from reason


def short(error: Exception) -> str:
    """The error's text on one line of at most 200 characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:197]}..."


def _keys(path: Path) -> Iterable[str]:
    try:
        with safe_open(path, framework="pt") as file:
            keys: Iterable[str] = file.keys()
            return list(keys)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _listed(keys: list[str]) -> str:
    more = len(keys) - NAMES_SHOWN
    return ", ".join(keys[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read ({short(error)}); it must be a whole safetensors file. Download it again."
    )
