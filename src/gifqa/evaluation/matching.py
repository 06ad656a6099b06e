"""Questions and the files they are about: what is there, what is missing."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gifqa.errors import ConfigError
from gifqa.evaluation.benchmarks import get_benchmark
from gifqa.evaluation.config import EvaluationConfig
from gifqa.evaluation.questions import MediaFolder, Question


@dataclass(frozen=True)
class MatchedMedia:
    """Which questions have their media."""

    found: tuple[tuple[Question, Path], ...]
    """Those about one GIF side by side, so that it is decoded and embedded once."""
    missing: tuple[str, ...]
    """Published names of the media that are not there."""
    state: str
    """Hash of the names and sizes of the files: others of the same names make another run."""


def match_media(questions: Sequence[Question], config: EvaluationConfig) -> MatchedMedia:
    """Find the media of the questions below `config.media`; of your own data beside the annotations.

    Raises:
        ConfigError: if there is no such folder, or none of the media is in it.
    """
    root = config.media
    if root is None and get_benchmark(config.benchmark).formats == ():
        root = config.annotations.parent
    if root is None:
        raise ConfigError(
            f"--media was not given; {config.baseline or config.model} looks at the media of "
            f"{config.benchmark}. Name their folder, or take a baseline that looks at none."
        )
    if not root.is_dir():
        raise ConfigError(
            f"--media is {root}, and there is no such folder; the GIFs are looked for in it. Check --media."
        )
    folder = MediaFolder(root)
    paths = {question.media: folder.find(question.media) for question in questions}
    missing = tuple(names[0] for names, path in paths.items() if path is None)
    found = [(question, path) for question in questions if (path := paths[question.media]) is not None]
    if not found:
        raise ConfigError(
            f"none of the {len(missing):,} media of {config.benchmark} is in {root}; they have names "
            f"like {missing[0]}. Check --media and --benchmark."
        )
    order = {gif: place for place, gif in enumerate(dict.fromkeys(question.gif for question, _ in found))}
    digest = hashlib.sha256()
    for path in dict.fromkeys(path for _, path in found):
        digest.update(f"{path.name} {path.stat().st_size if path.is_file() else 0}\n".encode())
    ordered = tuple(sorted(found, key=lambda pair: order[pair[0].gif]))
    return MatchedMedia(ordered, missing, digest.hexdigest())
