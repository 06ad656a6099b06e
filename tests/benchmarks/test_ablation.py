"""The ablation on a finished run of a tiny world: two steps a variant."""

import json
import math

import pytest

torch = pytest.importorskip("torch")
for needed in ("transformers", "peft"):
    pytest.importorskip(needed)

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
SMALL = ("--steps", 2, "--batch-size", 4, "--validation", 3)
FEW = ("--only", "base", "captions", "frames-1")


@pytest.fixture
def ablate(script, run_script, finished_run, tmp_path):
    """`ablate(*words) -> stdout`; OUT is tmp_path/out."""
    script("ablation")
    return lambda *words: run_script(
        "ablation", *finished_run.words, "-o", tmp_path / "out", *SMALL, "--seeds", 1, *words
    )


@pytest.fixture
def trained(script, monkeypatch):
    """Names the recipes' changes of every stage that is built, one entry a training or judgement."""
    runs, built = script("ablation_runs"), []
    original = runs.language_stage

    def watched(run):
        built.append((run.recipe.language.num_frames, run.recipe.language.seed))
        return original(run)

    monkeypatch.setattr(runs, "language_stage", watched)
    return built


def test_every_variant_has_a_line_with_clips_and_photos_apart(ablate, script, tmp_path):
    report = tmp_path / "ablation.json"
    markdown = tmp_path / "ablation.md"
    ablate("--json", report, "--markdown", markdown)
    rows = {row["variant"]: row for row in json.loads(report.read_text())["rows"]}

    assert list(rows) == list(script("ablation_variants").VARIANTS)
    for name, row in rows.items():
        keys = {
            f"{place}{kind} nats"
            for place in ("clips", "photos")
            for kind in ("/open", "/yes-no", " captions/open")
        }
        assert keys | {"clips nats", "photos nats", "mean nats", "seconds"} <= row["figures"].keys(), name
        assert all(math.isfinite(figure["mean"]) for figure in row["figures"].values())
        assert row["figures"]["mean nats"]["deviation"] is None
        assert (row["against base"] is None) == (name == "base")
    assert rows["frozen-lm"]["against base"]["mean"] == pytest.approx(
        rows["frozen-lm"]["runs"]["1"]["mean nats"] - rows["base"]["runs"]["1"]["mean nats"]
    )
    lines = markdown.read_text().splitlines()
    assert sum(line.startswith("| ") for line in lines) == 1 + len(rows)
    out = tmp_path / "out"
    assert not list(out.rglob("step-*.pt"))
    assert [path.parent.parent.name for path in out.rglob("best.safetensors")] == ["base"]


def test_what_is_finished_is_not_trained_again_and_captions_take_the_base(ablate, trained):
    ablate("--only", "captions")
    assert trained == [(2, 1), (2, 1)]  # the base trained, and its weights judged by captions
    ablate(*FEW)
    assert trained[2:] == [(1, 1)]
    shown = ablate("--only", "base")
    assert len(trained) == 3
    assert all(f"`{name}`" in shown for name in ("base", "captions", "frames-1"))


def test_a_killed_ablation_goes_on_where_it_was(ablate, trained, monkeypatch):
    from gifqa.training.language import LanguageStage

    step = LanguageStage.train_step

    def killed(self):
        if self.settings.num_frames == 1 and self.step == 1:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(LanguageStage, "train_step", killed)
    with pytest.raises(KeyboardInterrupt):
        ablate("--only", "base", "frames-1")
    monkeypatch.setattr(LanguageStage, "train_step", step)
    ablate("--only", "base", "frames-1")

    assert trained == [(2, 1), (1, 1), (1, 1)]


def test_another_budget_in_the_same_folder_is_refused(ablate):
    ablate("--only", "base")
    with pytest.raises(SystemExit, match=r"another recipe: recipe.language.steps is 2 there and 3 here"):
        ablate("--only", "base", "--steps", 3)


def test_other_data_than_the_run_s_are_refused(ablate, finished_run):
    with finished_run.pairs.open("a") as file:
        file.write("\n")
    with pytest.raises(SystemExit, match=r"was trained on other data: pairs 1 differ\. Give the --data"):
        ablate("--only", "base")


def test_a_recipe_of_another_version_is_refused_and_may_be_given(ablate, finished_run, tmp_path):
    path = finished_run.run / "recipe.json"
    values = json.loads(path.read_text())
    values["language"]["mvm_weight"] = 0.0
    path.write_text(json.dumps(values))
    with pytest.raises(SystemExit, match=r"\(language.mvm_weight: .* another version .* with --recipe"):
        ablate("--only", "base")
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        "[vision]\nreduced_channels = 1\n[qformer]\ngrid_channels = 199\ntext_size = 12\nhidden_size = 32\n"
        "num_hidden_layers = 1\nnum_attention_heads = 2\nnum_query_tokens = 4\n"
        '[language]\nnum_frames = 2\nlora_rank = 2\nprecision = "fp32"\n'
    )
    assert "`base`" in ablate("--only", "base", "--recipe", recipe)


def test_what_the_run_has_not_encoded_is_left_out_and_counted(script, finished_run, capsys):
    runs = script("training_runs")
    lines = [json.loads(line) for line in finished_run.pairs.read_text().splitlines()]
    more = [line | {"question": "is it new ?"} for line in lines[:3]]
    finished_run.pairs.write_text("".join(json.dumps(line) + "\n" for line in lines + more))
    (finished_run.run / "recipe.json").unlink()
    recipe = finished_run.run / "tiny.toml"
    recipe.write_text('name = "tiny"\n')
    opened = runs.open_run(arguments(script, finished_run, "--recipe", recipe))

    assert "3 questions and captions left out" in capsys.readouterr().err
    assert len(opened.seen["train"].samples) == len(lines) // 2
    assert "is it new ?" not in {sample.question for sample in opened.seen["train"].samples}


def test_all_clips_and_as_many_photos_are_trained_on(script, finished_run):
    runs = script("ablation_runs")
    opened = script("training_runs").open_run(arguments(script, finished_run))
    kept = runs.balanced(opened.seen["train"], opened.store)

    assert sum(name.endswith(".webp") for name in kept.captions) == 4
    assert sum(name.endswith(".jpg") for name in kept.captions) == 4
    assert {sample.picture for sample in kept.samples} == kept.captions.keys()


def test_samples_are_drawn_by_group_and_are_the_same_each_time(script, finished_run):
    runs = script("ablation_runs")
    opened = script("training_runs").open_run(arguments(script, finished_run))
    samples = runs.draw_samples(opened.seen["val"], opened.store, 3)

    assert samples == runs.draw_samples(opened.seen["val"], opened.store, 3)
    assert len(samples) == 18
    assert {sample.group for sample in samples} == {
        f"{place}{kind}" for place in ("clips", "photos") for kind in ("/open", "/yes-no", " captions/open")
    }
    assert all(sample.picture.endswith("webp") == sample.source.startswith("clips") for sample in samples)


def test_nats_of_text_are_the_language_model_s_own_loss(script, finished_run):
    from dataclasses import replace

    runs, common = script("ablation_runs"), script("training_runs")
    opened = common.open_run(arguments(script, finished_run))
    stage = common.language_stage(opened)
    stage.learner.eval()
    first = opened.seen["val"].samples[0]
    samples = [first, replace(first, answer="the screen is red")]
    prompts = ["a red screen Question :", "what Answer :"]
    found = runs.text_figures(stage, samples, prompts)

    for (group, nats, _), sample, prompt in zip(found, samples, prompts, strict=True):
        asked = opened.tokenizer.encode(prompt).ids
        answer = [*opened.tokenizer.encode(sample.answer).ids, 2]
        labels = torch.tensor([[-100] * len(asked) + answer])
        loss = stage.model.language_model(input_ids=torch.tensor([asked + answer]), labels=labels).loss
        assert (group, nats) == (sample.group, pytest.approx(loss.item(), rel=1e-4))


def test_a_caption_of_each_frame_stands_in_the_text_with_its_time(script, finished_run, monkeypatch):
    runs, common = script("ablation_runs"), script("training_runs")
    opened = common.open_run(arguments(script, finished_run))
    stage = common.language_stage(opened)
    monkeypatch.setattr(runs, "write_captions", lambda stage, frames: [f"row {row}" for _, row in frames])
    texts = runs.captions_as_text(stage, ["val/red-0.jpg", "val/red-2.webp"])
    rows = opened.store.rows("val/red-2.webp")

    assert texts["val/red-0.jpg"] == f"An image shows: row {opened.store.rows('val/red-0.jpg')[0]}"
    assert texts["val/red-2.webp"].splitlines()[1:] == [f"0.00 s: row {rows[0]}", f"0.20 s: row {rows[2]}"]


def test_spread_is_the_standard_deviation_over_the_seeds(script):
    ablation = script("ablation")
    base = {1: {"mean nats": 2.0, "clips/open nats": 1.0}, 2: {"mean nats": 3.0, "clips/open nats": 1.0}}
    found = {1: {"mean nats": 2.5, "clips/open nats": 1.0}, 2: {"mean nats": 2.5, "clips/open nats": 2.0}}
    row = ablation.summarise("mvm", found, base)

    assert row["figures"]["mean nats"]["deviation"] == 0
    assert row["figures"]["clips nats"] == {
        "mean": 1.5, "deviation": pytest.approx(math.sqrt(0.5)), "runs": [1.0, 2.0],
    }  # fmt: skip
    assert row["against base"]["mean"] == 0
    assert row["against base"]["deviation"] == pytest.approx(math.sqrt(0.5))


def arguments(script, finished_run, *more):
    import argparse

    parser = argparse.ArgumentParser()
    script("training_runs").add_run_flags(parser)
    return parser.parse_args([str(word) for word in (*finished_run.words, *more)])
