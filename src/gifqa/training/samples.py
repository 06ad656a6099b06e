"""Training samples: one question with its answer about one picture, from captions, people and object boxes.

The annotation files are those of the data's README: `captions.jsonl` (photos), `clips.jsonl` (clips) and the pairs
that `gifqa synthesize` made of their captions.
"""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gifqa.prompt import normalise_answer

NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six")
SIDE_WORDS = frozenset({"left", "right"})


@dataclass(frozen=True)
class Sample:
    """A question about a picture."""

    picture: str
    question: str
    answer: str
    source: str
    """caption-open, caption-yes/no, objects, visual7w, vqa2, vqa2-yn, statements."""
    answer_type: str
    options: tuple[str, ...] = ()
    """Four-way choice: the right answer first."""

    @property
    def has_sides(self) -> bool:
        """Whether mirroring the picture would make the answer wrong."""
        return bool(SIDE_WORDS & set(f"{self.question} {self.answer}".lower().replace("?", " ").split()))


@dataclass
class Annotations:
    """All that is known of one split."""

    samples: list[Sample] = field(default_factory=list)
    captions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """COCO classes of the pictures whose boxes are known."""

    def by_source(self) -> dict[str, list[Sample]]:
        """The samples in groups."""
        groups: dict[str, list[Sample]] = defaultdict(list)
        for sample in self.samples:
            groups[sample.source].append(sample)
        return groups


def read_annotations(photos: Path, clips: Path, pairs: Path, split: str) -> Annotations:
    """Captions, labels and samples of the split "train", "val" or "test"."""
    found = Annotations()
    chance = random.Random(split)
    records = [record for record in _lines(photos) if record["split"] == split]
    classes = Counter(label for record in records for label in set(record.get("labels") or []))
    for record in records:
        name = record["image"]
        if record["captions"]:
            found.captions[name] = tuple(record["captions"])
        if record.get("objects"):
            found.labels[name] = tuple(sorted({entry[0] for entry in record["objects"]}))
            found.samples += object_samples(name, record["objects"], classes, chance)
        found.samples += human_samples(record)
    for record in _lines(clips):
        if record["split"] == split:
            found.captions[record["clip"]] = (*(record.get("captions") or ()), record["description"])
    for record in _lines(pairs):
        if record["split"] == split:
            kind = "caption-yes/no" if record["answer_type"] == "yes/no" else "caption-open"
            answer = normalise_answer(record["answer"])
            if answer:
                found.samples.append(Sample(record["gif"], record["question"], answer, kind, record["answer_type"]))
    return found


def human_samples(record: dict[str, object]) -> Iterable[Sample]:
    """The questions that people asked about a photo, and the spatial statements about it."""
    name = str(record["image"])
    wrong = record.get("qa_wrong") or []
    for index, ((question, raw), source) in enumerate(zip(record["qa"], record.get("qa_source") or [], strict=False)):  # type: ignore[call-overload]
        answer = normalise_answer(raw)
        if not answer:
            continue
        others = wrong[index] if source == "visual7w" and index < len(wrong) and wrong[index] else ()  # type: ignore[index, arg-type]
        options = (answer, *(normalise_answer(other) for other in others)) if len(others) == 3 else ()
        kind = "yes/no" if answer in {"yes", "no"} else "human"
        yield Sample(name, question, answer, source, kind, options)
    for sentence, is_true in record.get("statements") or []:  # type: ignore[union-attr, attr-defined]
        yield Sample(name, sentence, "yes" if is_true else "no", "statements", "yes/no")


def object_samples(
    name: str, objects: Sequence[Sequence[object]], classes: Counter[str], chance: random.Random
) -> Iterable[Sample]:
    """Presence and number of COCO classes; absent classes are drawn as often as they occur elsewhere."""
    counts = Counter(str(entry[0]) for entry in objects)
    names = list(classes)
    for label, count in counts.items():
        article = "an" if label[0] in "aeiou" else "a"
        yield Sample(name, f"Is there {article} {label}?", "yes", "objects", "yes/no")
        absent = chance.choices(names, [classes[other] for other in names])[0]
        if absent not in counts:
            article = "an" if absent[0] in "aeiou" else "a"
            yield Sample(name, f"Is there {article} {absent}?", "no", "objects", "yes/no")
        if 1 < count < len(NUMBER_WORDS):
            plural = {"person": "people", "mouse": "mice", "knife": "knives"}.get(label, f"{label}s")
            yield Sample(name, f"How many {plural} are there?", NUMBER_WORDS[count], "objects", "number")


def _lines(path: Path) -> Iterable[dict[str, object]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
