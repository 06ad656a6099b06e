import pytest

torch = pytest.importorskip("torch")

from gifqa.training.loop.schedule import RunningMean, cosine_rate  # noqa: E402


def test_rate_warms_up_to_one_and_falls_to_the_lowest():
    rate = cosine_rate(warmup_steps=4, steps=20, lowest=0.1)

    assert [rate(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert rate(4) == pytest.approx(1.0)
    assert rate(12) == pytest.approx(0.1 + 0.9 / 2)
    assert rate(20) == rate(50) == pytest.approx(0.1)
    assert all(rate(step) >= rate(step + 1) for step in range(4, 20))


def test_running_mean_copies_what_it_starts_from():
    weight = torch.zeros(2)
    mean = RunningMean({"weight": weight}, 0.9, delay=1)
    weight += 1

    assert mean.values["weight"].tolist() == [0, 0]


def test_running_mean_is_quick_at_first_and_slow_later():
    mean = RunningMean({"weight": torch.zeros(1)}, 0.9, delay=1)
    mean.update({"weight": torch.ones(1)}, 1)
    assert mean.values["weight"].item() == pytest.approx(0.5)  # decay 1 / (1 + 1)

    mean.update({"weight": torch.zeros(1)}, 1000)
    assert mean.values["weight"].item() == pytest.approx(0.45)  # decay 0.9
