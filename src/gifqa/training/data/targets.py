"""What the Q-Former's heads are asked for: known answers, words of answers, words of pictures."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from gifqa.training.data.samples import Annotations, Sample

UNKNOWN = -100
"""The target of an answer that is not a known one; the losses leave it out."""
STOP_WORDS = frozenset(
    """
    a an the is are was were be been of in on at to and or with by for from into onto over under near next his
    her its their it he she they there this that as while who which some one out up down off
    """.split()  # noqa: SIM905 - as a list it would be fifty lines
)


def content_words(text: str) -> list[str]:
    """The words of a text that carry its meaning, lower case."""
    words = text.lower().replace(".", " ").replace(",", " ").split()
    return [word for word in words if word not in STOP_WORDS]


def common_answers(samples: Sequence[Sample], minimum: int, most: int) -> list[str]:
    """At most `most` answers, the commonest first, each given at least `minimum` times."""
    counts = Counter(sample.answer for sample in samples if sample.source != "match")
    counts.update({"yes": 1, "no": 1})
    return [answer for answer, count in counts.most_common(most) if count >= minimum]


def common_words(annotations: Annotations, answers: Sequence[str], minimum: int) -> list[str]:
    """Content words of the captions that occur at least `minimum` times, and those of the answers."""
    captions = (caption for captions in annotations.captions.values() for caption in captions)
    counts = Counter(word for caption in captions for word in content_words(caption))
    known = {word for word, count in counts.items() if count >= minimum and word.isalpha()}
    return sorted(known | {word for answer in answers for word in content_words(answer) if word.isalpha()})


class Targets:
    """Indices of answers and words, and the tensors that the losses compare with.

    Args:
        answers: the A known answers.
        words: the W known words.
        annotations: of the training split; captions and labels say which words a picture has.
    """

    def __init__(self, answers: Sequence[str], words: Sequence[str], annotations: Annotations) -> None:
        self.answer_index = {answer: index for index, answer in enumerate(answers)}
        self.word_index = {word: index for index, word in enumerate(words)}
        self.annotations = annotations

    def answers(self, samples: Sequence[Sample]) -> Tensor:
        """Index of each sample's answer, `UNKNOWN` where it is not a known one; (B,)."""
        return torch.tensor([self.answer_index.get(sample.answer, UNKNOWN) for sample in samples])

    def answer_words(self, samples: Sequence[Sample]) -> Tensor:
        """(B, W): the answer's content words share 1; a row of zeros where none is known."""
        target = torch.zeros(len(samples), len(self.word_index))
        for row, sample in enumerate(samples):
            columns = self._columns(content_words(sample.answer))
            for column in columns:
                target[row, column] = 1 / len(columns)
        return target

    def picture_words(self, names: Sequence[str]) -> Tensor:
        """(B, W): 1 for every content word of any caption of the picture, and for its COCO classes."""
        target = torch.zeros(len(names), len(self.word_index))
        for row, name in enumerate(names):
            for caption in self.annotations.captions[name]:
                target[row, self._columns(content_words(caption))] = 1
            target[row, self._columns(self.annotations.labels.get(name, ()))] = 1
        return target

    def _columns(self, words: Sequence[str]) -> list[int]:
        return [self.word_index[word] for word in words if word in self.word_index]
