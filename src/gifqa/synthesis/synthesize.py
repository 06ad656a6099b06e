"""From a file of captions to a file of pairs: partition, run the shards, join them, report.

qa.parquet                 the pairs (or .jsonl, .csv, .tsv, or a folder for `datasets`)
qa.rejected.jsonl          every pair, caption and row that was not used, with "reason"
qa.report.html             counts, reasons with examples, distributions, 50 pairs to read
qa.work/                   shards while the job runs; removed when all of the above is written
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gifqa.data.records import QARecord, parse_record, write_records
from gifqa.data.tables import Row, format_of
from gifqa.data.writing import is_folder_target, replacing
from gifqa.engine import EngineConfig, Summary, run_shards, shard_folder
from gifqa.errors import ConfigError
from gifqa.synthesis.config import SynthesisConfig
from gifqa.synthesis.partition import InputConfig, partition, read_bad_rows
from gifqa.synthesis.report import Tally, write_report
from gifqa.synthesis.shard import SynthesisShard

Mode = Literal["new", "resume", "overwrite"]
OnProgress = Callable[[int, int, Summary], None]


@dataclass(frozen=True)
class Job:
    """Where a run reads and writes, and how it runs."""

    source: Path | None
    """The captions; None reads standard input."""
    output: Path
    """The pairs: a file whose extension names the format, or a folder."""
    input: InputConfig = field(default_factory=InputConfig)
    """How to read the captions."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """Where the shards run."""
    mode: Mode = "new"
    """What to do when there is something already: refuse, go on, or start over."""

    @property
    def stem(self) -> Path:
        """The output without its extension: the name that its companions share."""
        return self.output if is_folder_target(self.output) else self.output.with_suffix("")

    def companion(self, ending: str) -> Path:
        """A file beside the output: `companion("rejected.jsonl")`."""
        return self.stem.with_name(f"{self.stem.name}.{ending}")

    @property
    def work(self) -> Path:
        """Folder of the shards."""
        return self.companion("work")


@dataclass(frozen=True)
class Outcome:
    """What a run made."""

    output: Path
    """The pairs."""
    rejected: Path
    """What was not used."""
    report: Path
    """The report."""
    tally: Tally
    """All counts."""


def synthesize(
    job: Job, config: SynthesisConfig | None = None, on_progress: OnProgress | None = None
) -> Outcome:
    """Make question-answer pairs from captions.

    The same input, settings and seed give the same records, whatever the engine and the number of workers.

    Args:
        job: input, output and engine.
        config: what to ask and what to keep.
        on_progress: called with (shards done, shards in all, counts of the shard).

    Returns:
        Where everything stands, and the counts.

    Raises:
        ConfigError: if the output exists, or the work folder belongs to another job.
        RecordError: if the input cannot be read at all or the disk is full.
        GifQAError: if workers die too often.
    """
    config = config or SynthesisConfig()
    _prepare(job, config)
    parts = partition(job.source, job.work, job.input, config.fractions)
    done = 0

    def count(index: int, summary: Summary) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, len(parts), summary)

    summaries = run_shards(
        SynthesisShard(config),
        parts,
        job.work,
        fingerprint=_fingerprint(job, config),
        config=job.engine,
        on_done=count,
    )
    outcome = _join(job, config, len(parts), summaries)
    shutil.rmtree(job.work)
    return outcome


def _prepare(job: Job, config: SynthesisConfig) -> None:
    if not is_folder_target(job.output):
        format_of(job.output)
    if config.max_cost is not None and job.engine.kind != "local":
        raise ConfigError(
            f"--max-cost with --engine {job.engine.kind}: cost is counted within one process. "
            "Use --engine local."
        )
    if job.mode == "overwrite":
        shutil.rmtree(job.work, ignore_errors=True)
    elif job.output.exists() and not (job.mode == "resume" and job.work.is_dir()):
        raise ConfigError(
            f"{job.output} exists; nothing was changed. Choose another output, or give --overwrite."
        )
    elif job.work.is_dir() and job.mode == "new":
        raise ConfigError(
            f"{job.work} holds an unfinished run. Go on with it (--resume), or start over (--overwrite)."
        )


def _fingerprint(job: Job, config: SynthesisConfig) -> str:
    """What must not change between the runs of one job: settings and input, not engine and budget."""
    source = None if job.source is None else [job.source.name, job.source.stat().st_size]
    settings = config.model_dump(mode="json", exclude={"max_cost", "price_per_million_tokens"})
    text = json.dumps([settings, job.input.model_dump(mode="json"), source], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _join(job: Job, config: SynthesisConfig, num_shards: int, summaries: list[Summary]) -> Outcome:
    tally = Tally(seed=config.seed)
    for summary in summaries:
        tally.add_shard(summary)
    rejected = job.companion("rejected.jsonl")
    with replacing(rejected) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for row in _rejected_rows(job.work, num_shards):
            tally.add_rejected(row)
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    write_records(job.output, _counted(_kept_records(job.work, num_shards), tally))
    report = job.companion("report.html")
    with replacing(report) as temporary:
        temporary.write_text(write_report(tally, config), encoding="utf-8")
    return Outcome(job.output, rejected, report, tally)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            yield json.loads(line)


def _rejected_rows(work: Path, num_shards: int) -> Iterator[dict[str, Any]]:
    yield from read_bad_rows(work)
    for index in range(num_shards):
        yield from _rows(shard_folder(work, index) / "rejected.jsonl")


def _kept_records(work: Path, num_shards: int) -> Iterator[QARecord]:
    for index in range(num_shards):
        for row in _rows(shard_folder(work, index) / "kept.jsonl"):
            yield parse_record(Row(row, f"shard {index}"))


def _counted(records: Iterator[QARecord], tally: Tally) -> Iterator[QARecord]:
    for record in records:
        tally.add_kept(record)
        yield record
