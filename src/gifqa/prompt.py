"""Every prompt string, and the clean-up of answers: one place for training, inference and measuring."""

import re

DESCRIBE_QUESTION = "What is happening in the GIF?"
"""The question that stands for `describe()`; in training its answers are whole captions."""
STATEMENT_ANSWERS = ("yes", "no")
YES_NO_KINDS = ("yes/no", "is this")
"""Of questions for yes or no; see `yes_no_kind`."""
QUESTION_PROMPT = "Question: {question}\nAnswer:"
CAPTION_PROMPT = "Describe the GIF.\nAnswer:"
TEXT_PROMPT = "{text}\n\n{prompt}"
MAX_QUESTION_CHARACTERS = 2000

_ARTICLES = {"a", "an", "the"}
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_SPELT = {str(number): word for number, word in enumerate(_NUMBERS)}
_AUXILIARY = (
    r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|might|am)(?:n't|nt)?\b"
)
_YES_NO = re.compile(_AUXILIARY, re.IGNORECASE)
_POINTER = re.compile(r"(?:(?:there|it|this|that|these|those|they|any|be)\b ?)+", re.IGNORECASE)
"""What a yes/no question has for a subject that no caption names."""
_POINTED_AT = re.compile(rf"{_AUXILIARY} (?:it|this|that|these|those|they)\b", re.IGNORECASE)
_POINTER_LAST = re.compile(rf"(?:^|{_AUXILIARY} )(?:it|this|that|these|those|they)$", re.IGNORECASE)
_DOING = re.compile(rf"what {_AUXILIARY} (.+?) doing\b(.*)", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"(?:how (?:many|much)|(?:what|which) (?:kinds?|types?|sorts?) of"
    rf"|(?:what|which) colou?rs?(?: {_AUXILIARY})?)(?: (?:the|an?)\b)? ?",
    re.IGNORECASE,
)
"""Questions whose answer stands before what it is said of."""
_IS_THERE = re.compile(rf" {_AUXILIARY}(?: there\b)?", re.IGNORECASE)
_WH_PHRASE = re.compile(
    r"(?P<word>whom?|whose|what|which|where|when|why|how)"
    r"(?: (?:animals?|person|people|thing|object|item|sport|room)\b)?"
    rf"(?: {_AUXILIARY})?(?: there\b)? ?",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"(?:the|an?|this|that|these|those|his|her|its|their|my|your|he|she|it|they|you|we|people|everyone)\b",
    re.IGNORECASE,
)
"""How the words begin that are a subject already: then the answer is the object or the place."""


def question_prompt(question: str) -> str:
    """The text that follows the visual tokens."""
    if question == DESCRIBE_QUESTION:
        return CAPTION_PROMPT
    return QUESTION_PROMPT.format(question=question)


def text_prompt(text: str, question: str) -> str:
    """A question about a text, where there are no visual tokens."""
    return TEXT_PROMPT.format(text=text, prompt=question_prompt(question))


def is_yes_no(question: str) -> bool:
    """Whether the question begins as one answered by yes or no and offers no alternatives with "or"."""
    return bool(_YES_NO.match(question.strip())) and " or " not in question.lower()


def yes_no_kind(question: str) -> str:
    """Which of `YES_NO_KINDS`: a question that names its subject, or one that points: "Is this a church?".

    People ask the second kind about what they see, so that "no" is nearly true: a chapel, a ship that is no
    cruise ship. Such questions are harder than how well the words fit the frames would let one think.
    """
    return "is this" if _POINTED_AT.match(question.strip()) else "yes/no"


def as_statement(question: str, answer: str) -> str:
    """Question and answer as something like a caption, for the dual encoder.

    Not grammar: the words of both in about the order of a caption, without those that only ask.

        Is there a dog?                yes     a dog
        Who is riding a bike?          man     man riding a bike
        What is the man holding?       cup     the man holding cup
        What is the man doing?         riding  the man riding
        What colour is the car?        red     red car
        How many dogs are there?       two     two dogs
        Where is the dog?              beach   the dog beach
    """
    asked = " ".join(question.strip().rstrip("?. ").split())
    if answer in STATEMENT_ANSWERS:
        return _yes_no_statement(asked)
    doing = _DOING.fullmatch(asked)
    attribute = _ATTRIBUTE.match(asked)
    phrase = _WH_PHRASE.match(asked)
    if doing:
        words = [doing[1], answer, doing[2]]
    elif attribute:
        rest = _POINTER_LAST.sub("", asked[attribute.end() :])
        words = [answer, _IS_THERE.sub("", rest, count=1)]
    elif phrase:
        rest = _POINTER_LAST.sub("", asked[phrase.end() :])
        is_told = phrase["word"].lower() in {"where", "when", "why", "how"} or _SUBJECT.match(rest)
        words = [rest, answer] if is_told else [answer, rest]
    else:
        words = [answer, asked]
    return " ".join(" ".join(words).split())


def _yes_no_statement(asked: str) -> str:
    """What a yes/no question would have for a caption if the answer were yes."""
    verb = _YES_NO.match(asked)
    if verb is None:
        return asked
    told = asked[verb.end() :].strip()
    pointer = _POINTER.match(told)
    return (told[pointer.end() :] if pointer else told) or told or asked


def normalise_answer(answer: str) -> str:
    """The form in which answers are compared.

    Lower case, no punctuation at the ends, no articles, single spaces, digits up to ten as words
    (the rules of the VQA evaluation, without its list of contractions).
    """
    words = re.sub(r"[^\w\s'-]", " ", answer.lower()).split()
    spelt = [_SPELT.get(word, word.strip("'-")) for word in words]
    return " ".join(word for word in spelt if word and word not in _ARTICLES)
