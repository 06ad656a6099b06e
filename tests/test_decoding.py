import pytest

from gifqa.decoding import times_from_delays


def test_times_are_where_the_delays_before_end():
    pts_seconds, duration_seconds = times_from_delays([50, 200, 30])
    assert pts_seconds.tolist() == [0, 0.05, 0.25]
    assert duration_seconds == pytest.approx(0.28)


@pytest.mark.parametrize("delay_ms", [0, 1, 10])
def test_delays_too_short_to_be_meant_are_a_tenth_of_a_second(delay_ms):
    pts_seconds, duration_seconds = times_from_delays([delay_ms, 11])
    assert pts_seconds.tolist() == [0, 0.1]
    assert duration_seconds == pytest.approx(0.111)
