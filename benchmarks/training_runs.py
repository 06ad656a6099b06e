"""A finished run as benchmarks start from it: its recipe with other settings, its data read once."""

import argparse
import copy
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from gifqa.errors import CheckpointError, ConfigError
from gifqa.model.precision import compute_dtype
from gifqa.training.building import build_frame_vectors, build_model
from gifqa.training.data.samples import Annotations
from gifqa.training.data.store import FeatureStore, TextStore
from gifqa.training.exporting import read_recipe
from gifqa.training.language import LanguageData, LanguageStage
from gifqa.training.recipe import Recipe
from gifqa.training.recipe_file import load_recipe
from gifqa.training.run_folder import read_json
from gifqa.training.run_state import Inputs, Run

Changes = Mapping[str, Any]
"""Sections of a recipe -> their keys -> values, as deep as the recipe."""


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """RUN and where its data are."""
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run whose stages are done")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data of that run")
    parser.add_argument("--pairs", type=Path, nargs="*", default=(), metavar="FILE", help="its pairs")
    parser.add_argument("--recipe", type=Path, metavar="TOML", help="instead of RUN/recipe.json")
    parser.add_argument("--threads", type=positive, help="of torch; one a core if left out")


def open_run(args: argparse.Namespace) -> Run:
    """The run that the flags name, with features, texts and annotations loaded.

    What is said in texts that the run has not encoded is left out, and counted on stderr.

    Raises:
        CheckpointError: if a stage that is needed left nothing.
        ConfigError: if its recipe cannot be read, or the data are not those of the run.
    """
    torch.set_num_threads(args.threads or os.cpu_count() or 1)
    inputs = Inputs(args.data, tuple(args.pairs))
    recipe = load_recipe(args.recipe) if args.recipe else recipe_of(args.run)
    check_inputs(args.run, inputs)
    run = Run(recipe, inputs, args.run, threads=torch.get_num_threads())
    _ = run.store, run.tokenizer, run.vocabulary
    known = {split: known_to(run.texts, found) for split, found in run.seen.items()}
    left_out = sum(map(_count, run.seen.values())) - sum(map(_count, known.values()))
    if left_out:
        print(f"{left_out} questions and captions left out: not in {args.run}/texts", file=sys.stderr)
    run.seen = known
    return run


def known_to(texts: TextStore, annotations: Annotations) -> Annotations:
    """What is said and asked in encoded texts; another version may have read the data otherwise."""
    captions = {
        name: known
        for name, given in annotations.captions.items()
        if (known := tuple(text for text in given if text in texts.index))
    }
    samples = [
        sample
        for sample in annotations.samples
        if {sample.question, sample.answer, *sample.options} <= texts.index.keys()
    ]
    return replace(annotations, samples=samples, captions=captions)


def recipe_of(folder: Path) -> Recipe:
    """The recipe that a run's folder was made with.

    Raises:
        CheckpointError: if the folder has none, or this version of gifqa knows other settings.
    """
    try:
        return read_recipe(folder)
    except CheckpointError as error:
        raise CheckpointError(f"{error} Or give its TOML file with --recipe.") from error


def check_inputs(folder: Path, inputs: Inputs) -> None:
    """Hold the data against those of the run; a folder without a recipe.json is not looked at.

    Raises:
        ConfigError: if they are others; it names them.
    """
    path = folder / "recipe.json"
    trained_on = read_json(path).get("inputs", {}) if path.exists() else {}
    given = inputs.checksums() if trained_on else {}
    different = sorted(
        name for name in trained_on.keys() | given.keys() if trained_on.get(name) != given.get(name)
    )
    if different:
        raise ConfigError(
            f"{folder} was trained on other data: {', '.join(different)} differ. Give the --data and the "
            "--pairs of that run, in the same order."
        )


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """A recipe with other values, checked as a whole.

    Raises:
        ConfigError: if they do not go together.
    """
    values = recipe.model_dump(mode="json")
    _merge(values, changes)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"the recipe {recipe.name!r} cannot be changed so: {_first(error)}") from error


def with_recipe(run: Run, recipe: Recipe) -> Run:
    """The same run by another recipe; what is loaded already is shared."""
    other = copy.copy(run)
    other.recipe = recipe
    return other


def language_stage(run: Run) -> LanguageStage:
    """The stage `language` of a run before its first step."""
    settings = run.recipe.language
    model = build_model(run, compute_dtype(wanted=settings.precision == "bf16"))
    data = LanguageData(run.store, run.texts, run.targets, build_frame_vectors(run))
    return LanguageStage(model, run.tokenizer, data, settings)


def pictures_of(annotations: Annotations) -> set[str]:
    """Names of all pictures that something is said or asked about."""
    return annotations.captions.keys() | {sample.picture for sample in annotations.samples}


def clips_of(annotations: Annotations, store: FeatureStore) -> set[str]:
    """Those of them that are clips."""
    return {name for name in pictures_of(annotations) if store.is_clip(name)}


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1; give one")
    return int(text)


def _count(annotations: Annotations) -> int:
    return len(annotations.samples) + sum(map(len, annotations.captions.values()))


def _merge(values: dict[str, Any], changes: Changes) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping):
            _merge(values[key], value)
        else:
            values[key] = value


def _first(error: ValidationError) -> str:
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    return f"{place}: {fault['msg']}" if place else fault["msg"].removeprefix("Value error, ")
