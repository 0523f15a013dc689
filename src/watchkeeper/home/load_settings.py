"""The file watchkeeper.yaml to `Settings`, with every problem told."""

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from watchkeeper.documents import Fields, Node, Problem, refuse_credentials, wrong
from watchkeeper.home.anomaly import WEEKS_MAX, WEEKS_MIN, AnomalySettings, zone_of
from watchkeeper.home.breakers import FAILURES_KEPT_MAX, BrakeSettings, BreakerSettings
from watchkeeper.home.limits import Limits, LimitSettings
from watchkeeper.home.load_metrics import load_metrics
from watchkeeper.home.load_notify import load_notify
from watchkeeper.home.load_sources import load_sources
from watchkeeper.home.settings import (
    DEFAULT_SOURCE,
    HOST,
    PORT,
    Autonomy,
    Coverage,
    EngineSettings,
    Environment,
    Notify,
    Retention,
    Role,
    Roles,
    Server,
    Settings,
    StoreSettings,
)
from watchkeeper.packs.clauses import canonical_ref
from watchkeeper.packs.rule import Mode, Risk

NAME: Final = "watchkeeper.yaml"
KEPT_MAX_MS: Final = 3_650 * 86_400_000
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_SIZE: Final = re.compile(r"([1-9][0-9]{0,6})\s?(MiB|GiB|TiB)")
_UNITS: Final = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
TRUST: Final = re.compile(r"local|signed|key:[A-Za-z0-9._:/+-]{1,128}")


def load_settings(documents: Sequence[Node], problems: list[Problem]) -> Settings:
    """No document at all is the default file. Only what could be read differs from the defaults."""
    if not documents:
        return Settings(sources={"default": DEFAULT_SOURCE})
    for extra in documents[1:]:
        wrong(problems, extra, "", "a second document: watchkeeper.yaml holds one")
    fields = Fields(documents[0], problems)
    refuse_credentials(documents[0], problems)
    sources = load_sources(fields)
    notify = fields.child("notify")
    settings = Settings(
        environments=_environments(fields),
        sources=sources or {"default": DEFAULT_SOURCE},
        notify=Notify() if notify is None else load_notify(notify),
        roles=_roles(fields),
        trust=_trust(fields),
        retention=_retention(fields),
        limits=_limits(fields),
        store=_store(fields),
        engine=_engine(fields),
        server=_server(fields),
        autonomy=_autonomy(fields),
        risk_ceilings=_risk_ceilings(fields),
        coverage=_coverage(fields),
        breakers=_breakers(fields),
        metrics=load_metrics(fields),
        anomaly=_anomaly(fields),
    )
    fields.done()
    return settings


def _keys(fields: Fields) -> tuple[str, ...]:
    return tuple(entry.key for entry in fields.node.entries)


def _environments(fields: Fields) -> dict[str, Environment]:
    found = {}
    for name, child in fields.children("environments").items():
        found[name] = Environment(production=child.boolean("production", default=True), local=child.boolean("local"))
        child.done()
    return found


def _roles(fields: Fields) -> Roles:
    child = fields.child("roles")
    if child is None:
        return Roles()
    users, tokens = _words(child, "users", Role), _words(child, "tokens", Role)
    groups = child.child("groups")
    found = Roles(
        users=users,
        tokens=tokens,
        groups={}
        if groups is None
        else {
            name: tuple(canonical_ref(group) for group in groups.texts(name, one_will_do=True))
            for name in _keys(groups)
        },
    )
    child.done()
    return found


def _words(fields: Fields, name: str, words: type[Role]) -> dict[str, tuple[Role, ...]]:
    child = fields.child(name)
    if child is None:
        return {}
    found = {}
    known = [word.value for word in words]
    for key in _keys(child):
        texts = child.texts(key, one_will_do=True)
        for text in texts:
            if text not in known:
                child.wrong(key, f"expected some of {', '.join(known)}, got {text!r}")
        found[key] = tuple(words(text) for text in texts if text in known)
    return found


def _trust(fields: Fields) -> dict[str, tuple[str, ...]]:
    """Environment (or `default`) -> which packs may act there: `local` (signed by this node), `signed`, `key:<name>`."""
    child = fields.child("trust")
    if child is None:
        return {}
    expected = "local, signed or key:<name>"
    return {name: child.texts(name, one_will_do=True, pattern=TRUST, expected=expected) for name in _keys(child)}


def _retention(fields: Fields) -> Retention:
    child = fields.child("retention")
    if child is None:
        return Retention()
    usual = Retention()
    bounds: Any = {"least": 86_400_000, "most": KEPT_MAX_MS}
    found = Retention(
        signals_ms=child.duration("signals", default=usual.signals_ms, **bounds),
        situations_ms=child.duration("situations", default=usual.situations_ms, **bounds),
        outputs_ms=child.duration("outputs", default=usual.outputs_ms, **bounds),
        legal_hold=child.boolean("legal_hold"),
    )
    child.done()
    return found


def _limits(fields: Fields) -> Limits:
    child = fields.child("limits")
    if child is None:
        return Limits()
    usual, runs = Limits(), child.child("runs")
    admission = usual.admission
    if runs is not None:
        admission = LimitSettings(
            service_max=runs.integer("service", default=admission.service_max, least=1, most=100_000),
            region_max=runs.integer("region", default=admission.region_max, least=1, most=100_000),
            global_max=runs.integer("global", default=admission.global_max, least=1, most=100_000),
        )
        runs.done()
    found = Limits(
        admission=admission,
        cards_per_team=child.integer("cards_per_team", default=usual.cards_per_team, least=1, most=1_000),
        body_bytes_max=_size(child, "body_max", usual.body_bytes_max),
        deliveries_max=child.integer("deliveries", default=usual.deliveries_max, least=100, most=10_000_000),
        runs_waiting_max=child.integer("runs_waiting", default=usual.runs_waiting_max, least=10, most=1_000_000),
        outbox_max=child.integer("outbox", default=usual.outbox_max, least=10, most=10_000_000),
        retries_per_target=child.integer("retries_per_target", default=usual.retries_per_target, least=1, most=10_000),
        steps_at_once_max=child.integer("steps_at_once", default=usual.steps_at_once_max, least=1, most=10_000),
        api_requests_per_s=child.integer("api_requests_per_s", default=usual.api_requests_per_s, least=1, most=100_000),
    )
    child.done()
    return found


def _store(fields: Fields) -> StoreSettings:
    child = fields.child("store")
    if child is None:
        return StoreSettings()
    usual = StoreSettings()
    found = StoreSettings(
        path=child.text("path", default=usual.path),
        disk_max=_size(child, "disk_max", usual.disk_max),
        checkpoint=child.text("checkpoint"),
    )
    if ".." in found.path.split("/"):
        child.wrong("path", "leads out of the state folder: write a name, or a whole path")
    child.done()
    return found


def _engine(fields: Fields) -> EngineSettings:
    child = fields.child("engine")
    if child is None:
        return EngineSettings()
    usual = EngineSettings()
    found = EngineSettings(
        lease_ms=child.duration("lease", default=usual.lease_ms, least=1_000, most=120_000),
        renew_ms=child.duration("renew", default=usual.renew_ms, least=100, most=60_000),
        drift_ms=child.duration("drift", default=usual.drift_ms, most=60_000),
        settle_ms=child.duration("settle", default=usual.settle_ms, most=3_600_000),
    )
    if found.renew_ms * 2 >= found.lease_ms:
        child.wrong("renew", "is not less than half the lease: one slow renewal would lose it")
    child.done()
    return found


def _server(fields: Fields) -> Server:
    child = fields.child("server")
    if child is None:
        return Server()
    found = Server(
        host=child.text("host", default=HOST),
        port=child.integer("port", default=PORT, least=0, most=65_535),
        hosts=child.texts("hosts", one_will_do=True, most=100),
        certificate=child.text("certificate"),
        key=child.text("key"),
        insecure=child.boolean("insecure"),
        status_page=child.boolean("status_page"),
    )
    if bool(found.certificate) != bool(found.key):
        child.wrong(
            "key" if found.certificate else "certificate", "is missing: a certificate and its key come together"
        )
    if found.host not in LOOPBACK and not found.certificate and not found.insecure:
        child.wrong(
            "host", f"{found.host} is beyond this machine and has no certificate: add one, or say insecure: true"
        )
    child.done()
    return found


def _autonomy(fields: Fields) -> Autonomy:
    child = fields.child("autonomy")
    if child is None:
        return Autonomy()
    usual = Autonomy()
    found = Autonomy(
        episodes_min=child.integer("episodes", default=usual.episodes_min, least=16, most=100_000),
        agreement_ppm=child.percent("agreement", default=usual.agreement_ppm),
        days_on_level=child.integer("days", default=usual.days_on_level, least=7, most=365),
        days_after_demotion=child.integer("days_after_demotion", default=usual.days_after_demotion, least=14, most=365),
    )
    child.known.add("risk")
    child.done()
    return found


def _breakers(fields: Fields) -> BreakerSettings:
    child = fields.child("breakers")
    if child is None:
        return BreakerSettings()
    usual, on = BreakerSettings(), child.child("brake")
    brake = usual.brake
    span: Any = {"least": 60_000, "most": 7 * 86_400_000}
    if on is not None:
        brake = BrakeSettings(
            within_ms=on.duration("within", default=brake.within_ms, **span),
            targets=on.integer("targets", default=brake.targets, least=2, most=10_000),
            rules=on.integer("rules", default=brake.rules, least=2, most=1_000),
            open_max=on.integer("open", default=brake.open_max, least=2, most=10_000),
        )
        on.done()
    found = BreakerSettings(
        failures=child.integer("failures", default=usual.failures, least=1, most=FAILURES_KEPT_MAX),
        within_ms=child.duration("within", default=usual.within_ms, **span),
        open_ms=child.duration("open", default=usual.open_ms, least=1_000, most=86_400_000),
        open_max_ms=child.duration("open_max", default=usual.open_max_ms, least=1_000, most=7 * 86_400_000),
        brake=brake,
    )
    if found.open_max_ms < found.open_ms:
        child.wrong("open_max", "is less than `open`: a trial that fails may only make it longer")
    child.done()
    return found


def _risk_ceilings(fields: Fields) -> dict[Risk, Mode]:
    autonomy = fields.child("autonomy")
    child = autonomy.child("risk") if autonomy is not None else None
    if child is None:
        return {}
    found = {risk: mode for risk in Risk if (mode := child.choice(risk.value, Mode)) is not None}
    child.done()
    return found


def _coverage(fields: Fields) -> Coverage:
    child = fields.child("coverage")
    if child is None:
        return Coverage()
    within_ms = child.duration("proven_within", default=Coverage().proven_within_ms, least=86_400_000, most=KEPT_MAX_MS)
    child.done()
    return Coverage(proven_within_ms=within_ms)


def _anomaly(fields: Fields) -> AnomalySettings:
    child = fields.child("anomaly")
    if child is None:
        return AnomalySettings()
    usual = AnomalySettings()
    found = AnomalySettings(
        watch=child.boolean("watch", default=usual.watch),
        false_alarm_every_ms=child.duration(
            "false_alarm_every", default=usual.false_alarm_every_ms, least=86_400_000, most=KEPT_MAX_MS
        ),
        weeks=child.integer("weeks", default=usual.weeks, least=WEEKS_MIN, most=WEEKS_MAX),
        zone=child.text("zone", default=usual.zone),
    )
    if zone_of(found.zone) is None:
        child.wrong("zone", f"no time zone is called {found.zone!r}: write one such as Europe/Berlin")
        found = replace(found, zone=usual.zone)
    child.done()
    return found


def _size(fields: Fields, name: str, default: int) -> int:
    text = fields.text(name, pattern=_SIZE, expected="a size such as 20GiB or 512MiB")
    found = _SIZE.fullmatch(text)
    return default if found is None else int(found[1]) * _UNITS[found[2]]
