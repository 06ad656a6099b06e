"""What `gifqa train` refuses before anything is loaded that takes time."""

import json

import pytest

pytest.importorskip("torch")
for needed in ("accelerate", "peft", "matplotlib", "onnx"):
    pytest.importorskip(needed)


@pytest.fixture
def data(make_gif, tmp_path):
    """A folder with one clip of the training split."""
    folder = tmp_path / "data"
    folder.mkdir()
    make_gif(["red", "green"], name="a.gif").rename(folder / "a.gif")
    line = {"clip": "a.gif", "split": "train", "description": "a screen turns green"}
    (folder / "clips.jsonl").write_text(json.dumps(line) + "\n")
    return folder


@pytest.fixture
def train(gifqa, tmp_path, data):
    """`train("--set", ...)` on that folder, with a recipe of defaults."""
    recipe = tmp_path / "own.toml"
    recipe.write_text('name = "own"\n')

    def call(*words, folder=data):
        return gifqa("train", recipe, "--data", folder, "-o", tmp_path / "run", "--threads", 1, *words)

    return call


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "language.stps=5"), "unknown key language.stps; did you mean steps?"),
        (("--set", "vision.reduced_channels=9"), "qformer.grid_channels is 710, but a cell has 207 channels"),
        (("--set", "language"), "'language' sets nothing; a setting is written section.key=value"),
        (("--stage", "vison"), "--stage is 'vison'; the recipe 'own' has vision, features, texts"),
        (("--pairs", "none.jsonl"), "none.jsonl"),
        (("--from", "nowhere"), "nowhere is not a gifqa bundle"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(train, tmp_path, words, message):
    outcome = train(*words)

    assert outcome.code == 1
    (line,) = [line for line in outcome.err.splitlines() if line.startswith("gifqa: ")]
    assert message in line
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_a_mistaken_data_folder_does_not_claim_the_run(train, tmp_path):
    outcome = train(folder=tmp_path / "nowhere")

    assert outcome.code == 1
    assert "nowhere, which is no folder" in outcome.err
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_two_runs_in_one_folder_are_refused(train, tmp_path):
    from gifqa.training.run_folder import lock

    with lock(tmp_path / "run"):
        outcome = train()

    assert outcome.code == 1
    assert "is in use by another run; one run at a time may write there" in outcome.err


def test_a_missing_recipe_is_named(gifqa, tmp_path, data):
    outcome = gifqa("train", tmp_path / "none.toml", "--data", data, "-o", tmp_path / "run")

    assert outcome.code == 1
    assert "none.toml cannot be read: No such file" in outcome.err


def test_export_refuses_what_is_no_run(gifqa, tmp_path):
    outcome = gifqa("export", tmp_path, "-o", tmp_path / "bundle")

    assert outcome.code == 1
    assert "is no folder of a run: it has no recipe.json" in outcome.err
