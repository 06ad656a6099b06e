import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from gifqa.errors import ConfigError
from gifqa.training.recipe import Recipe
from gifqa.training.recipe_file import load_recipe

LITE = Path(__file__).parents[2] / "recipes" / "lite.toml"


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "own.toml"
        path.write_text(text)
        return path

    return make


def test_the_lite_recipe_loads():
    recipe = load_recipe(LITE)

    assert recipe.name == "lite"
    assert recipe.dual_encoder.validation_prefix == "flickr8k/"


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("lite", "vision features texts dual-encoder language-model qformer language export calibrate"),
        ("continue", "vision features texts dual-encoder language-model qformer language export calibrate"),
        ("seed", "features texts language-model language checkpoint"),
        ("smoke", "vision features language-model language checkpoint"),
    ],
)
def test_a_recipe_leaves_out_the_stages_that_it_has_no_use_for(name, stages):
    pytest.importorskip("peft")
    from gifqa.training.run import stages_of

    assert stages_of(load_recipe(LITE.with_name(f"{name}.toml"))) == stages.split()


def test_an_empty_recipe_has_the_defaults(write):
    assert load_recipe(write("")) == Recipe()


def test_overrides_stand_over_the_file(write):
    recipe = load_recipe(
        write("[pretraining]\nsteps = 500\nseed = 3"),
        ["pretraining.steps=700", "language.patience=2", 'name="own"', "pretraining.blind = true"],
    )

    assert (recipe.pretraining.steps, recipe.pretraining.seed) == (700, 3)
    assert (recipe.language.patience, recipe.name, recipe.pretraining.blind) == (2, "own", True)


def test_a_recipe_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().name = "other"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[pretraining]\nstep = 5",
            "own.toml: unknown key pretraining.step; did you mean steps? Correct the name",
        ),
        ("[qformr]\nhidden_size = 8", "unknown key qformr; did you mean qformer?"),
        ("[qformer]\nheads = 8", "unknown key qformer.heads; known are grid_channels, grid_size, "),
        ("[text]\nzzz = 1", "unknown key text.zzz; known are tower. Correct the name, or leave it out."),
        (
            "[language]\nsteps = 0",
            "language.steps is 0: Input should be greater than or equal to 1. Correct",
        ),
        (
            '[language]\nvision = "grids"',
            "language.vision is 'grids': Input should be 'grid', 'pooled' or 'none'",
        ),
        ("[vision]\nreduced_channels = 100", "qformer.grid_channels is 710, but a cell has 298 channels"),
        (
            "[qformer]\nhidden_size = 100",
            "qformer.hidden_size is 100, which 6 heads do not divide. Correct it",
        ),
        (
            "[language]\nnum_frames = 9",
            "language.num_frames is 9, but qformer.max_frames only 8. Lower the one",
        ),
        (
            "[language]\nsteps = 30",
            "language.warmup_steps is 40, but language.steps only 30; warm-up must end before",
        ),
        (
            '[language]\nvision = "none"',
            'language.vision is "none", but pretraining.blind is false: the Q-Former',
        ),
        (
            '[connector]\nkind = "blip2"',
            'connector.kind is "blip2", but connector.source names no checkpoint',
        ),
        ('[connector]\nsource = "a/b"', "connector.source is 'a/b', but a connector of the kind \"qformer\""),
        ('[connector]\nkind = "mlp"', 'connector.kind is "mlp", but pretraining.steps is 2000; only a'),
        (
            '[connector]\nkind = "mlp"\n[pretraining]\nsteps = 0\n[language]\nvision = "pooled"',
            'language.vision is "pooled", which takes the place of the connector, but connector.kind is',
        ),
        (
            '[language]\nvision = "pooled"',
            'language.vision is "pooled", and a bundle reads grids. Correct it',
        ),
        (
            "[qformer]\ngrid_size = 80",
            "qformer.grid_size is 80, but the tower efficientnet-lite2 has 81 cells",
        ),
        (
            "[language.mvm]\nrate_range = [0.7, 0.3]",
            "language.mvm.rate_range is 0.7 to 0.3; it must rise, and end below 1",
        ),
        ("[language.mvm]\nwieght = 1.0", "unknown key language.mvm.wieght; did you mean weight?"),
        (
            'ends_with = "checkpoint"\n[language]\nglobal_local = 2',
            'language.global_local is 2, but a connector of the kind "qformer" mixes the frames; the local',
        ),
        (
            'ends_with = "checkpoint"\n[connector]\nkind = "mlp"\n[pretraining]\nsteps = 0\n'
            "[language]\nglobal_local = 4",
            "language.global_local is 4, but language.num_frames only 4; the local part",
        ),
        (
            '[connector]\nprojection = "linear"',
            'connector.projection is "linear", but the pretraining of the Q-Former trains one of the kind',
        ),
        (
            '[vision]\ntower = "openai/clip-vit-base-patch32"',
            "a bundle needs vision.tower to be 'efficientnet-lite2'; it is 'openai/clip",
        ),
        (
            "[language]\nanswer_weight = 0",
            "a bundle needs an answer head (language.answer_weight > 0) to be True; it is False. Correct it",
        ),
        ("[data.weights]\nvqa2 = 0", "data.weights.vqa2 is 0: Input should be greater than 0"),
        ("steps 5", "own.toml is no TOML file (Expected '='"),
    ],
)
def test_a_bad_recipe_says_what_is_wrong_with_it(write, text, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_recipe(write(text))


def test_a_missing_recipe_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"none.toml cannot be read: No such file or directory. Check the path"
    ):
        load_recipe(tmp_path / "none.toml")


@pytest.mark.parametrize("override", ["pretraining.steps", "=5", "pretraining.=5"])
def test_an_override_without_key_or_value_is_refused(write, override):
    with pytest.raises(ConfigError, match=r"sets nothing; a setting is written section.key=value"):
        load_recipe(write(""), [override])


def test_an_override_of_an_unknown_key_is_refused(write):
    with pytest.raises(ConfigError, match=r"unknown key pretraining.stepz; did you mean steps\?"):
        load_recipe(write(""), ["pretraining.stepz=5"])


def test_an_override_below_a_plain_value_is_refused(write):
    with pytest.raises(ConfigError, match=r"'name.first=x': name is 'lite' and has no keys. Set name itself"):
        load_recipe(write('name = "lite"'), ["name.first=x"])
