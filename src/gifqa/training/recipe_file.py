"""A recipe from its TOML file, with some values replaced and every fault named in one line."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gifqa.errors import ConfigError
from gifqa.training.recipe import Recipe


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file, with some of its values replaced.

    Args:
        path: the file.
        overrides: `section.key=value`, the value as TOML writes it; a bare word is a string.

    Raises:
        ConfigError: if the file cannot be read, or a key or value is not allowed.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}. Check the path of the recipe."
        ) from error
    except ValueError as error:  # TOML and UTF-8 alike
        raise ConfigError(
            f"{path} is no TOML file ({error}); see recipes/lite.toml for one. Correct it."
        ) from error
    for override in overrides:
        _replace(values, override)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error)}") from error


def _replace(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    *sections, key = name.strip().split(".")
    if not equals or not all((*sections, key)):
        raise ConfigError(
            f"{override!r} sets nothing; a setting is written section.key=value. Correct it, "
            "for example pretraining.steps=100."
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {section} is {inner!r} and has no keys. Set {section} itself.")
        values = inner
    values[key] = value


def _explain(error: ValidationError) -> str:
    """The first fault in one line; for an unknown key the one that was meant, or all there are."""
    first = error.errors()[0]
    *sections, key = [str(part) for part in first["loc"]] or [""]
    if first["type"] != "extra_forbidden":
        if not first["loc"]:
            return str(first["msg"]).removeprefix("Value error, ")
        return f"{'.'.join((*sections, key))} is {first['input']!r}: {first['msg']}. Correct the value."
    known = list(_fields(sections))
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
    return f"unknown key {'.'.join((*sections, key))}; {hint} Correct the name, or leave it out."


def _fields(sections: Sequence[str]) -> Mapping[str, Any]:
    model: Any = Recipe
    for section in sections:
        model = model.model_fields[section].annotation
    return dict(model.model_fields)
