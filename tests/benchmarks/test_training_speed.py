"""The benchmark of training's speed on a finished run of a tiny world; the tower is a small random one."""

import json
from argparse import Namespace

import pytest

torch = pytest.importorskip("torch")
for needed in ("transformers", "peft"):
    pytest.importorskip(needed)

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
SMALL = ("--batch-size", 4, "--blocks", 2, "--steps", 1, "--vocabulary", 200)


@pytest.fixture
def tower(script, monkeypatch, tiny_backbone):
    """Stands for the vision tower of the run."""
    from gifqa.model.vision import VisionTower

    tower = VisionTower(tiny_backbone(1280), 1).eval()
    monkeypatch.setattr(script("plain_loop"), "load_tower", lambda run: tower)
    return tower


def test_what_is_compared_stands_side_by_side(run_script, finished_run, tower, tmp_path):
    report = tmp_path / "speed.json"
    shown = run_script(
        "training_speed", *finished_run.words, *SMALL, "--only", "loops", "masked", "packed", "--json", report
    )
    figures = json.loads(report.read_text())

    loops, masked = figures["loops"], figures["masked"]
    assert len(loops["gifqa"]) == len(loops["plain"]) == len(loops["ratios"]) == 2
    assert all(rate > 0 for rate in loops["gifqa"] + loops["plain"])
    assert loops["tower_seconds_per_step"] > 0
    assert masked["positions"]["masked"] < masked["positions"]["full"]
    packed = figures["packed"]
    assert 0 < packed["positions"]["packed"] <= packed["positions"]["single"]
    assert packed["ratio"] > 0 and len(packed["captions_per_second"]["single"]) == 2
    assert [target["is_met"] is None for target in figures["targets"]] == [False, True, False]
    assert "straightforward loop" in shown and "not measured" in shown


def test_the_straightforward_loop_learns_the_same_from_the_same_samples(script, finished_run, tower):
    """Its loss before any step is the other's, if the tower's grids are those of the cache."""
    speed, plain_loop = script("training_speed"), script("plain_loop")
    finished = speed.open_few_steps(flags(finished_run))
    stage = speed.language_stage(finished)
    batch = stage.draw_batch()
    plain = plain_loop.PlainLoop(finished, finished.tokenizer.get_vocab_size())
    cached = stage.load_pass(batch, range(len(batch.samples))).grid
    plain.grids = lambda pixels: cached
    torch.manual_seed(4)
    plain_loss = plain.step(batch, plain.decode(batch))
    stage.draw_batch = lambda: batch
    torch.manual_seed(4)
    found = stage.train_step()

    assert plain_loss == pytest.approx(
        found["language"] + stage.settings.answer_weight * found["answer"], rel=1e-3
    )


def test_the_vocabulary_is_filled_up_and_stays_frozen(script, finished_run, tower):
    finished = script("training_speed").open_few_steps(flags(finished_run))
    language_model = script("plain_loop").PlainLoop(finished, 200).stage.model.language_model

    for embeddings in (language_model.get_input_embeddings(), language_model.get_output_embeddings()):
        assert embeddings.weight.shape[0] == 200
        assert not embeddings.weight.requires_grad


def test_the_pictures_are_those_of_the_rows(script, finished_run, tower):
    speed, plain_loop = script("training_speed"), script("plain_loop")
    finished = speed.open_few_steps(flags(finished_run))
    plain = plain_loop.PlainLoop(finished, 200)
    rows = finished.store.rows("train/red-2.webp")
    batch = Namespace(samples=[Namespace(picture="train/red-2.webp")], rows=[[rows[0], rows[2]]])
    (frames,) = plain.decode(batch)

    assert frames.shape == (2, 260, 260, 3)
    assert frames[0, 0, 0].tolist() == [255, 0, 0]
    assert frames[1, 0, 0].tolist() == [85, 0, 0]


def test_memory_is_that_of_a_process_that_trains_validates_and_saves(
    script, run_script, finished_run, monkeypatch, tmp_path
):
    speed, asked = script("training_speed"), []

    def child(*words):
        asked.append(words)
        return Namespace(peak_bytes=7 * 10**9, seconds=2.0, stdout="")

    monkeypatch.setattr(speed, "run_python", child)
    report = tmp_path / "speed.json"
    run_script("training_speed", *finished_run.words, *SMALL, "--only", "memory", "--json", report)

    assert "--child" in asked[0] and str(finished_run.run) in map(str, asked[0])
    target = json.loads(report.read_text())["targets"][1]
    assert (target["measured"], target["is_met"]) == (7.0, False)
    assert run_script("training_speed", *map(str, asked[0][1:])) == ""


def test_a_vocabulary_smaller_than_the_run_s_is_refused(run_script, finished_run, tower):
    with pytest.raises(SystemExit, match=r"--vocabulary is 5, but the language model of .* Raise it\."):
        run_script(
            "training_speed", *finished_run.words, "--batch-size", 4, "--vocabulary", 5, "--only", "loops"
        )


def flags(finished_run):
    return Namespace(
        run=finished_run.run, data=finished_run.data, pairs=[finished_run.pairs], recipe=None, threads=1,
        batch_size=4,
    )  # fmt: skip
