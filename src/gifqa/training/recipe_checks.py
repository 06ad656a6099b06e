"""Whether the sections of a recipe go together, as far as that can be told before anything is loaded."""

from typing import TYPE_CHECKING

from gifqa.model.vision import GRID_SIDE, SHALLOW_CHANNELS

if TYPE_CHECKING:
    from gifqa.training.recipe import Recipe

EFFICIENTNET = "efficientnet-lite2"


def check_recipe(recipe: "Recipe") -> None:
    """Look at what one section means for another.

    Raises:
        ValueError: at the first two settings that do not go together; it names both.
    """
    _check_connector(recipe)
    _check_dimensions(recipe)
    _check_stages(recipe)
    fault = bundle_fault(recipe)
    if recipe.ends_with == "bundle" and fault:
        raise ValueError(f'{fault}. Correct it, or set ends_with = "checkpoint".')


def _check_connector(recipe: "Recipe") -> None:
    kind, source = recipe.connector.kind, recipe.connector.source
    is_pretrained = kind in ("blip2", "instructblip")
    if is_pretrained and not source:
        raise ValueError(
            f'connector.kind is "{kind}", but connector.source names no checkpoint to take it from. Set it '
            "to a Hugging Face id or a folder."
        )
    if source and not is_pretrained:
        raise ValueError(
            f'connector.source is {source!r}, but a connector of the kind "{kind}" starts from random '
            'weights. Leave it out, or set connector.kind to "blip2" or "instructblip".'
        )
    if kind == "qformer":
        return
    if recipe.pretraining.steps:
        raise ValueError(
            f'connector.kind is "{kind}", but pretraining.steps is {recipe.pretraining.steps}; only a '
            '"qformer" is pretrained here. Set pretraining.steps = 0.'
        )
    if recipe.language.vision == "pooled":
        raise ValueError(
            f'language.vision is "pooled", which takes the place of the connector, but connector.kind is '
            f'"{kind}". Leave either out.'
        )


def _check_dimensions(recipe: "Recipe") -> None:
    shape = recipe.qformer
    if recipe.connector.kind != "qformer":
        return
    if recipe.vision.tower == EFFICIENTNET:
        channels = recipe.vision.channels
        if shape.grid_channels != channels:
            raise ValueError(
                f"qformer.grid_channels is {shape.grid_channels}, but a cell has {channels} channels: "
                f"vision.reduced_channels and {SHALLOW_CHANNELS} shallow ones. Correct either."
            )
        if shape.grid_size != GRID_SIDE**2:
            raise ValueError(
                f"qformer.grid_size is {shape.grid_size}, but the tower {EFFICIENTNET} has {GRID_SIDE**2} "
                "cells. Correct it."
            )
    if shape.hidden_size % shape.num_attention_heads:
        raise ValueError(
            f"qformer.hidden_size is {shape.hidden_size}, which {shape.num_attention_heads} heads do not "
            "divide. Correct it, or qformer.num_attention_heads."
        )
    for name, stage in (("pretraining", recipe.pretraining), ("language", recipe.language)):
        if stage.steps and stage.num_frames > shape.max_frames:
            raise ValueError(
                f"{name}.num_frames is {stage.num_frames}, but qformer.max_frames only {shape.max_frames}. "
                "Lower the one, or raise the other."
            )


def _check_stages(recipe: "Recipe") -> None:
    pretraining, language = recipe.pretraining, recipe.language
    if language.vision == "none" and pretraining.steps and not pretraining.blind:
        raise ValueError(
            'language.vision is "none", but pretraining.blind is false: the Q-Former would have seen '
            "pictures. Set pretraining.blind = true."
        )
    for name, stage in (("pretraining", pretraining), ("language", language)):
        if stage.steps and stage.warmup_steps >= stage.steps:
            raise ValueError(
                f"{name}.warmup_steps is {stage.warmup_steps}, but {name}.steps only {stage.steps}; "
                "warm-up must end before the run does. Lower the one, or raise the other."
            )
    if pretraining.steps and recipe.connector.projection != "sphere":
        raise ValueError(
            f'connector.projection is "{recipe.connector.projection}", but the pretraining of the Q-Former '
            'trains one of the kind "sphere". Leave it out, or set pretraining.steps = 0.'
        )
    low, high = language.mvm.rate_range
    if low > high or high == 1:
        raise ValueError(
            f"language.mvm.rate_range is {low} to {high}; it must rise, and end below 1. Correct it."
        )
    if language.global_local and (recipe.connector.kind == "qformer" and language.vision != "pooled"):
        raise ValueError(
            f"language.global_local is {language.global_local}, but a connector of the kind "
            f'"{recipe.connector.kind}" mixes the frames; the local part needs one that goes frame by frame. '
            'Set it to 0, or connector.kind to "blip2", "instructblip" or "mlp".'
        )
    if language.global_local and language.global_local >= language.num_frames:
        raise ValueError(
            f"language.global_local is {language.global_local}, but language.num_frames only "
            f"{language.num_frames}; the local part must have fewer frames than are shown. Lower the one, or "
            "raise the other."
        )


def bundle_fault(recipe: "Recipe") -> str | None:
    """What keeps a recipe's model from being exported as a bundle; None if nothing does."""
    fault = parts_fault(recipe)
    if fault is None and recipe.language.vision == "pooled":
        fault = 'language.vision is "pooled", and a bundle reads grids'
    return fault


def parts_fault(recipe: "Recipe") -> str | None:
    """The first part of a recipe's model that a bundle has otherwise, as `--from` compares; None if none."""
    language = recipe.language
    needed = {
        "vision.tower": (recipe.vision.tower, EFFICIENTNET),
        "connector.kind": (recipe.connector.kind, "qformer"),
        "connector.projection": (recipe.connector.projection, "sphere"),
        "language.hint": (language.hint, True),
        "language.global_local": (language.global_local, 0),
        "an answer head (language.answer_weight > 0)": (language.answer_weight > 0, True),
    }
    faults = (
        f"a bundle needs {name} to be {wanted!r}; it is {given!r}"
        for name, (given, wanted) in needed.items()
        if given != wanted
    )
    return next(faults, None)
