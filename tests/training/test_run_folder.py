import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from gifqa.errors import CheckpointError, ConfigError
from gifqa.training.run_folder import checksum, claim_folder, figures_of, flatten, lock, mark_done, read_json

CONFIG = {"name": "own", "stage": {"steps": 5, "parts": [1, 2]}}


def test_nested_settings_get_dotted_names():
    assert flatten(CONFIG) == {"name": "own", "stage.steps": 5, "stage.parts": [1, 2]}


def test_the_config_is_saved_and_the_same_one_may_go_on(tmp_path):
    claim_folder(tmp_path / "run", CONFIG)
    claim_folder(tmp_path / "run", {"stage": {"parts": (1, 2), "steps": 5}, "name": "own"})

    assert json.loads((tmp_path / "run/recipe.json").read_text()) == CONFIG


def test_another_config_is_refused_with_every_key_that_differs(tmp_path):
    claim_folder(tmp_path, CONFIG)
    other = {"name": "own", "stage": {"steps": 6, "parts": [1, 2]}, "new": True}

    with pytest.raises(
        ConfigError, match=r"another recipe: new is None there and True here; stage.steps is 5 there"
    ):
        claim_folder(tmp_path, other)


def test_figures_tell_that_a_stage_is_done(tmp_path):
    assert figures_of(tmp_path, "features") is None
    mark_done(tmp_path, "features", {"rows": 3})
    assert figures_of(tmp_path, "features") == {"rows": 3}


def test_a_damaged_file_of_the_run_is_named(tmp_path):
    (tmp_path / "done.json").write_text("{")

    with pytest.raises(CheckpointError, match=r"done.json cannot be read .*Delete the damaged file"):
        read_json(tmp_path / "done.json")


def test_a_missing_input_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"pairs.jsonl cannot be read: No such file .* Check the paths"):
        checksum(tmp_path / "pairs.jsonl")


def test_a_folder_in_use_is_refused_and_a_killed_process_leaves_no_lock(tmp_path):
    program = (
        "import sys; from pathlib import Path; from gifqa.training.run_folder import lock\n"
        "with lock(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(
                ConfigError, match=r"is in use by another run; one run at a time .* give another folder"
            ),
            lock(tmp_path),
        ):
            pass
        process.kill()
    with lock(tmp_path):
        pass


def test_windows_locks_by_its_own_means(tmp_path, monkeypatch):
    """Its lock fails with the error of a file that may not be opened."""
    held = []

    def locking(number, mode, size):
        if held:
            raise PermissionError(13, "Permission denied")
        held.append((mode, size))

    monkeypatch.setattr("gifqa.training.run_folder.sys", SimpleNamespace(platform="win32"))
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    with lock(tmp_path):
        assert held == [(2, 1)]
        with pytest.raises(ConfigError, match="is in use by another run"), lock(tmp_path):
            pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(ConfigError, match=r"file/run cannot be written \(Not a directory\); .* another"),
        lock(tmp_path / "file" / "run"),
    ):
        pass
