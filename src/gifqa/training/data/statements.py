"""Statements about pictures, right and wrong: what the dual encoder's opinion on an answer is trained with.

The answerer asks the dual encoder how much better an answer, put as a statement, fits the frames than it fits
other pictures. Captions alone do not teach that: they are long, and no two of them differ in one word.

    question and answers  ->  a right statement and some wrong ones about the same picture
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gifqa.model.precision import autocast
from gifqa.model.text import TextTower, encode_ids
from gifqa.prompt import STATEMENT_ANSWERS, as_statement
from gifqa.training.data.samples import Annotations, Sample
from gifqa.training.data.store import TextStore
from gifqa.training.data.targets import content_words

NUM_WRONG = 3
MAX_DRAWS = 12
"""Tries to draw a wrong answer that no caption of the picture has words of."""
TEXTS_AT_ONCE = 256
LEAST_SPREAD = 1e-4
"""Standard deviations are taken to be at least this."""


@dataclass(frozen=True)
class StatementGroup:
    """What is said of one picture."""

    picture: str
    is_yes_no: bool
    statements: tuple[str, ...]
    """The right one first, then `NUM_WRONG` wrong ones."""


def statement_groups(annotations: Annotations, count: int, seed: int) -> list[StatementGroup]:
    """At most `count` groups of open questions and as many of yes/no questions.

    Wrong answers to an open question are those of other questions of the same kind, as frequent as they are,
    that have no word of the picture's captions. Those to a yes/no question are what is denied of the picture.
    """
    chance = random.Random(seed)
    return [*_open_groups(annotations, count, chance), *_yes_no_groups(annotations, count, chance)]


def _open_groups(annotations: Annotations, count: int, chance: random.Random) -> list[StatementGroup]:
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for sample in annotations.samples:
        if sample.answer not in STATEMENT_ANSWERS:
            by_kind[sample.answer_type].append(sample)
    samples = [sample for kind in by_kind.values() for sample in kind]
    groups = []
    for sample in chance.sample(samples, min(count, len(samples))):
        wrong = list(sample.options[1:]) or _wrong_answers(sample, by_kind, annotations, chance)
        if len(wrong) == NUM_WRONG:
            answers = (sample.answer, *wrong)
            statements = tuple(as_statement(sample.question, answer) for answer in answers)
            groups.append(StatementGroup(sample.picture, False, statements))
    return groups


def _wrong_answers(
    sample: Sample, by_kind: dict[str, list[Sample]], annotations: Annotations, chance: random.Random
) -> list[str]:
    captions = annotations.captions.get(sample.picture, ())
    true_words = {word for text in (*captions, sample.answer) for word in content_words(text)}
    wrong: list[str] = []
    for _ in range(MAX_DRAWS):
        answer = chance.choice(by_kind[sample.answer_type]).answer
        if answer not in wrong and not true_words & set(content_words(answer)):
            wrong.append(answer)
            if len(wrong) == NUM_WRONG:
                break
    return wrong


def _yes_no_groups(annotations: Annotations, count: int, chance: random.Random) -> list[StatementGroup]:
    said: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for sample in annotations.samples:
        if sample.answer in STATEMENT_ANSWERS:
            said[sample.picture][sample.answer].append(as_statement(sample.question, sample.answer))
    groups = []
    for picture, statements in said.items():
        for right in statements["yes"]:
            denied = [text for text in statements["no"] if text != right]
            if denied:
                wrong = chance.sample(denied, NUM_WRONG) if len(denied) >= NUM_WRONG else None
                wrong = wrong or chance.choices(denied, k=NUM_WRONG)
                groups.append(StatementGroup(picture, True, (right, *wrong)))
    return chance.sample(groups, min(count, len(groups)))


@torch.no_grad()
def encode_statements(
    tower: TextTower, tokenizer: Any, groups: Sequence[StatementGroup], path: Path
) -> TextStore:
    """Sentence vectors of every statement, without token states, computed once and saved to `path`."""
    texts = sorted(
        {text for group in groups for text in group.statements}, key=lambda text: (len(text), text)
    )
    vectors = []
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        with autocast():
            _, sentences = tower(*encode_ids(tokenizer, texts[start : start + TEXTS_AT_ONCE]))
        vectors.append(sentences.half())
    store = TextStore.of_sentences(texts, torch.cat(vectors))
    store.save(path)
    return store


class FitScale(nn.Module):
    """How far fits are apart for right and wrong, learnt beside the heads and thrown away with this stage."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(0.0))
        self.yes_offset = nn.Parameter(torch.tensor(-1.0))


def fits(frames: Tensor, statements: Tensor) -> Tensor:
    """How well each picture's statements fit it, in standard deviations over the pictures of the batch.

    Args:
        frames: unit vectors (B, D).
        statements: unit vectors (B, S, D).

    Returns:
        (B, S); what `LiteAnswerer.weigh` computes, with the batch in place of the bundle's reference photos.
    """
    similarity = torch.einsum("bsd,nd->bsn", statements, frames)
    own = similarity[torch.arange(len(frames)), :, torch.arange(len(frames))]
    return (own - similarity.mean(-1)) / similarity.std(-1).clamp_min(LEAST_SPREAD)


def statement_loss(fit: Tensor, is_yes_no: Tensor, scale: FitScale) -> Tensor:
    """Choice of the right statement by its fit; for yes/no also each statement by itself.

    Args:
        fit: (B, 1 + NUM_WRONG), the right one first.
        is_yes_no: bool (B,).
        scale: of the fits.
    """
    scores = scale.log_scale.exp() * fit
    choice = F.cross_entropy(scores, torch.zeros(len(fit), dtype=torch.long))
    if not bool(is_yes_no.any()):
        return choice
    alone = scores[is_yes_no] + scale.yes_offset
    truth = torch.zeros_like(alone)
    truth[:, 0] = 1
    weight = torch.full_like(alone, 1 / (fit.shape[1] - 1))
    weight[:, 0] = 1
    return choice + F.binary_cross_entropy_with_logits(alone, truth, weight)
