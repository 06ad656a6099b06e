"""All that a run trains on: which pictures there are, where their files stand, and what is said and asked.

    DATA/photos/captions.jsonl    photos, their files in DATA/photos/images/
    DATA/clips/                   a folder of clips, see `gifqa.data.clip_folder`
    DATA/                         the folder of clips itself, where there is neither photos/ nor clips/
    pairs                         JSONL, Parquet, CSV or TSV of `gifqa synthesize`, or its dataset folder

A pair may mean its picture by path, name or URL. What a pair's caption says is a caption of a picture that no
other file speaks of. All that is known of a picture is in one split.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gifqa.data.captions import SPLITS
from gifqa.data.clip_folder import CLIPS_FILE, FRACTIONS, read_clip_folder
from gifqa.data.media_folder import MediaFolder, is_clip
from gifqa.data.records import QARecord, read_records
from gifqa.data.tgif import split_of
from gifqa.errors import ConfigError, RecordError
from gifqa.training.data.samples import Annotations, add_photos, pair_samples, read_lines

PHOTOS, IMAGES, CLIPS = Path("photos/captions.jsonl"), Path("photos/images"), Path("clips")


@dataclass
class Dataset:
    """The pictures of a data folder, and what is known of them by split."""

    photos: dict[str, Path] = field(default_factory=dict)
    """Name -> file of each photo that is there."""
    clips: dict[str, Path] = field(default_factory=dict)
    annotations: dict[str, Annotations] = field(default_factory=dict)
    """By split; also of pictures that are missing."""
    splits: dict[str, str] = field(default_factory=dict)
    """Of each picture that something is said of."""
    missing: dict[str, str] = field(default_factory=dict)
    """Name of a picture that something is said of, but whose file is not there -> why."""

    def skipped(self, failed: Mapping[str, str]) -> dict[str, Any]:
        """What training goes without, for the figures of the stage `features`.

        Args:
            failed: pictures that could not be decoded -> why.

        Returns:
            "failed": all missing and undecodable pictures with why; "skipped": how many captions and how many
            questions of each source speak of them.
        """
        gone = {**self.missing, **failed}
        skipped: Counter[str] = Counter()
        for split in self.annotations.values():
            skipped.update(sample.source for sample in split.samples if sample.picture in gone)
            skipped["captions"] += sum(len(texts) for name, texts in split.captions.items() if name in gone)
        return {"failed": gone, "skipped": dict(+skipped)}


def read_dataset(
    data: Path, pairs: Sequence[Path] = (), weights: Mapping[str, float] | None = None
) -> Dataset:
    """Everything in a data folder, and the pairs about it.

    Args:
        data: the folder.
        pairs: files or folders of records.
        weights: source -> share of the questions drawn, as `[data] weights` of a recipe. A file of pairs
            whose name without extension has a weight is a source of its own.

    Raises:
        RecordError: at the first line that cannot be used, or that puts a picture into a second split.
        ConfigError: if there is nothing to train on, or a weight is of a source that is not there.
    """
    if not data.is_dir():
        raise ConfigError(f"--data is {data}, which is no folder; it holds photos, clips or both. Check it.")
    reading = _Reading(data, weights or {})
    reading.read_photos()
    reading.read_clips()
    for path in pairs:
        reading.read_pairs(path)
    found = reading.finished()
    _check(found, data, pairs, weights or {})
    return found


def _clips_below(data: Path) -> Path:
    """The folder of clips in a data folder; with neither photos nor clips in it, it is one itself."""
    return data / CLIPS if (data / CLIPS).is_dir() or (data / PHOTOS).is_file() else data


class _Reading:
    """A data folder while it is read."""

    def __init__(self, data: Path, weights: Mapping[str, float]) -> None:
        self.data, self.weights = data, weights
        self.found = Dataset(annotations={split: Annotations(weights=weights) for split in SPLITS})
        self.images, self.clips = MediaFolder(data / IMAGES), MediaFolder(_clips_below(data))
        self.splits = self.found.splits
        self.spoken_of: dict[str, dict[str, None]] = {}
        """Captions of the pictures that only pairs speak of."""
        self.named: dict[str, str] = {}
        """What pairs call a picture -> its name."""

    def read_photos(self) -> None:
        """Photos, where there are some."""
        if not (self.data / PHOTOS).is_file():
            return
        records = list(read_lines(self.data / PHOTOS, ("image", "split")))
        for split, found in self.found.annotations.items():
            add_photos(found, records, split)
        for record in records:
            self.enter(record["image"], record["split"], self.images)

    def read_clips(self) -> None:
        """Clips, where there are some."""
        for clip in read_clip_folder(self.clips):
            self.enter(clip.name, clip.split, self.clips)
            if clip.split in SPLITS:
                self.found.annotations[clip.split].captions[clip.name] = clip.captions

    def enter(self, name: str, split: str, folder: MediaFolder) -> None:
        """Note a picture's split, and its file or that there is none."""
        self.splits[name] = split
        path = folder.folder / name
        if not path.is_file():
            self.found.missing[name] = f"{path} does not exist"
        elif folder is self.clips and is_clip(name):
            self.found.clips[name] = path
        else:
            self.found.photos[name] = path

    def read_pairs(self, path: Path) -> None:
        """Questions about pictures, and pictures that only questions speak of."""
        source = path.stem if path.stem in self.weights else None
        for record in read_records(path):
            if record.gif not in self.named:
                self.named[record.gif] = self.picture_of(record)
            name = self.named[record.gif]
            split = self.splits[name]
            if record.split not in (None, split):
                raise RecordError(
                    f"{path}: {record.gif} is in {record.split} here and in {split} elsewhere; a GIF belongs "
                    "to one split. Make the pairs from the captions of this folder, or correct either."
                )
            if split in SPLITS:
                self.found.annotations[split].samples += pair_samples(record, name, source)
            if name in self.spoken_of and record.caption:
                self.spoken_of[name][record.caption] = None

    def picture_of(self, record: QARecord) -> str:
        """The name of a record's picture; one that nothing spoke of is entered."""
        if record.gif in self.splits:
            return record.gif
        for folder in (self.clips, self.images):
            name = folder.find(record.gif)
            if name is not None:
                break
        else:
            name = record.gif
            self.found.missing[name] = f"{self.clips.folder} has no such file, or more than one of the name"
        if name not in self.splits:
            self.spoken_of[name] = {}
            split = record.split or split_of(name, None, FRACTIONS)
            if name in self.found.missing:
                self.splits[name] = split
            else:
                self.enter(name, split, folder)
        return name

    def finished(self) -> Dataset:
        """All that was read."""
        for name, captions in self.spoken_of.items():
            if captions and self.splits[name] in SPLITS:
                self.found.annotations[self.splits[name]].captions[name] = tuple(captions)
        return self.found


def _check(found: Dataset, data: Path, pairs: Sequence[Path], weights: Mapping[str, float]) -> None:
    """Raises a ConfigError if there is nothing to train on, or a weight is of no source."""
    train = found.annotations["train"]
    if not train.samples and not train.captions:
        others = sum(len(split.samples) + len(split.captions) for split in found.annotations.values())
        where = f"{data} and {len(pairs)} files of pairs"
        said = (
            f"only {others} questions and captions of other splits" if others else "no caption, no question"
        )
        raise ConfigError(
            f"{where} hold {said}; training needs some of the split train. Looked for {PHOTOS}, a folder of "
            f"clips with {CLIPS_FILE} or captions, and --pairs. Check the folder, or the split of its lines."
        )
    sources = {sample.source for sample in train.samples} | ({"match"} if train.captions else set())
    unknown = sorted(set(weights) - sources)
    if unknown:
        raise ConfigError(
            f"data.weights names {unknown[0]!r}, but the training split has no such source; it has "
            f"{', '.join(sorted(sources))}. A file of pairs may be named. Correct the name, or leave it out."
        )
