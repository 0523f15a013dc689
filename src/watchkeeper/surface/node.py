"""The worker: opens the home's store, starts the engine, serves, and ends when its work can no longer be trusted.

The supervisor starts it (`wk up`) and starts it again when it ends with 4; 0 and 2 are final, and 3 until one was ready.
stdout carries one line, when hooks are accepted; everything else goes to the log on stderr.
"""

import argparse
import asyncio
import contextlib
import errno
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import structlog

from watchkeeper import bootstrap
from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No
from watchkeeper.engine.engine import Engine
from watchkeeper.errors import Rejected, Unavailable, Untrusted
from watchkeeper.home.settings import Settings
from watchkeeper.surface.garbage import Garbage
from watchkeeper.surface.listen import refusal, shown

FILES_WANTED: Final = 8_192
FAILED: Final = 4
CANNOT: Final = 3
USAGE: Final = 2
LOOK_S: Final = 0.2  # how soon a task of the engine that failed ends this process
SAVED_LOOK_S: Final = 0.5
SAVED: Final = Actor(name="watchkeeper", human=False, channel="engine")

log = structlog.get_logger("watchkeeper.node")


class Refused(Exception):
    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def main(line: Sequence[str] | None = None) -> int:
    given = _arguments(line)
    _logging()
    os.umask(0o077)
    more_files()
    try:
        import uvloop
    except ImportError:  # a platform without it; the loop of the standard library does the same, slower
        return asyncio.run(_life(given))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_life(given))


def more_files() -> int:
    """As many open files as the connections and effects of a node may need, where the system lets us; how many it is now.
    Many systems begin with 1,024, and then a new connection is not even told to come later.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def _life(given: argparse.Namespace) -> int:
    try:
        return await _work(given)
    except Refused as refused:
        _say(str(refused))
        return refused.code
    except (Rejected, Unavailable, Untrusted) as cannot:
        _say(str(cannot))
        return CANNOT


async def _work(given: argparse.Namespace) -> int:
    home = given.home
    try:
        node = await bootstrap.open_node(home)
    except OSError as failed:
        raise _unreadable(failed) from failed
    try:
        engine = node.engine
        settings = engine.world.configuration.settings
        host, port = _listens(given, settings)
        for problem in node.problems:
            log.warning("home", problem=str(problem))
        if node.interrupted:
            log.warning("store", what=node.interrupted)
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        await engine.start()
        garbage = Garbage(lambda: _idle(engine))
        garbage.settle()
        try:
            await _token(engine, home)
        except OSError as failed:
            raise _unreadable(failed) from failed
        log.info("newest checkpoint of the ledger", checkpoint=engine.sequencer.checkpoint)
        collecting = asyncio.create_task(garbage.work(), name="garbage")
        try:
            return await _serve(engine, settings, home, host, port, ending, dev=given.dev)
        finally:
            collecting.cancel()
    finally:
        await node.close()


def _idle(engine: Engine) -> bool:
    return not engine.intake.pending and not engine.runner.live and not engine.pipeline.in_line


def _unreadable(failed: OSError) -> Refused:
    """Starting again does not mend a file: the supervisor must not try."""
    return Refused(CANNOT, f"{failed.filename or 'the home'}: {failed.strerror or failed}; mend that and start again")


def _listens(given: argparse.Namespace, settings: Settings) -> tuple[str, int]:
    """Host and port, when the node may listen there. Raises Refused."""
    host = given.host or settings.server.host
    port = settings.server.port if given.port is None else given.port
    why = refusal(host, settings.server, insecure=given.insecure)
    if why:
        raise Refused(USAGE, why)
    production = sorted(name for name, each in settings.environments.items() if each.production)
    if given.dev and production:
        raise Refused(
            USAGE,
            f"--dev makes every save active, and environment {production[0]} is production: use 'wk plan' and 'wk apply'",
        )
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as unknown:
        raise Refused(USAGE, f"host {host}: {unknown.strerror}; give an address of this machine") from unknown
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as taken:
            if taken.errno == errno.EADDRINUSE:
                raise Refused(
                    CANNOT, f"port {port} on {host} is in use: stop what listens there, or give another --port"
                ) from taken
            raise Refused(CANNOT, f"cannot listen on {host}:{port}: {taken.strerror}") from taken
        return host, probe.getsockname()[1]


async def _serve(
    engine: Engine, settings: Settings, home: Path, host: str, port: int, ending: asyncio.Event, *, dev: bool
) -> int:
    """Until it is asked to end, or until the engine or the server fails. Requests under way end first."""
    from watchkeeper.surface.api.serve import serve
    from watchkeeper.surface.console import Pages

    def ready(host: str, port: int) -> None:
        where = shown(host, port, tls=bool(settings.server.certificate))
        sys.stdout.write(f"watchkeeper ready on {where}\n")
        sys.stdout.flush()
        log.info("ready", home=str(home), url=where)
        engine.lease.ready()

    stopping = asyncio.Event()
    server = asyncio.create_task(
        serve(engine, settings, home, host, port, console=Pages, ready=ready, stopping=stopping), name="server"
    )
    asked = asyncio.create_task(ending.wait(), name="asked")
    failed = asyncio.create_task(_failed(engine), name="failed")
    watched = [server, asked, failed, *([asyncio.create_task(_reapply(engine), name="dev")] if dev else [])]
    try:
        await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            log.info("stopping", why="asked to")
            stopping.set()
            await server
            return 0
        if failed.done():
            log.error("the engine failed; the process ends and is started again", why=engine.failed)
            return FAILED
        if server.done():
            await server
            log.error("the server ended without a word")
            return FAILED
        log.error("the folder is no longer watched", exc_info=watched[-1].exception())
        return FAILED
    finally:
        for task in watched:
            task.cancel()
        await asyncio.gather(*watched, return_exceptions=True)


async def _failed(engine: Engine) -> None:
    while not engine.failed:  # noqa: ASYNC110  the engine says it in a word that a page may read too
        await asyncio.sleep(LOOK_S)


async def _token(engine: Engine, home: Path) -> None:
    """A fresh bootstrap token, when this node has nobody yet: 24 hours to make the first identity."""
    path = bootstrap.state_of(home) / "token"
    kept = ""
    with contextlib.suppress(FileNotFoundError):
        kept = path.read_text(encoding="ascii", errors="replace").strip()
    text = await engine.identities.bootstrap(kept)
    if text is None:
        return
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
    log.info("nobody is known to this node yet: become its first admin with 'wk identity add --me'", token=str(path))


async def _reapply(engine: Engine) -> None:
    """`--dev`: what is saved becomes active. A folder with errors changes nothing, and says so once."""
    said = ""
    while True:
        await asyncio.sleep(SAVED_LOOK_S)
        differing = await asyncio.to_thread(engine.changes.differing)
        if not differing:
            said = ""
            continue
        planned = await asyncio.to_thread(engine.changes.plan)
        problems = [str(problem) for problem in planned.problems]
        if planned.digest:
            done = await engine.changes.apply(SAVED, planned.digest, f"saved: {', '.join(differing[:3])}")
            problems = [done.detail] if isinstance(done, No) else []
            if not problems:
                log.info("applied", files=list(differing), digest=planned.digest[:12])
        text = "\n".join(problems)
        if text and text != said:
            log.warning("not applied", problems=problems)
        said = text


def _arguments(line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="watchkeeper-node", description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--host", default="")
    parser.add_argument("--dev", action="store_true")
    parser.add_argument("--insecure", action="store_true")
    return parser.parse_args(line)


def _logging() -> None:
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=True) if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _say(sentence: str) -> None:
    sys.stderr.write(f"wk: {sentence}\n")
    sys.stderr.flush()


def run() -> NoReturn:
    sys.exit(main())


if __name__ == "__main__":
    run()
