"""A process that is ready at once: each line on stdin is one work, done in a process of its own that may be killed.

`nth`: it ends itself with SIGKILL at that change of a file; `after_us`: this process kills it so much later.
"""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

from nth import install

from watchkeeper import bootstrap


def _work(asked: dict) -> None:
    match asked["do"]:
        case "restore":
            source, home = Path(asked["source"]), Path(asked["home"])
            asyncio.run(bootstrap.restore(home, source, by="local:alice", reason="tested"))
        case "start":
            asyncio.run(_start(Path(asked["home"])))
        case "backup":
            body = Path(asked["source"]).read_bytes()
            bootstrap.keep_backup(Path(asked["target"]), lambda file: file.write(body))


async def _start(home: Path) -> None:
    node = await bootstrap.open_node(home)
    await node.close()


def _child(asked: dict, writing: int) -> None:
    code = 1
    try:
        install(asked["root"], asked.get("nth", 0), heard=lambda _: os.write(writing, b"."))
        _work(asked)
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        reading, writing = os.pipe()
        began = time.monotonic_ns()
        child = os.fork()
        if child == 0:
            _child(asked, writing)
        os.close(writing)
        if "after_us" in asked:
            time.sleep(asked["after_us"] / 1e6)  # the moment is the point
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        took_us = (time.monotonic_ns() - began) // 1000
        with os.fdopen(reading, "rb") as file:
            changes = len(file.read())
        sys.stdout.write(json.dumps({"status": status, "changes": changes, "took_us": took_us}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
