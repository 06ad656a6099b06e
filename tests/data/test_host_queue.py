import pytest

from gifqa.data import host_queue
from gifqa.data.host_queue import MAX_FAILURES, HostQueue


def urls(host, count):
    return [f"https://{host}/{number}.gif" for number in range(count)]


def drain(hosts):
    found = []
    while (job := hosts.take()) is not None:
        found.append(job.url)
    return found


def test_each_url_is_handed_out_once_and_hosts_take_turns():
    hosts = HostQueue([*urls("a.example", 3), *urls("b.example", 3)], 1000, 1)
    taken = drain(hosts)

    assert sorted(taken) == [*urls("a.example", 3), *urls("b.example", 3)]
    assert {url.split("/")[2] for url in taken[:2]} == {"a.example", "b.example"}


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(host_queue, "FIRST_WAIT_SECONDS", 0.001)


@pytest.mark.usefixtures("at_once")
def test_a_url_that_fails_is_handed_out_again_up_to_the_limit():
    hosts = HostQueue(urls("a.example", 1), 1000, 3)

    for _ in range(2):
        assert hosts.fail(hosts.take(), None) == []
    job = hosts.take()
    assert hosts.fail(job, None) == [job]
    assert hosts.take() is None


@pytest.mark.usefixtures("at_once")
def test_a_host_that_fails_in_a_row_is_given_up_and_one_that_answers_is_not():
    hosts = HostQueue(urls("a.example", 3 * MAX_FAILURES), 1000, 1)
    for _ in range(MAX_FAILURES - 1):
        assert len(hosts.fail(hosts.take(), None)) == 1
    hosts.succeed(hosts.take())
    for _ in range(MAX_FAILURES - 1):
        assert len(hosts.fail(hosts.take(), None)) == 1
    left = hosts.fail(hosts.take(), None)

    assert len(left) == MAX_FAILURES + 1
    assert hosts.take() is None


def test_a_host_that_asks_for_hours_is_given_up():
    hosts = HostQueue([*urls("a.example", 5), *urls("b.example", 1)], 1000, 4)
    job = next(job for job in iter(hosts.take, None) if job.host == "a.example")

    assert len(hosts.fail(job, 3600.0)) == 5
    assert all("b.example" in url for url in drain(hosts))


def test_a_queue_that_is_stopped_hands_out_nothing():
    hosts = HostQueue(urls("a.example", 5), 1000, 1)
    hosts.stop()

    assert hosts.take() is None


def test_what_is_no_url_has_a_line_of_its_own():
    """The policy refuses it when its turn comes."""
    assert sorted(drain(HostQueue(["cat.gif", "http://[::1"], 1000, 1))) == ["cat.gif", "http://[::1"]
