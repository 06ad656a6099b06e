"""TGIF and TGIF-QA as published: official splits, and the four kinds of questions. Loaders, never the data.

References: TGIF (Li et al., 2016), https://arxiv.org/abs/1604.02748; TGIF-QA (Jang et al., 2017),
https://arxiv.org/abs/1704.04497
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from gifqa.data.captions import SPLITS
from gifqa.data.records import QARecord, record_id
from gifqa.data.tables import Row, read_rows
from gifqa.errors import ConfigError, RecordError

_FRAME_TYPES = {
    "0": ("object", "noun"),
    "1": ("number", "number"),
    "2": ("colour", "colour"),
    "3": ("place", "preposition"),
}
_NUM_OPTIONS = 5


def gif_name(gif: str) -> str:
    """The name that TGIF's files share for a GIF: the last part of its URL or path, without extension."""
    return PurePosixPath(gif.split("?", maxsplit=1)[0]).stem


def read_split_lists(folder: Path) -> dict[str, str]:
    """The official lists `train.txt`, `val.txt` and `test.txt` (one URL a line): name of the GIF -> split.

    Raises:
        ConfigError: if the folder has none of them or a GIF is in two.
    """
    found: dict[str, str] = {}
    for split in SPLITS:
        path = folder / f"{split}.txt"
        if not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            name = gif_name(line.strip())
            if name and found.setdefault(name, split) != split:
                raise ConfigError(
                    f"{path.name}:{number}: {name} is in {found[name]}.txt too; a GIF belongs to one split. "
                    "Take it out of one list."
                )
    if not found:
        raise ConfigError(
            f"{folder} has none of train.txt, val.txt and test.txt with one URL a line. "
            "Give the folder of TGIF's split lists."
        )
    return found


def split_of(gif: str, lists: Mapping[str, str] | None, fractions: tuple[float, float, float]) -> str:
    """The split of a GIF: by the official lists where they have it, otherwise by a hash of its name.

    Args:
        gif: URL, path or name.
        lists: as `read_split_lists` gives them; None when there are none.
        fractions: shares of train, val and test for GIFs that no list has.
    """
    name = gif_name(gif)
    if lists is not None and name in lists:
        return lists[name]
    point = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    train, val, _ = fractions
    if point < train:
        return "train"
    return "val" if point < train + val else "test"


def read_tgif_qa(path: Path) -> Iterator[QARecord]:
    """The questions of one of TGIF-QA's csv files (frame QA, count, action or transition).

    In the multiple-choice files the answer is the text of the right option. HQGA's re-cut files are read too.

    Raises:
        RecordError: on a row that is no question, naming file and line.
    """
    for row in read_rows(path):
        if isinstance(row, RecordError):
            raise row
        yield _question(row)


def _question(row: Row) -> QARecord:
    values = row.values
    missing = [name for name in ("question", "answer") if not str(values.get(name) or "").strip()]
    gif = str(values.get("gif_name") or values.get("video") or "")
    if missing or not gif:
        raise RecordError(
            f'{row.source}: no field "{(missing or ["gif_name"])[0]}"; it has {", ".join(values)}. '
            "TGIF-QA's files have gif_name, question and answer; HQGA's have video."
        )
    question, answer = str(values["question"]).strip(), str(values["answer"]).strip()
    options = _options(values)
    if options is not None:
        if not answer.isdigit() or int(answer) >= len(options):
            raise RecordError(
                f"{row.source}: answer is {answer!r}; the number of an option from 0 to 4 is needed."
            )
        answer = options[int(answer)]
    kind = "number" if question.lower().startswith("how many times") else "action"
    answer_type, category = (kind, "number" if kind == "number" else "verb")
    if "type" in values or (options is None and kind != "number"):
        answer_type, category = _FRAME_TYPES.get(str(values.get("type")), ("", ""))
    return QARecord(
        id=record_id(gif, question, answer),
        gif=gif,
        question=question,
        answer=answer,
        caption=str(values.get("description") or "").strip(),
        answer_type=answer_type,
        category=category,
        generator="tgif-qa",
        options=options,
    )


def _options(values: Mapping[str, object]) -> tuple[str, ...] | None:
    for names in ([f"a{i}" for i in range(1, _NUM_OPTIONS + 1)], [f"a{i}" for i in range(_NUM_OPTIONS)]):
        if all(name in values for name in names):
            return tuple(str(values[name]).strip() for name in names)
    return None
