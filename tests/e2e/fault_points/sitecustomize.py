"""Stands before the worker by PYTHONPATH and ends the node at a named moment; nothing of this is in the product.

`WATCHKEEPER_KILL_AT` names a file that holds `EVENT:PATH:before` or `EVENT:PATH:after`: at the commit that holds it,
before it is given to the store or as soon as it is durable. The file is read at every commit, so a node that runs can
be armed; it is removed as it strikes, so that it strikes once. EVENT is the tag of a journal event (`intended`, `done`,
..), or `accepted` (a delivery), `taken` (taken apart), `put` with a document's kind as PATH.

What ends is the supervisor first, which could otherwise start a worker, and then this process: both with SIGKILL.
"""

import os
import signal
import sys
from pathlib import Path

WORKER = "watchkeeper.surface.node"


def install(path: Path) -> None:
    import json

    from watchkeeper.adapters.sqlite import SqliteStore
    from watchkeeper.ports import Committed

    kept = SqliteStore.commit

    def armed():
        try:
            text = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        event, where, moment = text.split(":")
        return event, where, moment

    def names(commit):
        for append in commit.appends:
            event = json.loads(append.body)
            yield event["event"], event.get("path", "")
        for put in commit.puts:
            yield "put", put.kind
        if commit.accepts:
            yield "accepted", ""
        if commit.taken:
            yield "taken", ""

    def end():
        path.unlink()
        supervisor = os.environ.get("WATCHKEEPER_SUPERVISOR", "")
        if supervisor:
            os.kill(int(supervisor), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    async def commit(self, wanted):
        point = armed()
        hit = point is not None and point[:2] in set(names(wanted))
        if hit and point[2] == "before":
            end()
        answer = await kept(self, wanted)
        if hit and isinstance(answer, Committed):
            end()
        return answer

    SqliteStore.commit = commit


if "WATCHKEEPER_KILL_AT" in os.environ and WORKER in sys.orig_argv:
    install(Path(os.environ["WATCHKEEPER_KILL_AT"]))

if "WATCHKEEPER_KILL_NTH" in os.environ:
    from nth import install as install_nth

    _root, _after, _number = os.environ["WATCHKEEPER_KILL_NTH"].split("|")
    install_nth(_root, int(_number), _after)
