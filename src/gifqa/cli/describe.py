"""`gifqa describe`: a caption."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gifqa.cli.ask import show_description
from gifqa.cli.limits import with_limits
from gifqa.cli.options import Encoder, Json, Media, Model, NoCache, TopK, make_qa

if TYPE_CHECKING:
    from gifqa.limits import MediaLimits


@with_limits
def describe(  # noqa: PLR0913  (each parameter is a flag)
    media: Media,
    *,
    top_k: TopK = None,
    model: Model = "lite",
    encoder: Encoder = None,
    as_json: Json = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            "--evidence", metavar="PNG", help="Draw the sentence and its frames.", show_default=False
        ),
    ] = None,
    no_cache: NoCache = False,
    limits: "MediaLimits",
) -> None:
    """Say in a sentence what a GIF shows.

    gifqa describe cat.gif
    """
    qa = make_qa(model, limits, encoder=encoder, no_cache=no_cache)
    show_description(qa, media, top_k=top_k, as_json=as_json, evidence=evidence)
