"""A run that starts from the shipped bundle; its frozen towers, which need packages of weights, are given."""

import json

import pytest

torch = pytest.importorskip("torch")
for needed in ("onnx", "transformers", "matplotlib", "accelerate"):
    pytest.importorskip(needed)

from safetensors.torch import load_file  # noqa: E402

from gifqa.answering.bundle import SHIPPED, Bundle  # noqa: E402
from gifqa.errors import CheckpointError, ConfigError  # noqa: E402
from gifqa.model.vision import HEAD_CHANNELS, VisionTower  # noqa: E402
from gifqa.training import starting  # noqa: E402
from gifqa.training.recipe import Recipe  # noqa: E402
from gifqa.training.run import run_recipe  # noqa: E402
from gifqa.training.run_folder import mark_done  # noqa: E402
from gifqa.training.run_state import Inputs, Run  # noqa: E402
from gifqa.training.starting import known_answers, taken_stages  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's tracing exporter, of itself
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
STAGES = ("vision", "dual-encoder", "language-model", "qformer")


class NumberTower(torch.nn.Module):
    """A text tower whose vectors are those of its numbers."""

    def forward(self, input_ids, attention_mask):
        states = input_ids.unsqueeze(-1).float().expand(-1, -1, 384).cos()
        return states, states.mean(1)


@pytest.fixture
def inputs(tmp_path):
    lines = [{"clip": f"{split}.webp", "split": split, "description": "a cat"} for split in ("train", "val")]
    (tmp_path / "clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for line in lines:
        (tmp_path / line["clip"]).touch()
    return Inputs(tmp_path, start=SHIPPED)


@pytest.fixture
def towers(monkeypatch, tiny_backbone, make_word_tokenizer):
    """In place of the real ones."""

    def vision(reduced_channels):
        return VisionTower(tiny_backbone(HEAD_CHANNELS), reduced_channels).eval()

    tokenizer = make_word_tokenizer(list(Bundle().answers))
    monkeypatch.setattr(starting, "load_vision_tower", vision)
    monkeypatch.setattr(starting, "load_text_tower", lambda source: (NumberTower(), tokenizer))


def test_the_parts_of_the_bundle_stand_where_training_leaves_them(inputs, towers, tmp_path):
    folder = tmp_path / "run"
    figures = run_recipe(Recipe(), inputs, folder, stages=STAGES, threads=1)

    assert set(figures) == set(STAGES)
    assert all(found["from"].startswith("gifqa-lite ") for found in figures.values())
    tower = load_file(folder / "vision" / "tower.safetensors")
    assert tower["reduction.weight"].abs().sum() > 0
    assert (folder / "vision" / "tower.onnx").exists()
    heads = load_file(folder / "dual-encoder" / "best.safetensors")
    assert {"pool.score.weight", "text_head.linear.weight", "log_temperature"} <= heads.keys()
    assert load_file(folder / "dual-encoder" / "references.safetensors")["references"].shape == (512, 384)
    vocabulary = json.loads((folder / "vocabulary.json").read_text())
    assert vocabulary["answers"] == list(Bundle().answers)
    qformer = load_file(folder / "qformer" / "best.safetensors")
    assert len(qformer["answer_head.bias"]) == len(vocabulary["answers"])
    assert qformer["language_projection.embedding_norm"] == pytest.approx(vocabulary["norm"])
    run = Run(Recipe(), inputs, folder, threads=1)
    assert run.tokenizer.encode(" cat").ids
    assert starting.calibration_of_start(run) == Bundle().config.calibration


def test_stages_that_were_trained_are_not_mixed_with_those_of_a_bundle(inputs, tmp_path):
    mark_done(tmp_path / "run", "vision", {"channels": 710})

    with pytest.raises(ConfigError, match=r"stage `vision` of .*run is trained there, and --from asks"):
        run_recipe(Recipe(), inputs, tmp_path / "run", stages=STAGES, threads=1)


def test_a_recipe_of_another_shape_is_refused(inputs, towers, tmp_path):
    recipe = Recipe(qformer={"num_query_tokens": 8})

    with pytest.raises(CheckpointError, match=r"query_tokens is \(8, 384\) here and \(16, 384\) there"):
        run_recipe(recipe, inputs, tmp_path / "run", stages=STAGES, threads=1)


def test_a_recipe_of_other_parts_is_refused_before_the_folder_is_claimed(inputs, tmp_path):
    recipe = Recipe(ends_with="checkpoint", connector={"kind": "mlp"}, pretraining={"steps": 0})

    with pytest.raises(ConfigError, match=r"'lite' has others .a bundle needs connector.kind"):
        run_recipe(recipe, inputs, tmp_path / "run", threads=1)
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_a_language_model_that_was_named_is_not_taken_from_the_bundle(tmp_path):
    given = Run(Recipe(), Inputs(tmp_path, language_model="gpt2", start=SHIPPED), tmp_path, threads=1)
    without = Run(Recipe(), Inputs(tmp_path), tmp_path, threads=1)

    assert "language-model" not in taken_stages(given)
    assert "qformer" in taken_stages(given)
    assert taken_stages(without) == {} == starting.calibration_of_start(without)


def test_the_answers_that_the_bundle_knows_are_among_the_texts(tmp_path):
    started = Run(Recipe(), Inputs(tmp_path, start=SHIPPED), tmp_path, threads=1)
    plain = Run(Recipe(), Inputs(tmp_path), tmp_path, threads=1)

    assert {"yes", "no", "dog"} <= known_answers(started)
    assert known_answers(plain) == set()
