"""The arguments and flags that several commands share."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gifqa.retrieval.config import ClipCutConfig

if TYPE_CHECKING:
    from gifqa.limits import MediaLimits
    from gifqa.pipeline import GifQA

Media = Annotated[
    str,
    typer.Argument(
        metavar="MEDIA",
        help="A GIF, WebP, APNG, image or video: path, folder of frames, URL, or - for standard input.",
        show_default=False,
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="MODEL",
        help="lite (shipped), a bundle's or checkpoint's folder, hf:ID-OR-FOLDER, or http(s)://HOST/v1#MODEL.",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        "--encoder", metavar="hf:ID", help="Choose keyframes with a CLIP or SigLIP model.", show_default=False
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        "-k",
        min=1,
        max=64,
        metavar="N",
        help="Keyframes to look at.",
        show_default=str(ClipCutConfig().top_k),
    ),
]
Description = Annotated[
    str | None,
    typer.Option("--description", metavar="TEXT", help="What is known of the GIF.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Approach = Annotated[
    Literal["frames", "captions"],
    typer.Option("--approach", help="Answer from the keyframes, or from captions of each of them."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache of frames.")]


def make_qa(
    model: str,
    limits: "MediaLimits",
    *,
    encoder: str | None = None,
    no_cache: bool = False,
    approach: Literal["frames", "captions"] = "frames",
) -> "GifQA":
    """The `GifQA` that the flags ask for; see `gifqa.model.opening.open_qa`, and for what it raises."""
    from gifqa.model.opening import open_qa
    from gifqa.retrieval.cache import FeatureCache
    from gifqa.retrieval.config import CacheConfig

    cache = FeatureCache(CacheConfig(max_disk_bytes=0)) if no_cache else None
    return open_qa(model, limits=limits, encoder=encoder, cache=cache, approach=approach)
