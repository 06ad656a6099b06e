"""Answers that look at no pixels: what a model has to beat.

    random                   one guess each; its expected score is reported beside the score of the draw
    most-frequent            the commonest right answer of the training file; for choices the option whose
                             different words are commonest among the right answers of the training file
    most-frequent-per-kind   the same within each question type
    question-only            a model trained on the questions alone (`gifqa.evaluation.question_model`)

These definitions give TGIF-QA's published rows: most frequent 17.49 % on frame QA, 31.40 % on action and 7.78
on count; random 20.00 % on action and transition and 0.06 % on frame QA. `docs/evaluation.md` has the rest.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from gifqa.errors import ConfigError
from gifqa.evaluation.answers import parse_count
from gifqa.evaluation.question_model import ChoiceModel, OpenModel
from gifqa.evaluation.questions import Question
from gifqa.evaluation.text import normalise_exact

Baseline = Literal["random", "most-frequent", "most-frequent-per-kind", "question-only"]
LARGEST_COUNT = 10
"""TGIF-QA's "10 or more"; a random count is uniform on 0..10, rounded."""


@dataclass(frozen=True)
class Guess:
    """An answer without a look at the media."""

    text: str
    confidence: float | None = None


class Guesser(Protocol):
    """What a baseline does with a question."""

    def guess(self, question: Question) -> Guess:
        """The answer to one question; one of its options if it has some."""
        ...


def make_guesser(
    baseline: Baseline, questions: Sequence[Question], train: Sequence[Question] | None, seed: int = 0
) -> Guesser:
    """The guesser of a baseline.

    Args:
        baseline: its name.
        questions: what is asked; stands in for `train` where the right answers of the test set are all there
            is, which makes random's vocabulary and the most frequent answer optimistic.
        train: questions of the training file.
        seed: of random and of the question-only model.

    Returns:
        The guesser.

    Raises:
        ConfigError: if the baseline needs a training file and there is none, or if nothing can be guessed.
    """
    if any(question.task in ("caption", "retrieval") for question in questions):
        raise ConfigError(
            f"--baseline {baseline} was given for captions or retrieval; it answers questions. "
            "Take a baseline of frames, for example uniform-frames with --model."
        )
    has_choices = any(question.options for question in questions)
    if train is None and (baseline == "question-only" or (has_choices and baseline != "random")):
        raise ConfigError(
            f"--baseline {baseline} was given without --train; it learns from the training file's answers. "
            "Give that file with --train."
        )
    known = train if train is not None else questions
    if baseline == "random":
        has_answers = any(not question.options for question in known)
        return RandomGuesser(known if has_answers else questions, seed)
    if baseline == "question-only":
        return QuestionOnlyGuesser(known, seed)
    return FrequencyGuesser(known, per_kind=baseline == "most-frequent-per-kind")


class RandomGuesser:
    """A uniform draw: of the options, of 0..10 for counts, else of the training file's different answers."""

    def __init__(self, train: Sequence[Question], seed: int) -> None:
        """Collect the vocabulary."""
        self._vocabulary = sorted(
            {normalise_exact(question.answer) for question in train if not question.options}
        )
        self._seed = seed

    def guess(self, question: Question) -> Guess:
        """A draw that depends on the seed and the question's id only: a resumed run draws the same."""
        rng = np.random.default_rng([self._seed, *question.id.encode()])
        if question.task == "count":
            return Guess(str(round(float(rng.uniform(0, LARGEST_COUNT)))), 1 / (LARGEST_COUNT + 1))
        choices = question.options or self._vocabulary
        return Guess(choices[int(rng.integers(len(choices)))], 1 / len(choices))

    def expected_score(self, question: Question) -> float:
        """Chance of a right answer, or the expected squared error of a count."""
        if question.task == "count":
            truth = parse_count(question.answer) or 0
            inner = sum((truth - guess) ** 2 for guess in range(1, LARGEST_COUNT))
            ends = truth**2 + (truth - LARGEST_COUNT) ** 2
            return (inner + ends / 2) / LARGEST_COUNT
        if question.options:
            right = sum(
                normalise_exact(option) == normalise_exact(question.answer) for option in question.options
            )
            return right / len(question.options)
        return (normalise_exact(question.answer) in set(self._vocabulary)) / len(self._vocabulary)


class FrequencyGuesser:
    """The commonest answer, or for choices the option of the commonest words."""

    def __init__(self, train: Sequence[Question], *, per_kind: bool) -> None:
        """Count the right answers and their words."""
        self._per_kind = per_kind
        self._answers: dict[str, Counter[str]] = {}
        self._words: dict[str, Counter[str]] = {}
        self._best: dict[str, Guess] = {}
        for question in train:
            for group in ("", question.kind) if per_kind else ("",):
                self._answers.setdefault(group, Counter())[normalise_exact(question.answer)] += 1
                self._words.setdefault(group, Counter()).update(question.answer.split())
        for group, answers in self._answers.items():
            answer, count = min(answers.items(), key=lambda item: (-item[1], item[0]))
            self._best[group] = Guess(answer, count / answers.total())

    def guess(self, question: Question) -> Guess:
        """The answer for the question's type; the overall one for a type that the training file lacks."""
        group = question.kind if self._per_kind and question.kind in self._answers else ""
        if question.options:
            words = self._words[group]
            scores = [sum(words[word] for word in set(option.split())) for option in question.options]
            return Guess(question.options[scores.index(max(scores))])
        return self._best[group]


class QuestionOnlyGuesser:
    """A classifier of questions for open answers and counts, a ranker of options for choices."""

    def __init__(self, train: Sequence[Question], seed: int) -> None:
        """Train on the questions of the training file."""
        is_open = [not question.options for question in train]
        opened = [question for question, wanted in zip(train, is_open, strict=True) if wanted]
        chosen = [question for question, wanted in zip(train, is_open, strict=True) if not wanted]
        self._open = (
            OpenModel([q.question for q in opened], [normalise_exact(q.answer) for q in opened], seed)
            if opened
            else None
        )
        self._choice = (
            ChoiceModel(
                [q.question for q in chosen],
                [q.options or () for q in chosen],
                [(q.options or ()).index(q.answer) for q in chosen],
                seed,
            )
            if chosen
            else None
        )

    def guess(self, question: Question) -> Guess:
        """The most probable answer and its probability; of counts the mean, which the squared error favours.

        Raises:
            ConfigError: if the training file had no question of this sort.
        """
        if question.options and self._choice is not None:
            probabilities = self._choice.probabilities(question.question, question.options)
            best = int(probabilities.argmax())
            return Guess(question.options[best], float(probabilities[best]))
        if question.task == "count" and self._open is not None:
            counts = [parse_count(answer) or 0 for answer in self._open.answers]
            return Guess(str(round(float(self._open.probabilities(question.question) @ np.array(counts)))))
        if not question.options and self._open is not None:
            return Guess(*self._open.predict(question.question))
        sort = "a choice" if question.options else "open"
        raise ConfigError(
            f"question {question.id!r} is {sort}, and --train has no such question. "
            "Give the training file of the same benchmark."
        )
