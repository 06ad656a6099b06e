"""The questions of `answers.py`: those that people asked, and those made of captions and descriptions.

    human, open         Visual7W and VQA questions with a short answer
    human, yes/no       VQA's yes/no questions and the machine's rephrasings of them
    human, choice       Visual7W with its three wrong options
    captions, open      pairs that `gifqa synthesize` made: who, what, colour, number, place, action
    captions, yes/no    the same, with a false question for each true one

A question that occurs twice about one picture (made of two of its captions) is one sample, right with any of
its answers; a yes/no question with both answers is left out. A sample's id depends on picture, task and
question only, and a smaller draw is a part of a larger one of the same seed.
"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from json_lines import read_lines

from gifqa.prompt import normalise_answer
from gifqa.training.data.samples import human_samples

PARTS = (
    ("human", "open"),
    ("human", "yes/no"),
    ("human", "choice"),
    ("captions", "open"),
    ("captions", "yes/no"),
)
"""Origin and task, in the order of the tables."""
NUM_OPTIONS = 4


@dataclass(frozen=True)
class Annotations:
    """The files that the samples are read from."""

    photos: Path
    """JSONL, a photo a line: `image`, `split`, `qa`, `qa_source`, `qa_wrong`."""
    clips: Path
    """JSONL, a clip a line: `clip`, `split`."""
    pairs: Path
    """JSONL of `gifqa synthesize`: `gif`, `question`, `answer`, `answer_type`, `generator`, `split`."""


@dataclass(frozen=True)
class Sample:
    """One question with what counts as right."""

    id: str
    picture: str
    """Name in the annotations; questions about one picture are resampled together."""
    medium: str
    """photo or clip."""
    origin: str
    """human or captions."""
    task: str
    """open, yes/no or choice."""
    kind: str
    """The type of the answer (captions), the question word (human) or the source (human yes/no)."""
    question: str
    answers: tuple[str, ...]
    """Every right answer, after `normalise_answer`, the commonest first."""
    options: tuple[str, ...] | None = None

    @property
    def part(self) -> tuple[str, str]:
        """Origin and task."""
        return self.origin, self.task


def read_samples(annotations: Annotations, split: str) -> list[Sample]:
    """All samples of a split, a picture's side by side."""
    clips = {record["clip"] for record in read_lines(annotations.clips, ("clip",))}
    photos = read_lines(annotations.photos, ("image", "split", "qa"))
    pairs = read_lines(annotations.pairs, ("gif", "split", "question", "answer", "answer_type", "generator"))
    found = [sample for record in photos if record["split"] == split for sample in _human(record)]
    found += [
        sample for record in pairs if record["split"] == split for sample in _made_of_captions(record, clips)
    ]
    return sorted(merged(found), key=lambda sample: (sample.medium, sample.picture))


def _human(record: dict[str, Any]) -> Iterator[Sample]:
    """What people asked about one photo; a Visual7W question is asked openly and with its options."""
    for pair in human_samples(record):
        if pair.source == "statements":
            continue
        if pair.answer_type == "yes/no":
            yield _sample(
                pair.picture, "photo", ("human", "yes/no"), pair.source, (pair.question, pair.answer)
            )
            continue
        word = normalise_answer(pair.question).partition(" ")[0]
        yield _sample(pair.picture, "photo", ("human", "open"), word, (pair.question, pair.answer))
        if len(set(pair.options)) == NUM_OPTIONS and all(pair.options):
            chance = random.Random(f"{pair.picture} {pair.question}")
            options = tuple(chance.sample(pair.options, NUM_OPTIONS))
            asked = _sample(pair.picture, "photo", ("human", "choice"), word, (pair.question, pair.answer))
            yield replace(asked, options=options)


def _made_of_captions(record: dict[str, Any], clips: set[str]) -> Iterator[Sample]:
    """A pair made of a caption; nothing if nothing is left of its answer."""
    answer = normalise_answer(record["answer"])
    if not answer:
        return
    medium = "clip" if record["gif"] in clips else "photo"
    kind, task = record["answer_type"], "open"
    if kind == "yes/no":
        kind, task = record["generator"].rpartition("/")[2].removesuffix("-swap"), "yes/no"
    yield _sample(record["gif"], medium, ("captions", task), kind, (record["question"], answer))


def _sample(picture: str, medium: str, part: tuple[str, str], kind: str, pair: tuple[str, str]) -> Sample:
    origin, task = part
    question, answer = pair
    content = "\0".join((picture, origin, task, question.casefold()))
    identity = hashlib.sha256(content.encode()).hexdigest()[:16]
    return Sample(identity, picture, medium, origin, task, kind, question, (answer,))


def merged(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for each id, with all its answers; yes/no questions with both answers are left out."""
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(sample.id, []).append(sample)
    found = []
    for group in groups.values():
        counts = Counter(answer for sample in group for answer in sample.answers)
        answers = tuple(answer for answer, _ in counts.most_common())
        if group[0].task != "yes/no" or len(answers) == 1:
            found.append(replace(group[0], answers=answers))
    return found


def draw(
    samples: Sequence[Sample],
    quotas: dict[tuple[str, str], int],
    *,
    limit: int | None = None,
    seed: int = 0,
) -> list[Sample]:
    """The samples that are asked, in the order of `samples`.

    Args:
        samples: all of them.
        quotas: how many about photos of each part, spread evenly over its kinds (yes/no: over kind and
            answer); a part that is not in it, and every question about clips, is asked whole.
        limit: at most so many of each part about photos, and again about clips.
        seed: of the draw.
    """
    strata: dict[tuple[str, str, str], dict[tuple[str, ...], list[Sample]]] = {}
    for sample in samples:
        answer = sample.answers if sample.task == "yes/no" else ()
        part = strata.setdefault((*sample.part, sample.medium), {})
        part.setdefault((sample.kind, *answer), []).append(sample)
    chosen: set[str] = set()
    for (origin, task, medium), groups in strata.items():
        total = sum(map(len, groups.values()))
        if medium == "photo":
            total = min(total, quotas.get((origin, task), total))
        for sample in draw_evenly(list(groups.values()), total if limit is None else min(limit, total), seed):
            chosen.add(sample.id)
    return [sample for sample in samples if sample.id in chosen]


def draw_evenly(groups: Sequence[Sequence[Sample]], total: int, seed: int) -> list[Sample]:
    """`total` samples, as many of each group as there are; what small groups lack comes from the larger ones.

    Which of a group are drawn first depends on their ids and the seed alone.
    """
    drawn: list[Sample] = []
    ordered = sorted(groups, key=len)
    for place, group in enumerate(ordered):
        share = (total - len(drawn)) // (len(ordered) - place)
        shuffled = sorted(group, key=lambda sample: hashlib.sha256(f"{seed} {sample.id}".encode()).digest())
        drawn += shuffled[:share]
    return drawn


def write_samples(path: Path, samples: Iterable[Sample], folders: dict[str, Path]) -> None:
    """Write samples as JSONL that `gifqa ask --batch` reads, too: `media` is the path of the picture.

    Args:
        path: the file.
        samples: what to write.
        folders: of the photos and of the clips, by medium.
    """
    with path.open("w", encoding="utf-8") as file:
        for sample in samples:
            media = (folders[sample.medium] / sample.picture).resolve()
            row = {**asdict(sample), "media": str(media)}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
