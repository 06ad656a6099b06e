"""A run that starts from a bundle: what stages would train is read from its files instead.

gifqa train recipes/finetune.toml --from lite --data mine --pairs pairs.jsonl -o runs/mine
"""

import json
import shutil
from collections.abc import Callable

import torch
from safetensors.torch import save_file

from gifqa.answering.bundle import LANGUAGE_MODEL, Bundle, Calibration
from gifqa.errors import CheckpointError, ConfigError
from gifqa.model.bundle_weights import language_weights, load_graph
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.model.text import load_text_tower
from gifqa.model.vision import HEAD_CHANNELS, load_vision_tower
from gifqa.training.data.store import TextStore
from gifqa.training.loop.checkpoints import save_weights
from gifqa.training.qformer import PretrainingQFormer
from gifqa.training.recipe_checks import parts_fault
from gifqa.training.run_folder import figures_of, read_json
from gifqa.training.run_state import Figures, Run
from gifqa.training.towers import save_tower

CALIBRATION = "calibration.json"
"""In the run's folder: how sure the bundle was of its answers, for the kinds that validation does not ask."""


def take_vision(run: Run) -> Figures:
    """Stage `vision`: the bundle's reduction, on the frozen backbone."""
    bundle = _bundle(run)
    tower = load_vision_tower(reduced_channels=run.recipe.vision.reduced_channels)
    load_graph(tower, bundle.path("vision.onnx"), "tower.", derived=lambda name: name.startswith("backbone."))
    save_tower(tower, run.folder / "vision")
    return _source(bundle) | {"channels": tower.channels}


def take_dual_encoder(run: Run) -> Figures:
    """Stage `dual-encoder`: both heads, and the photos that fits are compared with."""
    bundle, folder = _bundle(run), run.folder / "dual-encoder"
    heads = DualEncoderHeads(run.recipe.vision.channels, HEAD_CHANNELS, run.recipe.qformer.text_size)
    load_graph(heads.text_head, bundle.path("text.onnx"), "heads.text_head.")
    load_graph(heads, bundle.path("vision.onnx"), "heads.", derived=_is_not_of_frames)
    save_weights(folder / "best.safetensors", heads.state_dict())
    references = torch.from_numpy(bundle.embeddings.references).float()
    save_weights(folder / "references.safetensors", {"references": references})
    return _source(bundle)


def take_language_model(run: Run) -> Figures:
    """Stage `language-model`: with what LoRA has learnt in it."""
    bundle, folder = _bundle(run), run.folder / "language-model"
    if not bundle.path(LANGUAGE_MODEL).is_file():
        raise CheckpointError(
            f"{bundle.folder} has no {LANGUAGE_MODEL}, which tells the shape of its language model: it was "
            "exported by an older gifqa. Give its language model with --language-model, or export it again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(bundle.path(LANGUAGE_MODEL), folder / "config.json")
    shutil.copy(bundle.path("tokenizer.json"), folder / "tokenizer.json")
    save_file(language_weights(bundle), folder / "model.safetensors", metadata={"format": "pt"})
    return _source(bundle)


def take_qformer(run: Run) -> Figures:
    """Stage `qformer`: Q-Former, projection and answer head; the known answers stay what they are.

    The bundle's calibration is left in the run's folder: `gifqa export` does not know the start.
    """
    bundle = _bundle(run)
    answers = list(bundle.answers)
    tower, tokenizer = load_text_tower(run.recipe.text.tower)
    sentences = TextStore(tower, tokenizer, answers).sentence(answers)
    width = bundle.embeddings.words.shape[1]
    model = PretrainingQFormer(run.recipe.qformer, sentences, torch.zeros(0, width), 1.0)
    path = bundle.path("reader.onnx")
    load_graph(model.qformer, path, "model.connector.", "model.qformer.")  # the latter in gifqa-lite 0.2.0
    load_graph(model.language_projection, path, "model.language_projection.")
    load_graph(model.answer_head, path, "model.answer_head.", derived=lambda name: name == "answer_sentences")
    save_weights(run.folder / "qformer" / "best.safetensors", model.state_dict())
    norm = float(model.language_projection.embedding_norm)
    vocabulary = {"answers": answers, "words": [], "norm": norm}
    (run.folder / "vocabulary.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    calibration = {kind: one.model_dump() for kind, one in bundle.config.calibration.items()}
    (run.folder / CALIBRATION).write_text(json.dumps(calibration), encoding="utf-8")
    return _source(bundle)


def calibration_of_start(run: Run) -> dict[str, Calibration]:
    """By kind of question, of the bundle that the run started from; empty without one."""
    path = run.folder / CALIBRATION
    found = read_json(path) if path.is_file() else {}
    return {kind: Calibration.model_validate(values) for kind, values in found.items()}


def known_answers(run: Run) -> set[str]:
    """What the answer head of the bundle knows that the run starts from; nothing without one."""
    return set() if run.start is None else set(run.start.answers)


def _is_not_of_frames(name: str) -> bool:
    """Text head, and the temperature, which no graph has since only training divides by it."""
    return name.startswith("text_head.") or name == "log_temperature"


def _bundle(run: Run) -> Bundle:
    assert run.start is not None
    return run.start


def _source(bundle: Bundle) -> Figures:
    return {"from": f"{bundle.config.name} {bundle.config.version} ({bundle.digest[:12]})"}


def taken_stages(run: Run) -> dict[str, Callable[[Run], Figures]]:
    """What stands in for the stages that a start from a bundle makes needless; nothing without a start.

    A language model that was named by itself is not taken.

    Raises:
        ConfigError: if the recipe has other parts than a bundle, or such a stage was done before from
            something else: their weights would not go together.
    """
    if run.start is None:
        return {}
    fault = parts_fault(run.recipe)
    if fault:
        raise ConfigError(
            f"--from takes the parts of a bundle, and the recipe {run.recipe.name!r} has others ({fault}). "
            "Use recipes/finetune.toml, or leave --from out."
        )
    taken: dict[str, Callable[[Run], Figures]]
    taken = {"vision": take_vision, "dual-encoder": take_dual_encoder, "qformer": take_qformer}
    if run.inputs.language_model is None:
        taken["language-model"] = take_language_model
    source = _source(run.start)["from"]
    for name in taken:
        found = figures_of(run.folder, name)
        if found is not None and found.get("from") != source:
            raise ConfigError(
                f"the stage `{name}` of {run.folder} is {found.get('from', 'trained there')}, and --from "
                f"asks for {source}: parts of two models do not go together. Give a new folder, or leave "
                "--from out."
            )
    return taken
