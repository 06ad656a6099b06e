"""Checks of a question and its options, before any model sees them."""

import unicodedata
from collections.abc import Sequence

from gifqa.errors import ConfigError
from gifqa.prompt import MAX_QUESTION_CHARACTERS

MAX_OPTIONS = 100
MAX_OPTION_CHARS = 500
MAX_TOP_K = 64


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
