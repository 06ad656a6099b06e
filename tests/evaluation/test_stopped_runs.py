"""A run that is killed or interrupted: what is kept, and that it goes on and may be compared meanwhile."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ColourEmbedder, FakeAnswerer

from gifqa.errors import RecordError
from gifqa.evaluation.compare import compare_runs
from gifqa.evaluation.config import EvaluationConfig
from gifqa.evaluation.journal import gather, journal_of, read_journal
from gifqa.evaluation.run import run_evaluation


class StuckAnswerer(FakeAnswerer):
    """Says that it has come to the question about number, and then answers nothing any more."""

    def answer(self, keyframes, question, **rest):
        if question.startswith("how many"):
            sys.stdout.write("stuck\n")
            sys.stdout.flush()
            signal.pause()
        return super().answer(keyframes, question, **rest)


def run_stuck(settings):
    """In a process of its own: a run that hangs in the middle of its second shard."""
    from gifqa.pipeline import GifQA

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits "ignored"

    def make(clip_cut):
        return GifQA("lite", clip_cut=clip_cut, encoder=ColourEmbedder(), answerer=StuckAnswerer())

    run_evaluation(EvaluationConfig.model_validate_json(settings), make_qa=make)


@pytest.fixture
def stop(tmp_path):
    """`stop(config, signal)`: begins the run in another process, and sends that the signal when it hangs."""

    def begin(config, number):
        here = Path(__file__).parent
        program = (
            f"import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here)!r}]; "
            "import test_stopped_runs; test_stopped_runs.run_stuck(sys.argv[1])"
        )
        words = [sys.executable, "-c", program, config.model_dump_json()]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            try:
                assert child.stdout.readline() == "stuck\n", child.stderr.read()
                child.send_signal(number)
                child.communicate(timeout=60)
            finally:
                child.kill()
        return child.returncode

    return begin


def results_of(config):
    results = json.loads((config.output / "results.json").read_text(encoding="utf-8"))
    return {name: value for name, value in results.items() if name != "stage_seconds"}


def test_a_killed_run_goes_on_with_the_next_question_and_gives_the_same_results(
    config, make_qa, fake_answerer, stop, tmp_path
):
    """Four answers are known, the fourth in a shard that is not whole; the kill leaves no time to tidy up."""
    whole, run = config(output=tmp_path / "whole", shard_size=3), config(shard_size=3)
    run_evaluation(whole, make_qa=make_qa)
    assert stop(run, signal.SIGKILL) == -signal.SIGKILL
    assert not (run.output / "predictions.jsonl").exists()
    assert [p.question.id for p in gather(run.output / "shards")] == [f"FRAMEQA{n}" for n in range(1, 5)]
    fake_answerer.calls.clear()
    run_evaluation(run, make_qa=make_qa)
    assert len(fake_answerer.calls) == 2
    assert results_of(run) == results_of(whole)
    assert list((run.output / "shards").rglob("*.partial")) == []


def test_ctrl_c_keeps_every_answer(config, make_qa, stop):
    run = config(shard_size=3)
    assert stop(run, signal.SIGINT) != 0
    lines = (run.output / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"FRAMEQA{n}" for n in range(1, 5)]
    assert run_evaluation(run, make_qa=make_qa).coverage.answered == 6


def test_a_stopped_run_is_compared_by_the_answers_that_it_has(config, make_qa, stop, tmp_path):
    run_evaluation(config(output=tmp_path / "floor", baseline="most-frequent", model=None, media=None))
    stop(config(shard_size=3), signal.SIGKILL)
    comparison = compare_runs(tmp_path / "floor", config().output)
    assert comparison.unfinished == (str(config().output),)
    assert (comparison.shared, comparison.only_first, comparison.only_second) == (4, 2, 0)
    assert comparison.second_score == 1.0
    backwards = compare_runs(config().output, tmp_path / "floor")
    assert (backwards.shared, backwards.only_first, backwards.only_second) == (4, 0, 2)


def test_a_run_without_an_answer_is_not_compared(config, make_qa, fake_answerer, tmp_path):
    run_evaluation(config(output=tmp_path / "whole"), make_qa=make_qa)
    fake_answerer.answer = interrupted
    with pytest.raises(KeyboardInterrupt):
        run_evaluation(config(), make_qa=make_qa)
    with pytest.raises(RecordError, match=r"is a run that has no answer yet.*Run its command again"):
        compare_runs(tmp_path / "whole", config().output)


def interrupted(*_, **__):
    raise KeyboardInterrupt


def test_an_answer_that_a_kill_cut_off_is_asked_for_again(config, make_qa, fake_answerer, stop):
    run = config(shard_size=6)
    stop(run, signal.SIGKILL)
    source = run.output / "shards" / "questions" / "00000.jsonl"
    text = journal_of(source).read_text(encoding="utf-8")
    journal_of(source).write_text(text[:-30], encoding="utf-8")
    assert len(read_journal(source)) == 3
    fake_answerer.calls.clear()
    assert run_evaluation(run, make_qa=make_qa).coverage.answered == 6
    assert len(fake_answerer.calls) == 3


def test_a_manifest_that_a_kill_cut_off_is_no_obstacle(config, make_qa):
    config().output.mkdir()
    (config().output / ".manifest.json.4242").write_text('{"run": ', encoding="utf-8")
    assert run_evaluation(config(), make_qa=make_qa).coverage.answered == 6
