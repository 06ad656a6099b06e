"""Is this a caption that questions can be made from? And the summary questions of the original project."""

from random import Random

from gifqa.synthesis.base import Draft
from gifqa.synthesis.lexicon import Lexicon

_SUMMARY_QUESTIONS = (
    "What is happening in the GIF?",
    "What is going on in the GIF?",
    "What does the GIF show?",
    "Can you say what happens in the GIF?",
)
_MIN_WORDS = 2


def caption_problem(text: str, max_words: int, lexicon: Lexicon) -> str | None:
    """What keeps a caption from being used, or None.

    English is told by its small words: a caption needs one of them, or a noun that the lists know, and fewer
    small words of other languages than of English.
    """
    words = [word.strip(".,;:!?\"'()").lower() for word in text.split()]
    letters = [word for word in words if any(letter.isalpha() for letter in word)]
    if not text.strip():
        return "caption: empty"
    if not letters:
        return "caption: no words"
    if len(letters) < _MIN_WORDS:
        return "caption: one word"
    if len(letters) > max_words:
        return f"caption: {len(letters)} words; the limit is {max_words} (--max-caption-words)"
    latin = sum(word.isascii() for word in letters)
    if latin < 0.7 * len(letters):
        return "caption: not English"
    english = sum(word in lexicon.words("english", "function_words") for word in letters)
    foreign = sum(word in lexicon.words("english", "foreign_words") for word in letters)
    known = any(
        form in lexicon.class_of or lexicon.is_person(form) or form in lexicon.words("english", "plurals")
        for word in letters
        for form in (word, word.rstrip("s"))
    )
    return None if foreign <= english and (english or known) else "caption: not English"


def summary_draft(text: str, gif: str, seed: int) -> Draft:
    """The original's question about everything, with the caption as its answer."""
    question = Random(f"{seed}|summary|{gif}|{text}").choice(_SUMMARY_QUESTIONS)
    answer = text.strip().rstrip(".").strip()
    return Draft(question, answer, "summary", "summary", "summary", (0, len(text)))
