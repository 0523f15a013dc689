"""One behaviour at a time: a rig whose targets do what the test says, and a home made of the few lines a test is about."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rig import ALICE, BOB, Rig
from virtual import run as run_virtual

from watchkeeper.approve.approval import Approval
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.action import Invocation, Observation, Surroundings
from watchkeeper.engine.records import RunRecord, Waiting, kind_of, read
from watchkeeper.execute.run import Event, JournalEvent
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Effect

_decode = msgspec.json.Decoder(JournalEvent).decode

SETTINGS = """
environments:
  prod: {production: true, local: true}
sources:
  default: {kind: alertmanager}
notify:
  routes:
    - {name: all, webhook: "http://127.0.0.1:1/none"}
"""

PEOPLE = """
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: ops}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: User
metadata: {name: alice}
spec: {memberOf: [group:ops]}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: group:ops}
"""

PACK = """
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: shop, owner: group:ops}
spec: {version: 1.0.0, description: test}
"""

PERMISSIONS = """
  permissions:
    - {do: http.request, methods: [POST], to: target.admin}
    - {do: service.restart, units: [target.name]}
"""

DRAIN = """
    - id: drain
      do: http.request
      with: {method: POST, url: "${target.admin}/drain"}
      effect: keyed
      timeout: 5s
      undo: {do: http.request, with: {method: POST, url: "${target.admin}/undrain"}, safe_if_not_done: true}
"""

RESTART = """
    - id: restart
      do: service.restart
      via: api
      with: {unit: "${target.name}"}
      effect: probed
      timeout: 5s
      check: {do: service.started_since, with: {unit: "${target.name}", since: "${intent_at}"}}
"""

HEALTHY = """
    - id: healthy
      verify: {http: "${target.admin}/healthz", expect: {status: 200}, successes: 2, every: 500ms, within: 10s}
"""

MEND = DRAIN + RESTART + HEALTHY


def component(name: str, *, honours: bool = True, more: Mapping[str, str] | None = None, spec: str = "") -> str:
    keys = {
        "environment": "prod",
        "tier": "gold",
        "region": "eu",
        "reach": "api",
        "attr.admin": "http://127.0.0.1:9000",
        "address": "admin",
        **({"honours": "idempotency-key"} if honours else {}),
        **(more or {}),
    }
    annotations = "\n".join(f"    watchkeeper.dev/{key}: {value}" for key, value in keys.items() if value)
    return f"""
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
{annotations}
spec: {{type: service, lifecycle: production, owner: group:ops, system: shop{spec}}}
"""


def services(*names: str) -> str:
    return "---".join(component(name) for name in names)


def rule(
    alert: str = "Down",
    runbook: str = "mend",
    *,
    ceiling: str = "auto",
    priority: int = 10,
    more: str = "",
    limits: str = "",
) -> str:
    return f"""
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {{name: NAME, owner: group:ops}}
spec:
  match: {{alertname: {alert}}}
  runbook: shop/{runbook}
  priority: {priority}
  autonomy: {{ceiling: {ceiling}}}
  limits: {{attempts: 3, within: 1h, settle: 30s, approve_within: 5m, start_by: 2m{limits}}}
{more}
"""


def runbook(
    steps: str = MEND, more: str = "  on_stop: undo\n  on_failure: undo\n", permissions: str = PERMISSIONS
) -> str:
    return f"""
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {{name: NAME, owner: group:ops}}
spec:{permissions}  timeout: 5m
{more}
  steps:
{steps}
"""


def house(
    *,
    rules: Mapping[str, str] | None = None,
    runbooks: Mapping[str, str] | None = None,
    catalog: str | None = None,
    settings: str = SETTINGS,
    exclusions: str = "[]",
) -> dict[str, bytes]:
    rules = {"down": rule()} if rules is None else rules
    runbooks = {"mend": runbook()} if runbooks is None else runbooks
    files = {
        "watchkeeper.yaml": settings,
        "exclusions.yaml": exclusions,
        "catalog/all.yaml": f"{PEOPLE}---{services('web', 'cart') if catalog is None else catalog}",
        "packs/shop/pack.yaml": PACK,
        **{f"packs/shop/rules/{name}.yaml": text.replace("NAME", name) for name, text in rules.items()},
        **{f"packs/shop/runbooks/{name}.yaml": text.replace("NAME", name) for name, text in runbooks.items()},
    }
    return {path: text.encode() for path, text in files.items()}


Answer = Callable[[Invocation, Surroundings], Awaitable[Mapping[str, Any]]] | BaseException | Mapping[str, Any]


class Theatre:
    """Targets that do what they are told. `script[verb]` are answers in order; when they are used up, all goes well."""

    def __init__(self) -> None:
        self.sent: list[Invocation] = []
        self.script: dict[str, list[Answer]] = defaultdict(list)
        self.takes_s: dict[str, float] = {}
        self.status: dict[str, int] = defaultdict(lambda: 200)  # by entity name; 0: the prober cannot look
        self.heals = True  # a restart makes its target well
        self.at_work: Counter[str] = Counter()
        self.most_at_work = 0

    def verbs(self, target: str = "") -> list[str]:
        return [verb_of(each) for each in self.sent if not target or (each.target and each.target.name == target)]

    async def perform(self, name: str, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        verb = verb_of(invocation) if name == "http.request" else name.partition(".")[2]
        self.sent.append(invocation)
        target = invocation.target.name if invocation.target is not None else ""
        self.at_work[target] += 1
        self.most_at_work = max(self.most_at_work, sum(self.at_work.values()))
        try:
            await asyncio.sleep(self.takes_s.get(verb, 0.05))
            answer = self.script[verb].pop(0) if self.script[verb] else {"status": 200, "happened": True}
            if isinstance(answer, BaseException):
                raise answer
            if callable(answer):
                return await answer(invocation, around)
        finally:
            self.at_work[target] -= 1
        if verb == "restart" and self.heals:
            self.status[target] = 200
        return answer


def verb_of(invocation: Invocation) -> str:
    url = str(invocation.arguments.get("url", ""))
    if url:
        return url.rpartition("/")[2]
    return "started_since" if "since" in invocation.arguments else "restart"


class Act:
    def __init__(self, theatre: Theatre, name: str, effect: Effect) -> None:
        self._theatre, self.name, self.effect = theatre, name, effect

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:
        return await self._theatre.perform(self.name, invocation, around)


class Look:
    def __init__(self, theatre: Theatre) -> None:
        self._theatre = theatre

    async def look(
        self, kind: str, arguments: Mapping[str, Any], timeout_ms: int, target: Target | None
    ) -> Observation:
        await asyncio.sleep(0.01)
        name = target.name if target is not None else str(arguments.get("url", "")).rpartition("/")[2]
        status = self._theatre.status[name]
        if not status:
            return Observation(seen=False, why="no route from here")
        return Observation(seen=True, values={"connected": True, "status": status, "took_ms": 1, "body": ""})


class Stage(Rig):
    """`files` as `house` makes them. Every rule in `trusted` may act at once, unless the test says otherwise."""

    def __init__(
        self, files: Mapping[str, bytes] | None = None, *, trusted: Iterable[str] = ("shop/down",), seed: int = 1
    ) -> None:
        super().__init__(seed, 0, files or house())
        self.theatre = Theatre()
        self.trusted = tuple(trusted)

    def actions(self) -> Mapping[str, Any]:
        names = {"http.request": Effect.ONCE, "service.restart": Effect.PROBED, "service.started_since": Effect.READ}
        return {name: Act(self.theatre, name, effect) for name, effect in names.items()}

    def prober(self) -> Any:
        return Look(self.theatre)

    async def begin(self) -> None:
        await self.boot()
        for name in self.trusted:
            await self.trust(name)

    @property
    def on(self) -> Any:
        assert self.engine is not None
        return self.engine

    async def passes(self, seconds: float) -> None:
        """Virtual time; the engine must be well all along."""
        await asyncio.sleep(seconds)
        assert not self.on.failed, self.on.failed

    async def all(self, document: type[Any], **where: str | Sequence[str]) -> list[Any]:
        """Documents, oldest first."""
        found: list[Any] = []
        after: str | None = None
        while True:
            page = await self.store.find(kind_of(document), where, after=after, limit=1000, oldest_first=True)
            found.extend(read(row, document) for row in page.items)
            after = page.next
            if after is None:
                return found

    async def decisions(self, **where: str) -> list[Decision]:
        return await self.all(Decision, **where)

    async def runs(self, **where: str) -> list[RunRecord]:
        return await self.all(RunRecord, **where)

    async def approvals(self, **where: str) -> list[Approval]:
        return await self.all(Approval, **where)

    async def proposals(self) -> list[Waiting]:
        return await self.all(Waiting, state="open")

    async def verdicts(self, **where: str) -> list[str]:
        return [each.verdict.value for each in await self.decisions(**where)]

    async def journal(self, run: str) -> list[Event]:
        return [_decode(body) for body in await self.store.journal(run)]

    def subjects(self, kind: str = "") -> list[str]:
        return [each.subject for each in self.told.notices if not kind or each.kind.value == kind]

    async def ended(self, count: int = 1, within_s: float = 600.0) -> list[RunRecord]:
        """Time passes until so many runs have ended."""
        waited = 0.0
        while len(found := await self.runs(state="closed")) < count:
            await self.passes(0.1)
            waited += 0.1
            assert waited < within_s, f"{len(found)} runs ended in {within_s} s; decisions: {await self.verdicts()}"
        return found

    async def decided(self, count: int = 1, within_s: float = 600.0, **where: str) -> list[Decision]:
        """Time passes until so many decisions stand."""
        waited = 0.0
        while len(found := await self.decisions(**where)) < count:
            await self.passes(0.1)
            waited += 0.1
            assert waited < within_s, f"{len(found)} decisions in {within_s} s: {[each.reason for each in found]}"
        return found


def play(scene: Callable[[Stage], Awaitable[None]], stage: Stage | None = None) -> None:
    """Runs a scene on a stage that has begun, on the virtual clock."""
    found = stage or Stage()

    async def whole() -> None:
        await found.begin()
        await scene(found)
        assert not found.on.failed, found.on.failed
        await found.on.stop()

    run_virtual(whole())


__all__ = ["ALICE", "BOB", "Stage", "play"]
