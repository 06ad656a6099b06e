"""Training samples: one question with its answer about one picture, from captions, people and object boxes.

    photos   JSONL: image, split, captions; where known qa, qa_source, qa_wrong, objects, labels, statements
    clips    JSONL: clip, split, description, captions?
    pairs    what `gifqa synthesize` made of the captions of both

A picture is a photo or a clip; its name is that of its file, relative to its folder.
`gifqa.training.data.sources` finds the files of a data folder; this module reads each kind.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gifqa.data.records import QARecord
from gifqa.data.tables import read_rows
from gifqa.errors import RecordError
from gifqa.prompt import STATEMENT_ANSWERS, normalise_answer
from gifqa.training.data.mirroring import forbids_mirroring

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six")
PLURALS = {"person": "people", "mouse": "mice", "knife": "knives"}
NUM_OPTIONS = 4


@dataclass(frozen=True)
class Sample:
    """A question about a picture."""

    picture: str
    question: str
    answer: str
    """As `normalise_answer` gives it."""
    source: str
    """caption-open, caption-yes/no, objects, visual7w, vqa2, vqa2-yn, statements; or a file of pairs."""
    answer_type: str
    options: tuple[str, ...] = ()
    """Four-way choice: the right answer first."""
    other_answers: tuple[str, ...] = ()
    """Right as well, and learnt in the same pass: further captions of the picture."""

    @property
    def has_sides(self) -> bool:
        """Whether mirroring the picture may make the answer wrong; see `gifqa.training.data.mirroring`."""
        return any(map(forbids_mirroring, (self.question, self.answer, *self.options, *self.other_answers)))

    @property
    def group(self) -> str:
        """Source and kind of answer, as validation reports them."""
        return f"{self.source}/{'yes-no' if self.answer_type == 'yes/no' else 'open'}"


@dataclass
class Annotations:
    """All that is known of one split."""

    samples: list[Sample] = field(default_factory=list)
    captions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """COCO classes of the pictures whose boxes are known."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Source -> share of the questions drawn; empty takes the shares of `gifqa.training.data.batches`."""

    def has_sides(self, name: str) -> bool:
        """Whether a mirrored view of the picture may make one of its captions wrong."""
        return any(map(forbids_mirroring, self.captions.get(name, ())))

    def by_source(self) -> dict[str, list[Sample]]:
        """The samples in groups."""
        groups: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            groups[sample.source].append(sample)
        return groups

    def only(self, pictures: Collection[str]) -> "Annotations":
        """What is known of these pictures."""
        return Annotations(
            [sample for sample in self.samples if sample.picture in pictures],
            {name: captions for name, captions in self.captions.items() if name in pictures},
            {name: labels for name, labels in self.labels.items() if name in pictures},
            self.weights,
        )


def add_photos(found: Annotations, records: Iterable[dict[str, Any]], split: str) -> None:
    """Enter the photos of a split: captions, boxes, what people asked, statements.

    Args:
        found: where they are entered.
        records: of all splits, as `captions.jsonl` holds them.
        split: "train", "val" or "test".
    """
    chance = random.Random(split)
    records = [record for record in records if record["split"] == split]
    classes = Counter(label for record in records for label in sorted(set(record.get("labels") or ())))
    for record in records:
        name = record["image"]
        if record.get("captions"):
            found.captions[name] = tuple(record["captions"])
        if record.get("objects"):
            found.labels[name] = tuple(sorted({entry[0] for entry in record["objects"]}))
            found.samples += object_samples(name, record["objects"], classes, chance)
        found.samples += human_samples(record)


def read_lines(path: Path, needed: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file that have all the needed fields.

    Raises:
        RecordError: on the first line that is no such object.
    """
    for row in read_rows(path, "jsonl"):
        if isinstance(row, RecordError):
            raise row
        missing = [name for name in needed if row.values.get(name) is None]
        if missing:
            raise RecordError(
                f'{row.source}: no field "{missing[0]}"; it has {", ".join(row.values) or "nothing"}. '
                f"A line needs {', '.join(needed)}."
            )
        yield row.values


def pair_samples(record: QARecord, picture: str, source: str | None = None) -> Iterator[Sample]:
    """The sample of a record, none if its answer is empty.

    Args:
        record: made by `gifqa synthesize`, or by people.
        picture: the name that the record's GIF has in the data folder.
        source: what to call it; None tells open questions from yes/no ones.
    """
    answer = normalise_answer(record.answer)
    if answer:
        kind = "yes/no" if answer in STATEMENT_ANSWERS and not record.answer_type else record.answer_type
        source = source or ("caption-yes/no" if kind == "yes/no" else "caption-open")
        others = [option for option in map(normalise_answer, record.options or ()) if option != answer]
        options = (answer, *others) if len(others) == NUM_OPTIONS - 1 else ()
        yield Sample(picture, record.question, answer, source, kind, options)


def human_samples(record: dict[str, Any]) -> Iterator[Sample]:
    """The questions that people asked about a photo, and the spatial statements about it."""
    name = record["image"]
    wrong = record.get("qa_wrong") or []
    asked = zip(record.get("qa") or (), record.get("qa_source") or (), strict=False)
    for index, ((question, raw), source) in enumerate(asked):
        answer = normalise_answer(raw)
        if not answer:
            continue
        others = (wrong[index] or ()) if source == "visual7w" and index < len(wrong) else ()
        options = (answer, *map(normalise_answer, others)) if len(others) == NUM_OPTIONS - 1 else ()
        kind = "yes/no" if answer in {"yes", "no"} else "human"
        yield Sample(name, question, answer, source, kind, options)
    for sentence, is_true in record.get("statements") or ():
        yield Sample(name, sentence, "yes" if is_true else "no", "statements", "yes/no")


def object_samples(
    name: str, objects: Sequence[Sequence[Any]], classes: Counter[str], chance: random.Random
) -> Iterator[Sample]:
    """Presence and number of COCO classes; absent classes are drawn as often as they occur elsewhere."""
    counts = Counter(str(entry[0]) for entry in objects)
    names = list(classes)
    for label, count in counts.items():
        yield Sample(name, f"Is there {_with_article(label)}?", "yes", "objects", "yes/no")
        absent = chance.choices(names, [classes[other] for other in names])[0] if names else label
        if absent not in counts:
            yield Sample(name, f"Is there {_with_article(absent)}?", "no", "objects", "yes/no")
        if 1 < count < len(NUMBER_WORDS):
            plural = PLURALS.get(label, f"{label}s")
            yield Sample(name, f"How many {plural} are there?", NUMBER_WORDS[count], "objects", "number")


def _with_article(label: str) -> str:
    return f"an {label}" if label[0] in "aeiou" else f"a {label}"
