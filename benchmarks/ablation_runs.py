"""One variant with one seed: trained and judged, or judged by its own captions.

Clips and photos are groups of their own: frames can matter on clips alone.
"""

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ablation_variants import BASE, CAPTIONS, variant_recipe
from torch.nn import functional as F
from training_runs import clips_of, language_stage, pictures_of, with_recipe

from gifqa.answering.captions import told
from gifqa.model.precision import autocast
from gifqa.model.vision_language_model import IGNORE_INDEX
from gifqa.prompt import text_prompt
from gifqa.retrieval.clip_cut import Keyframes
from gifqa.training.data.batches import caption_sample
from gifqa.training.data.samples import Annotations, Sample
from gifqa.training.data.store import FeatureStore
from gifqa.training.language import LanguageStage
from gifqa.training.language_validation import Figure, summary
from gifqa.training.loop.checkpoints import load_trained_weights
from gifqa.training.parts import Batch
from gifqa.training.recipe import Recipe
from gifqa.training.run_folder import figures_of, mark_done
from gifqa.training.run_state import Run

MAX_CAPTION_TOKENS = 16
CAPTIONS_AT_ONCE = 64
TEXTS_AT_ONCE = 32


def balanced(annotations: Annotations, store: FeatureStore, seed: int = 0) -> Annotations:
    """What is known of all clips and of as many photos: in the whole, one picture in twenty is a clip."""
    clips = clips_of(annotations, store)
    photos = sorted(pictures_of(annotations) - clips)
    if not clips:
        return annotations
    return annotations.only(clips | set(random.Random(seed).sample(photos, min(len(clips), len(photos)))))


def draw_samples(annotations: Annotations, store: FeatureStore, count: int, seed: int = 0) -> list[Sample]:
    """Up to `count` captions, open and yes/no questions of clips, and as many of photos.

    Questions about photos are of the sources that clips have too, so the two can be compared.
    """
    clips = clips_of(annotations, store)
    sources = {sample.source for sample in annotations.samples if not clips or sample.picture in clips}
    found = [sample for sample in annotations.samples if sample.source in sources]
    found += [caption_sample(name, captions[0]) for name, captions in annotations.captions.items()]
    groups = defaultdict(list)
    for sample in found:
        place = "clips" if sample.picture in clips else "photos"
        source = f"{place} captions" if sample.source == "captions" else place
        named = replace(sample, source=source)
        groups[named.group].append(named)
    chance = random.Random(seed)
    return [
        sample
        for name in sorted(groups)
        for sample in chance.sample(groups[name], min(count, len(groups[name])))
    ]


def finish(
    run: Run, base: Recipe, samples: Sequence[Sample], out: Path, name: str, seed: int
) -> dict[str, Any]:
    """The figures of a variant and a seed, from its folder if it was finished before.

    Args:
        run: the finished run.
        base: of all variants.
        samples: what each is judged by.
        out: folder of the ablation; gets NAME/seed-SEED/.
        name: of the variant.
        seed: of its training.
    """
    found = figures_of(out / name, f"seed-{seed}")
    if found is not None:
        return found
    own = with_recipe(run, variant_recipe(base, name, seed))
    folder, began = out / name / f"seed-{seed}", time.monotonic()
    if name == CAPTIONS:
        finish(run, base, samples, out, BASE, seed)
        began = time.monotonic()
        figures = judge_captions(own, out / BASE / f"seed-{seed}" / "best.safetensors", samples)
    else:
        figures = language_stage(own).run(folder, samples)
        drop_weights(folder, keep_best=name == BASE)
    figures = {key: value for key, value in figures.items() if key != "step"}
    mark_done(out / name, f"seed-{seed}", figures | {"seconds": round(time.monotonic() - began, 1)})
    return finish(run, base, samples, out, name, seed)


def drop_weights(folder: Path, *, keep_best: bool) -> None:
    """Remove what nothing reads any more: a checkpoint of each run would fill gigabytes."""
    for path in folder.glob("step-*.pt"):
        path.unlink()
    if not keep_best:
        (folder / "best.safetensors").unlink(missing_ok=True)


def judge_captions(run: Run, weights: Path, samples: Sequence[Sample]) -> dict[str, Any]:
    """The figures of answers from captions: the trained model describes each frame, then reads only that.

    Args:
        run: by the recipe of the base.
        weights: of the trained base.
        samples: what to answer.

    Raises:
        CheckpointError: if the weights cannot be loaded.
    """
    stage = language_stage(run)
    load_trained_weights(stage.model, weights)
    stage.learner.eval()
    texts = captions_as_text(stage, sorted({sample.picture for sample in samples}))
    figures = []
    for start in range(0, len(samples), TEXTS_AT_ONCE):
        chosen = samples[start : start + TEXTS_AT_ONCE]
        prompts = [text_prompt(texts[sample.picture], sample.question) for sample in chosen]
        figures += text_figures(stage, chosen, prompts)
    return summary(figures)


def captions_as_text(stage: LanguageStage, names: Sequence[str]) -> dict[str, str]:
    """What the model says of each picture's frames, one by one, as the approach `captions` tells it on."""
    store = stage.data.store
    rows = {name: stage.frames.fixed(caption_sample(name, "")) for name in names}
    flat = [(name, row) for name in names for row in rows[name]]
    captions: dict[str, list[str]] = defaultdict(list)
    for start in range(0, len(flat), CAPTIONS_AT_ONCE):
        chosen = flat[start : start + CAPTIONS_AT_ONCE]
        for (name, _), text in zip(chosen, write_captions(stage, chosen), strict=True):
            captions[name].append(text)
    found = {}
    for name in names:
        item = store.items[name]
        pts_seconds = np.array([item["pts_seconds"][item["rows"].index(row)] for row in rows[name]])
        found[name] = told(_keyframes(pts_seconds, store.is_clip(name), item["pts_seconds"]), captions[name])
    return found


def _keyframes(pts_seconds: np.ndarray, is_clip: bool, of_all: Sequence[float]) -> Keyframes:
    count = len(pts_seconds)
    scores = np.zeros(count, np.float32)
    # the cache has no duration: the last frame is taken to stay as long as the others
    duration = float(of_all[-1]) * len(of_all) / max(1, len(of_all) - 1)
    return Keyframes(np.arange(count), pts_seconds, scores, None, len(of_all) if is_clip else 1, duration)


@torch.inference_mode()
def write_captions(stage: LanguageStage, frames: Sequence[tuple[str, int]]) -> list[str]:
    """A caption of each frame (picture, row of the cache), by greedy decoding in one batch."""
    from transformers import GenerationConfig

    model, samples = stage.model, [caption_sample(name, "") for name, _ in frames]
    sequences = stage.sequences(samples, with_answers=False)
    answers = torch.full((len(frames),), IGNORE_INDEX)
    batch = Batch(samples, [[row] for _, row in frames], sequences, answers, None)
    part = stage.load_pass(batch, range(len(frames)))
    settings = GenerationConfig(
        do_sample=False, num_beams=1, temperature=1.0, top_k=50, top_p=1.0, repetition_penalty=1.0,
        max_new_tokens=MAX_CAPTION_TOKENS,
        eos_token_id=model.eos_token_id, pad_token_id=model.eos_token_id,
    )  # fmt: skip
    with stage.learner.autocast(part):
        embeds = model.inputs_embeds(model.visual_tokens(stage.learner.states(part)), part.sequences)
        tokens = model.language_model.generate(
            inputs_embeds=embeds, attention_mask=part.sequences.attention_mask, generation_config=settings
        )
    rows = [
        row[: row.index(model.eos_token_id)] if model.eos_token_id in row else row for row in tokens.tolist()
    ]
    return [stage.tokenizer.decode(row).strip() for row in rows]


@torch.inference_mode()
def text_figures(stage: LanguageStage, samples: Sequence[Sample], prompts: Sequence[str]) -> list[Figure]:
    """Nats a token of each answer after its prompt, and whether greedy decoding would give it whole."""
    model, tokenizer, learner = stage.model, stage.tokenizer, stage.learner
    rows, labels = [], []
    for sample, prompt in zip(samples, prompts, strict=True):
        asked = tokenizer.encode(prompt, add_special_tokens=False).ids
        answer = [*tokenizer.encode(f" {sample.answer}", add_special_tokens=False).ids, model.eos_token_id]
        rows.append(torch.tensor(asked + answer))
        labels.append(torch.tensor([IGNORE_INDEX] * len(asked) + answer))
    pad = torch.nn.utils.rnn.pad_sequence
    ids, targets = pad(rows, batch_first=True), pad(labels, batch_first=True, padding_value=IGNORE_INDEX)
    mask = pad([torch.ones_like(row) for row in rows], batch_first=True)
    with autocast(ids.device.type, wanted=stage.settings.precision == "bf16"):
        hidden = model.last_hidden(model.language_model.get_input_embeddings()(ids), mask)
        logits, wanted = learner.answer_logits(hidden, targets)
    nats = F.cross_entropy(logits.float(), wanted, reduction="none")
    right = logits.argmax(-1) == wanted
    owner = (targets[:, 1:] != IGNORE_INDEX).nonzero()[:, 0]
    return [
        (sample.group, nats[owner == row].mean().item(), bool(right[owner == row].all()))
        for row, sample in enumerate(samples)
    ]
