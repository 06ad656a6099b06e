"""A run from annotations to results: coverage, resumption, and everything that can be wrong with it."""

import functools
import hashlib
import json

import pytest
from conftest import ColourEmbedder, FakeAnswerer

from gifqa.engine import EngineConfig
from gifqa.errors import CheckpointError, ConfigError, GifQAError, RecordError
from gifqa.evaluation.answering import distinct_options
from gifqa.evaluation.predictions import read_predictions
from gifqa.evaluation.questions import MediaFolder
from gifqa.evaluation.run import run_evaluation


def colour_qa(clip_cut):
    """For other processes, which import it by name."""
    from gifqa.pipeline import GifQA

    return GifQA("lite", clip_cut=clip_cut, encoder=ColourEmbedder(), answerer=FakeAnswerer())


def results_of(config):
    return json.loads((config.output / "results.json").read_text(encoding="utf-8"))


def without_seconds(config):
    return {name: value for name, value in results_of(config).items() if name != "stage_seconds"}


def test_a_run_writes_scores_coverage_and_every_prediction(config, make_qa):
    run = config()
    evaluation = run_evaluation(run, make_qa=make_qa)
    results = results_of(run)
    assert results["benchmark"] == "tgif-qa/frameqa"
    assert results["metrics"]["accuracy"]["value"] == pytest.approx(4 / 6)
    assert len(results["metrics"]["accuracy"]["ci95"]) == 2
    assert results["coverage"]["questions"] == results["coverage"]["with_media"] == 6
    assert results["by_kind"]["colour"]["value"] == 1.0
    assert results["baselines"]["most-frequent-per-kind"]["note"] == "from the test answers, so optimistic"
    assert evaluation.summary == "tgif-qa/frameqa: 6 of 6 questions evaluated"
    assert results["stage_seconds"]["total"] >= results["stage_seconds"]["answer"] >= 0
    first = json.loads((run.output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["prediction"] == "red"
    assert first["keyframes"][0].keys() == {"index", "pts_seconds", "score"}
    assert {"answer", "total"} <= first["timings"].keys()
    manifest = json.loads((run.output / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["run"]["annotations_sha256"]) == 64
    assert manifest["run"]["seed"] == 0
    assert {"python", "numpy"} <= manifest["versions"].keys()


def test_missing_media_are_listed_and_the_rest_is_evaluated(config, make_qa):
    run = config()
    (run.media / "blue_gif.gif").unlink()
    evaluation = run_evaluation(run, make_qa=make_qa)
    assert evaluation.summary == (
        "tgif-qa/frameqa: 5 of 6 questions evaluated; 1 without media, listed in missing.txt"
    )
    assert (run.output / "missing.txt").read_text(encoding="utf-8") == "blue_gif\n"
    assert results_of(run)["coverage"]["with_media"] == 5


def test_undecodable_media_are_reported_and_not_scored(config, make_qa):
    run = config()
    (run.media / "blue_gif.gif").write_bytes(b"no GIF at all")
    evaluation = run_evaluation(run, make_qa=make_qa)
    assert evaluation.summary.endswith(
        "5 of 6 questions evaluated; 1 whose media or question could not be used"
    )
    failed = [p for p in read_predictions(run.output / "predictions.jsonl") if p.error]
    assert [p.question.id for p in failed] == ["FRAMEQA3"]
    assert "blue_gif" in failed[0].error


def test_a_stopped_run_goes_on_and_gives_the_same_table(config, make_qa, tmp_path, fake_answerer):
    """Killed in the second of three shards: the first is not asked again."""
    whole = config(output=tmp_path / "whole")
    run_evaluation(whole, make_qa=make_qa)
    run = config()
    answered = fake_answerer.answer

    def stop(keyframes, question, **rest):
        if question.startswith("how many"):
            raise KeyboardInterrupt
        return answered(keyframes, question, **rest)

    fake_answerer.answer = stop
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(run, make_qa=make_qa)
    kept = read_predictions(run.output / "predictions.jsonl")
    assert len(kept) == 4
    fake_answerer.answer = answered
    fake_answerer.calls.clear()
    run_evaluation(run, make_qa=make_qa)
    assert len(fake_answerer.calls) == 2
    without_times = [
        [
            (p.question.id, p.text, p.confidence, p.keyframes)
            for p in read_predictions(r.output / "predictions.jsonl")
        ]
        for r in (whole, run)
    ]
    assert without_times[0] == without_times[1]
    assert without_seconds(whole) == without_seconds(run)


def test_a_pool_gives_what_one_process_gives(config, make_qa, tmp_path):
    run_evaluation(config(), make_qa=make_qa)
    pooled = config(output=tmp_path / "pool", engine=EngineConfig(kind="pool", workers=1))
    run_evaluation(pooled, make_qa=functools.partial(colour_qa))
    assert without_seconds(pooled) == without_seconds(config())


def test_a_complete_run_is_only_scored_again(config, make_qa, fake_answerer):
    run_evaluation(config(), make_qa=make_qa)
    fake_answerer.calls.clear()
    run_evaluation(config(num_resamples=20), make_qa=make_qa)
    assert fake_answerer.calls == []


def test_a_model_that_fails_stops_the_run_and_keeps_the_answers(config, make_qa, fake_answerer):
    def fail(keyframes, question, **rest):
        raise CheckpointError("the server is gone; start it.")

    run = config(shard_size=4)
    run_evaluation(config(limit=2, output=run.output.with_name("other")), make_qa=make_qa)
    fake_answerer.answer = fail
    with pytest.raises(CheckpointError, match="the server is gone"):
        run_evaluation(run, make_qa=make_qa)
    assert (run.output / "predictions.jsonl").read_text(encoding="utf-8") == ""


def test_an_empty_prediction_counts_as_wrong_and_is_counted(config, make_qa, fake_answerer):
    from gifqa.answering.base import Reply

    fake_answerer.answer = lambda *_, **__: Reply(text="", confidence=None)
    run = config()
    run_evaluation(run, make_qa=make_qa)
    results = results_of(run)
    assert results["metrics"]["accuracy"]["value"] == 0.0
    assert results["coverage"]["empty"] == 6
    assert "ece" not in results["metrics"]


def test_the_folder_of_another_run_is_refused(config, make_qa):
    run_evaluation(config(), make_qa=make_qa)
    with pytest.raises(
        ConfigError, match=r"holds another run \(seed: 0 there, 5 now\).*another folder with -o"
    ):
        run_evaluation(config(seed=5), make_qa=make_qa)
    config().annotations.write_text(config().annotations.read_text().replace("Blue", "Red"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"holds another run \(annotations_sha256"):
        run_evaluation(config(), make_qa=make_qa)


def test_a_run_inside_the_data_folder_goes_on(config, make_qa, frameqa, gifs):
    """Only the files that are read count as the run's input, not what else lies in --data."""
    run = config(annotations=frameqa.parent, media=frameqa.parent, output=frameqa.parent / "run")
    run_evaluation(run, make_qa=make_qa)
    run_evaluation(run, make_qa=make_qa)


def test_the_model_s_files_are_in_the_manifest(config, make_qa, tmp_path):
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    hashes = []
    for content in ("one", "two"):
        (bundle / "weights").write_text(content, encoding="utf-8")
        run = config(model=str(bundle), output=tmp_path / content)
        run_evaluation(run, make_qa=make_qa)
        hashes.append(
            json.loads((run.output / "manifest.json").read_text(encoding="utf-8"))["run"]["model_sha256"]
        )
    assert hashes[0] == hashlib.sha256(b"one").hexdigest()
    assert hashes[0] != hashes[1]


def test_a_folder_with_other_files_is_refused(config, make_qa):
    config().output.mkdir()
    (config().output / "thesis.txt").write_text("x")
    with pytest.raises(ConfigError, match="is not empty and holds no run"):
        run_evaluation(config(), make_qa=make_qa)


def test_changed_media_are_another_run(config, make_qa, make_gif):
    run_evaluation(config(), make_qa=make_qa)
    make_gif(["red", "blue", "green", "white"], name="x.gif").rename(config().media / "red_gif.gif")
    with pytest.raises(ConfigError, match=r"holds another run \(media_sha256"):
        run_evaluation(config(), make_qa=make_qa)


def test_no_media_at_all_is_an_error_that_shows_a_name(config, make_qa, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"none of the 3 media of tgif-qa/frameqa is in .*like red_gif"):
        run_evaluation(config(media=tmp_path / "empty"), make_qa=make_qa)
    with pytest.raises(ConfigError, match=r"--media is .*nowhere, and there is no such folder"):
        run_evaluation(config(media=tmp_path / "nowhere"), make_qa=make_qa)
    with pytest.raises(ConfigError, match=r"--media was not given; lite looks at the media"):
        run_evaluation(config(media=None), make_qa=make_qa)


def test_when_nothing_can_be_read_the_first_error_is_shown(config, make_qa):
    run = config()
    for path in run.media.iterdir():
        path.write_bytes(b"broken")
    with pytest.raises(GifQAError, match=r"none of 6 questions got an answer; the first error is"):
        run_evaluation(run, make_qa=make_qa)


def test_a_limit_draws_the_same_questions_in_every_run(config, make_qa, tmp_path):
    ids = []
    for name in ("a", "b"):
        run = config(limit=3, seed=4, output=tmp_path / name)
        ids.append([p.question.id for p in run_evaluation(run, make_qa=make_qa).predictions])
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "neither --model nor --baseline was given"),
        ({"baseline": "lucky"}, r"--baseline is 'lucky'; there are random, most-frequent"),
        ({"baseline": "random"}, "looks at no media, and --model lite was given"),
        ({"baseline": "middle-frame", "model": None}, "shows a model other frames, and no --model was given"),
    ],
)
def test_settings_that_do_not_fit_together(config, changes, message):
    with pytest.raises(ConfigError, match=message):
        config(**changes)


@pytest.mark.parametrize("baseline", ["random", "most-frequent", "most-frequent-per-kind", "question-only"])
def test_text_baselines_need_no_media(config, frameqa, baseline):
    run = config(baseline=baseline, model=None, media=None, train=frameqa)
    evaluation = run_evaluation(run)
    assert evaluation.summary == (
        "tgif-qa/frameqa: 6 of 6 questions evaluated (this baseline looks at no media)"
    )
    assert 0 <= results_of(run)["metrics"]["accuracy"]["value"] <= 1


def test_random_reports_its_expected_score(config):
    run = config(baseline="random", model=None, media=None)
    run_evaluation(run)
    assert results_of(run)["metrics"]["expected_accuracy"]["value"] == pytest.approx(1 / 5)


def test_counts_captions_and_retrieval_have_their_own_metrics(
    config, make_qa, make_gif, write, write_table, tmp_path
):
    count = write_table(
        "c.csv", "gif_name question answer vid_id key", [("red_gif", "How many ?", 3, "COUNT1", 1)]
    )
    run = config(benchmark="tgif-qa/count", annotations=count, output=tmp_path / "count")
    run_evaluation(run, make_qa=make_qa)
    assert results_of(run)["metrics"]["mse"]["value"] == 9.0  # "red" names no number and counts as 0
    captions = write("c.jsonl", '{"gif": "red_gif", "caption": "a red screen"}\n')
    run = config(benchmark="captions", annotations=captions, output=tmp_path / "captions")
    run_evaluation(run, make_qa=make_qa)
    assert results_of(run)["metrics"]["rouge_l"]["value"] == pytest.approx(1.0)
    make_gif(["red", "blue", "green"], name="three.gif").rename(run.media / "three.gif")
    spans = write("r.jsonl", '{"gif": "three", "question": "When is it red?", "start": 0, "end": 0.1}\n')
    run = config(benchmark="retrieval", annotations=spans, output=tmp_path / "retrieval", top_k=1)
    run_evaluation(run, make_qa=make_qa)
    metrics = results_of(run)["metrics"]
    assert metrics["segment_recall"]["value"] == metrics["segment_precision"]["value"] == 1.0
    assert metrics["random_moments_recall"]["value"] == pytest.approx(1 / 3)


def test_media_of_your_own_records_lie_beside_them_and_questions_may_hold_anything(
    config, make_qa, write, gifs
):
    line = {"gif": "red_gif.gif", "question": 'Which\u2028colour,\\n "now"?', "answer": "red"}
    path = write("gifs/own.jsonl", json.dumps(line, ensure_ascii=False) + "\n")
    run = config(benchmark="own", annotations=path, media=None)
    evaluation = run_evaluation(run, make_qa=make_qa)
    assert evaluation.scores.metrics["accuracy"].value == 1.0
    assert evaluation.predictions[0].question.question == line["question"]


def test_another_run_can_stand_beside(config, make_qa, tmp_path):
    run_evaluation(config(baseline="middle-frame", output=tmp_path / "middle"), make_qa=make_qa)
    run = config(beside=(tmp_path / "middle",))
    run_evaluation(run, make_qa=make_qa)
    assert results_of(run)["baselines"]["middle-frame with lite"]["note"] == "6 questions"
    with pytest.raises(RecordError, match=r"no run \(manifest.json is missing or damaged\)"):
        run_evaluation(config(beside=(tmp_path,), output=tmp_path / "x"), make_qa=make_qa)


def test_a_run_of_a_baseline_takes_the_place_of_the_one_counted_beside(config, make_qa, frameqa, tmp_path):
    floor = config(baseline="most-frequent", model=None, media=None, train=frameqa, output=tmp_path / "floor")
    run_evaluation(floor)
    beside = run_evaluation(config(beside=(tmp_path / "floor",)), make_qa=make_qa).beside
    assert [(b.name, b.note) for b in beside if b.name == "most-frequent"] == [
        ("most-frequent", "6 questions")
    ]


def test_an_option_that_stands_twice_is_offered_once():
    """TGIF-QA has questions whose five options hold one twice; the pipeline refuses equal options."""
    assert distinct_options(["run", "walk", "run ", "Walk"]) == ["run", "walk"]
    assert distinct_options(["run", "run"]) is None
    assert distinct_options(None) is None


def test_media_are_found_by_published_names_in_any_folder(tmp_path):
    (tmp_path / "deep" / "frames_of_clip").mkdir(parents=True)
    for name in ("deep/a.gif", "deep/v_x.webm", "deep/frames_of_clip/0.jpg", "deep/notes.txt"):
        (tmp_path / name).write_bytes(b"")
    folder = MediaFolder(tmp_path)
    assert folder.find(["a"]) == tmp_path / "deep" / "a.gif"
    assert folder.find(["missing", "v_x"]) == tmp_path / "deep" / "v_x.webm"
    assert folder.find(["/data/videos/v_x.mp4"]) == tmp_path / "deep" / "v_x.webm"
    assert folder.find(["deep/a.gif"]) == tmp_path / "deep" / "a.gif"
    assert folder.find(["x/frames_of_clip"]) == tmp_path / "deep" / "frames_of_clip"
    assert folder.find(["notes"]) is None
    assert folder.find(["../../etc/passwd"]) is None


def test_a_damaged_line_of_predictions_is_named(tmp_path):
    (tmp_path / "p.jsonl").write_text("{}\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"p.jsonl:1: no prediction"):
        read_predictions(tmp_path / "p.jsonl")
