"""What is wrong with a question, by its words and by its parse; each problem is a reason as written down."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from gifqa.synthesis.base import Draft
from gifqa.synthesis.lexicon import Lexicon
from gifqa.synthesis.nouns import Doc, Token

_OPENERS = frozenset(
    {
        "who", "what", "which", "where", "when", "why", "how", "is", "are", "was", "were", "does", "do",
        "did", "can", "has", "have",
    }
)  # fmt: skip
_NEVER_LAST = frozenset(
    {"a", "an", "the", "and", "or", "his", "her", "their", "its", "my", "your", "no", "very"}
)
_COLLECTIVES = frozenset(
    {
        "group", "couple", "team", "crowd", "family", "herd", "band", "pair", "bunch", "flock", "pack",
        "audience", "police", "cattle", "people", "sheep", "fish", "deer", "staff", "majority", "trio",
    }
)  # fmt: skip
_MIN_WORDS, _MAX_WORDS = 3, 30
_NO_LEAKS = frozenset({"a", "an", "the", "and", "of", "in", "on", "at", "his", "her", "its", "their"})


def words_of(question: str) -> list[str]:
    """The question's words, lower-case, without the question mark."""
    return question.lower().rstrip("?").split()


def form_problems(draft: Draft, max_answer_words: int) -> Iterator[str]:
    """Wrong whatever it means: no question, doubled words, an answer without an end."""
    words, answer = words_of(draft.question), draft.answer.split()
    if not answer:
        yield "no answer"
    if len(answer) > max_answer_words and draft.answer_type != "summary":
        yield "answer too long"
    if not _MIN_WORDS <= len(words) <= _MAX_WORDS:
        yield "ungrammatical: too few or too many words"
    elif not draft.question.endswith("?") or draft.question.count("?") != 1 or words[0] not in _OPENERS:
        yield "ungrammatical: no question"
    elif any(first == second for first, second in pairwise(words)):
        yield "ungrammatical: a word stands twice"
    elif words[-1] in _NEVER_LAST or (words[-1] == "of" and words[-2] not in ("made", "kind", "out")):
        yield "ungrammatical: ends in the middle of a phrase"


def content_problems(draft: Draft, unsafe: frozenset[str], lexicon: Lexicon) -> Iterator[str]:
    """Well formed and yet of no use: the answer given away, unsafe words, nothing asked."""
    words, answer = words_of(draft.question), draft.answer.lower()
    summary = draft.answer_type == "summary"
    if not summary and _leaks(draft, words):
        yield "answer in the question"
    if {word.strip(".,?!'\"") for word in [*words, *answer.split()]} & unsafe:
        yield "unsafe word"
    if summary:
        return
    if answer in lexicon.words("filters", "vague"):
        yield "trivial: vague answer"
    if words[0] == "who" and answer in lexicon.words("filters", "who_says_it"):
        yield "trivial: the answer says no more than who"
    empty = not set(words) - lexicon.words("filters", "frame_words")
    if empty and draft.answer_type not in ("animal", "action"):
        yield "trivial: nothing in the question"


def _leaks(draft: Draft, words: Sequence[str]) -> bool:
    if draft.answer_type in ("yes/no", "number") or (draft.answer_type == "attribute" and "or" in words):
        return False
    answer = [word for word in draft.answer.lower().split() if word not in _NO_LEAKS]
    if draft.answer_type == "action":
        answer = [word for word in answer[:1] if word != "doing"]
    elif draft.answer_type == "place":
        answer = answer[-1:]
    return bool(set(answer) & set(words))


def grammar_problem(question: Doc) -> str | None:
    """What is wrong with a question by its parse, or None: no verb, "is" with a plural, "are" without."""
    if not any(token.pos_ in ("VERB", "AUX") for token in question):
        return "no verb"
    first_be = next((t for t in question if t.lower_ in ("is", "are") and t.pos_ == "AUX"), None)
    if first_be is None:
        return None
    verb = first_be if first_be.dep_ in ("ROOT", "relcl", "conj") else first_be.head
    subject = next((child for child in verb.lefts if child.dep_ in ("nsubj", "nsubjpass")), None)
    if subject is None or subject.i < first_be.i or subject.pos_ != "NOUN":
        return None
    return _disagreement(first_be.lower_, subject)


def _disagreement(be: str, subject: Token) -> str | None:
    joined = any(child.dep_ == "conj" for child in subject.children)
    if be == "is" and (subject.tag_ == "NNS" or joined) and subject.lower_ not in ("series", "pants"):
        return '"is" with several'
    singular = subject.tag_ == "NN" and not joined and subject.lower_ not in _COLLECTIVES
    return '"are" with one' if be == "are" and singular else None
