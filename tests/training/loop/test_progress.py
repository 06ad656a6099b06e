import io
import logging

import pytest

pytest.importorskip("torch")

from gifqa.training.loop import progress
from gifqa.training.loop.progress import NoBar, Pace, progress_bar


@pytest.fixture
def clock(monkeypatch):
    """`clock[0]` is the time in seconds."""
    time = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_rates_count_steps_alone_and_the_time_left_counts_all(clock):
    pace = Pace(step=10)
    for _ in range(2):
        pace.count(3.0, samples=12, tokens=60)
    clock[0] += 10  # the steps' 6 seconds and a validation
    timings = pace.timings(step=12, steps=24, counted=pace.counted)

    assert timings == {
        "seconds_per_step": 3.0, "samples_per_second": 4.0, "tokens_per_second": 20.0, "minutes_left": 1.0
    }  # fmt: skip


def test_each_line_begins_anew_and_a_stage_that_counts_nothing_has_no_rates(clock):
    pace = Pace(step=0)
    pace.count(100.0, samples=1, tokens=0)
    pace.timings(1, 2, pace.counted)
    pace.count(2.0, samples=0, tokens=0)
    clock[0] += 60

    assert pace.timings(2, 2, pace.counted) == {"seconds_per_step": 2.0, "minutes_left": 0.0}


def test_log_lines_stand_above_the_bar_and_go_where_they_went_afterwards(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    handler = logging.StreamHandler(terminal)
    logging.getLogger().addHandler(handler)
    try:
        with progress_bar("language", 2, 10, wanted=True) as bar:
            bar.show(5, "loss 0.5")
            logging.getLogger().warning("a line")
            assert handler.stream is not terminal
        assert handler.stream is terminal
    finally:
        logging.getLogger().removeHandler(handler)

    assert "a line\n" in terminal.getvalue()
    assert "5/10" in terminal.getvalue()


@pytest.mark.parametrize("wanted", [True, False])
def test_there_is_no_bar_where_there_is_no_terminal(monkeypatch, wanted):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with progress_bar("language", 0, 10, wanted=wanted) as bar:
        bar.show(1, "")

    assert isinstance(bar, NoBar)
