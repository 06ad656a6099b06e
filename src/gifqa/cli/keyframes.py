"""`gifqa keyframes`: the frames that a question is about, as a table, JSON, a contact sheet or a GIF."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gifqa.cli.limits import with_limits
from gifqa.cli.options import Description, Encoder, Json, Media, NoCache, TopK, make_qa
from gifqa.cli.output import print_json, print_keyframes, print_warnings

if TYPE_CHECKING:
    from gifqa.limits import MediaLimits


@with_limits
def keyframes(  # noqa: PLR0913  (each parameter is a flag)
    media: Media,
    question: Annotated[
        str, typer.Argument(metavar="QUESTION", help="What to look for.", show_default=False)
    ],
    *,
    top_k: TopK = None,
    description: Description = None,
    encoder: Encoder = None,
    as_json: Json = False,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="PNG", help="Draw a contact sheet.", show_default=False),
    ] = None,
    gif: Annotated[
        Path | None,
        typer.Option("--gif", metavar="GIF", help="Write a GIF of the keyframes.", show_default=False),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="FOLDER", help="The bundle whose encoder chooses.")
    ] = "lite",
    no_cache: NoCache = False,
    limits: "MediaLimits",
) -> None:
    """Find the frames that a question is about, in time order.

    gifqa keyframes cat.gif "the cat yawns" --top-k 6 --sheet sheet.png
    """
    from gifqa.answering.base import keyframes_to_list
    from gifqa.evidence import check_target, draw_sheet, write_gif, write_png

    for path, suffix in ((sheet, ".png"), (gif, ".gif")):
        if path is not None:
            check_target(path, suffix)
    qa = make_qa(model, limits, encoder=encoder, no_cache=no_cache)
    opened = qa.open(media)
    found = qa.keyframes(opened, question, top_k, description)
    if as_json:
        print_json(
            {
                "num_frames": found.num_frames,
                "duration_seconds": found.duration_seconds,
                "keyframes": keyframes_to_list(found),
                "warnings": list(found.warnings),
            }
        )
    else:
        print_keyframes(found)
        print_warnings(found.warnings)
    if sheet is None and gif is None:
        return
    pixels = qa.pixels(opened, found)
    if sheet is not None:
        write_png(draw_sheet(pixels, found, question), sheet)
    if gif is not None:
        write_gif(pixels, gif)
