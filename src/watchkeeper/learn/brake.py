"""The brake: many things that fail together are one thing that automation does not understand.

It counts distinct rules against distinct targets (SEMANTICS 6). Many targets under one rule: that rule is braked, it
is probably wrong. Many rules in one region: the region is in trouble, and its restarts stop; a failover, which is
what cures it, asks a person. Breakers that open together, wherever they are: everything stops so.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.guards.breaker import OPEN
from watchkeeper.guards.situation import Target
from watchkeeper.guards.words import count_of, names_of
from watchkeeper.home.breakers import BrakeSettings
from watchkeeper.learn.breaker import Circuit, Failure, within
from watchkeeper.values import Instant, duration_text, ms_between

OWN_END: Final = "watchkeeper"  # `ended_by` of a brake whose cause was over
PERSONS: Final = "person/"  # what people ran themselves is no rule
NAMED_MAX: Final = 100  # rules and targets that a brake names


class Brakes(StrEnum):
    """What is braked. In the order in which a proposal hears of it: its own rule binds hardest."""

    RULE = "rule"
    REGION = "region"
    GLOBAL = "global"


class Pull(Struct, frozen=True, kw_only=True):
    """A brake that is due, and why. `name` is the rule or the region, "" for everything."""

    what: Brakes
    name: str
    why: str
    rules: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return key_of(self.what, self.name)


class Brake(Struct, frozen=True, kw_only=True):
    """A brake that was pulled: one document a brake, however often. It ends by itself when its cause is no longer due, or
    when a person releases it (`released_at`, kept when it is pulled again: what failed until then does not count).
    """

    id: str
    key: str
    what: Brakes
    name: str
    why: str
    since_at: Instant
    rules: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    ended_at: Instant | None = None
    ended_by: str = ""
    reason: str = ""
    released_at: Instant | None = None


def key_of(what: Brakes, name: str) -> str:
    return f"{what.value}:{name}" if name else what.value


def due(
    circuits: Iterable[Circuit], settings: BrakeSettings, at: Instant, released: Mapping[str, Instant]
) -> dict[str, Pull]:
    """The brakes that are to be on now, by key. `released`: what failed until then does not count for that brake again."""
    kept = tuple(circuits)
    failures = tuple(
        each
        for circuit in kept
        for each in within(circuit.failures, settings.within_ms, at)
        if not each.rule.startswith(PERSONS)
    )
    pulls = [*_rules(failures, settings, released), *_regions(failures, settings, released)]
    together = _together(kept, settings, at, released)
    return {pull.key: pull for pull in [*pulls, *([together] if together is not None else [])]}


def binding(brakes: Iterable[Brake], rule: str, targets: Iterable[Target]) -> Brake | None:
    """The brake that a proposal hears of: that of its rule first, for nothing answers it."""
    regions = {target.region for target in targets}
    found = [
        brake
        for brake in brakes
        if brake.what is Brakes.GLOBAL
        or (brake.what is Brakes.RULE and brake.name == rule)
        or (brake.what is Brakes.REGION and brake.name in regions)
    ]
    order = tuple(Brakes)
    return min(found, key=lambda brake: (order.index(brake.what), brake.key), default=None)


def _rules(failures: tuple[Failure, ...], settings: BrakeSettings, released: Mapping[str, Instant]) -> Iterable[Pull]:
    by_rule: defaultdict[str, set[str]] = defaultdict(set)
    for each in failures:
        if _counts(each.at, released, key_of(Brakes.RULE, each.rule)):
            by_rule[each.rule].add(each.target)
    for rule, targets in sorted(by_rule.items()):
        if rule and len(targets) >= settings.targets:
            yield Pull(
                what=Brakes.RULE,
                name=rule,
                why=f"rule {rule} failed on {len(targets)} targets in {duration_text(settings.within_ms)}",
                rules=(rule,),
                targets=tuple(sorted(targets))[:NAMED_MAX],
            )


def _regions(failures: tuple[Failure, ...], settings: BrakeSettings, released: Mapping[str, Instant]) -> Iterable[Pull]:
    """One target that many rules fail on is that target's trouble, so as many targets are asked for as rules."""
    by_region: defaultdict[str, list[Failure]] = defaultdict(list)
    for each in failures:
        if each.region and _counts(each.at, released, key_of(Brakes.REGION, each.region)):
            by_region[each.region].append(each)
    for region, found in sorted(by_region.items()):
        rules = tuple(sorted({each.rule for each in found if each.rule}))
        targets = tuple(sorted({each.target for each in found}))
        if len(rules) >= settings.rules and len(targets) >= settings.rules:
            yield Pull(
                what=Brakes.REGION,
                name=region,
                why=f"{len(rules)} rules failed on {count_of(len(targets), 'target')} in {region} in "
                f"{duration_text(settings.within_ms)} ({names_of(rules)})",
                rules=rules[:NAMED_MAX],
                targets=targets[:NAMED_MAX],
            )


def _together(
    circuits: tuple[Circuit, ...], settings: BrakeSettings, at: Instant, released: Mapping[str, Instant]
) -> Pull | None:
    key = key_of(Brakes.GLOBAL, "")
    found = [
        circuit
        for circuit in circuits
        if circuit.state == OPEN
        and circuit.opened_at is not None
        and ms_between(circuit.opened_at, at) < settings.within_ms
        and _counts(circuit.opened_at, released, key)
    ]
    targets = tuple(sorted({circuit.domain for circuit in found}))
    if len(targets) < settings.open_max:
        return None
    return Pull(
        what=Brakes.GLOBAL,
        name="",
        why=f"breakers of {len(targets)} targets opened in {duration_text(settings.within_ms)} ({names_of(targets)})",
        targets=targets[:NAMED_MAX],
    )


def _counts(at: Instant, released: Mapping[str, Instant], key: str) -> bool:
    until_at = released.get(key)
    return until_at is None or at > until_at
