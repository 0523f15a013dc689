"""How much work a call is, said without a clock: machines are noisy, and a test that times them is too."""

import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager

ENDS_WITHIN_S = 20.0  # CPU, not wall: the linear way takes a hundredth of it, the quadratic way many times more


def lines_run(call: Callable[[], object]) -> int:
    """Lines of Python that the call runs: the same on any machine, on any day."""
    count = 0

    def trace(_frame, event, _argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@contextmanager
def ends(within_s: float = ENDS_WITHIN_S):
    """Stops what uses more CPU than that. For work inside C, where no lines are counted (the regular expression
    engine looks for signals as it goes).
    """

    def stop(_number, _frame):
        raise AssertionError(f"still at work after {within_s:g} s of CPU")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, within_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
