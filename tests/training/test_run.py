"""The whole recipe on a world of coloured pictures; the towers, which need packages of weights, are given."""

import json
import logging
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")
for needed in ("onnx", "transformers", "peft", "matplotlib"):
    pytest.importorskip(needed)

from PIL import Image  # noqa: E402

from gifqa.errors import CheckpointError, ConfigError, RecordError  # noqa: E402
from gifqa.model.vision_language_model import build_language_batch  # noqa: E402
from gifqa.training.building import load_trained, merge_lora  # noqa: E402
from gifqa.training.data.samples import Annotations  # noqa: E402
from gifqa.training.data.sources import read_dataset  # noqa: E402
from gifqa.training.data.store import TextStore  # noqa: E402
from gifqa.training.loop.steps import read_metrics  # noqa: E402
from gifqa.training.recipe_file import load_recipe  # noqa: E402
from gifqa.training.run import run_recipe  # noqa: E402
from gifqa.training.run_folder import mark_done  # noqa: E402
from gifqa.training.run_state import Inputs, Run  # noqa: E402
from gifqa.training.stages import TRAINING_STAGES, check_grid, validation_samples  # noqa: E402
from gifqa.training.towers import texts_of  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
RECIPE = """
name = "tiny"
[vision]
reduced_channels = 1
[dual_encoder]
batch_size = 4
epochs = 1
[language_model]
vocabulary_size = 280
[vocabulary]
min_answer_count = 1
min_word_count = 1
[qformer]
grid_channels = 199
text_size = 12
hidden_size = 32
num_hidden_layers = 1
num_attention_heads = 2
num_query_tokens = 3
max_frames = 4
[pretraining]
steps = 2
warmup_steps = 1
questions_per_step = 6
captions_per_step = 3
[language]
steps = 2
warmup_steps = 1
batch_size = 4
lora_rank = 2
[validation]
qformer = { "caption-open" = 2, "caption-yes/no" = 2 }
language = { "captions" = 2, "caption-open" = 2 }
"""


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def inputs(tmp_path, make_language_model, make_bpe_tokenizer):
    """Photos, clips and pairs of four colours, and a language model to begin with."""
    photos, clips, pairs = [], [], []
    for split in ("train", "val", "test"):
        for colour, value in COLOURS.items():
            photo, clip = f"{split}/{colour}.png", f"{split}-{colour}.webp"
            photos.append({"image": photo, "split": split, "captions": [f"A {colour} screen."], "qa": []})
            clips.append({"clip": clip, "split": split, "description": f"the screen is {colour}"})
            path = tmp_path / "data/photos/images" / photo
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 20), value).save(path)
            (tmp_path / "data/clips").mkdir(exist_ok=True)
            Image.new("RGB", (20, 20), value).save(tmp_path / "data/clips" / clip)
            for gif in (photo, clip):
                common = {"gif": gif, "split": split}
                pairs.append(
                    common | {"question": "What colour is it?", "answer": colour, "answer_type": "colour"}
                )
                pairs.append(common | {"question": "Is it red?", "answer": "yes" if colour == "red" else "no",
                                       "answer_type": "yes/no"})  # fmt: skip
    write_lines(tmp_path / "data/photos/captions.jsonl", photos)
    write_lines(tmp_path / "data/clips/clips.jsonl", clips)
    write_lines(tmp_path / "pairs.jsonl", pairs)
    start = tmp_path / "start"
    make_language_model(300).save_pretrained(start)
    tokenizer = make_bpe_tokenizer([line["question"] + " " + line["answer"] for line in pairs] * 3, 300)
    tokenizer.save(str(start / "tokenizer.json"))
    (start / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return Inputs(tmp_path / "data", (tmp_path / "pairs.jsonl",), str(start))


@pytest.fixture
def recipe_path(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def folder(tmp_path, inputs, write_tower, word_tower, make_word_tokenizer):
    """A run's folder in which the towers' stages are done."""
    folder = tmp_path / "run"
    write_tower(folder / "vision" / "tower.onnx", 199)
    mark_done(folder, "vision", {"channels": 199})
    texts = sorted(texts_of(read_dataset(inputs.data, inputs.pairs).annotations.values()))
    TextStore.build(word_tower, make_word_tokenizer(texts), texts, folder / "texts" / "texts.pt")
    mark_done(folder, "texts", {"texts": len(texts)})
    return folder


def test_a_recipe_runs_from_data_to_weights_and_is_left_alone_when_done(inputs, recipe_path, folder, caplog):
    recipe = load_recipe(recipe_path)
    caplog.set_level(logging.INFO, logger="gifqa")
    figures = run_recipe(recipe, inputs, folder, stages=tuple(TRAINING_STAGES), threads=1)

    assert set(figures) == set(TRAINING_STAGES)
    assert figures["features"]["pictures"] == 2 * 3 * len(COLOURS)
    assert figures["features"]["failed"] == {}
    for stage in ("dual-encoder", "qformer", "language"):
        assert (folder / stage / "best.safetensors").exists()
        assert read_metrics(folder / stage)
    with Image.open(folder / "overview.png") as overview:
        assert overview.format == "PNG"
    assert json.loads((folder / "recipe.json").read_text())["pretraining"]["steps"] == 2

    times = {path: path.stat().st_mtime_ns for path in folder.glob("*/*") if path.is_file()}
    caplog.clear()
    assert run_recipe(recipe, inputs, folder, stages=tuple(TRAINING_STAGES), threads=1) == figures
    assert caplog.text.count("done before") == len(TRAINING_STAGES)
    assert {path: path.stat().st_mtime_ns for path in times} == times

    run = Run(recipe, inputs, folder, threads=1)
    model = merge_lora(load_trained(run))
    assert model.language_model.config.vocab_size == 280
    batch = build_language_batch(run.tokenizer, ["What colour is it?"], ["red"], 3, 2)
    question, question_mask = run.texts.states(["What colour is it?"])
    with torch.no_grad():
        loss, _ = model(
            torch.rand(1, 1, 81, 199), torch.ones(1, 1, dtype=torch.bool), question, question_mask, batch
        )
    assert loss.isfinite()


def test_another_recipe_and_other_data_are_refused(inputs, recipe_path, folder, tmp_path):
    recipe = load_recipe(recipe_path)
    run_recipe(recipe, inputs, folder, stages=["vision"], threads=1)

    with pytest.raises(
        ConfigError, match=r"another recipe: pretraining.steps is 2 there and 3 here\. Use the same"
    ):
        run_recipe(load_recipe(recipe_path, ["pretraining.steps=3"]), inputs, folder, threads=1)
    with (tmp_path / "pairs.jsonl").open("a") as pairs:
        pairs.write("\n")
    with pytest.raises(ConfigError, match=r"another recipe: inputs.pairs 1 is '\w+' there and '\w+' here"):
        run_recipe(recipe, inputs, folder, threads=1)


def test_an_unknown_stage_is_refused(inputs, recipe_path, folder):
    with pytest.raises(
        ConfigError, match=r"--stage is 'vison'; the recipe 'tiny' has vision, features, .* for all"
    ):
        run_recipe(load_recipe(recipe_path), inputs, folder, stages=["vison"], threads=1)


def test_a_stage_without_what_it_needs_names_the_stage_before(inputs, recipe_path, folder):
    with pytest.raises(CheckpointError, match=r"holds no vision features .* Run the stage `features` first"):
        run_recipe(load_recipe(recipe_path), inputs, folder, stages=["dual-encoder"], threads=1)


def test_a_split_of_which_nothing_can_be_used_is_told(inputs, recipe_path, tmp_path):
    run = Run(load_recipe(recipe_path), inputs, tmp_path / "run", threads=1)
    run.__dict__["store"] = SimpleNamespace(items={"train/red.png": {}})

    with pytest.raises(
        RecordError,
        match=r'none of the 8 captioned pictures of the split "val" could be used, nor any of its 16',
    ):
        _ = run.seen
    run.dataset.annotations["val"] = Annotations()
    with pytest.raises(RecordError, match=r'the data have no caption and no question of the split "val"'):
        _ = run.seen


def test_validation_that_the_data_lack_is_told(inputs, recipe_path, tmp_path):
    recipe = load_recipe(recipe_path, ['validation.language={"vqa2" = 5}'])
    run = Run(recipe, inputs, tmp_path / "run", threads=1)
    run.__dict__["store"] = SimpleNamespace(
        items=run.annotations["train"].captions | run.annotations["val"].captions
    )

    with pytest.raises(
        RecordError, match=r"validation.language asks for vqa2, and the data have none .* they"
    ):
        validation_samples(run, "language")


def test_a_tower_of_another_shape_than_the_q_former_reads_is_refused(inputs, recipe_path, tmp_path):
    tower = SimpleNamespace(grid_shape=(16, 32))
    run = Run(load_recipe(recipe_path), inputs, tmp_path / "run", threads=1)

    with pytest.raises(
        ConfigError,
        match=r"grid_channels are 81 and 199, but efficientnet-lite2 gives 16 cells of 32 channels",
    ):
        check_grid(run, tower)


def test_data_that_were_not_given_are_asked_for(recipe_path, tmp_path):
    with pytest.raises(ConfigError, match=r"is looked at without data, .* Give them with --data and --pairs"):
        _ = Run(load_recipe(recipe_path), None, tmp_path, threads=1).dataset
