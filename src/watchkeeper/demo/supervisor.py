"""Keeps the services of the demo: starts, stops and restarts them as its children, asked over HTTP on loopback.

    python -m watchkeeper.demo.supervisor --port 9000 --services '[{"name": .., "port": .., "needs": ..}]'

| request                                  | answer                                                               |
|------------------------------------------|----------------------------------------------------------------------|
| GET /services                            | {"services": [..]}                                                   |
| GET /services/UNIT                       | {unit, state: running|stopped|crashed|hung, pid, started_at, starts} |
| POST /services/UNIT/start|stop|restart   | the same, after it was done; a repeated `Idempotency-Key` does nothing |
| POST /services/UNIT/release              | {how}: from now on every start comes up broken so (`none`: well)     |
| GET /effects                             | what it was asked to do, by whom, and how often a key was repeated   |

It never starts a crashed service by itself: deciding that is somebody else's work here. `watchkeeper.adapters.services`
has the client. When it ends, its children have ended.
"""

import argparse
import asyncio
import json
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from watchkeeper.demo.loopback import HOST, Answer, Asked, answer, call, problem, serve
from watchkeeper.demo.parent import end_with_parent

UP_WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.01
TERM_WITHIN_S: Final = 0.3  # a hung one does not hear SIGTERM
HUNG_AFTER_S: Final = 0.3


class Spec(NamedTuple):
    name: str
    port: int
    needs: str = ""


class Unit:
    """One service and its process. One change at a time."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.process: asyncio.subprocess.Process | None = None
        self.started_at = ""
        self.starts = 0
        self.stopped = True
        self.broken = "none"
        self.turn = asyncio.Lock()
        self.answered: dict[tuple[str, str], Answer] = {}

    async def shown(self) -> dict[str, Any]:
        running = self.process is not None and self.process.returncode is None
        state = "stopped" if self.stopped else "crashed"
        if running:
            state = "running" if await self._answers() else "hung"
        pid = self.process.pid if running and self.process is not None else None
        return {
            "unit": self.spec.name,
            "state": state,
            "pid": pid,
            "started_at": self.started_at or None,
            "starts": self.starts,
        }

    async def start(self) -> str:
        """Until it takes connections; "" or why it did not come up."""
        if self.process is not None and self.process.returncode is None:
            return ""
        argv = [sys.executable, "-m", "watchkeeper.demo.service", "--name", self.spec.name]
        argv += ["--port", str(self.spec.port), "--needs", self.spec.needs, "--broken", self.broken]
        self.started_at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        self.process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE)
        self.starts += 1
        self.stopped = False
        try:
            async with asyncio.timeout(UP_WITHIN_S):
                while not await self._connects():
                    if self.process.returncode is not None:
                        return f"{self.spec.name} ended with {self.process.returncode} while it started"
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            return f"{self.spec.name} takes no connections after {UP_WITHIN_S:.0f} s"
        return ""

    async def stop(self) -> None:
        """Until it is seen ended: first asked, then killed."""
        self.stopped = True
        if self.process is None or self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(TERM_WITHIN_S):
                await self.process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()

    async def _connects(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.spec.port)
        except OSError:
            return False
        writer.close()
        return True

    async def _answers(self) -> bool:
        try:
            await call("GET", f"http://{HOST}:{self.spec.port}/healthz", timeout_s=HUNG_AFTER_S)
        except TimeoutError:
            return False
        except OSError:
            return True  # refused or reset is a matter of moments: it starts or ends
        return True


class Supervisor:
    def __init__(self, specs: list[Spec]) -> None:
        self.units = {spec.name: Unit(spec) for spec in specs}
        self.effects: list[dict[str, Any]] = []
        self.repeated: dict[str, int] = {}

    async def __call__(self, asked: Asked) -> Answer:
        parts = asked.path.strip("/").split("/")
        if asked.path == "/effects":
            return answer(200, effects=self.effects, repeated=self.repeated)
        if parts == ["services"]:
            return answer(200, services=[await unit.shown() for unit in self.units.values()])
        unit = self.units.get(parts[1]) if parts[0] == "services" and len(parts) > 1 else None
        if unit is None:
            return problem(404, f"no unit {parts[-1]!r}; there are {', '.join(self.units)}")
        match asked.method, parts[2:]:
            case "GET", []:
                return answer(200, **await unit.shown())
            case "POST", ["release"]:
                unit.broken = str(asked.json().get("how", "none"))
                return answer(200, unit=unit.spec.name, how=unit.broken)
            case "POST", ["start" | "stop" | "restart" as verb]:
                async with unit.turn:
                    return await self._change(unit, verb, asked)
            case _:
                return problem(404, f"{asked.method} {asked.path} is nothing here")

    async def _change(self, unit: Unit, verb: str, asked: Asked) -> Answer:
        key = asked.headers.get("idempotency-key", "")
        if key and (verb, key) in unit.answered:
            self.repeated[key] = self.repeated.get(key, 0) + 1
            return unit.answered[verb, key]
        names = {"actor": "watchkeeper-actor", "run": "watchkeeper-run", "fence": "watchkeeper-fence"}
        seen = {word: asked.headers.get(header, "") for word, header in names.items()}
        self.effects.append({"unit": unit.spec.name, "asked": verb, "key": key, **seen})
        if verb != "start":
            await unit.stop()
        why = await unit.start() if verb != "stop" else ""
        done = problem(500, why) if why else answer(200, **await unit.shown())
        if key:
            unit.answered[verb, key] = done
        return done


async def main() -> None:
    parser = argparse.ArgumentParser(prog="watchkeeper.demo.supervisor")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--services", required=True, metavar="JSON")
    given = parser.parse_args()
    end_with_parent()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    supervisor = Supervisor([Spec(**one) for one in json.loads(given.services)])
    for why in await asyncio.gather(*(unit.start() for unit in supervisor.units.values())):
        if why:
            print(why, file=sys.stderr)
    server = await serve(supervisor, given.port)
    await over.wait()
    server.close()
    await asyncio.gather(*(unit.stop() for unit in supervisor.units.values()))


if __name__ == "__main__":
    asyncio.run(main())
