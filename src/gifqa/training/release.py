"""The last two stages of the lite recipe: the bundle is exported, then calibrated by its own answers."""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from gifqa.answering.bundle import Bundle, Calibration
from gifqa.answering.lite import LiteAnswerer, LiteRuntime
from gifqa.model.dual_encoder import DualEncoderHeads
from gifqa.model.export import Parts, export_bundle, write_config
from gifqa.model.text import load_text_tower
from gifqa.model.vision import load_vision_tower
from gifqa.training.calibration import accuracy, fit_calibration, judge
from gifqa.training.checkpoints import load_best, load_weights
from gifqa.training.lite_stages import TRAINING_STAGES, Figures, LiteRun, load_trained
from gifqa.training.samples import Sample

NUM_REFERENCES = 512
CALIBRATION_QUESTIONS = {"open": 600, "yes/no": 600, "options": 600}
"""At most so many of each kind."""


def load_heads(run: LiteRun) -> DualEncoderHeads:
    """The trained heads of the dual encoder."""
    heads = DualEncoderHeads(run.store.grid_shape[1], run.store.pooled_size, run.texts.size)
    load_best(heads, run.folder / "dual-encoder")
    return heads.eval()


@torch.no_grad()
def draw_references(run: LiteRun, heads: DualEncoderHeads) -> Tensor:
    """Dual-encoder vectors of some training photos, (512, D)."""
    photos = sorted(name for name in run.seen["train"].captions if not run.store.is_clip(name))
    chosen = random.Random(0).sample(photos, min(NUM_REFERENCES, len(photos)))
    rows = [run.store.rows(name)[0] for name in chosen]
    return heads.encode_frames(run.store.grid(rows).float(), run.store.pooled(rows))


def export(run: LiteRun) -> Figures:
    """Stage `export`: the bundle's folder, not yet calibrated."""
    vision = load_vision_tower(reduced_channels=run.recipe.vision.reduced_channels)
    load_weights(vision, run.folder / "vision" / "tower.safetensors")
    text, tokenizer = load_text_tower(run.recipe.text.tower)
    heads = load_heads(run)
    parts = Parts(
        vision=vision,
        text=text,
        text_tokenizer=tokenizer,
        dual_encoder=heads,
        answerer=load_trained(run),
        language_folder=run.folder / "language-model",
        answers=run.vocabulary["answers"],
        references=draw_references(run, heads),
    )
    folder = run.folder / "bundle"
    export_bundle(parts, folder, name=f"gifqa-{run.recipe.name}", version=run.recipe.version)
    return {"megabytes": round(sum(path.stat().st_size for path in folder.iterdir()) / 1e6, 1)}


def calibration_samples(run: LiteRun) -> dict[str, list[Sample]]:
    """Validation questions by kind; a kind's sources are drawn alike."""
    groups = run.seen["val"].by_source()
    chance = random.Random(run.recipe.validation.seed)
    yes_no = [*groups["caption-yes/no"], *(s for s in groups["vqa2-yn"] if s.answer in {"yes", "no"})]
    kinds = {
        "open": [*groups["caption-open"], *groups["visual7w"]],
        "yes/no": yes_no,
        "options": [sample for sample in groups["visual7w"] if sample.options],
    }
    without = {
        kind: [sample if kind == "options" else _openly(sample) for sample in samples]
        for kind, samples in kinds.items()
    }
    return {
        kind: chance.sample(samples, min(CALIBRATION_QUESTIONS[kind], len(samples)))
        for kind, samples in without.items()
    }


def _openly(sample: Sample) -> Sample:
    """The sample without its options."""
    return Sample(sample.picture, sample.question, sample.answer, sample.source, sample.answer_type)


def calibrate(run: LiteRun) -> Figures:
    """Stage `calibrate`: weights and confidences of the bundle, from validation questions."""
    folder = run.folder / "bundle"
    answerer = LiteAnswerer(LiteRuntime(Bundle(folder)))
    heads = load_heads(run)
    found: dict[str, Calibration] = {}
    figures: Figures = {}
    for kind, samples in calibration_samples(run).items():
        judged = [
            one
            for one in judge(answerer, heads, run.store, samples, run.recipe.language.num_frames)
            if one.opinions.kind == kind
        ]
        found[kind] = fit_calibration(judged)
        figures[f"{kind} accuracy"] = round(accuracy(judged, found[kind]), 4)
    config = Bundle(folder).config
    write_config(config.model_copy(update={"calibration": found, "figures": figures}), folder)
    return figures


STAGES: dict[str, Callable[[LiteRun], Figures]] = TRAINING_STAGES | {"export": export, "calibrate": calibrate}
"""Every stage of the recipe, in order."""
