"""The published forms of each benchmark's annotations: which columns a file has and what a row means."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from gifqa.errors import RecordError
from gifqa.evaluation.answers import parse_count
from gifqa.evaluation.questions import Question, Task, first_word
from gifqa.evaluation.tables import Row, Table

_FRAMEQA_KINDS = {"0": "object", "1": "number", "2": "colour", "3": "location"}
_ACTIVITYNET_KINDS = {
    "0": "motion",
    "1": "spatial relation",
    "2": "temporal relation",
    "3": "yes/no",
    "4": "colour",
    "5": "object",
    "6": "location",
    "7": "number",
    "8": "other",
}
MVBENCH_TASKS = re.findall(
    r"\w+",
    "action_antonym action_count action_localization action_prediction action_sequence character_order "
    "counterfactual_inference egocentric_navigation episodic_reasoning fine_grained_action fine_grained_pose "
    "moving_attribute moving_count moving_direction object_existence object_interaction object_shuffle "
    "scene_transition state_change unexpected_action",
)
_MVBENCH_BLOCK = 200


@dataclass(frozen=True)
class Place:
    """Where a row stands, for its id and for messages."""

    table: Table
    line: int
    task: Task

    def error(self, problem: str) -> RecordError:
        """An error that begins with file and line."""
        return RecordError(f"{self.table.where(self.line)}: {problem}")


@dataclass(frozen=True)
class Format:
    """One published form: the columns that it must have, how its ids begin, and what a row becomes."""

    columns: tuple[str, ...]
    parse: Callable[[Row, Place], Question]
    id_column: str = ""
    id_prefix: str = ""
    """Tells benchmarks with the same columns apart; empty where nothing does."""
    without: tuple[str, ...] = ()
    """Columns that this form does not have and a similar one has."""

    def matches(self, table: Table) -> bool:
        """Whether the table is of this form, told from its header and its first id."""
        if not set(self.columns) <= set(table.columns) or set(self.without) & set(table.columns):
            return False
        return not self.id_prefix or table.rows[0][1][self.id_column].upper().startswith(self.id_prefix)


def _options(row: Row, names: tuple[str, ...], place: Place) -> tuple[tuple[str, ...], str]:
    """The options and the right one, whose number the column `answer` has."""
    options = tuple(row[name] for name in names)
    number = row["answer"].strip()
    if not number.isdigit() or int(number) >= len(options):
        raise place.error(
            f"the answer is {number!r}; it must be the number of an option, 0 to {len(options) - 1}. "
            "Mend the line."
        )
    return options, options[int(number)]


def _answer(row: Row, place: Place) -> str:
    answer = row["answer"].strip()
    if not answer:
        raise place.error("the answer is empty; each question needs one. Take the line out or mend it.")
    if place.task == "count" and parse_count(answer) is None:
        raise place.error(
            f"the answer is {answer!r}; a count is a whole number. Is it another benchmark's file?"
        )
    return answer


def frameqa_kind(question: str) -> str:
    """TGIF-QA's type of a frame question; gives the published type on all 13,691 of the test split."""
    lowered = question.lower()
    if lowered.startswith("how many"):
        return "number"
    if lowered.startswith(("what is the color", "what color")):
        return "colour"
    return "location" if lowered.startswith("where") else "object"


def _tgif_kind(number: str, question: str) -> str:
    """The type of a question whose row has none; for transitions it is before or after."""
    if number.upper().startswith("FRAMEQA"):
        return frameqa_kind(question)
    if number.upper().startswith("TRANS"):
        return "before" if " before " in f" {question.lower()} " else "after"
    return first_word(question)


def parse_tgif(row: Row, place: Place) -> Question:
    """A row of TGIF-QA's own files: `gif_name question [a1..a5] answer [type] vid_id key`."""
    options, answer = None, ""
    if place.task == "choice":
        options, answer = _options(row, ("a1", "a2", "a3", "a4", "a5"), place)
    else:
        answer = _answer(row, place)
    kind = _FRAMEQA_KINDS.get(row.get("type", ""), "") or _tgif_kind(row["vid_id"], row["question"])
    media = (row["gif_name"], row["key"])
    return Question(row["vid_id"], place.task, row["question"], (answer,), media, kind, options)


def parse_hqga(row: Row, place: Place) -> Question:
    """A row of HQGA's re-cut files: `video question [a0..a4] answer qid`; `video` is TGIF-QA's `key`."""
    options, answer = None, ""
    if place.task == "choice":
        options, answer = _options(row, ("a0", "a1", "a2", "a3", "a4"), place)
    else:
        answer = _answer(row, place)
    kind = _tgif_kind(row["qid"], row["question"])
    return Question(row["qid"], place.task, row["question"], (answer,), (row["video"],), kind, options)


def parse_msvd(row: Row, place: Place) -> Question:
    """MSVD-QA: HQGA's `video ... qid` or the published `video_id ... id`; files are named `vid1451`."""
    number = row.get("video") or row["video_id"]
    return _youtube_row(row, place, (f"vid{number}", number))


def parse_msrvtt(row: Row, place: Place) -> Question:
    """MSRVTT-QA: HQGA's `video ... qid type` or the published `video_id ... id`; files are `video7010`."""
    number = row.get("video") or row["video_id"]
    return _youtube_row(row, place, (f"video{number}", number))


def _youtube_row(row: Row, place: Place, media: tuple[str, ...]) -> Question:
    question = row["question"]
    number = row.get("qid") or row["id"]
    return Question(number, "open", question, (_answer(row, place),), media, first_word(question))


def parse_activitynet(row: Row, place: Place) -> Question:
    """ActivityNet-QA: an entry of `test_q.json` joined with that of `test_a.json`; files are `v_<name>`."""
    name, kind = row["video_name"], _ACTIVITYNET_KINDS.get(row["type"], row["type"])
    media = (f"v_{name}", name)
    return Question(row["question_id"], "open", row["question"], (_answer(row, place),), media, kind)


def parse_nextqa(row: Row, place: Place) -> Question:
    """NExT-QA, multiple choice: `video question answer qid type a0..a4`; `qid` counts within a video."""
    options, answer = _options(row, ("a0", "a1", "a2", "a3", "a4"), place)
    media = (row["mapped_video"], row["video"]) if row.get("mapped_video") else (row["video"],)
    number = f"{row['video']}_{row['qid']}"
    return Question(number, "choice", row["question"], (answer,), media, row["type"], options)


def parse_mvbench(row: Row, place: Place) -> Question:
    """MVBench as published: `video question candidates answer`, one file a task."""
    options = tuple(str(option) for option in json.loads(row["candidates"]))
    return _mvbench(row["video"], row["question"], options, row["answer"], place, place.table.path.stem)


def parse_mvbench_conversations(row: Row, place: Place) -> Question:
    """MVBench as LLaVA-style conversations in one file: 20 blocks of 200, tasks in alphabetical order."""
    turn = json.loads(row["conversations"])[0]
    kind = MVBENCH_TASKS[min((place.line - 1) // _MVBENCH_BLOCK, len(MVBENCH_TASKS) - 1)]
    options = tuple(str(option) for option in turn["choices"])
    return _mvbench(row["video_path"], turn["question"], options, turn["answer"], place, kind)


def _mvbench(
    video: str, question: str, options: tuple[str, ...], answer: str, place: Place, kind: str
) -> Question:
    if answer not in options:
        raise place.error(f"the answer {answer!r} is none of the options {list(options)}. Mend the entry.")
    number = f"{kind}-{place.line}"
    return Question(number, "choice", question, (answer,), (video,), kind, options)
