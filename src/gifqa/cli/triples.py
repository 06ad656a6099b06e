"""`gifqa triples`: who does what to whom."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal, TextIO

import typer


def triples(  # noqa: PLR0913  (each parameter is a flag)
    captions: Annotated[
        str, typer.Argument(metavar="IN", help="Captions: TSV, CSV, JSONL or Parquet; - for standard input.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT.jsonl", help="Default: standard output.")
    ] = None,
    *,
    gif_column: Annotated[str | None, typer.Option("--gif-column", help="Column of the GIF.")] = None,
    caption_column: Annotated[
        str | None, typer.Option("--caption-column", help="Column of the caption.")
    ] = None,
    kind: Annotated[
        Literal["jsonl", "csv", "tsv", "parquet"] | None, typer.Option("--format", help="Of the input.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option("--delimiter", help="Of a csv.")] = None,
    spacy: Annotated[str, typer.Option("--spacy", help="spaCy pipeline.")] = "en_core_web_sm",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
) -> None:
    """List the triples (subject, predicate, object) of captions, one JSON object a line.

    gifqa triples tgif-v1.0.tsv -o triples.jsonl
    """
    from gifqa.data.captions import CaptionColumns
    from gifqa.data.writing import replacing
    from gifqa.errors import ConfigError, RecordError
    from gifqa.synthesis.triples import read_triples

    if output is not None and output.exists() and not overwrite:
        raise ConfigError(
            f"{output} exists; nothing was changed. Choose another output, or give --overwrite."
        )
    found = read_triples(
        sys.stdin.buffer if captions == "-" else Path(captions),
        CaptionColumns(gif_column, caption_column),
        kind=kind,
        delimiter=delimiter,
        pipeline=spacy,
    )
    bad = 0
    with ExitStack() as stack:
        stream: TextIO = sys.stdout
        if output is not None:
            stream = stack.enter_context(stack.enter_context(replacing(output)).open("w", encoding="utf-8"))
        for triple in found:
            if isinstance(triple, RecordError):
                bad += 1
                typer.echo(f"warning: {triple}", err=True)
            else:
                stream.write(triple.model_dump_json() + "\n")
    if bad:
        typer.echo(f"warning: {bad} rows of the input hold no caption", err=True)
