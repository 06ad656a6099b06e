"""Run one function over the shards of a job: in this process, in a process pool, or on Ray; resumable.

    work/manifest.json            what the job is: its fingerprint and the number of shards
    work/shard-00007/             the function's files of shard 7, and summary.json with what it returned
    work/.shard-00007.4242/       shard 7 being made by process 4242; after a kill it is made again

A shard's folder appears by one rename, when everything in it is written. So a job may be killed at any
point: what is there is whole, what is not there is made by the next run, and nothing is made twice. The
result depends on neither the engine nor the number of workers, if the function looks at its shard alone.
"""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from gifqa.errors import ConfigError, GifQAError
from gifqa.extras import require

Summary = dict[str, Any]
OnDone = Callable[[int, Summary], None]


class ShardFunction(Protocol):
    """What a job does to each shard: picklable, a module's function or a frozen object with `__call__`."""

    def __call__(self, source: Path, folder: Path) -> Summary:
        """Read `source`, write files into the empty `folder`, return counts that JSON can hold."""
        ...


class EngineConfig(BaseModel):
    """Where the shards run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local", "pool", "ray"] = "local"
    """This process, a pool of processes on this machine, or Ray."""
    workers: int = Field(default=0, ge=0)
    """Processes of the pool or of Ray; 0 takes one a core."""
    max_restarts: int = Field(default=3, ge=0)
    """How often workers that died are replaced before the job gives up."""

    @property
    def num_workers(self) -> int:
        """The number of processes, resolved."""
        return 1 if self.kind == "local" else self.workers or os.cpu_count() or 1


def shard_folder(work: Path, index: int) -> Path:
    """Where the files of a finished shard stand."""
    return work / f"shard-{index:05d}"


def run_shards(
    function: ShardFunction,
    sources: Sequence[Path],
    work: Path,
    *,
    fingerprint: str,
    config: EngineConfig | None = None,
    on_done: OnDone | None = None,
) -> list[Summary]:
    """Apply the function to every shard that `work` does not hold yet.

    Args:
        function: what to do; the same in each run of a job.
        sources: one input path a shard; shard `i` reads `sources[i]`.
        work: folder of the job, made when missing.
        fingerprint: settings and input of the job; a folder with another is refused.
        config: which engine and how many workers.
        on_done: called in this process with (index, summary) for each shard, those found done included.

    Returns:
        The summaries, in the order of the shards.

    Raises:
        ConfigError: if `work` belongs to another job.
        GifQAError: if workers die more often than `max_restarts` allows.
    """
    config = config or EngineConfig()
    check_manifest(work, fingerprint, len(sources))
    summaries: dict[int, Summary] = {}

    def keep(index: int) -> None:
        summaries[index] = json.loads(
            (shard_folder(work, index) / "summary.json").read_text(encoding="utf-8")
        )
        if on_done is not None:
            on_done(index, summaries[index])

    pending = []
    for index in range(len(sources)):
        if shard_folder(work, index).is_dir():
            keep(index)
        else:
            pending.append(index)
    runner = {"local": _run_local, "pool": _run_pool, "ray": _run_ray}[config.kind]
    for index in runner(function, [(index, sources[index]) for index in pending], work, config):
        keep(index)
    return [summaries[index] for index in range(len(sources))]


def check_manifest(work: Path, fingerprint: str, num_shards: int) -> None:
    """Write the manifest of a new job, or hold the job's folder against it.

    Raises:
        ConfigError: if the folder has the manifest of another job.
    """
    manifest = {"fingerprint": fingerprint, "num_shards": num_shards}
    path = work / "manifest.json"
    work.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(manifest), encoding="utf-8")
        temporary.replace(path)
        return
    found = json.loads(path.read_text(encoding="utf-8"))
    if found != manifest:
        raise ConfigError(
            f"{work} holds a job with other input or settings; --resume goes on with the same ones only. "
            "Use the first settings again, or start over with --overwrite."
        )


def run_one(function: ShardFunction, index: int, source: Path, work: Path) -> int:
    """Make one shard and put its folder in place by one rename; runs inside a worker.

    Returns:
        The index, as the sign that the shard is done.
    """
    final = shard_folder(work, index)
    temporary = work / f".{final.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        summary = function(source, temporary)
        (temporary / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        if not final.exists():
            temporary.rename(final)
    except OSError as error:
        raise GifQAError(
            f"shard {index} in {work} cannot be written: {error.strerror or error}. "
            "Finished shards are kept; free some space, then run again with --resume."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return index


Tasks = Sequence[tuple[int, Path]]


def _run_local(function: ShardFunction, tasks: Tasks, work: Path, config: EngineConfig) -> Iterator[int]:
    del config
    for index, source in tasks:
        yield run_one(function, index, source, work)


def _ignore_interrupt() -> None:
    """Ctrl-C is for the parent: it cancels what has not begun and lets a shard at hand end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_pool(function: ShardFunction, tasks: Tasks, work: Path, config: EngineConfig) -> Iterator[int]:
    left = dict(tasks)
    for attempt in range(config.max_restarts + 1):
        if not left:
            return
        workers = min(config.num_workers, len(left))
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupt)
        try:
            futures: list[Future[int]] = [
                pool.submit(run_one, function, index, source, work) for index, source in left.items()
            ]
            for future in as_completed(futures):
                index = future.result()
                del left[index]
                yield index
        except BrokenProcessPool as error:
            for index in [index for index in left if shard_folder(work, index).is_dir()]:
                del left[index]
                yield index
            if attempt == config.max_restarts:
                raise GifQAError(_died(config, len(left))) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _died(config: EngineConfig, left: int) -> str:
    return (
        f"workers of the {config.kind} engine died {config.max_restarts + 1} times with {left} shards to go; "
        f"{config.max_restarts} restarts are allowed. Look for a lack of memory, use fewer --workers, "
        "then run again with --resume."
    )


def _run_ray(function: ShardFunction, tasks: Tasks, work: Path, config: EngineConfig) -> Iterator[int]:
    ray = require("ray", "ray")
    started = not ray.is_initialized()
    if started:
        ray.init(num_cpus=config.num_workers, include_dashboard=False, log_to_driver=False)
    try:
        remote = ray.remote(max_retries=config.max_restarts, num_cpus=1)(run_one)
        shared, folder = ray.put(function), work.resolve()
        waiting = [remote.remote(shared, index, source.resolve(), folder) for index, source in tasks]
        while waiting:
            ready, waiting = ray.wait(waiting)
            for index in ray.get(ready):
                yield int(index)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GifQAError):
            raise error.cause from error
        raise
    except ray.exceptions.RayError as error:
        raise GifQAError(
            _died(config, sum(not shard_folder(work, index).is_dir() for index, _ in tasks))
        ) from error
    finally:
        if started:
            ray.shutdown()
