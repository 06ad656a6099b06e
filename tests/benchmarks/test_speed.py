"""The benchmark of time and memory; the model is a stand-in, the processes are real where they are cheap."""

import json
from argparse import Namespace

import pytest

from gifqa.errors import ConfigError
from gifqa.frames import decode_frames
from gifqa.media import load_media
from gifqa.pipeline import GifQA


@pytest.fixture
def speed(script):
    return script("speed")


@pytest.fixture
def worker(script):
    return script("speed_worker")


@pytest.fixture
def gif(worker, tmp_path):
    """A drawn GIF of twelve frames of 80x60."""
    worker.draw(tmp_path / "drawn.gif", worker.GifSize(12, 80, 60))
    return tmp_path / "drawn.gif"


def test_the_drawn_gif_has_frames_that_all_differ_and_none_is_merged(gif):
    from gifqa.retrieval.config import ClipCutConfig
    from gifqa.retrieval.grouping import find_groups

    frames = decode_frames(load_media(gif))

    assert frames.pixels.shape == (12, 60, 80, 3)
    assert len({frame.tobytes() for frame in frames.pixels}) == 12
    # Every group of three keeps its representative, and no cut makes a group smaller.
    assert len(find_groups(frames.pixels, ClipCutConfig(min_frames=1))) == 4


def test_the_seed_draws_another_gif(worker, gif, tmp_path):
    worker.draw(tmp_path / "same.gif", worker.GifSize(12, 80, 60))
    worker.draw(tmp_path / "other.gif", worker.GifSize(12, 80, 60), seed=1)

    assert (tmp_path / "same.gif").read_bytes() == gif.read_bytes()
    assert (tmp_path / "other.gif").read_bytes() != gif.read_bytes()


def test_both_ways_look_at_the_same_gif_and_are_counted(worker, gif, colour_embedder):
    found = worker.side_by_side(gif, "red", colour_embedder, num_runs=2)

    assert (found["original"]["frames_encoded"], found["original"]["encoder_calls"]) == (6, 6)
    assert 3 <= found["gifqa"]["frames_encoded"] <= 12 and found["gifqa"]["encoder_calls"] >= 1
    for way in found.values():
        assert len(way["seconds"]) == 2 and all(seconds > 0 for seconds in way["seconds"])
        assert len(way["keyframes"]) == 3


def test_the_original_finds_the_frame_that_is_asked_for(worker, make_gif, colour_embedder):
    path = make_gif(["green", "green", "blue", "blue", "red", "red"])

    assert worker.original_keyframes(path, "something red", colour_embedder)[0] == 4


def test_the_second_question_costs_no_second_decode(worker, make_gif, colour_embedder, fake_answerer):
    qa = GifQA(encoder=colour_embedder, answerer=fake_answerer)
    red, blue = make_gif(["red"], name="red.gif"), make_gif(["blue", "green"], name="blue.gif")

    result = worker.warm(qa, red, blue, ["What colour?", "Which colour?"])

    assert result["answers"] == ["red", "red"]
    assert "encode" in result["timings"][0]
    assert result["timings"][1].get("encode", 0.0) == 0.0
    assert [call["question"] for call in fake_answerer.calls] == [
        "What colour?",
        "What colour?",
        "Which colour?",
    ]


def test_peak_memory_is_that_of_this_process(worker):
    before = worker.peak_bytes()
    held = bytearray(before)  # beside what is held already, more than the most so far
    held[::1024] = b"x" * len(held[::1024])

    assert worker.peak_bytes() > before > 10 * 2**20


def test_a_process_is_timed_and_weighed(speed):
    finished = speed.run_python(
        "-c", "import os; print(os.environ['GIFQA_CACHE_DIR']); held = bytearray(10**8)"
    )

    assert finished.seconds > 0 and finished.peak_bytes > 10**8
    assert finished.stdout.strip()


def test_a_process_that_fails_tells_why(speed):
    with pytest.raises(ConfigError, match=r"exit code 3: it broke. Run it by itself"):
        speed.run_python("-c", "import sys; print('it broke', file=sys.stderr); sys.exit(3)")


def test_the_start_is_measured_in_real_processes(run_script, tmp_path):
    out = tmp_path / "out.json"

    shown = run_script("speed", "--only", "start", "--runs", 1, "--json", out)
    measures = {measure["name"]: measure for measure in json.loads(out.read_text())["measures"]}

    assert set(measures) == {"import gifqa", "gifqa --help"}
    assert 0 < measures["import gifqa"]["median"] < measures["gifqa --help"]["median"]
    assert "median of 1 run" in shown


class Processes:
    """Stands for `run_python`: remembers the command lines and answers as the real processes do."""

    def __init__(self, speed):
        self.finished, self.calls = speed.Finished, []

    def __call__(self, *words):
        self.calls.append([str(word) for word in words])
        ways = {
            name: {"seconds": [seconds, seconds]} for name, seconds in (("original", 2.0), ("gifqa", 0.4))
        }
        answers = {
            "ask": {"answer": "a cat"},
            "draw": {"peak_bytes": 1},
            "warm": {"first_seconds": 1.0, "second_seconds": 0.25, "peak_bytes": 500 * 10**6},
            "side-by-side": ways,
        }
        name = next(word for word in self.calls[-1] if word in answers)
        return self.finished(2.5, 600 * 10**6, json.dumps(answers[name]))


def test_every_part_is_measured_and_held_against_its_target(speed, run_script, tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "run_python", processes := Processes(speed))
    out = tmp_path / "out.json"

    run_script("speed", "--only", "cold", "warm", "original", "--runs", 2, "--json", out)
    report = json.loads(out.read_text())

    assert {target["name"]: target["measured"] for target in report["targets"]} == {
        "cold process to answer": 2.5,
        "cold process, peak memory": 600.0,
        "warm, first question": 1.0,
        "warm, second question about the same GIF": 0.25,
        "warm process, peak memory": 500.0,
        "times as fast as the original's way": pytest.approx(5.0),
    }
    assert all(target["is_met"] for target in report["targets"])
    asked = [call for call in processes.calls if "ask" in call]
    assert len(asked) == 2 and all(call[:3] == ["-m", "gifqa", "ask"] for call in asked)
    assert sum("draw" in call for call in processes.calls) == 2


def test_a_gif_of_the_user_is_not_drawn(speed, monkeypatch, run_script, gif):
    monkeypatch.setattr(speed, "run_python", processes := Processes(speed))

    run_script("speed", "--only", "cold", "--runs", 1, "--gif", gif)

    (asked,) = [call for call in processes.calls if "ask" in call]
    assert asked[3] == str(gif)
    assert sum("draw" in call for call in processes.calls) == 1  # the GIF to warm up with


def test_the_table_shows_the_median_and_the_range(speed):
    measure = speed.Measure("import", "ms", values=[3.0, 9.0, 4.0])

    assert speed.table([measure], 3).rows == (("import", "4 ms", "3 to 9"),)


def test_no_runs_are_refused(speed, run_script, capsys):
    with pytest.raises(SystemExit):
        run_script("speed", "--runs", 0)
    assert "'0' is not a number of runs; give 1 or more" in capsys.readouterr().err


def test_the_worker_prints_one_object(worker, gif, tmp_path, monkeypatch, capsys):
    out = tmp_path / "new.gif"
    words = Namespace(
        argv=["speed_worker.py", "draw", str(out), "--frames", "3", "--width", "40", "--height", "30"]
    )
    monkeypatch.setattr("sys.argv", words.argv)

    worker.main()

    assert json.loads(capsys.readouterr().out)["peak_bytes"] > 0
    assert len(decode_frames(load_media(out))) == 3
