"""A yes from the terminal."""

import sys


def sure(question: str) -> bool:
    """Asks y/N on the terminal; anything but yes is no."""
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
