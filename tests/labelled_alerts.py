"""A labelled corpus of alerts, generated from one seed: what was a real incident, and what was noise.

Two Prometheus pairs (groups `east` and `west`) watch a shop. A real incident is seen by both. Noise is what an on-call
person knows: blips that one side sees alone, services that flap, everything that shouts because the store below it is
down, and every statement twice because each pair has two Alertmanagers.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from msgspec import Struct

from watchkeeper.signals.fingerprint import fingerprint_of
from watchkeeper.signals.past import Told, signal_from
from watchkeeper.signals.signal import Signal, Source, Standing
from watchkeeper.values import Instant

SEED = 20260301
START = datetime(2026, 3, 1, tzinfo=UTC)
SERVICES = 12
INCIDENTS, OUTAGES, BLIPS, FLAPS = 30, 6, 120, 8
SLOT_M = 12  # minutes of one happening: they do not overlap, so that each effect has one cause

SOURCES = {
    name: Source(name=name, kind="alertmanager", group=group, region="", stale_after_ms=5 * 3_600_000)
    for name, group in (("east-1", "east"), ("east-2", "east"), ("west-1", "west"), ("west-2", "west"))
}


class Labelled(Struct, frozen=True, kw_only=True):
    """`real` names the incident whose cause this service is; "" for noise and for what merely follows from a cause."""

    signal: Signal
    kind: str
    real: str = ""


def home() -> dict[str, bytes]:
    parts = [
        "apiVersion: backstage.io/v1alpha1\nkind: Group\nmetadata: {name: ops}\nspec: {type: team, children: []}\n",
        "apiVersion: backstage.io/v1alpha1\nkind: System\nmetadata: {name: shop}\nspec: {owner: group:ops}\n",
    ]
    for name in ("store", *(f"svc-{number}" for number in range(SERVICES))):
        needs = "" if name == "store" else ", dependsOn: [component:store]"
        parts.append(
            f"""apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: {name}
  annotations:
    watchkeeper.dev/environment: prod
    watchkeeper.dev/tier: gold
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:9000
    watchkeeper.dev/address: url
spec: {{type: service, lifecycle: production, owner: group:ops, system: shop{needs}}}
"""
        )
    sources = "\n".join(f"  {each.name}: {{kind: alertmanager, group: {each.group}}}" for each in SOURCES.values())
    return {
        "watchkeeper.yaml": (
            f"environments: {{prod: {{production: true}}}}\nsources:\n{sources}\n"
            "notify: {routes: [{webhook: 'http://127.0.0.1:9/none'}]}\n"
        ).encode(),
        "exclusions.yaml": b"[]\n",
        "catalog/all.yaml": "---\n".join(parts).encode(),
        "packs/shop/pack.yaml": b"apiVersion: watchkeeper.dev/v1\nkind: Pack\nmetadata: {name: shop, owner: group:ops}\n"
        b"spec: {version: 1.0.0, description: Shop}\n",
        "packs/shop/runbooks/mend.yaml": b"""
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: mend, owner: group:ops}
spec:
  permissions: [{do: http.request, methods: [POST], to: target.url}]
  timeout: 2m
  steps:
    - {id: mend, do: http.request, with: {method: POST, url: "${target.url}/mend"}, effect: idempotent, timeout: 5s}
""",
        "packs/shop/rules/down.yaml": b"""
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: down, owner: group:ops}
spec:
  match: {alertname: Down}
  for: 30s
  corroborate: {groups: 2, within: 5m}
  runbook: shop/mend
  autonomy: {ceiling: auto}
  limits: {attempts: 5, within: 1h}
""",
    }


def corpus(seed: int = SEED) -> list[Labelled]:
    """In the order of their receipt."""
    random = Random(seed)
    happenings = [*["incident"] * INCIDENTS, *["outage"] * OUTAGES, *["blip"] * BLIPS, *["flap"] * FLAPS]
    random.shuffle(happenings)
    found: list[Labelled] = []
    at = START
    for number, what in enumerate(happenings):
        service = f"svc-{random.randrange(SERVICES)}"
        match what:
            case "incident":
                found += _both(random, at, service, 6, what, f"incident-{number}")
            case "outage":
                found += _both(random, at, "store", 8, what, f"incident-{number}")
                later = at + timedelta(seconds=20)
                for other in range(SERVICES):
                    found += _both(random, later, f"svc-{other}", 7, "follows", "")
            case "blip":
                side = random.choice(("east", "west"))
                found += _one(random, at, service, side, random.choice((1, 2, 4)), what, "")
            case _:
                for turn in range(5):  # up and down, as both see it
                    found += _both(random, at + timedelta(minutes=2 * turn), service, 1, what, "")
                at += timedelta(minutes=30)
        at += timedelta(minutes=SLOT_M)
    return sorted(found, key=lambda each: (each.signal.received_at, each.signal.id))


def _both(random: Random, at: Instant, service: str, minutes: int, kind: str, real: str) -> Iterator[Labelled]:
    for side in ("east", "west"):
        yield from _one(random, at, service, side, minutes, kind, real)


def _one(
    random: Random, at: Instant, service: str, side: str, minutes: int, kind: str, real: str
) -> Iterator[Labelled]:
    """One side sees it begin and end; each of its two Alertmanagers says so, a little apart."""
    labels = {"alertname": "Down", "service": service, "severity": "critical"}
    seen_at = at + timedelta(seconds=random.randrange(15))
    for standing, said_at in ((Standing.FIRING, seen_at), (Standing.RESOLVED, seen_at + timedelta(minutes=minutes))):
        for number in (1, 2):
            told = Told(
                at=said_at + timedelta(seconds=random.randrange(5)),
                labels=labels,
                fingerprint=fingerprint_of(labels),
                standing=standing,
                starts_at=seen_at,
            )
            yield Labelled(signal=signal_from(told, SOURCES[f"{side}-{number}"]), kind=kind, real=real)
