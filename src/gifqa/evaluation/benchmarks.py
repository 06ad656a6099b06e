"""The benchmarks: what each asks, in which published forms its annotations come, and how to read them.

tgif-qa/frameqa tgif-qa/action tgif-qa/transition tgif-qa/count    Jang et al., 2017 and 2019
msvd-qa  msrvtt-qa                                                 Xu et al., 2017
activitynet-qa                                                     Yu et al., 2019
next-qa                                                            Xiao et al., 2021, multiple choice
mvbench                                                            Li et al., 2024, 20 tasks
own  captions  retrieval                                           your records (`gifqa.data.records`)
"""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gifqa.errors import ConfigError, RecordError
from gifqa.evaluation import formats
from gifqa.evaluation.formats import Format, Place
from gifqa.evaluation.own_records import read_own
from gifqa.evaluation.questions import Question, Task
from gifqa.evaluation.tables import Table, lacking, parse_json, read_table, read_text

_HQGA_CHOICE = ("video", "question", "a0", "a1", "a2", "a3", "a4", "answer", "qid")
_HQGA_OPEN = ("video", "question", "answer", "qid")
_TGIF_OPEN = ("gif_name", "question", "answer", "vid_id", "key")
_TGIF_CHOICE = ("gif_name", "question", "a1", "a2", "a3", "a4", "a5", "answer", "vid_id", "key")
_PUBLISHED_JSON = ("answer", "id", "question", "video_id")
_ACTIVITYNET = ("answer", "question", "question_id", "type", "video_name")
_NEXTQA_MAP = "map_vid_vidorID.json"


@dataclass(frozen=True)
class Benchmark:
    """What a benchmark asks and how its annotations look."""

    name: str
    task: Task
    files: tuple[str, ...] = ()
    """Published names of the test annotations, looked for when a folder is given."""
    formats: tuple[Format, ...] = ()
    rule: str = "exact"
    """How answers are compared, a key of `gifqa.evaluation.text.NORMALISERS`."""
    paper: str = ""


def _tgif(part: str, task: Task, prefix: str) -> Benchmark:
    """One of TGIF-QA's four parts, in its own form and in HQGA's."""
    is_choice = task == "choice"
    own = Format(_TGIF_CHOICE if is_choice else _TGIF_OPEN, formats.parse_tgif, "vid_id", prefix)
    recut = Format(_HQGA_CHOICE if is_choice else _HQGA_OPEN, formats.parse_hqga, "qid", prefix)
    files = (f"Test_{part}_question.csv", f"{part}_test.csv", f"{part}/test.csv")
    return Benchmark(f"tgif-qa/{part}", task, files, (own, recut), paper="https://arxiv.org/abs/1704.04497")


_XU_PAPER = "https://doi.org/10.1145/3123266.3123427"
BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        _tgif("frameqa", "open", "FRAMEQA"),
        _tgif("action", "choice", "ACTION"),
        _tgif("transition", "choice", "TRANS"),
        _tgif("count", "count", "COUNT"),
        Benchmark(
            "msvd-qa",
            "open",
            ("test_qa.json", "test.csv"),
            (
                Format(("width", "height", *_HQGA_OPEN), formats.parse_msvd, without=("type", "a0")),
                Format(_PUBLISHED_JSON, formats.parse_msvd, without=("category_id",)),
            ),
            paper=_XU_PAPER,
        ),
        Benchmark(
            "msrvtt-qa",
            "open",
            ("test_qa.json", "test.csv"),
            (
                Format((*_HQGA_OPEN, "type"), formats.parse_msrvtt, without=("a0", "width")),
                Format((*_PUBLISHED_JSON, "category_id"), formats.parse_msrvtt),
            ),
            paper=_XU_PAPER,
        ),
        Benchmark(
            "activitynet-qa",
            "open",
            ("test_q.json",),
            (Format(_ACTIVITYNET, formats.parse_activitynet),),
            paper="https://arxiv.org/abs/1906.02467",
        ),
        Benchmark(
            "next-qa",
            "choice",
            ("test.csv", "val.csv"),
            (Format(("frame_count", *_HQGA_CHOICE, "type"), formats.parse_nextqa),),
            paper="https://arxiv.org/abs/2105.08276",
        ),
        Benchmark(
            "mvbench",
            "choice",
            ("mvbench.json", *(f"{task}.json" for task in formats.MVBENCH_TASKS)),
            (
                Format(("video", "question", "candidates", "answer"), formats.parse_mvbench),
                Format(("video_path", "conversations"), formats.parse_mvbench_conversations),
            ),
            paper="https://arxiv.org/abs/2311.17005",
        ),
        Benchmark("own", "open", rule="vqa"),
        Benchmark("captions", "caption"),
        Benchmark("retrieval", "retrieval"),
    )
}


def get_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        ConfigError: if there is none; the message has the nearest name.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    near = difflib.get_close_matches(name, BENCHMARKS, 1)
    hint = f"Did you mean {near[0]}?" if near else "Choose one of them."
    raise ConfigError(f"--benchmark is {name!r}; there are {', '.join(BENCHMARKS)}. {hint}")


def read_questions(benchmark: Benchmark, annotations: Path) -> list[Question]:
    """The questions of an annotation file, or of the published files in a folder.

    Args:
        benchmark: from `get_benchmark`.
        annotations: a file in a published form, or a folder with it somewhere below.

    Returns:
        The questions in the file's order.

    Raises:
        RecordError: if a file cannot be read, is another benchmark's, or has an id twice.
    """
    questions: list[Question] = []
    if not benchmark.formats:
        questions = read_own(annotations, benchmark.task)
    else:
        for path in _find_files(benchmark, annotations):
            questions.extend(_parse(benchmark, _load(path)))
    seen: dict[str, int] = {}
    for position, question in enumerate(questions, start=1):
        if question.id in seen:
            raise RecordError(
                f"{annotations.name}: the id {question.id!r} stands at question {seen[question.id]} and at "
                f"{position}; an id may stand once. Take one out."
            )
        seen[question.id] = position
    return questions


def annotation_files(benchmark: Benchmark, annotations: Path) -> list[Path]:
    """Every file that `read_questions` reads, for the run's manifest.

    Raises:
        RecordError: if a folder has none of the published files.
    """
    if not benchmark.formats:
        return [annotations]
    found = _find_files(benchmark, annotations)
    beside = [path.with_name(name) for path in found for name in _companions(path)]
    return list(dict.fromkeys([*found, *(path for path in beside if path.is_file())]))


def _companions(path: Path) -> tuple[str, ...]:
    """Names of the files that are read together with this one."""
    if path.name.endswith(("_q.json", "_a.json")):
        return (f"{path.name[:-6]}q.json", f"{path.name[:-6]}a.json")
    return (_NEXTQA_MAP,)


def _find_files(benchmark: Benchmark, annotations: Path) -> list[Path]:
    if not annotations.is_dir():
        return [annotations]
    for name in benchmark.files:
        if (annotations / name).is_file() and benchmark.name != "mvbench":
            return [annotations / name]
    found = [path for name in benchmark.files for path in sorted(annotations.rglob(name)) if path.is_file()]
    if not found:
        present = sorted(path.name for path in annotations.iterdir() if path.is_file())[:5]
        raise RecordError(
            f"{annotations}: no annotations of {benchmark.name}; it has {', '.join(present) or 'no files'}, "
            f"and {' or '.join(benchmark.files[:4])} is wanted. Give the file with --annotations."
        )
    return found if benchmark.name == "mvbench" else found[:1]


def _load(path: Path) -> Table:
    """The table, joined with the second file that ActivityNet-QA and NExT-QA keep beside it."""
    if path.name.endswith(("_q.json", "_a.json")):
        return _join_activitynet(
            path.with_name(path.name[:-6] + "q.json"), path.with_name(path.name[:-6] + "a.json")
        )
    table = read_table(path)
    mapping = path.with_name(_NEXTQA_MAP)
    if "frame_count" in table.columns and mapping.is_file():
        mapped = parse_json(mapping, read_text(mapping))
        for _, row in table.rows:
            row["mapped_video"] = str(mapped.get(row["video"], ""))
    return table


def _join_activitynet(questions: Path, answers: Path) -> Table:
    asked, answered = read_table(questions), read_table(answers)
    for table, column in ((asked, "question"), (answered, "answer")):
        if missing := lacking(("question_id", column), table.columns):
            raise RecordError(
                f"{table.where(1)}: no field {missing[0]!r}; it has {', '.join(table.columns)}. "
                "ActivityNet-QA has test_q.json and test_a.json side by side; check the two files."
            )
    by_id = {row["question_id"]: row for _, row in answered.rows}
    rows = []
    for line, row in asked.rows:
        if row["question_id"] not in by_id:
            raise RecordError(
                f"{asked.where(line)}: {row['question_id']!r} has no answer in {answers.name}; "
                "each question needs one. Are the files of the same split?"
            )
        rows.append((line, {**row, **by_id[row["question_id"]]}))
    return Table(questions, tuple(rows[0][1]), tuple(rows))


def _parse(benchmark: Benchmark, table: Table) -> Iterator[Question]:
    found = next((form for form in benchmark.formats if form.matches(table)), None)
    if found is None:
        raise RecordError(_mismatch(benchmark, table))
    for line, row in table.rows:
        place = Place(table, line, benchmark.task)
        if found.id_prefix and not row[found.id_column].upper().startswith(found.id_prefix):
            raise place.error(
                f"the id {row[found.id_column]!r} does not begin with {found.id_prefix}, as those of "
                f"{benchmark.name} do. Is it another benchmark's row? Take it out."
            )
        try:
            yield found.parse(row, place)
        except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
            raise place.error(f"cannot be read as {benchmark.name} ({error!r}); mend the entry.") from error


def _mismatch(benchmark: Benchmark, table: Table) -> str:
    """Why the table is not this benchmark's, and whose it looks like."""
    header = f"{table.where(1)}: the columns are {', '.join(table.columns)}"
    others = [
        other.name for other in BENCHMARKS.values() if any(form.matches(table) for form in other.formats)
    ]
    if others:
        found = " or ".join(others)
        return f"{header}, as {found} has them, not {benchmark.name}. Give --benchmark {others[0]}."
    wanted = min((lacking(form.columns, table.columns) for form in benchmark.formats), key=len)
    if not wanted:
        return f"{header}; the ids or extra columns are not those of {benchmark.name}. Check the file."
    return f"{header}; {benchmark.name} also needs {', '.join(wanted)}. Get the published file anew."
