import os
import signal
import threading

import pytest

from keypoints.stopping import Stopped, stop_of, stoppable


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (signal.SIGINT, "stopped by Ctrl-C"),
        (signal.SIGTERM, "stopped by SIGTERM"),
        (signal.SIGHUP, "stopped by SIGHUP"),
    ],
)
def test_a_signal_stops_the_block_and_is_named(number, says):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as raised, stoppable():
        os.kill(os.getpid(), number)
    assert (str(stop_of(raised.value)), stop_of(raised.value).number) == (says, number)
    assert signal.getsignal(number) == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_pythons_own_interrupt_counts_as_ctrl_c():
    assert stop_of(KeyboardInterrupt()).number == signal.SIGINT
    stopped = Stopped(signal.SIGTERM)
    assert stop_of(stopped) is stopped


def test_other_threads_install_no_handlers():
    found = []

    def work():
        with stoppable():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
