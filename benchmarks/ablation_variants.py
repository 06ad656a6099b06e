"""What `ablation.py` compares: each variant is the base recipe with one thing changed."""

from collections.abc import Callable
from dataclasses import dataclass

from training_runs import Changes, changed

from gifqa.training.recipe import Recipe

BASE = "base"
CAPTIONS = "captions"
"""Trains nothing: it reads what the base of the same seed writes."""


@dataclass(frozen=True)
class Variant:
    """One line of the table."""

    title: str
    changes: Callable[[Recipe], Changes]
    """What it changes of the base."""


def _without_pretraining(recipe: Recipe) -> Changes:
    """A fresh connector learns at the rate at which pretraining would have taught it."""
    rate = recipe.pretraining.learning_rate
    return {"pretraining": {"steps": 0}, "language": {"qformer_learning_rate": rate}}


def _mlp(recipe: Recipe) -> Changes:
    """As many visual tokens in all as the Q-Former gives, if a frame's can be a square."""
    per_frame = max(1, recipe.qformer.num_query_tokens // recipe.language.num_frames)
    return {**_without_pretraining(recipe), "connector": {"kind": "mlp", "tokens_per_frame": per_frame}}


def _pooled(recipe: Recipe) -> Changes:
    """The original's design: a frame is the mean of its cells."""
    changes = _without_pretraining(recipe)
    return {**changes, "language": {**changes["language"], "vision": "pooled"}}


VARIANTS = {
    BASE: Variant("base", lambda recipe: {}),
    "mvm": Variant("with masked video modelling", lambda recipe: {"language": {"mvm": {"weight": 1.0}}}),
    "no-pretraining": Variant("Q-Former not pretrained", _without_pretraining),
    "mlp": Variant("MLP in place of the Q-Former", _mlp),
    "pooled": Variant("one mean vector a frame", _pooled),
    "frames-1": Variant("1 frame", lambda recipe: {"language": {"num_frames": 1}}),
    "frames-8": Variant("8 frames", lambda recipe: {"language": {"num_frames": 8}}),
    "clip-cut": Variant("frames by CLIP-Cut", lambda recipe: {"language": {"frame_choice": "clip-cut"}}),
    "frozen-lm": Variant("language model frozen, no LoRA", lambda recipe: {"language": {"lora_rank": 0}}),
    CAPTIONS: Variant("captions of the keyframes, then text", lambda recipe: {}),
}


def base_recipe(recipe: Recipe, steps: int, batch_size: int) -> Recipe:
    """The run's recipe cut down to a small fixed budget.

    Masked video modelling off, evenly spread frames, one validation at the end, and weights that need not
    fit a bundle: an MLP does not, and all variants shall have the language model unrounded.
    """
    language = {
        "steps": steps,
        "batch_size": batch_size,
        "gradient_accumulation": 1,
        "warmup_steps": max(1, steps // 10),
        "validate_every": steps,
        "patience": 0,
        "mvm": {"weight": 0.0},
        "frame_choice": "uniform",
        "samples_shown": 0,
        "tensorboard": False,
        "wandb": False,
        "keep_last": 1,
    }
    return changed(recipe, {"ends_with": "checkpoint", "language": language})


def variant_recipe(base: Recipe, name: str, seed: int) -> Recipe:
    """The base with the variant's change and a seed for batches, LoRA and all that is fresh."""
    return changed(changed(base, VARIANTS[name].changes(base)), {"language": {"seed": seed}})
