"""The model's answers to the items of a benchmark, in a file; a run that stopped goes on from there.

    FOLDER/items.jsonl         what is asked, as `gifqa ask --batch` reads it
    FOLDER/predictions.jsonl   what was answered, a line each as soon as it is known
    FOLDER/run.json            whose answers these are: another model needs another folder

Answers come from this process, and the features of frames are not kept on disk.
"""

import argparse
import json
from pathlib import Path

from gifqa.answering.models import LITE
from gifqa.batch import ask_file
from gifqa.errors import ConfigError
from gifqa.pipeline import GifQA
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.config import CacheConfig
from gifqa.retrieval.embedder import DualEncoder, HuggingFaceEncoder

ITEMS, PREDICTIONS, RUN = "items.jsonl", "predictions.jsonl", "run.json"


def add_model_flag(parser: argparse.ArgumentParser) -> None:
    """`--model`."""
    parser.add_argument(
        "--model",
        default=LITE,
        help="what gifqa ask takes: lite, a bundle's folder, hf:ID, http(s)://HOST/v1#MODEL",
    )


def load_qa(model: str) -> tuple[GifQA, str]:
    """The pipeline without a disk cache, and what tells its weights from others of the same name."""
    cache = FeatureCache(CacheConfig(max_disk_bytes=0))
    if model != LITE and not Path(model).is_dir():
        return GifQA(model, cache=cache), model
    from gifqa.answering.lite import load_lite

    encoder, answerer = load_lite(None if model == LITE else Path(model))
    return GifQA(encoder=encoder, answerer=answerer, cache=cache), answerer.identity


def add_encoder_flag(parser: argparse.ArgumentParser) -> None:
    """`--model` of the benchmarks that search and answer nothing."""
    parser.add_argument(
        "--model", default=LITE, help="lite, a bundle's folder, or hf:ID of a CLIP or SigLIP model"
    )


def load_encoder(model: str) -> DualEncoder:
    """The bundle's encoder, or a CLIP or SigLIP model of Hugging Face."""
    if model.startswith("hf:"):
        return HuggingFaceEncoder(model.removeprefix("hf:"))
    from gifqa.answering.lite import load_lite

    return load_lite(None if model == LITE else Path(model))[0]


def predict(qa: GifQA, identity: str, folder: Path, *, describe: bool = False) -> Path:
    """Answer the items of `folder` that have no answer there yet.

    Args:
        qa: what answers.
        identity: of its weights, from `load_qa`.
        folder: holds `items.jsonl`.
        describe: ask for captions.

    Returns:
        The file of the predictions.

    Raises:
        ConfigError: if the folder holds another model's predictions.
        CheckpointError: if the model fails repeatedly.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    check_run(folder / RUN, identity)
    output = folder / PREDICTIONS
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(identity)
        ask_file(
            qa,
            folder / ITEMS,
            output,
            describe=describe,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    return output


def check_run(path: Path, identity: str) -> None:
    """Write whose predictions the folder holds, or hold this model against it."""
    if not path.exists():
        path.write_text(json.dumps({"model": identity}) + "\n", encoding="utf-8")
        return
    held = json.loads(path.read_text(encoding="utf-8"))["model"]
    if held != identity:
        raise ConfigError(
            f"{path.parent} holds the answers of {held}, and this is {identity}; a run goes on with the same "
            "model only. Choose another --output, or delete that folder."
        )
