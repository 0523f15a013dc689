"""The situation of a proposal, read from the world at one instant.

In: the world, an alert's facts, a rule and its targets. Out: `Proposal` and `Situation`, both complete: nothing is
looked up later, so what is stored beside the decision is all that it saw.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from msgspec.structs import replace

from watchkeeper.catalog import graph
from watchkeeper.catalog.availability import can_meet
from watchkeeper.catalog.catalog import by_annotation, by_ref
from watchkeeper.decide.target import NoTarget, Subject, bind_target, target_from, targets_of
from watchkeeper.engine.ladders import Ladders
from watchkeeper.engine.measured import MeasuredInputs, unmeasured
from watchkeeper.engine.needs import needs_of, unreached
from watchkeeper.engine.windows import NO_WINDOWS, windows_of
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.guards.autonomy import standing_key
from watchkeeper.guards.cover import covers
from watchkeeper.guards.situation import (
    AlertFacts,
    Breaker,
    Clock,
    DependencyState,
    Freeze,
    Health,
    Hold,
    Measured,
    Members,
    Need,
    Proposal,
    Scope,
    Seen,
    Situation,
    Target,
)
from watchkeeper.home.configuration import Configuration
from watchkeeper.learn.brake import binding
from watchkeeper.learn.breaker import Circuit
from watchkeeper.packs.rule import Limits, Rule, TargetQuery
from watchkeeper.packs.runbook import Effect, Runbook, Via
from watchkeeper.packs.scope import aged_binding, alert_binding
from watchkeeper.values import Instant, id_from

OWN_KEPT_MAX: Final = 100_000
PERSON_LIMITS: Final = Limits(attempts=1_000)  # a person may try as often as they see fit; it stays on record
PERSON_PRIORITY: Final = 1_000
COMPARED: Final = ("breaker:brake", "configuration", "epoch", "exclusion", "freeze", "grant", "hold", "stop")
ELSEWHERE: Final = "another run"  # has, or will have, the trial of a breaker that opened since this one was admitted


class Rhythm(Protocol):
    """`engine.rhythms.Rhythms.of`."""

    def __call__(self, rule: str, targets: Iterable[Target], now: Instant, *, fresh: bool) -> Measured | None: ...


class Situations:
    """Builds situations over one world. Caches what only the configuration decides, by its digest."""

    def __init__(
        self, world: World, measured: MeasuredInputs | None = None, witnesses: Witnesses | None = None
    ) -> None:
        """Without `measured` nothing is: metrics are unknown, and a budget is only named."""
        self._world, self._measured, self._witnesses = world, measured, witnesses
        self.rhythm: Rhythm | None = None  # how often rules are called for; None: nobody watches
        self._ladders = Ladders(world, self.bindings)
        self.ceilings = self._ladders.ceilings
        self._cached_for = ""
        self._blast: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._needs: dict[tuple[str, Via], tuple[Need, ...]] = {}
        self.clock: Callable[[], Clock] = lambda: world.clock  # whether wall time can be trusted at this very moment
        self.without: dict[Via, str] = {}  # what this node was installed without, and how one gets it
        self._targets: dict[str, Target] = {}
        self._production: dict[str, bool] = {}
        self._own: dict[tuple[int, str], tuple[TargetQuery, tuple[Target, ...] | NoTarget]] = {}

    @property
    def configuration(self) -> Configuration:
        found = self._world.configuration
        if found.digest != self._cached_for:
            self._blast, self._needs, self._targets, self._own, self._cached_for = {}, {}, {}, {}, found.digest
            self._production = {name: each.production for name, each in found.settings.environments.items()}
        return found

    def production(self) -> dict[str, bool]:
        _ = self.configuration  # another one may have become active
        return self._production

    def target(self, ref: str) -> Target | None:
        configuration = self.configuration
        if ref not in self._targets:
            entity = by_ref(configuration.catalog, ref)
            if entity is None:
                return None
            self._targets[ref] = target_from(entity, configuration.catalog, self.production())
        return self._targets[ref]

    def own_target(self, query: TargetQuery, entity: str) -> tuple[Target, ...] | NoTarget:
        """The alert's own entity as a query bounds it: the configuration alone decides that."""
        configuration = self.configuration
        known = (id(query), entity)
        kept = self._own.get(known)
        if kept is None:
            if len(self._own) >= OWN_KEPT_MAX:
                self._own.clear()
            found = targets_of(query, (Subject(entity, {}),), configuration.catalog, self._production)
            kept = self._own[known] = (query, found)  # with the query, so that its id is nobody else's
        return kept[1]

    def proposal(
        self,
        rule: Rule | None,
        runbook: Runbook,
        targets: tuple[Target, ...],
        arguments: Mapping[str, Any],
        facts: AlertFacts | None,
        now: Instant,
        *,
        actor: str = "automation",
        emergency: bool = False,
    ) -> Proposal:
        """What a rule, or a person without one, wants."""
        pack = self.configuration.rulebook.packs.get(runbook.pack)
        name = rule.name if rule is not None else f"person/{runbook.name}"
        episode = facts.episode if facts is not None else ""
        refs = [target.ref for target in targets]
        at = facts.first_seen_at if facts is not None else now
        needs = self._needs_of(runbook, targets)
        lacks = dict.fromkeys(self.without[need.via] for need in needs if need.via in self.without)
        return Proposal(
            id=id_from("prp", at, name, episode, *refs),
            rule=name,
            rule_digest=rule.digest if rule is not None else "",
            runbook=runbook.name,
            runbook_digest=runbook.digest,
            pack=runbook.pack,
            pack_version=f"{pack.version}+{pack.digest[:12]}" if pack is not None else "unpacked",
            episode=episode,
            targets=targets,
            arguments=dict(arguments),
            limits=rule.limits if rule is not None else PERSON_LIMITS,
            risk=runbook.risk,
            priority=rule.priority if rule is not None else PERSON_PRIORITY,
            owner=rule.owner if rule is not None else runbook.owner,
            actor=actor,
            failover=runbook.failover,
            needs=needs,
            emergency=emergency,
            unbuilt=(*runbook.unbuilt, *lacks),
        )

    def situation(
        self,
        proposal: Proposal,
        rule: Rule | None,
        runbook: Runbook,
        facts: AlertFacts | None,
        now: Instant,
        *,
        groups: tuple[Seen, ...] = (),
        regions: tuple[Seen, ...] = (),
        rivals: tuple[str, ...] = (),
        unknown_clause: str = "",
        broken_clause: str = "",
        answered: tuple[str, ...] = (),
        denied: str = "",
        without_run: str = "",
        own_trials: tuple[str, ...] = (),
    ) -> Situation:
        """Read the world once. `without_run` is the run that is judged: no guard counts it (SEMANTICS 2). `own_trials`
        are the breakers whose one trial it has.
        """
        world, configuration = self._world, self.configuration
        targets = proposal.targets
        refs = tuple(target.ref for target in targets)
        matters = _Matters(proposal)
        clock = self.clock()
        own = configuration.rulebook.packs.get(proposal.pack)
        windows = windows_of(world.calendars, matters.to, now) if world.calendars else NO_WINDOWS
        brake = binding(world.brakes.values(), proposal.rule, targets) if world.brakes else None
        return Situation(
            at=now,
            epoch=world.epoch,
            configuration=configuration.digest,
            versions=self._versions(refs, runbook.needs, facts, proposal),
            alert=facts,
            ladder=self._ladders.ladder(proposal, rule, runbook, facts, now),
            clock=clock,
            stops=tuple([each for each in world.stops.values() if matters.to(each.scope)]),
            holds=tuple([each for each in world.holds.values() if matters.bind(each, now, clock)]),
            freezes=(
                *[each for each in world.freezes.values() if matters.bind(each, now, clock)],
                *windows.freezes,
            ),
            exclusions=tuple([each for each in configuration.exclusions if matters.to(each.scope)]),
            maintenance=(
                *[each for each in world.maintenance.values() if matters.to(each.scope)],
                *windows.maintenance,
            ),
            deploys=tuple(
                [
                    each
                    for each in world.deploys.values()
                    if any(each.service in {t.service, t.ref, t.name} for t in targets)
                ]
            ),
            attempts=tuple(
                [
                    attempt
                    for ref in refs
                    for attempt in world.attempts(ref, now, proposal.limits.attempts_within_ms)
                    if attempt.run != without_run
                ]
            ),
            breakers=self._breakers(proposal, own_trials, without_run) if world.circuits else (),
            braked=brake.why if brake is not None else "",
            brake=brake.what.value if brake is not None else "",
            blast=self._blast_of(refs),
            dependencies=tuple([self._dependency(ref, runbook, now) for ref in runbook.needs]),
            objective_ppm=runbook.objective_ppm,
            members=self._members(proposal, now, without_run),
            groups_seen=groups,
            groups_needed=rule.corroborate.groups if rule is not None and rule.corroborate is not None else 0,
            regions=regions,
            regions_needed=rule.regions.agree if rule is not None and rule.regions is not None else 0,
            trusted_pack=own.trust if own is not None else "",
            untrusted=self._untrusted(proposal),
            denied=denied,
            owner_known=bool(proposal.owner) and proposal.owner in configuration.catalog.entities,
            busy=tuple(
                sorted({run for ref in refs if (run := world.busy.get(ref)) is not None and run != without_run})
            ),
            rivals=rivals,
            unknown_clause=unknown_clause,
            broken_clause=broken_clause,
            answered=answered,
            budget=self._measured.budget(targets) if self._measured is not None else unmeasured(configuration, targets),
            anomaly=self.rhythm(
                proposal.rule, targets, now, fresh=world.decided(proposal.episode, proposal.rule) is None
            )
            if self.rhythm is not None
            else None,
            frozen_until=windows.frozen_until,
            unread=windows.unread,
            local_allowed=all(_local(configuration, each.environment) for each in targets if each.production),
            unreached=unreached(proposal),
        )

    def bindings(self, facts: AlertFacts | None, target: Target | None, now: Instant) -> dict[str, Any]:
        """What a rule's expressions see."""
        probes = self._probes(now)
        found: dict[str, Any] = {
            "now": now,
            **aged_binding(
                metrics=self._measured.metrics(target) if self._measured is not None else None,
                slo=self._measured.slos() if self._measured is not None else None,
                probe=probes,
                dependency=probes,
                region=self._witnesses.regions(now) if self._witnesses is not None else None,
            ),
        }
        if facts is not None:
            found["alert"] = alert_binding(
                labels=facts.labels,
                annotations=facts.annotations,
                severity=facts.severity.value,
                symptom=facts.symptom,
                source=facts.source,
                group=facts.group,
                region=facts.region,
                entity=facts.entity,
                firing=facts.firing,
                starts_at=facts.starts_at,
                first_seen_at=facts.first_seen_at,
                last_seen_at=facts.last_seen_at,
            )
        if target is not None:
            found["target"] = bind_target(target)
        return found

    def health(self, ref: str, now: Instant) -> tuple[Health, Instant | None]:
        """What is known of an entity: unwell while an alert on it fires, else as its probes say while they are fresh."""
        if self._world.failing.get(ref):
            return Health.UNHEALTHY, now
        found = self._world.health.of(ref, now)
        return found.health, found.at

    def _probes(self, now: Instant) -> dict[str, Any]:
        catalog = self.configuration.catalog
        return {
            catalog.entities[ref].name: self.health(ref, now)[0].value
            for ref in self._world.health
            if ref in catalog.entities
        }

    def _untrusted(self, proposal: Proposal) -> str:
        """Why the pack may not act where a target stands: `trust:` of watchkeeper.yaml says what each environment takes."""
        configuration = self.configuration
        pack = configuration.rulebook.packs.get(proposal.pack)
        if pack is None:
            return f"pack {proposal.pack} is not in the active configuration"
        for target in proposal.targets:
            if not configuration.settings.accepts(target.environment, pack.trust):
                return f"{target.environment or 'its environment'} does not accept packs of trust {pack.trust!r}"
        return ""

    def _versions(
        self, refs: tuple[str, ...], needs: Iterable[str], facts: AlertFacts | None, proposal: Proposal
    ) -> dict[str, int]:
        """Every version that a finding may name: one that is left out would count as never raised."""
        world = self._world
        keys = [
            *COMPARED,
            standing_key(proposal.rule),
            *(f"target:{ref}" for ref in refs),
            *(f"dependency:{ref}" for ref in needs),
        ]
        if world.calendars:
            keys.append("maintenance")
        if world.circuits:
            keys.extend(f"breaker:{each.key}" for each in self._circuits(proposal))
        if facts is not None:
            keys.append(f"symptom:{facts.symptom}")
        numbers = world.versions
        return {key: numbers.get(key, 0) for key in keys}

    def _circuits(self, proposal: Proposal) -> Iterable[Circuit]:
        """The breakers on the way: of what the runbook does, on these targets, by this version of the pack."""
        actions = {need.action for need in proposal.needs if need.effect is not Effect.READ}
        pack = f"{proposal.pack}@{proposal.pack_version}"
        for target in proposal.targets:
            for circuit in self._world.circuits_of(target.ref):
                if circuit.pack == pack and circuit.action in actions:
                    yield circuit

    def _breakers(self, proposal: Proposal, own_trials: tuple[str, ...], without_run: str) -> tuple[Breaker, ...]:
        """Whoever was admitted before a breaker opened has no claim on its trial, so for that run it is taken."""
        found = []
        for circuit in self._circuits(proposal):
            trial = self._world.trials.get(circuit.key, "")
            if without_run:
                trial = "" if circuit.key in own_trials else trial or ELSEWHERE
            found.append(
                Breaker(
                    key=circuit.key,
                    state=circuit.state,
                    since_at=circuit.since_at,
                    failures=circuit.failed,
                    until_at=circuit.until_at,
                    trial=trial,
                )
            )
        return tuple(found)

    def _blast_of(self, refs: tuple[str, ...]) -> tuple[str, ...]:
        if refs not in self._blast:
            catalog = self.configuration.catalog
            self._blast[refs] = tuple(sorted(graph.dependents(catalog, refs) - set(refs)))
        return self._blast[refs]

    def _dependency(self, ref: str, runbook: Runbook, now: Instant) -> DependencyState:
        catalog = self.configuration.catalog
        health, as_of = self.health(ref, now)
        composite_ppm, weakest = None, ""
        if runbook.objective_ppm is not None:
            judged = can_meet(catalog, (ref,), runbook.objective_ppm)
            composite_ppm = judged.composite.ppm
            weakest = judged.composite.weakest.ref if judged.composite.weakest is not None else ""
        return DependencyState(ref=ref, health=health, as_of=as_of, composite_ppm=composite_ppm, weakest=weakest)

    def _members(self, proposal: Proposal, now: Instant, without_run: str) -> Members | None:
        limit = proposal.limits.unavailable
        if limit is None:
            return None
        first = proposal.targets[0]
        catalog = self.configuration.catalog
        if limit.of == "group":
            group = (
                catalog.entities[first.ref].keys.get("watchkeeper.dev/group", "")
                if first.ref in catalog.entities
                else ""
            )
            found = tuple(entity.ref for entity in by_annotation(catalog, "watchkeeper.dev/group", group))
            of = group or first.ref
        else:
            found = graph.instances(catalog, first.service)
            of = first.service
            if limit.of == "zone":
                found = tuple(ref for ref in found if (t := self.target(ref)) is not None and t.zone == first.zone)
                of = f"{first.service} in {first.zone or 'its zone'}"
        states = {ref: self.health(ref, now)[0] for ref in found}
        busy = self._world.busy
        return Members(
            of=of,
            total=len(found),
            unhealthy=tuple(ref for ref in found if states[ref] is Health.UNHEALTHY),
            repairing=tuple(ref for ref in found if busy.get(ref, without_run) != without_run),
            unknown=tuple(ref for ref in found if states[ref] is Health.UNKNOWN),
        )

    def _needs_of(self, runbook: Runbook, targets: tuple[Target, ...]) -> tuple[Need, ...]:
        """A step that states no `via` goes the way its target is reached; `local` where one of them has none."""
        reaches = {target.reach for target in targets}
        reach = Via(reaches.pop()) if len(reaches) == 1 and "" not in reaches else Via.LOCAL
        if (runbook.digest, reach) not in self._needs:
            runbooks = self.configuration.rulebook.runbooks
            self._needs[runbook.digest, reach] = tuple(needs_of(runbook.steps, runbooks, "", reach))
        return self._needs[runbook.digest, reach]


class _Matters:
    """Which scopes can matter to a proposal: those that cover one of its targets."""

    def __init__(self, proposal: Proposal) -> None:
        self._proposal = proposal

    def to(self, scope: Scope) -> bool:
        return any(covers(scope, self._proposal.rule, target) for target in self._proposal.targets)

    def bind(self, limit: Hold | Freeze, now: Instant, clock: Clock) -> bool:
        """Whether it may bind the proposal. None runs out by a clock that cannot be trusted."""
        return (limit.until_at > now or not clock.trusted) and self.to(limit.scope)


def _local(configuration: Configuration, environment: str) -> bool:
    """Whether steps `via: local` may act there; production that nobody declared does not allow it."""
    found = configuration.settings.environments.get(environment)
    return found is not None and found.local


def without(situation: Situation, run: str) -> Situation:
    """The same situation without one run in it."""
    return replace(situation, busy=tuple(each for each in situation.busy if each != run))
