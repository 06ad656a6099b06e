"""A flag for each limit of `MediaLimits`, added to every command that reads media."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gifqa.limits import FLAGS, MediaLimits

_PANEL = "Limits"
_MOST = 10**9
"""More than any limit means: as good as none."""
_UNITS = {
    "--max-megabytes": 2**20,
    "--max-canvas-megapixels": 10**6,
    "--max-megapixels": 10**6,
    "--max-megapixels-kept": 10**6,
}
"""What a flag counts in, where it is not what the field counts in."""


def with_limits(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `limits` is filled from flags: one a field of `MediaLimits`, and `--no-urls`.

    Args:
        function: takes a keyword argument `limits`.

    Returns:
        The same command with the flags in the place of `limits`.
    """
    defaults = MediaLimits()
    parameters = {field: _parameter(field, flag, defaults) for field, flag in FLAGS.items()}
    parameters["no_urls"] = inspect.Parameter(
        "no_urls",
        inspect.Parameter.KEYWORD_ONLY,
        default=False,
        annotation=Annotated[
            bool, typer.Option("--no-urls", help="Refuse http(s) URLs.", rich_help_panel=_PANEL)
        ],
    )

    @functools.wraps(function)
    def command(**values: Any) -> None:
        settings: dict[str, Any] = {field: _in_field_units(field, values.pop(field)) for field in FLAGS}
        settings["allow_urls"] = not values.pop("no_urls")
        function(**values, limits=MediaLimits.model_validate(settings))

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "limits"
    ]
    signature = inspect.Signature([*own, *parameters.values()])
    vars(command)["__signature__"] = signature
    command.__annotations__ = {name: item.annotation for name, item in signature.parameters.items()}
    del vars(command)["__wrapped__"]  # or typer would read the parameters of `function`
    return command


def _parameter(field: str, flag: str, defaults: MediaLimits) -> inspect.Parameter:
    """The flag of one limit: a number above 0 in the flag's unit, by default the limit's own default."""
    default = getattr(defaults, field)
    if flag in _UNITS:
        default /= _UNITS[flag]
    least = 0 if field == "max_redirects" else 1 if isinstance(default, int) else 0.001
    option = typer.Option(flag, min=least, help=_help(field), rich_help_panel=_PANEL, metavar="N")
    return inspect.Parameter(
        field, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[type(default), option]
    )


def _help(field: str) -> str:
    return {
        "max_bytes": "Size of the file or download, in MiB.",
        "max_side": "Pixels of the longer side.",
        "max_canvas_pixels": "Width x height, in megapixels.",
        "max_frames_scanned": "Frames of the source.",
        "max_pixels_decoded": "Width x height x frames, in megapixels.",
        "max_pixels_kept": "Width x height x frames kept, in megapixels.",
        "max_frames": "Frames kept; longer sources are sampled evenly.",
        "timeout_seconds": "Seconds of decoding.",
        "url_timeout_seconds": "Seconds of a download.",
        "max_redirects": "Redirects of a download.",
    }[field]


def _in_field_units(field: str, value: float) -> float:
    """A flag's number in the unit of the field, a whole number for bytes and pixels."""
    bounded = value if value < _MOST else _MOST  # also for infinity
    unit = _UNITS.get(FLAGS[field])
    return bounded if unit is None else round(bounded * unit)
