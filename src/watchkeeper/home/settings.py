"""`watchkeeper.yaml` as frozen values. Every field has a default: an empty file is a valid one.

The readers stand beside: `load_settings` for the file, `load_sources` and `load_notify` for its two larger parts.
"""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.home.anomaly import AnomalySettings
from watchkeeper.home.breakers import BreakerSettings
from watchkeeper.home.limits import Limits
from watchkeeper.home.metrics import MetricSettings
from watchkeeper.packs.rule import Mode, Risk
from watchkeeper.packs.runbook import SecretRef
from watchkeeper.signals.beat import Expectation
from watchkeeper.signals.generic import Mapping as GenericMapping
from watchkeeper.signals.sample import Probe
from watchkeeper.signals.signal import Source
from watchkeeper.values import Instant, Labels, Severity

DAY_MS: Final = 86_400_000
HOST: Final = "127.0.0.1"
PORT: Final = 8420


class Environment(Struct, frozen=True, kw_only=True):
    """`production`: an environment that is not declared counts as production. `local`: steps `via: local` may act."""

    production: bool = True
    local: bool = False


class SourceKind(StrEnum):
    ALERTMANAGER = "alertmanager"
    GRAFANA = "grafana"
    CLOUDEVENTS = "cloudevents"
    GENERIC = "generic"
    HEARTBEAT = "heartbeat"
    PROBE = "probe"
    SNS = "sns"
    PAGERDUTY = "pagerduty"
    GITHUB = "github"


class CredentialKind(StrEnum):
    """How a sender proves itself. `TOKEN`: a hook token made by `wk token`, nothing stands in the file."""

    TOKEN = "token"  # noqa: S105  the word of the file
    BEARER = "bearer"
    BASIC = "basic"
    HMAC = "hmac"


class Credential(Struct, frozen=True, kw_only=True):
    """`secret` is a reference. `header` carries an HMAC (SHA-256, hex): over time stamp, '.' and body, or as Grafana,
    PagerDuty and GitHub sign, by the kind of the source. `timestamp` is the header in which Grafana says when.
    """

    kind: CredentialKind = CredentialKind.TOKEN
    secret: SecretRef | None = None
    user: str = ""
    header: str = "X-Watchkeeper-Signature"
    tolerance_ms: int = 300_000
    timestamp: str = ""


class Heartbeat(Struct, frozen=True, kw_only=True):
    """A beat that is due every `every_ms`; silence past `grace_ms` more is an alert on `entity`."""

    name: str
    source: str
    group: str
    every_ms: int
    grace_ms: int
    entity: str
    severity: Severity
    labels: Labels = {}
    region: str = ""

    def expectation(self, since_at: Instant) -> Expectation:
        return Expectation(
            name=self.name,
            source=self.source,
            group=self.group,
            every_ms=self.every_ms,
            since_at=since_at,
            grace_ms=self.grace_ms,
            labels=self.labels,
            region=self.region,
        )


class Poll(Struct, frozen=True, kw_only=True):
    """A probe this node runs itself: `kind` is http, tcp or command, `arguments` as the prober takes them. `active_in` is
    where a healthy answer of an http probe says which region served it: (`header` or `json`, its name or path).
    """

    kind: str
    arguments: dict[str, Any]
    entity: str
    severity: Severity
    every_ms: int
    timeout_ms: int
    probe: Probe
    expect: dict[str, Any] = {}
    active_in: tuple[str, str] | None = None

    @property
    def name(self) -> str:
        return self.probe.name


class SourceSettings(Struct, frozen=True, kw_only=True):
    """A source, how its sender proves itself, and what its kind needs.

    `services`: the sender's name of a thing -> the entity it means. `topics`: SNS topics that may send. `hold_for_ms`: how
    long an acknowledgement holds. `deploy_within_ms`: how long a deploy is announced to take; None: it announces no end.
    `api`: the address of an Alertmanager that is asked every `every_ms` for what it suppresses. `group_interval_ms`: the
    longest `group_interval` of its routes, so often its event recorder says again what is muted.
    """

    kind: SourceKind
    source: Source
    credential: Credential = Credential()
    mapping: GenericMapping | None = None
    heartbeats: tuple[Heartbeat, ...] = ()
    polls: tuple[Poll, ...] = ()
    services: dict[str, str] = {}
    topics: tuple[str, ...] = ()
    confirm: bool = False
    late_max_ms: int = 3_600_000
    hold_for_ms: int = 3_600_000
    deploy_within_ms: int | None = None
    workflows: tuple[str, ...] = ()
    api: str = ""
    every_ms: int = 30_000
    group_interval_ms: int = 300_000


class Route(Struct, frozen=True, kw_only=True):
    """Where a notice goes. Each of `match` that is given must hold one of the notice's words; first match wins
    unless `also` lets the next ones be tried too. `channel` is webhook or email.
    """

    name: str
    channel: str
    match: dict[str, tuple[str, ...]] = {}
    url: str = ""
    url_secret: SecretRef | None = None
    secret: SecretRef | None = None
    to: tuple[str, ...] = ()
    via: str = ""
    sender: str = ""
    user: str = ""
    also: bool = False

    def data(self) -> dict[str, Any]:
        """What the channel needs, as plain values; secrets are references (`{"secret": [store, path]}`)."""
        found: dict[str, Any] = {
            "url": self.url,
            "to": list(self.to),
            "via": self.via,
            "from": self.sender,
            "user": self.user,
        }
        for name, ref in (("url", self.url_secret), ("secret", self.secret)):
            if ref is not None:
                found[name] = {"secret": [ref.store, ref.path]}
        return {name: value for name, value in found.items() if value}


class Notify(Struct, frozen=True, kw_only=True):
    """`tell_after_ms`: how long a hold or a refusal on a critical or major alert stands before people are told."""

    routes: tuple[Route, ...] = ()
    tell_after_ms: int = 120_000


class Role(StrEnum):
    """What an identity may do, least first; each includes those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


class Roles(Struct, frozen=True, kw_only=True):
    """`users` are users of this machine by name (`local:alice`), `tokens` tokens by name; an admin's word adds to both."""

    users: dict[str, tuple[Role, ...]] = {}
    tokens: dict[str, tuple[Role, ...]] = {}
    groups: dict[str, tuple[str, ...]] = {}


class Retention(Struct, frozen=True, kw_only=True):
    """How long content is kept; ledger entries are kept for ever. `legal_hold` suspends erasing."""

    signals_ms: int = 30 * DAY_MS
    situations_ms: int = 400 * DAY_MS
    outputs_ms: int = 90 * DAY_MS
    legal_hold: bool = False


class StoreSettings(Struct, frozen=True, kw_only=True):
    """`path` is below the state folder. At 80 % of `disk_max` outputs go first; at 95 % intake answers 503."""

    path: str = "watchkeeper.db"
    disk_max: int = 20 * 1024**3
    checkpoint: str = ""


class EngineSettings(Struct, frozen=True, kw_only=True):
    """A leader renews every `renew_ms`; a follower waits `lease_ms` + `drift_ms` before it takes over."""

    lease_ms: int = 6_000
    renew_ms: int = 2_000
    drift_ms: int = 500
    settle_ms: int = 300_000


class Server(Struct, frozen=True, kw_only=True):
    """Beyond loopback only with a certificate, or when `insecure` says so on record. `hosts`: names that may be asked for."""

    host: str = HOST
    port: int = PORT
    hosts: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""
    insecure: bool = False
    status_page: bool = False


class Autonomy(Struct, frozen=True, kw_only=True):
    """What a cell must show to rise one level. Source: SEMANTICS 4."""

    episodes_min: int = 16
    agreement_ppm: int = 800_000
    days_on_level: int = 7
    days_after_demotion: int = 14


class Coverage(Struct, frozen=True, kw_only=True):
    """How long a proof of a rule counts in the coverage report."""

    proven_within_ms: int = 90 * DAY_MS


class Settings(Struct, frozen=True, kw_only=True):
    """The whole file. `risk_ceilings` holds only what the file states; the engine knows the rest."""

    environments: dict[str, Environment] = {}
    sources: dict[str, SourceSettings] = {}
    notify: Notify = Notify()
    roles: Roles = Roles()
    trust: dict[str, tuple[str, ...]] = {}
    retention: Retention = Retention()
    limits: Limits = Limits()
    store: StoreSettings = StoreSettings()
    engine: EngineSettings = EngineSettings()
    server: Server = Server()
    autonomy: Autonomy = Autonomy()
    risk_ceilings: dict[Risk, Mode] = {}
    coverage: Coverage = Coverage()
    breakers: BreakerSettings = BreakerSettings()
    metrics: MetricSettings = MetricSettings()
    anomaly: AnomalySettings = AnomalySettings()

    def source(self, name: str) -> SourceSettings | None:
        return self.sources.get(name)

    @property
    def heartbeats(self) -> tuple[Heartbeat, ...]:
        return tuple(beat for each in self.sources.values() for beat in each.heartbeats)

    @property
    def polls(self) -> tuple[Poll, ...]:
        return tuple(poll for each in self.sources.values() for poll in each.polls)

    def accepts(self, environment: str, trust: str) -> bool:
        """Whether packs of this trust may act in an environment; without a word in the file, the node's own may."""
        return trust in self.trust.get(environment, self.trust.get("default", ("local",)))


DEFAULT_SOURCE: Final = SourceSettings(
    kind=SourceKind.ALERTMANAGER, source=Source(name="default", kind="alertmanager", group="default")
)


def routes_for(notify: Notify, **words: str) -> tuple[Route, ...]:
    """The routes of a notice, in order, by its `severity`, `service`, `team` and `kind`."""
    found = []
    for route in notify.routes:
        if all(words.get(name, "") in accepted for name, accepted in route.match.items()):
            found.append(route)
            if not route.also:
                break
    return tuple(found)
