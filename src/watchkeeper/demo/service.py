"""One service of the demo: a real process that answers HTTP, and that can be broken in the ways services break.

    python -m watchkeeper.demo.service --name payments-api-1 --port 9001 [--needs URL] [--broken HOW]

| request             | answer                                                                                   |
|---------------------|------------------------------------------------------------------------------------------|
| GET /healthz        | 200 when it is well and what it needs is well, else 503 with the reason                  |
| GET /work           | 200, or 503 while it is drained or unwell                                                |
| POST /drain         | no more work (bearer token); `Idempotency-Key` honoured: a repeated key does nothing     |
| POST /undrain       | work again (bearer token, key as above)                                                  |
| GET /effects        | what it was asked to change, by whom, and how often a key was repeated                   |
| POST /break         | {how, for_ms?, slow_ms?, period_ms?}: see `How`                                          |

Standard library only. The token stands in the environment variable SHOP_ADMIN_TOKEN; without one nobody is let in.
"""

import argparse
import asyncio
import hmac
import os
import time
from enum import StrEnum
from typing import Any, Final

from watchkeeper.demo.loopback import Answer, Asked, answer, call, problem, serve
from watchkeeper.demo.parent import end_with_parent

TOKEN: Final = "SHOP_ADMIN_TOKEN"  # noqa: S105  the name of a variable
NEED_TIMEOUT_S: Final = 0.15
SLOW_MS: Final = 400
PERIOD_MS: Final = 1_000
EFFECTS_KEPT_MAX: Final = 1_000
ANSWERED_FIRST_S: Final = 0.02  # so that whoever breaks it gets an answer


class How(StrEnum):
    """The ways to break. `sick`: it runs, answers, and says that it is not well."""

    NONE = "none"
    CRASH = "crash"
    HANG = "hang"
    SLOW = "slow"
    SICK = "sick"
    FLAP = "flap"


class Service:
    def __init__(self, name: str, needs: str, how: How) -> None:
        self.name, self.needs, self.how = name, needs, how
        self.drained = False
        self.slow_ms, self.period_ms = SLOW_MS, PERIOD_MS
        self.broken_s = self.since_s = time.monotonic()
        self.effects: list[dict[str, Any]] = []
        self.answered: dict[str, Answer] = {}
        self.repeated: dict[str, int] = {}

    async def __call__(self, asked: Asked) -> Answer:
        match asked.method, asked.path:
            case "GET", "/healthz":
                why = await self._unwell()
                return answer(503 if why else 200, service=self.name, healthy=not why, why=why, drained=self.drained)
            case "GET", "/work":
                why = "drained" if self.drained else await self._unwell()
                return problem(503, why) if why else answer(200, service=self.name, done=True)
            case "POST", ("/drain" | "/undrain"):
                return self._change(asked)
            case "GET", "/effects":
                return answer(200, service=self.name, effects=self.effects, repeated=self.repeated)
            case "POST", "/break":
                return self._break(asked.json())
            case _:
                return problem(404, f"{asked.method} {asked.path} is nothing here")

    async def _unwell(self) -> str:
        """Why it is not well; "" when it is. A slow one takes its time to say so."""
        match self.how:
            case How.SLOW:
                await asyncio.sleep(self.slow_ms / 1000)
            case How.SICK:
                return "every worker is stuck on a lock"
            case How.FLAP if int((time.monotonic() - self.broken_s) * 1000 / self.period_ms) % 2 == 0:
                return "connection pool exhausted"
            case _:
                pass
        if not self.needs:
            return ""
        try:
            found = await call("GET", self.needs, timeout_s=NEED_TIMEOUT_S)
        except OSError as gone:
            return f"what it needs does not answer ({type(gone).__name__})"
        return "" if found.status == 200 else f"what it needs answers {found.status}"

    def _change(self, asked: Asked) -> Answer:
        secret = os.environ.get(TOKEN, "")
        if not secret or not hmac.compare_digest(asked.headers.get("authorization", ""), f"Bearer {secret}"):
            return problem(401, f"{self.name}: the bearer token is missing or wrong")
        key = asked.headers.get("idempotency-key", "")
        if key in self.answered:
            self.repeated[key] = self.repeated.get(key, 0) + 1
            return self.answered[key]
        self.drained = asked.path == "/drain"
        names = {"actor": "watchkeeper-actor", "run": "watchkeeper-run", "fence": "watchkeeper-fence"}
        seen = {word: asked.headers.get(header, "") for word, header in names.items()}
        self.effects = [*self.effects, {"asked": asked.path, "key": key, **seen}][-EFFECTS_KEPT_MAX:]
        done = answer(200, service=self.name, drained=self.drained)
        if key:
            self.answered[key] = done
        return done

    def _break(self, wanted: dict[str, Any]) -> Answer:
        try:
            how = How(wanted.get("how", ""))
        except ValueError:
            return problem(400, f"how: expected one of {', '.join(How)}")
        self.slow_ms = int(wanted.get("slow_ms", SLOW_MS))
        self.period_ms = max(1, int(wanted.get("period_ms", PERIOD_MS)))
        for_ms = wanted.get("for_ms")
        loop = asyncio.get_running_loop()
        match how:
            case How.CRASH:
                loop.call_later(ANSWERED_FIRST_S, os._exit, 1)
            case How.HANG:
                # The loop itself stands still: connections are taken by the kernel and never answered.
                loop.call_later(ANSWERED_FIRST_S, time.sleep, for_ms / 1000 if for_ms else 86_400)
            case _:
                self.how, self.broken_s = how, time.monotonic()
                if for_ms:
                    loop.call_later(for_ms / 1000, self._heal, self.broken_s)
        return answer(200, service=self.name, how=how.value)

    def _heal(self, broken_s: float) -> None:
        if self.broken_s == broken_s:
            self.how = How.NONE


async def main() -> None:
    parser = argparse.ArgumentParser(prog="watchkeeper.demo.service")
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--needs", default="", metavar="URL", help="the health address of what it depends on")
    parser.add_argument("--broken", type=How, choices=list(How), default=How.NONE, help="as a bad release would be")
    given = parser.parse_args()
    end_with_parent()
    server = await serve(Service(given.name, given.needs, given.broken), given.port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
