"""The last stages of a recipe: a bundle, calibrated by its own answers, or a checkpoint.

bundle/      what `gifqa ask --model` runs without torch
checkpoint/  what it runs with torch, in the layout of `save_pretrained`
"""

import json
import random
from collections.abc import Callable

from safetensors.torch import load_file
from torch import Tensor

from gifqa.answering.bundle import Bundle, Calibration
from gifqa.answering.lite import LiteAnswerer, LiteRuntime
from gifqa.errors import CheckpointError
from gifqa.model.checkpoint import Checkpoint
from gifqa.model.checkpoint_saving import save_pretrained
from gifqa.model.export import NEUTRAL, Parts, export_bundle, write_config
from gifqa.model.hugging_face_vision import load_hugging_face_vision
from gifqa.model.inventory import FIGURES, write_checksums
from gifqa.model.text import load_text_tower
from gifqa.model.vision import VisionTower, load_vision_tower
from gifqa.prompt import STATEMENT_ANSWERS, YES_NO_KINDS, yes_no_kind
from gifqa.training.building import load_heads, load_trained, merge_lora
from gifqa.training.calibration import accuracy, fit_calibration, judge
from gifqa.training.data.samples import Sample
from gifqa.training.data.store import FeatureStore
from gifqa.training.loop.checkpoints import READ_ERRORS, load_weights, reason
from gifqa.training.loop.progress import progress_bar
from gifqa.training.recipe_checks import EFFICIENTNET
from gifqa.training.run_folder import figures_of
from gifqa.training.run_state import Figures, Run
from gifqa.training.starting import calibration_of_start

CALIBRATION_QUESTIONS = 600
"""At most so many of each kind."""


def read_references(run: Run) -> Tensor:
    """Dual-encoder vectors of some training photos, (R, D).

    Raises:
        CheckpointError: if stage `dual-encoder` left none.
    """
    path = run.folder / "dual-encoder" / "references.safetensors"
    try:
        references: Tensor = load_file(path)["references"]
    except READ_ERRORS as error:
        raise CheckpointError(
            f"{path} cannot be read ({reason(error)}); the stage `dual-encoder` writes it. Run that again."
        ) from error
    return references


def export(run: Run) -> Figures:
    """Stage `export`: the bundle's folder, calibrated as what the run started from was, or not yet."""
    text, tokenizer = load_text_tower(run.recipe.text.tower)
    heads = load_heads(run)
    parts = Parts(
        vision=load_tower(run),
        text=text,
        text_tokenizer=tokenizer,
        dual_encoder=heads,
        answerer=merge_lora(load_trained(run)),
        language_folder=run.folder / "language-model",
        answers=run.vocabulary["answers"],
        references=read_references(run),
    )
    folder = run.folder / "bundle"
    config = export_bundle(parts, folder, name=f"gifqa-{run.recipe.name}", version=run.recipe.version)
    calibration = config.calibration | calibration_of_start(run)
    write_config(config.model_copy(update={"calibration": calibration}), folder)
    return {"megabytes": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1)}


def calibration_samples(run: Run) -> dict[str, list[Sample]]:
    """Validation questions by kind: half of them about clips, as far as there are so many."""
    groups = run.seen["val"].by_source()
    chance = random.Random(run.recipe.validation.seed)
    yes_no = [
        sample
        for sample in (*groups["caption-yes/no"], *groups["vqa2-yn"])
        if sample.answer in STATEMENT_ANSWERS
    ]
    kinds = {
        "open": [*groups["caption-open"], *groups["visual7w"]],
        **{kind: [one for one in yes_no if yes_no_kind(one.question) == kind] for kind in YES_NO_KINDS},
        "options": [sample for sample in groups["visual7w"] if sample.options],
    }
    without = {
        kind: [sample if kind == "options" else _openly(sample) for sample in samples]
        for kind, samples in kinds.items()
    }
    return {kind: _draw(samples, run.store, chance) for kind, samples in without.items()}


def _draw(samples: list[Sample], store: FeatureStore, chance: random.Random) -> list[Sample]:
    clips = [sample for sample in samples if store.is_clip(sample.picture)]
    photos = [sample for sample in samples if not store.is_clip(sample.picture)]
    half = CALIBRATION_QUESTIONS // 2
    count = min(len(clips), max(half, CALIBRATION_QUESTIONS - len(photos)))
    others = min(len(photos), CALIBRATION_QUESTIONS - count)
    return [*chance.sample(clips, count), *chance.sample(photos, others)]


def _openly(sample: Sample) -> Sample:
    """The sample without its options."""
    return Sample(sample.picture, sample.question, sample.answer, sample.source, sample.answer_type)


def calibrate(run: Run) -> Figures:
    """Stage `calibrate`: weights and confidences of the bundle, from validation questions.

    A kind that the validation split has no question of keeps the calibration of the bundle that the run
    started from.
    """
    folder = run.folder / "bundle"
    bundle = Bundle(folder)
    answerer = LiteAnswerer(LiteRuntime(bundle))
    heads = load_heads(run)
    unasked = calibration_of_start(run)
    found: dict[str, Calibration] = {}
    figures: Figures = {}
    for kind, samples in calibration_samples(run).items():
        judged = []
        with progress_bar(f"calibrate, {kind}", 0, len(samples), wanted=True) as bar:
            asked = judge(answerer, heads, run.store, samples, run.recipe.language.num_frames)
            for count, one in enumerate(asked, start=1):
                if one.opinions.kind == kind:
                    judged.append(one)
                bar.show(count, "")
        if not judged:
            found[kind] = unasked.get(kind, found.get("yes/no", NEUTRAL) if kind == "is this" else NEUTRAL)
            continue
        found[kind] = fit_calibration(judged)
        figures[f"{kind} accuracy"] = round(accuracy(judged, found[kind]), 4)
    write_config(bundle.config.model_copy(update={"calibration": found, "figures": figures}), folder)
    return figures


def save_checkpoint(run: Run) -> Figures:
    """Stage `checkpoint`: everything that answers a question on torch, frozen parts included."""
    recipe, model = run.recipe, load_trained(run)
    reads_text = recipe.trains_dual_encoder or model.answer_head is not None
    needs_text = reads_text or model.connector.reads_question == "states"
    text, text_tokenizer = load_text_tower(recipe.text.tower) if needs_text else (None, None)
    is_named = recipe.vision.tower != EFFICIENTNET
    checkpoint = Checkpoint(
        name=f"gifqa-{recipe.name}",
        version=recipe.version,
        model=model,
        tokenizer=run.tokenizer,
        vision=load_hugging_face_vision(recipe.vision.tower) if is_named else load_tower(run),
        num_frames=recipe.language.num_frames,
        vision_source=recipe.vision.tower if is_named else None,
        text=text,
        text_tokenizer=text_tokenizer,
        answers=None if model.answer_head is None else run.vocabulary["answers"],
        dual_encoder=load_heads(run) if recipe.trains_dual_encoder else None,
    )
    folder = run.folder / "checkpoint"
    save_pretrained(checkpoint, folder)
    figures = figures_of(run.folder, "language") or {}
    (folder / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write_checksums(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {"megabytes": round(size / 1e6, 1)}


def load_tower(run: Run) -> VisionTower:
    """EfficientNet-Lite2 with the reduction that stage `vision` fitted."""
    tower = load_vision_tower(reduced_channels=run.recipe.vision.reduced_channels)
    load_weights(tower, run.folder / "vision" / "tower.safetensors")
    return tower


RELEASE_STAGES: dict[str, Callable[[Run], Figures]] = {
    "checkpoint": save_checkpoint,
    "export": export,
    "calibrate": calibrate,
}
