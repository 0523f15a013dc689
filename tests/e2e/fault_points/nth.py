"""Ends this process with SIGKILL at the n-th change that Python makes to files under a folder; nothing of this is in the
product. What SQLite writes passes by: for that whoever kills takes a moment instead.
"""

import os
import signal
import sys

CHANGES = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}


def install(root: str, number: int, after: str = "", heard=None) -> None:
    """The n-th after the first one whose path has `after` in it. `heard` is told how many there were, each time."""
    counted, begun = 0, not after

    def hook(event: str, args: tuple) -> None:
        nonlocal counted, begun
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in CHANGES:
            return
        said = " ".join(os.fsdecode(each) for each in args if isinstance(each, (str, bytes, os.PathLike)))
        if root not in said and said.startswith("/"):
            return
        if not begun:
            begun = after in said
            return
        counted += 1
        if heard is not None:
            heard(counted)
        if counted == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
