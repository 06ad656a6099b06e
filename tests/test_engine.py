"""The engine: every shard exactly once, whatever is killed, and the same result whichever engine runs it."""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from gifqa.engine import EngineConfig, run_shards, shard_folder
from gifqa.errors import ConfigError, GifQAError


def count_letters(source: Path, folder: Path) -> dict[str, int]:
    text = source.read_text()
    (folder / "upper.txt").write_text(text.upper())
    return {"letters": len(text)}


@dataclass(frozen=True)
class DiesOnce:
    """Kills its own process at the first shard it sees, as the kernel does to a process out of memory."""

    flag: Path

    def __call__(self, source: Path, folder: Path) -> dict[str, int]:
        if not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return count_letters(source, folder)


def always_dies(source: Path, folder: Path) -> dict[str, int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@dataclass(frozen=True)
class StopsAt:
    """Raises at one shard, after it has written half of its files."""

    name: str
    error: type[BaseException]

    def __call__(self, source: Path, folder: Path) -> dict[str, int]:
        summary = count_letters(source, folder)
        if source.name == self.name:
            raise self.error("stopped")
        return summary


def full_disk(source: Path, folder: Path) -> dict[str, int]:
    raise OSError(28, "No space left on device")


@pytest.fixture
def sources(tmp_path):
    paths = []
    for index in range(5):
        path = tmp_path / f"in-{index}.txt"
        path.write_text("ab" * (index + 1))
        paths.append(path)
    return paths


def outputs(work: Path) -> dict[str, str]:
    return {
        str(path.relative_to(work)): path.read_text() for path in sorted(work.rglob("*.*")) if path.is_file()
    }


def test_summaries_come_in_the_order_of_the_shards_and_each_is_reported(sources, tmp_path):
    seen = []
    summaries = run_shards(
        count_letters,
        sources,
        tmp_path / "w",
        fingerprint="a",
        on_done=lambda i, s: seen.append((i, s["letters"])),
    )
    assert [s["letters"] for s in summaries] == [2, 4, 6, 8, 10]
    assert seen == [(i, 2 * (i + 1)) for i in range(5)]
    assert (shard_folder(tmp_path / "w", 1) / "upper.txt").read_text() == "ABAB"


def test_a_pool_makes_the_same_files_as_this_process(sources, tmp_path):
    run_shards(count_letters, sources, tmp_path / "local", fingerprint="a")
    run_shards(
        count_letters,
        sources,
        tmp_path / "pool",
        fingerprint="a",
        config=EngineConfig(kind="pool", workers=2),
    )
    assert outputs(tmp_path / "local") == outputs(tmp_path / "pool")


def test_a_killed_worker_is_replaced_and_no_shard_is_lost_or_made_twice(sources, tmp_path):
    seen = []
    summaries = run_shards(
        DiesOnce(tmp_path / "flag"),
        sources,
        tmp_path / "w",
        fingerprint="a",
        config=EngineConfig(kind="pool", workers=2),
        on_done=lambda index, _: seen.append(index),
    )
    assert [s["letters"] for s in summaries] == [2, 4, 6, 8, 10]
    assert sorted(seen) == list(range(5))


def test_workers_that_always_die_end_the_job_with_what_to_do(sources, tmp_path):
    config = EngineConfig(kind="pool", workers=1, max_restarts=1)
    with pytest.raises(
        GifQAError, match=r"died 2 times with 5 shards to go; 1 restarts are allowed. .*--resume"
    ):
        run_shards(always_dies, sources, tmp_path / "w", fingerprint="a", config=config)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_job_goes_on_where_it_stopped(sources, tmp_path, error):
    work = tmp_path / "w"
    with pytest.raises(error):
        run_shards(StopsAt("in-2.txt", error), sources, work, fingerprint="a")
    done = {path.name for path in work.iterdir()}
    assert done == {"manifest.json", "shard-00000", "shard-00001"}, "half a shard must leave nothing"
    first = (work / "shard-00000" / "upper.txt").stat().st_mtime_ns
    summaries = run_shards(count_letters, sources, work, fingerprint="a")
    assert [s["letters"] for s in summaries] == [2, 4, 6, 8, 10]
    assert (work / "shard-00000" / "upper.txt").stat().st_mtime_ns == first, (
        "a finished shard is not made again"
    )


def test_a_shard_left_half_made_by_a_kill_is_made_again(sources, tmp_path):
    work = tmp_path / "w"
    run_shards(count_letters, sources[:0], work, fingerprint="x")
    (work / "manifest.json").write_text(json.dumps({"fingerprint": "a", "num_shards": 5}))
    (work / ".shard-00003.999").mkdir()
    (work / ".shard-00003.999" / "upper.txt").write_text("AB")
    summaries = run_shards(count_letters, sources, work, fingerprint="a")
    assert summaries[3] == {"letters": 8}


def test_another_job_in_the_folder_is_refused(sources, tmp_path):
    run_shards(count_letters, sources, tmp_path / "w", fingerprint="a")
    with pytest.raises(
        ConfigError, match=r"holds a job with other input or settings; --resume .* --overwrite"
    ):
        run_shards(count_letters, sources, tmp_path / "w", fingerprint="b")


def test_a_full_disk_says_so(sources, tmp_path):
    with pytest.raises(GifQAError, match=r"shard 0 .* No space left on device. .* --resume"):
        run_shards(full_disk, sources, tmp_path / "w", fingerprint="a")


def test_ray_without_ray_names_the_extra(sources, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(GifQAError, match=r'pip install "gifqa\[ray\]"'):
        run_shards(count_letters, sources, tmp_path / "w", fingerprint="a", config=EngineConfig(kind="ray"))


@pytest.mark.slow
def test_ray_makes_the_same_files_as_this_process(sources, tmp_path):
    pytest.importorskip("ray")
    run_shards(count_letters, sources, tmp_path / "local", fingerprint="a")
    run_shards(
        count_letters, sources, tmp_path / "ray", fingerprint="a", config=EngineConfig(kind="ray", workers=2)
    )
    assert outputs(tmp_path / "local") == outputs(tmp_path / "ray")
