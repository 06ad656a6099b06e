"""Models that read the question and never the GIF, to show how much of a benchmark the wording gives away.

Words and pairs of words are hashed into a table of embeddings and averaged; a linear layer over the answers,
or the embedding of each option, gives the scores. Trained by AdaGrad in NumPy, seconds for 40,000 questions.
After fastText (Joulin et al., 2016, https://arxiv.org/abs/1607.01759).
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Features = NDArray[np.int64]
_BUCKETS = 2**16
_HIDDEN = 32
_EPOCHS = 4
_BATCH = 128
_LEARNING_RATE = 0.1
_MAX_ANSWERS = 1000
_EPSILON = 1e-6


def hashed_features(text: str) -> Features:
    """Rows of the table for the words and word pairs of a text, its start marked; never empty."""
    words = ["<s>", *text.lower().split()]
    grams = words + [f"{left} {right}" for left, right in itertools.pairwise(words)]
    return np.array([zlib.crc32(gram.encode()) % _BUCKETS for gram in grams])


def softmax(scores: Floats) -> Floats:
    """Probabilities along the last axis."""
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True), np.float32)


class _Weights:
    """An array under AdaGrad (Duchi et al., 2011)."""

    def __init__(self, values: Floats) -> None:
        self.values = values
        self._squares = np.full_like(values, _EPSILON)

    def descend(self, gradient: Floats, rows: Features | slice = slice(None)) -> None:
        """One step on some rows, each given once."""
        self._squares[rows] += np.square(gradient)
        self.values[rows] -= _LEARNING_RATE * gradient / np.sqrt(self._squares[rows])


class _Bags:
    """A batch of bags of features as a dense matrix over the features that occur in it."""

    def __init__(self, bags: Sequence[Features]) -> None:
        lengths = np.array([len(bag) for bag in bags])
        self.rows, places = np.unique(np.concatenate(bags), return_inverse=True)
        self._weights = np.zeros((len(bags), len(self.rows)), np.float32)
        examples = np.repeat(np.arange(len(bags)), lengths)
        np.add.at(self._weights, (examples, places), np.repeat(1 / lengths, lengths).astype(np.float32))

    def mean(self, table: _Weights) -> Floats:
        """The mean row of each bag."""
        return self._weights @ table.values[self.rows]

    def descend(self, table: _Weights, gradient: Floats) -> None:
        """One step for the rows of the bags, given the gradient of each mean."""
        table.descend(self._weights.T @ gradient, self.rows)


class OpenModel:
    """Question to answer: softmax over the commonest answers of the training file."""

    def __init__(self, questions: Sequence[str], answers: Sequence[str], seed: int = 0) -> None:
        """Train.

        Args:
            questions: the training questions.
            answers: their answers; those beyond the 1,000 commonest are left out.
            seed: of the initial weights and the order of examples.
        """
        ranked = sorted(Counter(answers).items(), key=lambda item: (-item[1], item[0]))
        self.answers = [answer for answer, _ in ranked[:_MAX_ANSWERS]]
        number = {answer: row for row, answer in enumerate(self.answers)}
        rows = [row for row, answer in enumerate(answers) if answer in number]
        targets = np.array([number[answers[row]] for row in rows])
        rng = np.random.default_rng(seed)
        shares = np.bincount(targets, minlength=len(self.answers)) / len(targets)
        self._table = _embeddings(rng)
        self._layer = _Weights(np.zeros((_HIDDEN, len(self.answers)), np.float32))
        self._bias = _Weights(np.log(shares).astype(np.float32))
        features = [hashed_features(questions[row]) for row in rows]
        for batch in _batches(len(rows), rng):
            self._step(_Bags([features[row] for row in batch]), targets[batch])

    def predict(self, question: str) -> tuple[str, float]:
        """The most probable answer and its probability."""
        probabilities = self.probabilities(question)
        best = int(probabilities.argmax())
        return self.answers[best], float(probabilities[best])

    def probabilities(self, question: str) -> Floats:
        """The probability of each of `answers`."""
        return np.asarray(softmax(self._scores(_Bags([hashed_features(question)]).mean(self._table)))[0])

    def _scores(self, hidden: Floats) -> Floats:
        return hidden @ self._layer.values + self._bias.values

    def _step(self, bags: _Bags, targets: NDArray[np.int64]) -> None:
        hidden = bags.mean(self._table)
        errors = softmax(self._scores(hidden))
        errors[np.arange(len(targets)), targets] -= 1
        errors /= len(targets)
        bags.descend(self._table, errors @ self._layer.values.T)
        self._layer.descend(hidden.T @ errors)
        self._bias.descend(errors.sum(0))


class ChoiceModel:
    """Question and options to the right option: softmax over the product of their embeddings plus a bias."""

    def __init__(
        self,
        questions: Sequence[str],
        options: Sequence[Sequence[str]],
        answers: Sequence[int],
        seed: int = 0,
    ) -> None:
        """Train.

        Args:
            questions: the training questions.
            options: their options; their number may differ from question to question.
            answers: the number of each right option.
            seed: of the initial weights and the order of examples.
        """
        rng = np.random.default_rng(seed)
        self._table, self._options = _embeddings(rng), _embeddings(rng)
        self._bias = _Weights(np.zeros((_BUCKETS, 1), np.float32))
        asked = [hashed_features(question) for question in questions]
        offered = [[hashed_features(option) for option in choices] for choices in options]
        sizes = np.array([len(choices) for choices in offered])
        for batch in _batches(len(asked), rng):
            for size in np.unique(sizes[batch]):
                rows = batch[sizes[batch] == size]
                bags = _Bags([bag for row in rows for bag in offered[row]])
                self._step(
                    _Bags([asked[row] for row in rows]), bags, np.array([answers[row] for row in rows])
                )

    def probabilities(self, question: str, options: Sequence[str]) -> Floats:
        """The probability of each option."""
        bags = _Bags([hashed_features(option) for option in options])
        hidden = _Bags([hashed_features(question)]).mean(self._table)
        return np.asarray(softmax(self._scores(hidden, bags))[0])

    def _scores(self, hidden: Floats, bags: _Bags) -> Floats:
        vectors = bags.mean(self._options).reshape(len(hidden), -1, _HIDDEN)
        biases = bags.mean(self._bias).reshape(len(hidden), -1)
        return np.asarray(np.einsum("bh,boh->bo", hidden, vectors) + biases, np.float32)

    def _step(self, asked: _Bags, offered: _Bags, answers: NDArray[np.int64]) -> None:
        hidden = asked.mean(self._table)
        vectors = offered.mean(self._options).reshape(len(hidden), -1, _HIDDEN)
        errors = softmax(self._scores(hidden, offered))
        errors[np.arange(len(answers)), answers] -= 1
        errors /= len(answers)
        offered.descend(self._options, (errors[:, :, None] * hidden[:, None]).reshape(-1, _HIDDEN))
        offered.descend(self._bias, errors.reshape(-1, 1))
        asked.descend(self._table, np.einsum("bo,boh->bh", errors, vectors))


def _embeddings(rng: np.random.Generator) -> _Weights:
    return _Weights(rng.normal(0, 0.1, (_BUCKETS, _HIDDEN)).astype(np.float32))


def _batches(count: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Row numbers, every one once an epoch, in random order."""
    for _ in range(_EPOCHS):
        order = rng.permutation(count)
        yield from np.split(order, range(_BATCH, count, _BATCH))
