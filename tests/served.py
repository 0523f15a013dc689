"""A node over the memory store, served: a real engine, a small home, one action that only remembers."""

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.memory_store import MemoryStore
from watchkeeper.approve.people import Actor
from watchkeeper.engine.action import Observation, Prober
from watchkeeper.engine.changes import activation
from watchkeeper.engine.clock import SystemClock
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.lease import FreeLease
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer
from watchkeeper.errors import InDoubt
from watchkeeper.home.configuration import Compiled, Configuration, compile_home
from watchkeeper.packs.runbook import Effect, SecretRef
from watchkeeper.report.scrub import Scrubber
from watchkeeper.surface.api.app import create_app
from watchkeeper.surface.api.asgi import Front
from watchkeeper.surface.api.hooks import Hooks
from watchkeeper.surface.api.node import PEER, Node

WITHIN_S = 10.0
SECRETS = {"EDGE_TOKEN": "edge-token-0123456789", "BASIC": "basic-word-0123456789", "HMAC": "hmac-key-0123456789abcdef"}

SETTINGS = """
environments: {staging: {production: false}}
sources:
  default: {kind: alertmanager}
  edge: {kind: alertmanager, credential: {bearer: "env:EDGE_TOKEN"}}
  grafana: {kind: grafana, credential: {basic: {user: grafana, password: "env:BASIC"}}}
  events: {kind: cloudevents, credential: {hmac: {key: "env:HMAC"}}}
  jobs:
    kind: generic
    mapping: {labels: {alertname: "title", service: "host"}, status: {from: "state", firing: ["down"], resolved: ["up"]}}
  backups:
    kind: heartbeat
    beats: [{name: nightly, every: 24h, grace: 1h, entity: web, severity: major}]
notify:
  routes: [{match: {severity: [critical, major, minor, warning, info]}, webhook: "http://127.0.0.1:9/chat"}]
limits: {api_requests_per_s: 1000}
"""

CATALOG = """
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {name: ops}
spec: {type: team, children: []}
---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {name: shop}
spec: {owner: group:ops}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: web
  annotations:
    watchkeeper.dev/environment: staging
    watchkeeper.dev/region: eu-west
    watchkeeper.dev/tier: gold
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:9000
    watchkeeper.dev/address: url
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: cart
  annotations:
    watchkeeper.dev/environment: staging
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:9001
    watchkeeper.dev/address: url
spec: {type: service, lifecycle: production, owner: group:ops, system: shop, dependsOn: [component:web, component:pay]}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: pay, annotations: {watchkeeper.dev/environment: staging}}
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
"""

PACK = """
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: shop, owner: group:ops}
spec: {version: 1.0.0, description: Shop}
"""

RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {{name: {name}, owner: group:ops}}
spec:
  match: {{alertname: {alert}}}
  target: {{within: {{system: shop}}}}
  runbook: shop/mend
  autonomy: {{ceiling: {ceiling}}}
  limits: {{attempts: 5, within: 1h}}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: mend, owner: group:ops}
spec:
  params: {note: {type: text, default: plain}}
  permissions:
    - {do: http.request, methods: [POST], to: target.url}
  timeout: 2m
  steps:
    - id: drain
      do: http.request
      with: {method: POST, url: "${target.url}/drain"}
      effect: idempotent
      timeout: 5s
    - id: restart
      do: http.request
      with: {method: POST, url: "${target.url}/restart"}
      effect: idempotent
      timeout: 5s
"""

HOME = {
    "watchkeeper.yaml": SETTINGS.encode(),
    "exclusions.yaml": b"[]\n",
    "catalog/all.yaml": CATALOG.encode(),
    "packs/shop/pack.yaml": PACK.encode(),
    "packs/shop/runbooks/mend.yaml": RUNBOOK.encode(),
    "packs/shop/rules/down.yaml": RULE.format(name="down", alert="Down", ceiling="approve").encode(),
    "packs/shop/rules/seen.yaml": RULE.format(name="seen", alert="Seen", ceiling="observe").encode(),
}


class Remembers:
    """An action that says what it was asked to do, and can be told to wait."""

    name = "http.request"
    effect = Effect.ONCE

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.lost = False  # sent, and nobody hears what became of it

    async def perform(self, invocation: Any, _around: Any) -> Mapping[str, Any]:
        await self.open.wait()
        self.sent.append(invocation.arguments["url"])
        if self.lost:
            raise InDoubt("the answer was lost")
        return {"status": 200}


class Blind:
    async def look(self, *_: Any) -> Observation:
        return Observation(seen=False, why="no probe in tests")


class Told:
    def __init__(self) -> None:
        self.notices: list[Any] = []

    async def tell(self, notice: Any, _route: Any) -> None:
        self.notices.append(notice)


def compiled(files: Mapping[str, bytes]) -> Compiled:
    return compile_home(files, CelCompiler())


def configuration(files: Mapping[str, bytes]) -> Configuration:
    found = compiled(files)
    assert found.configuration is not None, [str(problem) for problem in found.errors]
    return found.configuration


class Served:
    """`files` is the folder; `store` may be handed from one to the next, as after a restart."""

    def __init__(
        self,
        files: Mapping[str, bytes] = HOME,
        store: MemoryStore | None = None,
        prober: Prober | None = None,
        fetch_calendar: Any = None,
    ) -> None:
        self.files = dict(files)
        self.store = store or MemoryStore()
        self.action, self.told = Remembers(), Told()
        self.clock = SystemClock()
        self.engine = Engine(
            self.store,
            self.clock,
            secrets.token_bytes,
            configuration(files),
            actions={"http.request": self.action},
            prober=prober or Blind(),
            channels={"webhook": self.told},
            leaser=_lease,
            scrubber=Scrubber(SECRETS.values()),
            lease=FreeLease(),
            read_folder=lambda: self.files,
            compile_files=compiled,
            end_leftover=_nothing_left,
            versions={"watchkeeper": "test"},
            sequencer=Sequencer(self.store, "watchkeeper/test", b"k" * 32),
            fetch_calendar=fetch_calendar,
        )
        self.node = Node(self.engine)
        self.front = Front(Hooks(self.node), create_app(self.node), lambda: self.node.settings.server.hosts)
        self.tokens: dict[str, str] = {}

    async def start(self) -> None:
        active = self.engine.world.configuration
        scribe = Scribe(self.store, self.clock, secrets.token_bytes)
        _, commit = activation(scribe, active, self.files, Actor(name="watchkeeper", human=False), "test", "")
        await self.store.commit(commit)
        await self.engine.start()

    async def person(self, name: str, *roles: str, human: bool = True) -> str:
        """A token of a new identity with these roles."""
        admin = Actor(name="root", roles=frozenset({"admin"}))
        groups = ("group:default/ops",)
        made = await self.engine.identities.add(admin, name, roles, groups, human=human)
        assert not hasattr(made, "status"), made
        issued = await self.engine.identities.issue(admin, name, "test", roles)
        assert isinstance(issued, tuple), issued
        self.tokens[name] = issued[1]
        return issued[1]

    async def hook_token(self, source: str) -> str:
        issued = await self.engine.identities.issue(Actor(name="root"), "", source, (), source=source)
        assert isinstance(issued, tuple), issued
        return issued[1]

    def client(self, token: str = "", uid: int | None = None, host: str = "localhost") -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        front: Any = self.front if uid is None else _with_peer(self.front, uid)
        transport = httpx2.ASGITransport(front, raise_app_exceptions=True)
        return httpx2.AsyncClient(transport=transport, base_url=f"http://{host}", headers=headers)

    async def until(self, what: Callable[[], Any | Awaitable[Any]]) -> Any:
        """The first true answer; the failure names what was waited for."""
        end = asyncio.get_running_loop().time() + WITHIN_S
        while True:
            found = what()
            found = await found if asyncio.iscoroutine(found) else found
            if found:
                return found
            assert not self.engine.failed, self.engine.failed
            assert asyncio.get_running_loop().time() < end, f"waited {WITHIN_S} s for {what}"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def served(files: Mapping[str, bytes] = HOME, fetch_calendar: Any = None) -> AsyncIterator[Served]:
    found = Served(files, fetch_calendar=fetch_calendar)
    await found.start()
    try:
        yield found
    finally:
        await found.engine.stop()


def alerts(*names: str, service: str = "web", status: str = "firing", severity: str = "critical") -> dict[str, Any]:
    """A webhook of Alertmanager, version 4."""
    at = datetime.now(UTC) - timedelta(minutes=1)
    return {
        "version": "4",
        "groupKey": "{}",
        "status": status,
        "receiver": "watchkeeper",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": name, "service": service, "severity": severity},
                "annotations": {"summary": f"{name} on {service}"},
                "startsAt": at.strftime("%Y-%m-%dT%H:%M:00Z"),
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": hashlib.sha256(f"{name} {service}".encode()).hexdigest()[:16],
            }
            for name in names
        ],
    }


def signed(key: str, body: bytes, at: datetime | None = None) -> str:
    stamp = str(int((at or datetime.now(UTC)).timestamp()))
    return f"t={stamp},v1={hmac.new(key.encode(), stamp.encode() + b'.' + body, hashlib.sha256).hexdigest()}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _with_peer(front: Any, uid: int) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await front({**scope, "extensions": {PEER: {"uid": uid}}}, receive, send)

    return app


async def _lease(reference: SecretRef) -> str:
    return SECRETS[reference.path]


async def _nothing_left(_pid: int, _ticks: int) -> None:
    return None
