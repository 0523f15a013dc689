"""`sources:` of watchkeeper.yaml: who may send, as what, and what is expected of them.

```yaml
sources:
  prometheus-eu: {kind: alertmanager, group: prometheus, region: eu-west, repeat: 4h, credential: {bearer: "env:AM_TOKEN"}}
  backups:
    kind: heartbeat
    beats: [{name: nightly-dump, every: 24h, grace: 1h, entity: dump, severity: major}]
  edge:
    kind: probe
    probes: [{name: shop, http: "https://shop.example/healthz", every: 10s, failures: 3, entity: shop, severity: critical}]
```
"""

import re
from typing import Any, Final

from msgspec.structs import replace

from watchkeeper.documents import Fields, Kind, plain_of, wrong
from watchkeeper.errors import Malformed
from watchkeeper.home.load_notify import secret_of
from watchkeeper.home.settings import (
    Credential,
    CredentialKind,
    Heartbeat,
    Poll,
    SourceKind,
    SourceSettings,
)
from watchkeeper.signals.generic import Mapping as GenericMapping
from watchkeeper.signals.generic import read_mapping
from watchkeeper.signals.sample import Probe
from watchkeeper.signals.signal import Source
from watchkeeper.values import Labels, Severity

SOURCES_MAX: Final = 500
EXPECTED_MAX: Final = 5_000  # heartbeats or probes of one source
STALE_DEFAULT_MS: Final = 5 * 3_600_000
WEEK_MS: Final = 7 * 86_400_000
HOLD_FOR_MOST_MS: Final = 8 * 3_600_000  # an acknowledgement holds at most so long without a fresh act
DEPLOY_WITHIN_MOST_MS: Final = 86_400_000
GROUP_INTERVAL_MOST_MS: Final = 86_400_000
LATE_MOST_MS: Final = 86_400_000  # SNS tries again for hours
_API: Final = re.compile(r"https?://[^\s/@?#]+(?:/[^\s?#]*)?")
_TOPIC: Final = re.compile(r"arn:aws(?:-[a-z]+)*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
HEADERS: Final = {
    SourceKind.GRAFANA: "X-Grafana-Alerting-Signature",
    SourceKind.PAGERDUTY: "X-PagerDuty-Signature",
    SourceKind.GITHUB: "X-Hub-Signature-256",
}
PROBES: Final = {"http": "url", "tcp": "address", "command": "argv"}
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NAME_EXPECTED: Final = "a name of lower-case letters, digits, '-', '_' and '.'"


def load_sources(fields: Fields) -> dict[str, SourceSettings]:
    found: dict[str, SourceSettings] = {}
    seen: dict[str, str] = {}
    for name, source in fields.children("sources", most=SOURCES_MAX).items():
        if not _NAME.fullmatch(name):
            source.wrong("", f"{name!r} is not a name for a source: expected {_NAME_EXPECTED}")
        found[name] = _source(name, source)
        names = [beat.name for beat in found[name].heartbeats] + [poll.name for poll in found[name].polls]
        for each in names:
            if each in seen:
                source.wrong("", f"{each!r} is already expected in source {seen[each]}: names are unique")
            seen[each] = name
    return found


def _source(name: str, fields: Fields) -> SourceSettings:
    kind = fields.choice("kind", SourceKind, required=True)
    repeat_ms = fields.duration("repeat", default=None, least=1_000, most=WEEK_MS)
    source = Source(
        name=name,
        kind=kind.value if kind is not None else "",
        group=fields.text("group", default=name),
        region=fields.text("region"),
        entity_from=fields.texts("entity_from", default=("service", "job", "instance"), most=16),
        stale_after_ms=fields.duration(
            "stale_after",
            default=STALE_DEFAULT_MS if repeat_ms is None else 2 * repeat_ms,
            least=1_000,
            most=4 * WEEK_MS,
        ),
        rate_max_per_s=fields.integer("rate_max_per_s", default=10_000, least=1, most=1_000_000),
    )
    beats = (
        tuple(_beat(beat, source) for beat in fields.many("beats", most=EXPECTED_MAX))
        if kind is SourceKind.HEARTBEAT
        else ()
    )
    polls = (
        tuple(_poll(poll, source) for poll in fields.many("probes", most=EXPECTED_MAX))
        if kind is SourceKind.PROBE
        else ()
    )
    settings = SourceSettings(
        kind=kind or SourceKind.ALERTMANAGER,
        source=source,
        credential=_credential(fields, kind),
        mapping=_mapping(fields) if kind is SourceKind.GENERIC else None,
        heartbeats=beats,
        polls=tuple(poll for poll in polls if poll is not None),
    )
    settings = _more(settings, fields)
    fields.done()
    return settings


def _more(settings: SourceSettings, fields: Fields) -> SourceSettings:
    """What the sources of changes, of people and of SNS need beside."""
    match settings.kind:
        case SourceKind.SNS:
            topics = fields.texts("topics", most=100)
            if not topics:
                fields.wrong("topics", "is missing: name the topics that may send, by their ARN")
            for topic in topics:
                if not _TOPIC.fullmatch(topic):
                    fields.wrong("topics", f"{topic!r} is no topic: write arn:aws:sns:REGION:ACCOUNT:NAME")
            if fields.has("credential"):
                fields.wrong("credential", "has no place here: SNS signs what it sends")
            late_ms = fields.duration("late_max", default=settings.late_max_ms, least=60_000, most=LATE_MOST_MS)
            found = replace(settings, topics=topics, confirm=fields.boolean("confirm"), late_max_ms=late_ms)
            return replace(found, mapping=_mapping(fields) if fields.has("mapping") else None)
        case SourceKind.PAGERDUTY:
            hold_ms = fields.duration("hold_for", default=settings.hold_for_ms, least=60_000, most=HOLD_FOR_MOST_MS)
            return replace(settings, services=fields.labels("services"), hold_for_ms=hold_ms)
        case SourceKind.GITHUB:
            within_ms = fields.duration("deploy_within", default=None, least=60_000, most=DEPLOY_WITHIN_MOST_MS)
            workflows = fields.texts("workflows", most=100)
            return replace(
                settings, services=fields.labels("services"), deploy_within_ms=within_ms, workflows=workflows
            )
        case SourceKind.ALERTMANAGER:
            api = fields.text("api", pattern=_API, expected="an address such as http://alertmanager:9093")
            every_ms = fields.duration("every", default=settings.every_ms, least=1_000, most=3_600_000)
            again_ms = fields.duration(
                "group_interval", default=settings.group_interval_ms, least=1_000, most=GROUP_INTERVAL_MOST_MS
            )
            return replace(settings, api=api, every_ms=every_ms, group_interval_ms=again_ms)
        case _:
            return settings


def _credential(source: Fields, of: SourceKind | None) -> Credential:
    fields = source.child("credential")
    if fields is None:
        return Credential()
    kinds = [kind for kind in CredentialKind if kind is not CredentialKind.TOKEN and fields.has(kind.value)]
    if len(kinds) != 1:
        fields.wrong(
            "", "expected one of bearer, basic and hmac; without a credential the source takes its own hook tokens"
        )
        fields.done()
        return Credential()
    kind = kinds[0]
    found = Credential(kind=kind)
    if kind is CredentialKind.BEARER:
        found = Credential(kind=kind, secret=secret_of(fields, "bearer", required=True))
    elif (child := fields.child(kind.value)) is not None:
        if kind is CredentialKind.BASIC:
            found = Credential(
                kind=kind, user=child.text("user", required=True), secret=secret_of(child, "password", required=True)
            )
        else:
            found = Credential(
                kind=kind,
                secret=secret_of(child, "key", required=True),
                header=child.text(
                    "header", default=HEADERS.get(of, Credential().header) if of else Credential().header
                ),
                timestamp=child.text("timestamp") if of is SourceKind.GRAFANA else "",
                tolerance_ms=child.duration(
                    "tolerance", default=Credential().tolerance_ms, least=1_000, most=3_600_000
                ),
            )
        child.done()
    fields.done()
    return found


def _mapping(source: Fields) -> GenericMapping | None:
    node = source.node_of("mapping")
    if node is None:
        source.wrong("mapping", "is missing: a generic source says which fields become labels")
        return None
    try:
        return read_mapping(plain_of(node, source.problems, source.at("mapping")), "mapping")
    except Malformed as malformed:
        found = node
        for part in malformed.path.split(".")[1:]:
            found = found.find(part) or found
        wrong(source.problems, found, f"{source.path}.{malformed.path}", malformed.why)
        return None


def _labels(fields: Fields, source: Source) -> tuple[str, Severity, Labels]:
    """The entity and severity of what silence or a bad look raises, and the labels that say both."""
    entity = fields.text("entity", required=True)
    severity = fields.choice("severity", Severity, default=Severity.MAJOR)
    labels = {"severity": severity.value, **fields.labels("labels")}
    if entity:
        labels[source.entity_from[0] if source.entity_from else "service"] = entity
    return entity, severity, labels


def _beat(fields: Fields, source: Source) -> Heartbeat:
    entity, severity, labels = _labels(fields, source)
    every_ms = fields.duration("every", required=True, least=1_000, most=4 * WEEK_MS, default=3_600_000)
    found = Heartbeat(
        name=fields.text("name", required=True, pattern=_NAME, expected=_NAME_EXPECTED),
        source=source.name,
        group=source.group,
        every_ms=every_ms,
        grace_ms=fields.duration("grace", default=every_ms // 2, most=4 * WEEK_MS),
        entity=entity,
        severity=severity,
        labels=labels,
        region=source.region,
    )
    fields.done()
    return found


def _poll(fields: Fields, source: Source) -> Poll | None:
    entity, severity, labels = _labels(fields, source)
    every_ms = fields.duration("every", default=15_000, least=100, most=WEEK_MS)
    name = fields.text("name", required=True, pattern=_NAME, expected=_NAME_EXPECTED)
    failures = fields.integer("failures", default=3, least=1, most=1_000)
    probe = Probe(
        name=name,
        source=source.name,
        group=source.group,
        stale_after_ms=fields.duration("stale_after", default=max(3 * every_ms, 1_000), least=100, most=4 * WEEK_MS),
        failures=failures,
        successes=fields.integer("successes", default=2, least=1, most=1_000),
        labels=labels,
        region=source.region,
    )
    timeout_ms = fields.duration("timeout", default=min(5_000, every_ms), least=10, most=WEEK_MS)
    ways = [way for way in PROBES if fields.has(way)]
    expect = fields.plain("expect")
    if len(ways) != 1:
        fields.wrong("", f"looks {'two ways' if ways else 'at nothing'}: expected one of {', '.join(PROBES)}")
        fields.done()
        return None
    if timeout_ms > every_ms:
        fields.wrong("timeout", "is longer than `every`: looks would overtake each other")
    active_in = _active_in(fields, ways[0])
    found = Poll(
        kind=ways[0],
        arguments=_arguments(fields, ways[0]),
        entity=entity,
        severity=severity,
        every_ms=every_ms,
        timeout_ms=timeout_ms,
        probe=probe,
        expect=expect if isinstance(expect, dict) else {},
        active_in=active_in,
    )
    if expect is not None and not isinstance(expect, dict):
        fields.wrong("expect", "expected a mapping such as {status: 200}")
    fields.done()
    return found


def _active_in(fields: Fields, way: str) -> tuple[str, str] | None:
    """Where the answer says which region served it: `{header: X-Region}`, or `{json: region}`."""
    child = fields.child("active_in")
    if child is None:
        return None
    found = [(place, text) for place in ("header", "json") if (text := child.text(place, most=256))]
    child.done()
    if way != "http":
        fields.wrong("active_in", f"is read from the answer of an http probe, and this is a {way} probe")
    elif len(found) != 1:
        fields.wrong("active_in", "expected either a header, such as {header: X-Region}, or a path, {json: region}")
    else:
        return found[0]
    return None


def _arguments(fields: Fields, way: str) -> dict[str, Any]:
    node = fields.node_of(way)
    assert node is not None  # `has` said so
    if node.kind is Kind.MAPPING:
        found = plain_of(node, fields.problems, fields.at(way))
        arguments: dict[str, Any] = found if isinstance(found, dict) else {}
        if PROBES[way] not in arguments:
            fields.wrong(way, f"a {way} probe needs {PROBES[way]!r}")
        return arguments
    if way == "command":
        return {"argv": list(fields.texts(way))}
    return {PROBES[way]: fields.text(way)}
