"""Metrics that ask WordNet: METEOR and WUPS, through NLTK.

NLTK finds WordNet in its data folders (`python -m nltk.downloader wordnet`; `NLTK_DATA` names more folders).
Without WordNet METEOR falls back to exact and stem matches, and says so; WUPS cannot be computed.
"""

import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gifqa.errors import ConfigError
from gifqa.evaluation.answers import require_pairs
from gifqa.evaluation.text import normalise_exact
from gifqa.extras import require

_WUPS_DOWN_WEIGHT = 0.1
_SHARED_ROOTS = ("~", "/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")


class _NoSynonyms:
    """Stands where NLTK wants WordNet and knows no word, which leaves METEOR's exact and stem stages."""

    def synsets(self, word: str) -> list[Any]:
        """No synonym sets."""
        return []


@dataclass(frozen=True)
class WordNet:
    """A WordNet that can be asked for synonyms."""

    reader: Any
    """NLTK's corpus reader, or a stand-in without any word."""
    is_complete: bool
    """False for the stand-in."""


def load_wordnet(folder: Path | None = None) -> WordNet:
    """WordNet from a folder or from NLTK's data folders, or a stand-in that knows no word.

    Args:
        folder: an NLTK data folder, with `corpora/wordnet` in it, which is added to NLTK's for this process;
            None asks the folders that NLTK knows.

    Returns:
        The WordNet; `is_complete` tells whether it is one.

    Raises:
        MissingExtra: if NLTK is not installed.
        ConfigError: if `folder` is given and holds no WordNet.
    """
    require("nltk", "eval")
    reader_module = importlib.import_module("nltk.corpus.reader.wordnet")
    data = importlib.import_module("nltk.data")
    if folder is not None and str(folder) not in data.path:
        data.path.append(str(folder))
    try:
        root = data.find("corpora/wordnet", paths=None if folder is None else [str(folder)])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The multilingual functions are not available")
            return WordNet(reader_module.WordNetCorpusReader(root, None), is_complete=True)
    except (LookupError, OSError) as error:
        if folder is not None:
            raise ConfigError(
                f"{folder} holds no WordNet; corpora/wordnet is wanted, with data.noun, lexnames and others. "
                "Give an NLTK data folder, or get one: python -m nltk.downloader wordnet"
            ) from error
        return WordNet(_NoSynonyms(), is_complete=False)


def has_wordnet() -> bool:
    """Whether WordNet lies where NLTK looks for it, told without importing NLTK, which takes a second."""
    named = [Path(name) for name in os.environ.get("NLTK_DATA", "").split(os.pathsep) if name]
    below = [Path(sys.prefix) / part for part in ("nltk_data", "share/nltk_data", "lib/nltk_data")]
    shared = [Path(root) / "nltk_data" for root in _SHARED_ROOTS]
    folders = (folder.expanduser() / "corpora" for folder in named + below + shared)
    return any((folder / name).exists() for folder in folders for name in ("wordnet", "wordnet.zip"))


def meteor(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]], wordnet: WordNet
) -> NDArray[np.float64]:
    """METEOR with NLTK's parameters (alpha 0.9, beta 3, gamma 0.5), the best of the references.

    This is METEOR of 2007; the COCO evaluation runs METEOR 1.5 (Java), which also matches paraphrases and
    weighs function words, so its values differ.
    Reference: Lavie and Agarwal, 2007, https://aclanthology.org/W07-0734

    Args:
        predictions: tokens of M captions.
        references: tokens of one or more references for each.
        wordnet: synonyms; the stand-in leaves exact and stem matches.

    Returns:
        0..1 for each caption, (M,).
    """
    require_pairs(predictions, references)
    require("nltk", "eval")
    score = importlib.import_module("nltk.translate.meteor_score").meteor_score
    return np.array(
        [
            float(score(list(candidates), list(tokens), wordnet=wordnet.reader)) if tokens else 0.0
            for tokens, candidates in zip(predictions, references, strict=True)
        ]
    )


class Wups:
    """Wu-Palmer similarity of answers, soft accuracy for "almost right" words.

    Words are compared by the closest pair of their noun senses; a similarity under the threshold counts a
    tenth.
    An answer of several items ("cup, plate") is a set, and the worse direction counts.
    Reference: Malinowski and Fritz, 2014, https://arxiv.org/abs/1410.0210, and their calculate_wups.py
    """

    def __init__(self, wordnet: WordNet, threshold: float = 0.9) -> None:
        """Take a WordNet.

        Args:
            wordnet: a complete WordNet.
            threshold: 0.9 and 0.0 are what papers report.

        Raises:
            ConfigError: if the WordNet is the stand-in.
        """
        if not wordnet.is_complete:
            raise ConfigError(
                "WUPS was asked for and no WordNet is installed; NLTK looks in its data folders. "
                "Run: python -m nltk.downloader wordnet, or name its folder in NLTK_DATA."
            )
        self._reader = wordnet.reader
        self._threshold = threshold
        self._known: dict[tuple[str, str], float] = {}

    def word_similarity(self, left: str, right: str) -> float:
        """Similarity of two words or phrases, 0..1, 1 if they are the same string."""
        if left == right:
            return 1.0
        key = (min(left, right), max(left, right))
        if key not in self._known:
            best = max(
                (
                    one.wup_similarity(other) or 0.0
                    for one in self._reader.synsets(key[0].replace(" ", "_"), pos="n")
                    for other in self._reader.synsets(key[1].replace(" ", "_"), pos="n")
                ),
                default=0.0,
            )
            self._known[key] = best if best >= self._threshold else best * _WUPS_DOWN_WEIGHT
        return self._known[key]

    def __call__(self, predictions: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
        """WUPS of each answer.

        Args:
            predictions: the model's answers.
            references: the right answers, one each.

        Returns:
            0..1 for each question, (M,).
        """
        require_pairs(predictions, references)
        return np.array([self._sets(p, r) for p, r in zip(predictions, references, strict=True)])

    def _sets(self, prediction: str, reference: str) -> float:
        given, wanted = (
            [item for part in text.split(",") if (item := normalise_exact(part))]
            for text in (prediction, reference)
        )
        if not given or not wanted:
            return 0.0
        forward = np.prod([max(self.word_similarity(a, b) for b in wanted) for a in given])
        backward = np.prod([max(self.word_similarity(a, b) for a in given) for b in wanted])
        return float(min(forward, backward))
