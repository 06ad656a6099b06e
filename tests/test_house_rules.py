"""The rules of CONTRIBUTING.md that a machine can check."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "gifqa"
FILES = sorted(PACKAGE.rglob("*.py"))

ORDER = (
    {"errors"},
    {"extras", "stopwatch"},
    {"limits", "media_types", "url_policy", "media", "frame_arrays"},
    {"decoding", "decoding_gif", "decoding_images", "decoding_video", "frames"},
    {"retrieval", "lettering", "evidence"},
    {"prompt"},
    {"answering"},
    {"pipeline"},
    {"batch"},
    {"data", "model", "engine"},
    {"synthesis", "training", "evaluation", "library"},
    {"cli", "server"},
    {"__main__"},
)
"""A room imports rooms of earlier lines, and its own."""
NEIGHBOURS = {
    "media": {"limits", "media_types", "url_policy", "frame_arrays"},
    "url_policy": {"limits"},
    "frame_arrays": {"limits", "media_types"},
    "frames": {"decoding", "decoding_gif", "decoding_images", "decoding_video"},
    "decoding_gif": {"decoding"},
    "decoding_images": {"decoding"},
    "decoding_video": {"decoding"},
    "evidence": {"retrieval", "lettering"},
}
"""Rooms of the same line that a module may import."""
TORCH_ALLOWED = {"model", "training", "answering/transformers.py", "retrieval/embedder.py"}
LONGEST_FILE = 300


def room_of(path):
    """The first part of the path below the package: `media` for media.py, `retrieval` for its files."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rank(room):
    return next(i for i, rooms in enumerate(ORDER) if room in rooms)


def imports_of(path):
    """Every module that the file imports, wherever the statement stands, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno


@pytest.fixture(params=FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def path(request):
    return request.param


def test_a_file_has_at_most_300_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_a_room_imports_only_what_stands_below_it(path):
    room = room_of(path)
    if room == "__init__":
        return
    for module, line in imports_of(path):
        parts = module.split(".")
        if parts[0] != "gifqa" or len(parts) == 1 or parts[1] == room:
            continue
        below = rank(parts[1]) < rank(room)
        assert below or parts[1] in NEIGHBOURS.get(room, set()), f"{path.name}:{line} imports {module}"


def test_imports_are_absolute(path):
    assert not [module for module, _ in imports_of(path) if module.startswith(".")]


def test_only_the_rooms_of_models_import_torch(path):
    relative = path.relative_to(PACKAGE).as_posix()
    if relative in TORCH_ALLOWED or room_of(path) in TORCH_ALLOWED:
        return
    source = path.read_text(encoding="utf-8")
    assert "torch" not in {module.split(".")[0] for module, _ in imports_of(path)}
    assert not re.search(r"require\(\s*[\"']torch", source)


def test_nothing_is_printed_outside_the_command_line(path):
    if room_of(path) == "cli":
        return
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert "print" not in calls


def test_no_file_is_a_grab_bag(path):
    assert path.name not in {"utils.py", "common.py", "helpers.py", "misc.py"}


def test_nothing_is_left_for_later(path):
    assert not re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b", path.read_text(encoding="utf-8"))


def test_errors_are_caught_by_name_or_the_line_says_why_not(path):
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler):
            if "# noqa: BLE001 - " in lines[node.lineno - 1]:
                continue
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught not in {"everything", "Exception", "BaseException"}, f"{path.name}:{node.lineno}"


def documented_files():
    """The paths of the file map in README.md, relative to src/gifqa; a folder ends in a slash."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```text\nsrc/gifqa/\n(.*?)```", text, re.DOTALL)
    assert block, "README.md has no file map: a block ```text that begins with src/gifqa/"
    return {
        line.split()[0] for line in block[1].splitlines() if line.strip() and not line.strip().startswith("#")
    }


def test_the_file_map_of_the_readme_is_the_files_on_disk():
    files = {path.relative_to(PACKAGE).as_posix() for path in FILES if path.name != "__init__.py"}
    files.add("__init__.py")
    described = documented_files()
    folders = {name for name in described if name.endswith("/")}
    missing = {name for name in files - described if not any(name.startswith(folder) for folder in folders)}

    assert not missing, f"not in the file map of README.md: {sorted(missing)}"
    for name in described:
        assert (PACKAGE / name).exists(), f"the file map of README.md has {name}, which is not there"
