"""The desk of two people: the node's API as Ana and Ben use it, and waits that are bounded and have a name."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlencode

from watchkeeper.demo.loopback import call
from watchkeeper.values import instant

WITHIN_S: Final = 30.0
LOOK_EVERY_S: Final = 0.1
DECISIONS_SHOWN: Final = 8
ANA: Final = "ana"
BEN: Final = "ben"
ME: Final = "me"
BOOTSTRAP: Final = "bootstrap"
ROLES: Final = ("viewer", "operator", "approver", "admin")

Document = dict[str, Any]
Found = TypeVar("Found")


class Waited(Exception):
    """Something did not happen in its time; or the API said no."""


class Ended(NamedTuple):
    """A run that ended, and the instants that matter."""

    run: Document
    acted_at: datetime | None
    ended_at: datetime


class Desk:
    """`url` and `home` are the node's; `enter` makes the people and their tokens.

    Whoever asks is `ana`, `ben`, the `BOOTSTRAP` token, or `ME`: the user of this machine, over the home's socket.
    """

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self._socket = home / ".watchkeeper" / "api.sock"
        self._tokens = {ME: "", BOOTSTRAP: (home / ".watchkeeper" / "token").read_text("ascii").strip()}

    async def enter(self, groups: dict[str, list[str]]) -> str:
        """The user of this machine as the first admin, then Ana and Ben; the hook token of the prober."""
        name = (await self.get("/whoami", who=ME))["name"]
        await self.post("/identities", {"name": name, "roles": ROLES}, who=BOOTSTRAP)
        for person in (ANA, BEN):
            made = await self.post("/identities", {"name": person, "roles": ROLES, "groups": groups[person]}, who=ME)
            wanted = {"identity": made["id"], "name": "demo", "roles": ROLES, "for": "1d"}
            self._tokens[person] = (await self.post("/tokens", wanted, who=ME))["text"]
        hook = await self.post("/tokens", {"source": "prometheus", "name": "prober"}, who=ME)
        return str(hook["text"])

    def token(self, who: str) -> str:
        """What signs somebody in."""
        return self._tokens[who]

    # Asking.

    async def get(self, path: str, *, who: str = ANA, **query: str) -> Any:
        return await self._ask("GET", f"{path}{'?' + urlencode(query) if query else ''}", None, who)

    async def post(self, path: str, content: Any = None, *, who: str = ANA) -> Any:
        return await self._ask("POST", path, content or {}, who)

    async def _ask(self, method: str, path: str, content: Any, who: str) -> Any:
        token = self._tokens.get(who, "")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        through = self._socket if who == ME else None
        found = await call(method, f"{self.url}/api/v1{path}", content=content, headers=headers, through=through)
        if found.status >= 300:
            said = found.json() or {}
            raise Waited(f"{method} {path} as {who}: {found.status} {said.get('detail', '')}")
        return found.json()

    # Acting.

    async def grant(self, rule: str, level: str) -> Document:
        """Ana asks for it, Ben gives the second pair of eyes: production needs both."""
        wanted = {"rule": rule, "level": level, "for": "1h", "reason": "the demo", "environment": "prod"}
        asked = await self.post("/grants", wanted)
        granted: Document = await self.post(f"/grants/{asked['id']}/second", who=BEN)
        return granted

    async def run(self, runbook: str, target: str, reason: str, *, who: str = ANA, **arguments: Any) -> Document:
        wanted = {"runbook": runbook, "targets": [target], "reason": reason, "arguments": arguments}
        made: Document = await self.post("/runs", wanted, who=who)
        return made

    async def approve(self, card: Document, comment: str, *, who: str = BEN) -> None:
        await self.post(f"/approvals/{card['id']}/approve", {"digest": card["digest"], "comment": comment}, who=who)

    # Waiting.

    async def until(self, what: str, look: Callable[[], Awaitable[Found | None]], within_s: float = WITHIN_S) -> Found:
        """The first thing that `look` finds. Raises Waited with the name of what did not come."""
        until_s = monotonic() + within_s
        while True:
            found = await look()
            if found:
                return found
            if monotonic() > until_s:
                raise Waited(f"waited {within_s:.0f} s for {what}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def decision(
        self, verdict: str, rule: str, target: str, since: datetime, *, within_s: float = WITHIN_S
    ) -> Document:
        """The first decision of that verdict for that target since then."""

        async def look() -> Document | None:
            page = await self.get("/decisions", rule=rule, limit="50")
            for one in reversed(page["items"]):
                named = any(each["name"] == target for each in one["targets"])
                if one["verdict"] == verdict and named and instant(one["at"]) >= since:
                    return dict(one)
            return None

        return await self.until(f"the decision {verdict} of {rule} on {target}", look, within_s)

    async def card(self, decision: str) -> Document:
        async def look() -> Document | None:
            page = await self.get("/approvals", decision=decision)
            return next((dict(one) for one in page["items"] if one["state"] == "pending"), None)

        return await self.until("its approval card", look)

    async def ended(self, decision: str, *, within_s: float = WITHIN_S) -> Ended:
        """The run of a decision, ended."""

        async def look() -> Document | None:
            page = await self.get("/runs", decision=decision)
            return next((dict(one) for one in page["items"] if one["ended_at"]), None)

        found = await self.until("the end of its run", look, within_s)
        sent = [instant(step["intent_at"]) for step in found["steps"] if step["intent_at"] and step["effect"] != "read"]
        return Ended(found, min(sent, default=None), instant(found["ended_at"]))

    async def quiet(self, *, within_s: float = WITHIN_S) -> None:
        """Nothing fires, and nothing is at work."""

        async def look() -> bool:
            alerts = await self.get("/alerts", state="firing")
            runs = await self.get("/runs", state="open")
            return not alerts["items"] and not runs["items"]

        await self.until("everything to be quiet again", look, within_s)

    async def last_decisions(self) -> list[str]:
        page = await self.get("/decisions", limit=str(DECISIONS_SHOWN))
        return [
            f"{one['at'][11:19]} {one['verdict']} {one['rule']} on "
            f"{', '.join(each['name'] for each in one['targets']) or 'nothing'}: {one['reason']}"
            for one in page["items"]
        ]


def now() -> datetime:
    return datetime.now(UTC)
