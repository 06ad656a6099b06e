"""The flags of the limits: each reaches its field in the field's unit."""

import inspect

import pytest
import typer
from typer.testing import CliRunner

from gifqa.cli.limits import with_limits
from gifqa.limits import FLAGS, MediaLimits


@pytest.fixture
def parse():
    """`parse("--max-side", "9") -> MediaLimits`, or the exit code of a usage error."""

    def call(*words):
        found = []

        @with_limits
        def command(name: str = "x", *, limits: MediaLimits) -> None:
            found.append(limits)

        app = typer.Typer()
        app.command()(command)
        result = CliRunner().invoke(app, list(words))
        return found[0] if found else result.exit_code

    return call


def test_without_flags_the_limits_are_the_defaults(parse):
    assert parse() == MediaLimits()


@pytest.mark.parametrize(
    ("flag", "value", "field", "expected"),
    [
        ("--max-megabytes", "1.5", "max_bytes", 1_572_864),
        ("--max-side", "9", "max_side", 9),
        ("--max-canvas-megapixels", "0.25", "max_canvas_pixels", 250_000),
        ("--max-frames-scanned", "9", "max_frames_scanned", 9),
        ("--max-megapixels", "2", "max_pixels_decoded", 2_000_000),
        ("--max-megapixels-kept", "2", "max_pixels_kept", 2_000_000),
        ("--max-frames", "9", "max_frames", 9),
        ("--max-seconds", "0.5", "timeout_seconds", 0.5),
        ("--max-url-seconds", "0.5", "url_timeout_seconds", 0.5),
        ("--max-redirects", "0", "max_redirects", 0),
    ],
)
def test_a_flag_sets_its_limit_and_no_other(parse, flag, value, field, expected):
    assert FLAGS[field] == flag
    assert parse(flag, value) == MediaLimits(**{field: expected})


def test_every_limit_has_a_flag():
    assert set(FLAGS) | {"allow_urls"} == set(MediaLimits.model_fields)


def test_urls_can_be_refused(parse):
    assert parse("--no-urls") == MediaLimits(allow_urls=False)


@pytest.mark.parametrize(
    "words",
    [("--max-side", "0"), ("--max-megabytes", "-1"), ("--max-frames", "many"), ("--max-seconds", "nan")],
)
def test_what_is_no_limit_is_a_usage_error(parse, words):
    assert parse(*words) == 2


@pytest.mark.parametrize("value", ["inf", "1e300"])
def test_no_number_is_too_large(parse, value):
    limits = parse("--max-megabytes", value, "--max-seconds", value)

    assert limits.max_bytes > 10**12 and limits.timeout_seconds >= 10**9


def test_the_command_keeps_its_own_parameters():
    @with_limits
    def command(name: str, *, limits: MediaLimits) -> None:
        """Help."""

    assert next(iter(inspect.signature(command).parameters)) == "name"
    assert "limits" not in inspect.signature(command).parameters
    assert command.__doc__ == "Help."
