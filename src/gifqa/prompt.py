"""Every prompt string, and the clean-up of answers: one place for training, inference and measuring."""

import re

DESCRIBE_QUESTION = "What is happening in the GIF?"
"""The question that stands for `describe()`; in training its answers are whole captions."""
STATEMENT_ANSWERS = ("yes", "no")
QUESTION_PROMPT = "Question: {question}\nAnswer:"
CAPTION_PROMPT = "Describe the GIF.\nAnswer:"
MAX_QUESTION_CHARACTERS = 2000

_ARTICLES = {"a", "an", "the"}
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_YES_NO = re.compile(
    r"(is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might|am)(n't|nt)?\b",
    re.IGNORECASE,
)

_WH_PHRASE = re.compile(
    r"(what|who|whom|whose|where|when|why|how many|how much|how|which)( (colou?r|kind of|type of|sort of|animal|person))?"
    r"( (is|are|was|were|do|does|did|has|have))?( there)?\b",
    re.IGNORECASE,
)


def question_prompt(question: str) -> str:
    """The text that follows the visual tokens."""
    if question == DESCRIBE_QUESTION:
        return CAPTION_PROMPT
    return QUESTION_PROMPT.format(question=question)


def is_yes_no(question: str) -> bool:
    """Whether the question begins as one that is answered by yes or no and offers no alternatives with 'or'."""
    return bool(_YES_NO.match(question.strip())) and " or " not in question


def as_statement(question: str, answer: str) -> str:
    """Question and answer as something like a caption, for the dual encoder.

    "Who is riding a bike?", "man" -> "man riding a bike"; "Is there a dog?", "yes" -> "a dog".
    """
    rest = " ".join(question.strip().rstrip("?. ").split())
    if answer in STATEMENT_ANSWERS:
        return _YES_NO.sub("", rest, count=1).strip().removeprefix("there ") or rest
    return " ".join(f"{answer} {_WH_PHRASE.sub('', rest, count=1)}".split())


def normalise_answer(answer: str) -> str:
    """The form in which answers are compared.

    Lower case, no punctuation at the ends, no articles, single spaces, digits up to ten as words
    (the rules of the VQA evaluation, without its list of contractions).
    """
    words = re.sub(r"[^\w\s'-]", " ", answer.lower()).split()
    spelt = [
        _NUMBERS[int(word)] if word.isdigit() and int(word) <= 10 else word.strip("'-") for word in words
    ]
    return " ".join(word for word in spelt if word and word not in _ARTICLES)
