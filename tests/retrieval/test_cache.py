import errno
import logging
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gifqa.retrieval.cache import FeatureCache, default_directory, feature_key
from gifqa.retrieval.clip_cut import EncodedFrames
from gifqa.retrieval.config import CacheConfig, ClipCutConfig

KEY = "a" * 64
OTHER = "b" * 64
DISK_ONLY = {"max_memory_bytes": 0}


def make_encoded(value: float = 0.0, count: int = 3, *, with_grid: bool = True) -> EncodedFrames:
    return EncodedFrames(
        frame_indices=np.arange(count) * 3,
        pts_seconds=np.arange(count) * 0.3,
        embeddings=np.full((count, 8), value, np.float32),
        grid=np.full((count, 4, 6), value, np.float16) if with_grid else None,
        num_frames=count * 3,
        duration_seconds=1.25,
        warnings=("two frames are damaged", "çà"),
    )


def assert_same(found: EncodedFrames | None, expected: EncodedFrames) -> None:
    assert found is not None
    for name in ("frame_indices", "pts_seconds", "embeddings", "grid"):
        first, second = getattr(found, name), getattr(expected, name)
        assert (first is None) == (second is None)
        if first is not None:
            assert first.dtype == second.dtype
            assert np.array_equal(first, second)
    assert replace(found, **dict.fromkeys(("frame_indices", "pts_seconds", "embeddings", "grid"))) == replace(
        expected, **dict.fromkeys(("frame_indices", "pts_seconds", "embeddings", "grid"))
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "features").iterdir())


@pytest.mark.parametrize("with_grid", [True, False])
def test_another_process_finds_the_entry_as_it_was(folder: Path, with_grid: bool):
    encoded = make_encoded(0.5, with_grid=with_grid)
    FeatureCache(CacheConfig(directory=folder)).put(KEY, encoded)
    later = FeatureCache(CacheConfig(directory=folder))
    assert_same(later.get(KEY), encoded)
    assert later.get(OTHER) is None


def test_the_second_look_is_at_memory(folder: Path):
    cache = FeatureCache(CacheConfig(directory=folder))
    cache.put(KEY, make_encoded())
    (folder / "features" / f"{KEY}.npz").unlink()
    assert_same(cache.get(KEY), make_encoded())


def test_what_was_found_on_disk_is_kept_in_memory(folder: Path):
    FeatureCache(CacheConfig(directory=folder)).put(KEY, make_encoded())
    cache = FeatureCache(CacheConfig(directory=folder))
    assert cache.get(KEY) is cache.get(KEY)


def test_memory_forgets_what_was_used_least_recently(folder: Path):
    encoded = make_encoded()
    arrays = (encoded.frame_indices, encoded.pts_seconds, encoded.embeddings, encoded.grid)
    size = sum(array.nbytes for array in arrays)
    cache = FeatureCache(CacheConfig(directory=folder, max_disk_bytes=0, max_memory_bytes=2 * size))
    cache.put("first", encoded)
    cache.put("second", encoded)
    assert cache.get("first") is encoded
    cache.put("third", encoded)
    assert cache.get("second") is None
    assert cache.get("first") is encoded
    assert cache.get("third") is encoded
    assert not folder.exists()


def test_an_entry_larger_than_memory_is_kept_on_disk_only(folder: Path):
    cache = FeatureCache(CacheConfig(directory=folder, max_memory_bytes=10))
    cache.put(KEY, make_encoded())
    assert cache.get(KEY) is not cache.get(KEY)
    assert_same(cache.get(KEY), make_encoded())


def test_disk_forgets_what_was_used_least_recently(folder: Path):
    FeatureCache(CacheConfig(directory=folder)).put("size", make_encoded())
    size = (folder / "features" / "size.npz").stat().st_size
    cache = FeatureCache(CacheConfig(directory=folder, max_disk_bytes=int(3.5 * size), **DISK_ONLY))
    for age, key in [(400, "size"), (300, "old"), (200, "young")]:
        cache.put(key, make_encoded())
        then = time.time() - age
        os.utime(folder / "features" / f"{key}.npz", (then, then))
    assert cache.get("size") is not None  # used again: the youngest now
    cache.put("new", make_encoded())
    assert entries(folder) == ["new.npz", "size.npz", "young.npz"]


def test_an_entry_larger_than_the_disk_bound_is_not_written(folder: Path):
    cache = FeatureCache(CacheConfig(directory=folder, max_disk_bytes=100))
    cache.put(KEY, make_encoded())
    assert entries(folder) == []
    assert_same(cache.get(KEY), make_encoded())


@pytest.mark.parametrize("keep_bytes", [0, 1, 100, -1])
def test_a_truncated_entry_is_a_miss_and_removed(folder: Path, keep_bytes: int):
    cache = FeatureCache(CacheConfig(directory=folder, **DISK_ONLY))
    cache.put(KEY, make_encoded())
    path = folder / "features" / f"{KEY}.npz"
    path.write_bytes(path.read_bytes()[:keep_bytes])
    assert cache.get(KEY) is None
    assert not path.exists()


def test_no_flipped_byte_raises_or_changes_what_is_read(folder: Path):
    """Each byte in turn: the entry is a miss, or it reads as it was (bytes that zip files do not use)."""
    cache = FeatureCache(CacheConfig(directory=folder, **DISK_ONLY))
    encoded = make_encoded(0.25, count=1)
    cache.put(KEY, encoded)
    path = folder / "features" / f"{KEY}.npz"
    whole = path.read_bytes()
    misses = 0
    for position in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        path.write_bytes(damaged)
        found = cache.get(KEY)
        if found is None:
            misses += 1
            assert not path.exists()
        else:
            assert_same(found, encoded)
    assert misses > len(whole) / 3 / 2


@pytest.mark.parametrize("damage", ["missing array", "uneven lengths", "meta", "pickle"])
def test_an_entry_of_another_shape_is_a_miss_and_removed(folder: Path, damage: str):
    cache = FeatureCache(CacheConfig(directory=folder, **DISK_ONLY))
    cache.put(KEY, make_encoded())
    path = folder / "features" / f"{KEY}.npz"
    with np.load(path) as file:
        arrays = dict(file)
    if damage == "missing array":
        del arrays["embeddings"]
    elif damage == "uneven lengths":
        arrays["pts_seconds"] = arrays["pts_seconds"][:1]
    elif damage == "meta":
        arrays["meta"] = np.frombuffer(b'{"num_frames": 3}', np.uint8)
    else:
        arrays["embeddings"] = np.array([{"code": "runs"}] * 3, dtype=object)
    np.savez(path, **arrays)
    assert cache.get(KEY) is None
    assert not path.exists()


def test_a_folder_that_cannot_be_made_is_one_warning_and_no_error(tmp_path: Path, caplog):
    """Below a file no folder can be made, not even by root, for whom nothing is read-only."""
    (tmp_path / "file").write_text("")
    cache = FeatureCache(CacheConfig(directory=tmp_path / "file"))
    assert cache.get(KEY) is None
    cache.put(KEY, make_encoded())
    cache.put(OTHER, make_encoded())
    assert_same(cache.get(KEY), make_encoded())
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(messages) == 1
    assert "the cache is kept in memory only" in messages[0]
    assert "set GIFQA_CACHE_DIR to a folder with free space" in messages[0]


def test_a_full_disk_is_one_warning_and_leaves_no_half_entry(folder: Path, caplog, monkeypatch):
    def fill(file, **arrays):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", fill)
    cache = FeatureCache(CacheConfig(directory=folder))
    cache.put(KEY, make_encoded())
    cache.put(OTHER, make_encoded())
    assert entries(folder) == []
    assert_same(cache.get(OTHER), make_encoded())
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert os.strerror(errno.ENOSPC) in caplog.text


def test_an_entry_can_be_read_where_its_time_cannot_be_written(folder: Path, monkeypatch):
    FeatureCache(CacheConfig(directory=folder)).put(KEY, make_encoded())

    def refuse(path, *args):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", refuse)
    assert_same(FeatureCache(CacheConfig(directory=folder)).get(KEY), make_encoded())


def test_what_crashed_writers_left_is_swept_after_an_hour(folder: Path):
    (folder / "features").mkdir(parents=True)
    for name, age in [("old.tmp", 7200), ("fresh.tmp", 0)]:
        path = folder / "features" / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    FeatureCache(CacheConfig(directory=folder)).put(KEY, make_encoded())
    assert entries(folder) == [f"{KEY}.npz", "fresh.tmp"]


def test_clear_forgets_everything(folder: Path):
    cache = FeatureCache(CacheConfig(directory=folder))
    cache.put(KEY, make_encoded())
    cache.clear()
    assert cache.get(KEY) is None
    assert entries(folder) == []


def test_several_processes_share_a_small_folder(folder: Path):
    """Three writers of 40 entries each in room for about ten: nobody fails, every hit is whole."""
    FeatureCache(CacheConfig(directory=folder)).put("size", make_encoded())
    bound = 10 * (folder / "features" / "size.npz").stat().st_size
    program = f"""
import numpy as np
from pathlib import Path
from gifqa.retrieval.cache import FeatureCache
from gifqa.retrieval.clip_cut import EncodedFrames
from gifqa.retrieval.config import CacheConfig

cache = FeatureCache(CacheConfig(directory=Path({str(folder)!r}), max_disk_bytes={bound}, max_memory_bytes=0))
hits = 0
for turn in range(40):
    value = turn % 13
    arrays = (np.arange(3), np.arange(3.0), np.full((3, 8), value, np.float32), None)
    cache.put(f"key{{value}}", EncodedFrames(*arrays, 9, 1.0))
    found = cache.get(f"key{{(turn * 5) % 13}}")
    if found is not None:
        hits += 1
        assert (found.embeddings == (turn * 5) % 13).all()
print(hits)
"""
    path = os.pathsep.join(sys.path)
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        for _ in range(3)
    ]
    for worker in workers:
        out, err = worker.communicate(timeout=60)
        assert worker.returncode == 0, err.decode()
        assert err == b""
        assert int(out) > 0
    assert sum(path.stat().st_size for path in (folder / "features").iterdir()) <= bound


def test_the_key_holds_all_that_the_features_depend_on():
    config = ClipCutConfig()
    key = feature_key("hash", "encoder 1", config)
    assert len(key) == 64
    assert int(key, 16) >= 0
    assert feature_key("hash", "encoder 1", ClipCutConfig()) == key
    others = {
        feature_key("other", "encoder 1", config),
        feature_key("hash", "encoder 2", config),
        feature_key("hash", "encoder 1", ClipCutConfig(group_size=1)),
        feature_key("hash", "encoder 1", ClipCutConfig(duplicate_threshold=1)),
        feature_key("hash", "encoder 1", ClipCutConfig(max_frames=1)),
        feature_key("hash", "encoder 1", ClipCutConfig(unlike_distance=0)),
        feature_key("hash", "encoder 1", ClipCutConfig(top_k=9)),
        feature_key("hash", "encoder 1", config, decoding=CacheConfig()),
        feature_key("hash", "encoder 1", config, decoding=CacheConfig(max_memory_bytes=1)),
    }
    assert len(others | {key}) == 10


def test_settings_that_choose_among_embedded_frames_leave_the_key_alone():
    chosen_otherwise = ClipCutConfig(diversity=0.1, strategy="uniform", min_spread=0.2)
    assert feature_key("hash", "encoder", chosen_otherwise) == feature_key("hash", "encoder", ClipCutConfig())


def test_the_folder_is_the_environments_or_the_platforms(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("GIFQA_CACHE_DIR", str(tmp_path))
    assert default_directory() == tmp_path
    monkeypatch.delenv("GIFQA_CACHE_DIR")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ann"))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert default_directory() == Path("/home/ann/Library/Caches/gifqa")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_directory() == Path("/home/ann/.cache/gifqa")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
    assert default_directory() == Path("/var/xdg/gifqa")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert default_directory() == Path("/local/gifqa/Cache")


def test_without_a_home_the_cache_is_in_memory(monkeypatch, caplog):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("GIFQA_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr(sys, "platform", "linux")
    cache = FeatureCache()
    cache.put(KEY, make_encoded())
    assert_same(cache.get(KEY), make_encoded())
    assert "Could not determine home directory" in caplog.text
