"""The situation: everything a decision may depend on, read once, with the age of each input.

It is stored beside the decision, so that the record alone explains and replays it. Versions name what admission
compares: `<kind>:<scope>` -> the number of changes so far (`stop`, `hold`, `freeze`, `maintenance`, `grant`, `configuration`,
`exclusion`, `breaker:<key>`, `standing:<rule>`, `target:<ref>`, `epoch`).
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from watchkeeper.home.exclusion import Exclusion as Exclusion  # noqa: PLC0414  a noun of the situation too
from watchkeeper.home.exclusion import Scope as Scope  # noqa: PLC0414
from watchkeeper.packs.rule import Limits, Mode, Risk
from watchkeeper.packs.runbook import Effect, Via
from watchkeeper.values import Instant, Severity


class Stop(Struct, frozen=True, kw_only=True):
    """The kill switch, for everything or a part."""

    id: str
    scope: Scope
    by: str
    reason: str
    at: Instant
    now: bool = False
    lifted_at: Instant | None = None
    lifted_by: str = ""


class Hold(Struct, frozen=True, kw_only=True):
    """A person leads the investigation: automation waits for these services until `until_at`."""

    id: str
    scope: Scope
    by: str
    reason: str
    at: Instant
    until_at: Instant
    lifted_at: Instant | None = None
    lifted_by: str = ""
    origin: str = "person"


class Freeze(Struct, frozen=True, kw_only=True):
    """No changes in this window. A freeze asks; only an emergency approval answers it."""

    id: str
    scope: Scope
    by: str
    reason: str
    at: Instant
    from_at: Instant
    until_at: Instant
    lifted_at: Instant | None = None
    lifted_by: str = ""
    origin: str = "person"


class Maintenance(Struct, frozen=True, kw_only=True):
    id: str
    scope: Scope
    reason: str
    from_at: Instant
    until_at: Instant


class Deploy(Struct, frozen=True, kw_only=True):
    """A deploy of a service under way, with the end it announced."""

    id: str
    service: str
    reason: str
    at: Instant
    until_at: Instant | None = None


class Health(StrEnum):
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Target(Struct, frozen=True, kw_only=True):
    """A resolved target: the slice of its catalogue entity that steps and guards use. `digest` is the entity's."""

    ref: str
    kind: str
    name: str
    digest: str
    environment: str = ""
    production: bool = True
    region: str = ""
    zone: str = ""
    tier: str = ""
    system: str = ""
    service: str = ""
    owner: str = ""
    automation: str = "realtime"
    reach: str = ""
    attributes: dict[str, str] = {}
    addresses: tuple[str, ...] = ()
    honours: tuple[str, ...] = ()


class DependencyState(Struct, frozen=True, kw_only=True):
    """One thing the runbook needs. `composite_ppm` is its availability along the graph, None when nothing is declared."""

    ref: str
    health: Health
    as_of: Instant | None = None
    composite_ppm: int | None = None
    weakest: str = ""


class Members(Struct, frozen=True, kw_only=True):
    """The group that `limits.unavailable` counts in, without the run that is judged."""

    of: str
    total: int
    unhealthy: tuple[str, ...] = ()
    repairing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class Attempt(Struct, frozen=True, kw_only=True):
    """An earlier run for the same target and symptom, still inside the rule's window."""

    run: str
    target: str
    symptom: str
    ended_at: Instant
    status: str
    runbook: str = ""


class Breaker(Struct, frozen=True, kw_only=True):
    """State of one breaker. `key` is action x failure domain x pack version. `trial` is the run that has the one trial
    of it, "" while it is free to take.
    """

    key: str
    state: str
    since_at: Instant
    failures: int = 0
    until_at: Instant | None = None
    trial: str = ""


class Clock(Struct, frozen=True, kw_only=True):
    """Whether wall time can be trusted: see SEMANTICS 8. `agreed_at` is since when it agrees."""

    trusted: bool = True
    why: str = ""
    since_at: Instant | None = None


class Ladder(Struct, frozen=True, kw_only=True):
    """The four inputs of the effective mode, for one cell (SEMANTICS 4). `review` names the metrics for manual review that
    lowered the rule's own ceiling to approve.
    """

    cell: str
    ceiling: Mode
    risk_ceiling: Mode
    earned: Mode = Mode.OBSERVE
    granted: Mode = Mode.OBSERVE
    grant: str = ""
    demoted: Mode | None = None
    demotion: str = ""
    evidence: str = ""
    review: str = ""


class Measured(Struct, frozen=True, kw_only=True):
    """A number with an age, in the unit its name states; None when it could not be read."""

    name: str
    value: int | None
    as_of: Instant | None
    age_max_ms: int
    limit: int | None = None


class AlertFacts(Struct, frozen=True, kw_only=True):
    """What a decision uses of its alert."""

    id: str
    episode: str
    symptom: str
    labels: dict[str, str]
    annotations: dict[str, str]
    severity: Severity
    source: str
    group: str
    region: str
    entity: str
    starts_at: Instant
    first_seen_at: Instant
    last_seen_at: Instant
    firing: bool
    stale: bool = False
    incident: str = ""
    flapping: str = ""
    inhibited: str = ""
    incomplete: bool = False


class Seen(Struct, frozen=True, kw_only=True):
    """A group (or region) and what it says of the symptom: firing, quiet, or blind."""

    name: str
    says: str
    at: Instant | None = None


class Need(Struct, frozen=True, kw_only=True):
    """What one step of the runbook requires of the world: an action, how it is reached, its effect."""

    step: str
    action: str
    via: Via
    effect: Effect
    permitted: bool
    why_not: str = ""


class Proposal(Struct, frozen=True, kw_only=True):
    """What a matching rule (or a person) wants. `targets` is never empty. `arguments` are literals.

    `actor` is `automation` or `person:<identity>`. `unbuilt` names what the runbook uses and this release cannot do.
    """

    id: str
    rule: str
    rule_digest: str
    runbook: str
    runbook_digest: str
    pack: str
    pack_version: str
    episode: str
    targets: tuple[Target, ...]
    arguments: dict[str, Any]
    limits: Limits
    risk: Risk
    priority: int = 0
    owner: str = ""
    actor: str = "automation"
    failover: bool = False
    needs: tuple[Need, ...] = ()
    emergency: bool = False
    unbuilt: tuple[str, ...] = ()


class Unreached(Struct, frozen=True, kw_only=True):
    """The first target that a step could not reach, as far as the catalogue shows: the attribute, and what to write."""

    target: str
    name: str
    via: str
    attribute: str
    why: str


class Situation(Struct, frozen=True, kw_only=True):
    """The snapshot. Collections hold only what can matter to the proposal; None means nothing is configured.

    `unread` maps a guard's name to why a configured input of it could not be read: that guard cannot pass.
    `untrusted` is why the pack may not be used here (revoked, unsigned, a trust the environment refuses); "" when it may,
    and `trusted_pack` then says how that was established. `denied` is authorization's own sentence.
    `contended` is what admission refused, time after time, when this was to act.
    `braked` is why the brake is on, `brake` what it is about: `rule`, `region` or `global`.
    `answered` are the findings that approvals answered (`guards.finding.answer_key`). `local_allowed`: whether
    `via: local` may act in production.
    """

    at: Instant
    epoch: int
    configuration: str
    versions: dict[str, int]
    alert: AlertFacts | None
    ladder: Ladder
    clock: Clock = Clock()
    stops: tuple[Stop, ...] = ()
    holds: tuple[Hold, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    deploys: tuple[Deploy, ...] = ()
    deploys_unknown: str = ""
    attempts: tuple[Attempt, ...] = ()
    breakers: tuple[Breaker, ...] = ()
    braked: str = ""
    blast: tuple[str, ...] = ()
    dependencies: tuple[DependencyState, ...] = ()
    objective_ppm: int | None = None
    members: Members | None = None
    groups_seen: tuple[Seen, ...] = ()
    groups_needed: int = 0
    regions: tuple[Seen, ...] = ()
    regions_needed: int = 0
    budget: Measured | None = None
    anomaly: Measured | None = None
    trusted_pack: str = ""
    denied: str = ""
    owner_known: bool = True
    busy: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    unknown_clause: str = ""
    broken_clause: str = ""
    frozen_until: Instant | None = None
    answered: tuple[str, ...] = ()
    unread: dict[str, str] = {}
    untrusted: str = ""
    local_allowed: bool = False
    contended: str = ""
    brake: str = ""
    unreached: Unreached | None = None
