import signal
import threading

import pytest

from gifqa.training.loop.interrupt import Interrupt


def test_the_first_ctrl_c_is_noted_and_the_second_stops():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt(is_alone=True) as interrupt:
        assert not interrupt.is_set
        signal.raise_signal(signal.SIGINT)
        assert interrupt.is_set
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    assert signal.getsignal(signal.SIGINT) is before


def test_of_several_processes_none_stops_alone():
    with Interrupt(is_alone=False) as interrupt:
        for _ in range(3):
            signal.raise_signal(signal.SIGINT)

    assert interrupt.is_set


def test_in_a_thread_the_signal_is_left_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupt(is_alone=True):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert seen == [before]
