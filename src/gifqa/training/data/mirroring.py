"""Which texts a mirrored picture would make wrong: the one rule for questions, answers and captions.

A word too many in these lists costs a mirrored view; a word too few teaches that left is right.
"""

import re
from functools import lru_cache

SIDE_WORDS = frozenset(
    """
    left right leftmost rightmost leftward rightward leftwards rightwards lefthand righthand clockwise
    counterclockwise anticlockwise east west eastern western
    """.split()  # noqa: SIM905 - as a list it would be thirty lines
)
"""Words that change places with another when a picture is mirrored."""
READING_WORDS = frozenset(
    """
    text texts word words letter letters sign signs reads read reading says say saying spells spelled written
    write writes writing writings logo logos label labels labeled slogan title subtitle subtitles caption
    captions captioned number numbers digit digits jersey plate clock clocks
    """.split()  # noqa: SIM905
)
"""Words for what can be read in a picture: letters, numbers and clocks are others when they are mirrored."""
QUOTED = re.compile(r"[\"“”«»]|(?<!\w)'[^']+'(?!\w)")
"""Words between quotation marks are nearly always words that stand in the picture."""


@lru_cache(maxsize=2**16)
def forbids_mirroring(text: str) -> bool:
    """Whether a text that is true of a picture may be wrong of its mirror image."""
    words = set(re.findall(r"[a-z]+", text.lower()))
    return bool(words & SIDE_WORDS or words & READING_WORDS) or QUOTED.search(text) is not None
