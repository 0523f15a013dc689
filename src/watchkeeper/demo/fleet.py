"""The fleet of the demo: a supervisor process, its services, the prober, and a sink for what people are told.

    async with Fleet() as fleet:
        await fleet.break_("payments-api-1", "crash")

Everything is real and everything ends with the block, whatever ends it.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final, NamedTuple, Self

from watchkeeper.demo.loopback import HOST, Answer, Asked, answer, call, free_port, serve
from watchkeeper.demo.prober import Check, Prober
from watchkeeper.demo.service import TOKEN

UP_WITHIN_S: Final = 20.0
DOWN_WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 0.02
TOLD_MAX: Final = 1_000


class Member(NamedTuple):
    """A service of the fleet. `service` is what its alerts call it; `needs` the member it depends on."""

    name: str
    service: str
    severity: str = "major"
    needs: str = ""
    system: str = "shop"


MEMBERS: Final = (
    Member("config-store", "config-store", "critical"),
    Member("payments-api-1", "payments-api", "critical", "config-store"),
    Member("payments-api-2", "payments-api", "critical", "config-store"),
    Member("payments-api-3", "payments-api", "critical", "config-store"),
    Member("checkout-web", "checkout-web"),
    Member("search", "search"),
    Member("mailer", "mailer"),
    Member("billing", "billing", "critical", "", "finance"),
    Member("ledger-host", "ledger-host", "critical", "", "ledger"),
)


class Fleet:
    """`hook` and `token`: where the prober tells what it sees; they may be set later with `report_to`."""

    def __init__(self, members: Sequence[Member] = MEMBERS, *, hook: str = "", token: str = "") -> None:
        self.members = {member.name: member for member in members}
        self.ports = {name: free_port() for name in self.members}
        self.supervisor_port, self.sink_port = free_port(), free_port()
        self.admin_token = secrets.token_hex(16)
        self.told: list[dict[str, Any]] = []
        self.prober = Prober([self._check(member) for member in members], hook, token)
        self._process: asyncio.subprocess.Process | None = None
        self._probing: asyncio.Task[None] | None = None
        self._sink: asyncio.Server | None = None

    @property
    def supervisor(self) -> str:
        return f"http://{HOST}:{self.supervisor_port}"

    @property
    def sink(self) -> str:
        return f"http://{HOST}:{self.sink_port}/told"

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    def environment(self) -> dict[str, str]:
        """What the services, and a node that acts on them, need in their environment."""
        return {TOKEN: self.admin_token}

    async def __aenter__(self) -> Self:
        services = [
            {"name": each.name, "port": self.ports[each.name], "needs": self._needs(each)}
            for each in self.members.values()
        ]
        argv = ["-m", "watchkeeper.demo.supervisor", "--port", str(self.supervisor_port)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *argv,
            "--services",
            json.dumps(services),
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, **self.environment()},
            start_new_session=True,  # Ctrl-C is for the story; the fleet is told by it
        )
        try:
            self._sink = await serve(self._hear, self.sink_port)
            await self._up()
        except BaseException:  # also when cancelled: no process stays behind
            await self.close()
            raise
        self._probing = asyncio.create_task(self.prober.work(), name="prober")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Returns when every process of the fleet is seen ended."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        if self._sink is not None:
            self._sink.close()
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(DOWN_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()  # its children hold the other end of a pipe, and end with it
            await self._process.wait()

    def report_to(self, hook: str, token: str) -> None:
        self.prober.hook, self.prober.token = hook, token

    async def break_(self, name: str, how: str, **more: int) -> None:
        """`how` as in `service.How`; `for_ms`, `slow_ms`, `period_ms` where they mean something."""
        await self._sure("POST", f"{self.url(name)}/break", {"how": how, **more})

    async def release(self, name: str, how: str) -> None:
        """A release after which every start comes up broken so; `none` takes it back."""
        await self._sure("POST", f"{self.supervisor}/services/{name}/release", {"how": how})

    async def restart(self, name: str, key: str = "") -> dict[str, Any]:
        """As a person with access to the supervisor would."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self._sure("POST", f"{self.supervisor}/services/{name}/restart", headers=headers)

    async def state(self, name: str) -> dict[str, Any]:
        return await self._sure("GET", f"{self.supervisor}/services/{name}")

    async def effects(self, name: str = "") -> dict[str, Any]:
        """What the supervisor was asked to do, or one service was."""
        return await self._sure("GET", f"{self.url(name) if name else self.supervisor}/effects")

    async def healthy(self, name: str) -> bool:
        try:
            return (await call("GET", f"{self.url(name)}/healthz", timeout_s=1.0)).status == 200
        except OSError:
            return False

    async def _sure(
        self, method: str, url: str, content: Any = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        found = await call(method, url, content=content, headers=headers)
        if found.status >= 300:
            raise RuntimeError(f"{method} {url} answered {found.status}: {found.body[:300]!r}")
        answered: dict[str, Any] = found.json()
        return answered

    async def _up(self) -> None:
        until_s = monotonic() + UP_WITHIN_S
        waiting = set(self.members)
        while True:
            waiting = {name for name in waiting if not await self.healthy(name)}
            if not waiting and await self._supervised():
                return
            if self._process is not None and self._process.returncode is not None:
                raise RuntimeError(f"the fleet's supervisor ended with {self._process.returncode}")
            if monotonic() > until_s:
                raise RuntimeError(f"not healthy after {UP_WITHIN_S:.0f} s: {', '.join(sorted(waiting))}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _supervised(self) -> bool:
        try:
            return (await call("GET", f"{self.supervisor}/services", timeout_s=1.0)).status == 200
        except OSError:
            return False

    async def _hear(self, asked: Asked) -> Answer:
        """The sink: what people would be told."""
        self.told = [*self.told, asked.json()][-TOLD_MAX:]
        return answer(200, heard=len(self.told))

    def _needs(self, member: Member) -> str:
        return f"{self.url(member.needs)}/healthz" if member.needs else ""

    def _check(self, member: Member) -> Check:
        return Check(
            instance=member.name,
            url=f"{self.url(member.name)}/healthz",
            labels={"service": member.service, "severity": member.severity, "system": member.system},
            # What others need is believed to be back a little later than they are.
            successes=4 if any(other.needs == member.name for other in self.members.values()) else 2,
        )
