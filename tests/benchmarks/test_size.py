"""The benchmark of the installed size, on a folder of made packages."""

import json

import pytest

from gifqa.errors import ConfigError


@pytest.fixture
def size(script):
    return script("size")


@pytest.fixture
def site_packages(tmp_path):
    """gifqa of 1 MB with a model of 3 MB, numpy of 2 MB in two folders, and pip of 5 MB."""
    files = {
        "gifqa": {"gifqa/a.py": 1_000_000, "gifqa/bundle/text.onnx": 3_000_000},
        "numpy": {"numpy/a.so": 1_500_000, "numpy.libs/b.so": 500_000},
        "pip": {"pip/a.py": 5_000_000},
    }
    folder = tmp_path / "site-packages"
    for name, contents in files.items():
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        for path, num_bytes in contents.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(bytes(num_bytes))
        missing = f"{name}/gone.py"
        (info / "RECORD").write_text("".join(f"{path},,\n" for path in [*contents, missing]))
    return folder


def test_the_core_is_every_package_without_the_model_and_pip(run_script, site_packages, tmp_path):
    out = tmp_path / "out.json"

    shown = run_script("size", "--installed", site_packages, "--json", out)
    report = json.loads(out.read_text())

    assert report["packages"] == {"numpy": 2_000_000, "gifqa": 1_000_000}
    assert (report["core_bytes"], report["model_bytes"]) == (3_000_000, 3_000_000)
    assert report["targets"][0]["is_met"]
    assert "numpy" in shown and "the model" in shown


def test_small_packages_are_shown_together(size):
    sizes = {f"p{number:02}": 1_000_000 for number in range(size.SHOWN + 3)}

    rows = size.table(sizes, 0).rows

    assert rows[size.SHOWN] == ("3 others", "3.0")
    assert rows[-2] == ("core", f"{size.SHOWN + 3}.0")


def test_a_folder_without_gifqa_is_an_error(size, tmp_path):
    with pytest.raises(ConfigError, match=r"has 0 packages and gifqa is none of them.*leave --installed out"):
        size.measure(tmp_path)


def test_what_is_installed_is_the_wheel(size, tmp_path, monkeypatch):
    calls = []

    def call(*words):
        calls.append([str(word) for word in words])
        if "wheel" in calls[-1]:
            (tmp_path / "gifqa-0.1.0-py3-none-any.whl").touch()
        return "/somewhere/site-packages\n"

    monkeypatch.setattr(size, "call", call)

    assert str(size.install(tmp_path, None)) == "/somewhere/site-packages"
    assert [next(w for w in words if w in {"wheel", "venv", "install", "-c"}) for words in calls] == [
        "wheel", "venv", "install", "-c",
    ]  # fmt: skip
    assert calls[2][-1].endswith("gifqa-0.1.0-py3-none-any.whl")


def test_a_command_that_fails_tells_why(size):
    import sys

    with pytest.raises(ConfigError, match=r"ended with exit code 2: no space left. Run it by itself"):
        size.call(sys.executable, "-c", "import sys; print('no space left', file=sys.stderr); sys.exit(2)")
