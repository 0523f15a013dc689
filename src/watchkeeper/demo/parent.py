"""A child that ends when its parent does, however the parent ended, and even while its own loop hangs."""

import os
import threading


def end_with_parent() -> None:
    """Standard input is a pipe that only the parent holds: its end is the parent's end. Works on every Unix."""
    threading.Thread(target=_wait, name="end-with-parent", daemon=True).start()


def _wait() -> None:
    while os.read(0, 1024):
        pass
    os._exit(1)
