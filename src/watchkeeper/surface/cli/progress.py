"""A sign of life for what takes longer than two seconds: one line on stderr, only in a terminal."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

AFTER_S: Final = 2.0
EVERY_S: Final = 0.5


@contextmanager
def progress(sentence: Callable[[], str]) -> Iterator[None]:
    """Says `sentence()` while the block runs, once it has run for AFTER_S."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    began = time.monotonic()

    def work() -> None:
        if done.wait(AFTER_S):
            return
        while True:
            sys.stderr.write(f"\r\x1b[K{sentence()}, {time.monotonic() - began:.0f} s")
            sys.stderr.flush()
            if done.wait(EVERY_S):
                sys.stderr.write("\r\x1b[K")
                sys.stderr.flush()
                return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
