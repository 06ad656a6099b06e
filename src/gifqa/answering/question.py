"""Checks of a question and its options, before any model sees them."""

import re
import unicodedata
from collections.abc import Sequence

from gifqa.errors import ConfigError
from gifqa.prompt import MAX_QUESTION_CHARACTERS

MAX_OPTIONS = 100
MAX_OPTION_CHARS = 500
MAX_TOP_K = 64

_ENGLISH = re.compile(
    r"\b(a|an|the|this|that|these|those|its?|he|she|they|his|her|their|there|and|or|of|in|on|at|to|from|with|by|"
    r"for|what|who|whom|whose|which|where|when|why|how|is|are|was|were|been?|being|do|does|did|has|have|had|can|"
    r"could|will|would|any|some|all|not|no|if|one|two|most|more|first|last|before|after)\b"
)
"""Words that nearly every English question of more than three words has at least one of."""


def check_question(question: str) -> tuple[str, tuple[str, ...]]:
    """The question on one line without control characters, and a warning if some were taken out.

    Args:
        question: as the user wrote it.

    Returns:
        The question, single spaces between its words, and the warnings.

    Raises:
        ConfigError: if nothing is left of it or it is longer than `MAX_QUESTION_CHARACTERS`.
    """
    words = " ".join(question.split())
    kept = "".join(char for char in words if unicodedata.category(char) not in {"Cc", "Cf", "Cs"})
    clean = " ".join(kept.split())
    if not clean:
        raise ConfigError("the question is empty; it needs at least one word. Ask something about the GIF.")
    if len(clean) > MAX_QUESTION_CHARACTERS:
        raise ConfigError(
            f"the question has {len(clean):,} characters; at most {MAX_QUESTION_CHARACTERS:,} are allowed. "
            "Shorten it."
        )
    removed = len(words) - len(kept)
    if removed:
        return clean, (f"{removed} control character{'s' * (removed > 1)} taken out of the question",)
    return clean, ()


def check_options(options: Sequence[str] | None) -> tuple[str, ...] | None:
    """The options stripped of spaces; None stays None.

    Raises:
        ConfigError: if there are fewer than two, an empty one, two alike, too many or too long ones.
    """
    if options is None:
        return None
    if isinstance(options, str):
        raise ConfigError(f"the options are the string {options!r}; a list of answers is needed. Split it.")
    clean = tuple(" ".join(option.split()) for option in options)
    if not 2 <= len(clean) <= MAX_OPTIONS:
        raise ConfigError(
            f"{len(clean)} option{'s' * (len(clean) != 1)} given; a choice needs 2 to {MAX_OPTIONS}. "
            "Give more, fewer or none."
        )
    seen: dict[str, str] = {}
    for option in clean:
        if not option:
            raise ConfigError("one of the options is empty; each needs at least one character. Take it out.")
        if len(option) > MAX_OPTION_CHARS:
            raise ConfigError(
                f"an option has {len(option):,} characters; at most {MAX_OPTION_CHARS} are read. Shorten it."
            )
        if option.casefold() in seen:
            raise ConfigError(
                f"the options {seen[option.casefold()]!r} and {option!r} are the same; each must differ. "
                "Take one out."
            )
        seen[option.casefold()] = option
    return clean


def check_top_k(top_k: int | None) -> None:
    """Nothing, if `top_k` is None or within 1 and `MAX_TOP_K`.

    Raises:
        ConfigError: if it is not.
    """
    if top_k is not None and not 1 <= top_k <= MAX_TOP_K:
        raise ConfigError(f"--top-k is {top_k}; 1 to {MAX_TOP_K} keyframes can be kept. Choose one of those.")


def looks_english(question: str) -> bool:
    """Whether the question could be English: a cheap guess that lets the doubtful ones pass.

    It says no to letters of other scripts and to four words or more without one common English word. It
    does not tell a short French question from an English one.
    """
    letters = [char for char in question if char.isalpha()]
    foreign = sum(not unicodedata.name(char, "").startswith("LATIN") for char in letters)
    if foreign * 2 > len(letters):
        return False
    return len(question.split()) < 4 or _ENGLISH.search(question.casefold()) is not None
