"""What a scenario gives: the world as it is when its first signal comes, and how the outside answers.

Plain nouns, as they were written: lengths of time in milliseconds before or after the scenario's start, shares in parts per
million. What they name (an entity, an objective, a calendar) is a `Mention`, so that whoever knows the home says whether
it exists.
"""

from enum import StrEnum
from typing import Any

from msgspec import Struct

from watchkeeper.packs.rule import Mode
from watchkeeper.values import Instant, Labels


class Named(StrEnum):
    """What a scenario names that must exist in its home."""

    ENTITY = "entity"
    SERVICE = "service"
    SERVICE_WITH_SLO = "service with an SLO"
    SLO = "SLO"
    BURN = "burn window"
    REGION = "region"
    GROUP = "group"
    RULE = "rule"
    RUNBOOK = "runbook"
    CALENDAR = "calendar"


class Mention(Struct, frozen=True, kw_only=True):
    """A name, what it must be, and where it is written."""

    what: Named
    name: str
    scenario: str
    file: str
    line: int
    column: int
    field: str


class Until(Struct, frozen=True, kw_only=True):
    """An end: an instant, or a length of time from the start; a day without either."""

    after_ms: int = 86_400_000
    at: Instant | None = None


class Limit(Struct, frozen=True, kw_only=True):
    """A stop, hold, freeze, maintenance or exclusion in force. `control`, `owner` and `approver` are an exclusion's."""

    scope: Labels
    reason: str
    by: str
    until: Until
    control: str = ""
    owner: str = ""
    approver: str = ""


class GivenDeploy(Struct, frozen=True, kw_only=True):
    service: str
    reason: str
    until: Until


class GivenAttempt(Struct, frozen=True, kw_only=True):
    """An earlier run on a target that ended `ago_ms` before the start."""

    target: str
    ago_ms: int
    status: str
    runbook: str = ""
    symptom: str = ""


class GivenBreaker(Struct, frozen=True, kw_only=True):
    """A breaker that is open until then; one whose end has passed is half open: one trial is free."""

    runbook: str
    action: str
    target: str
    until: Until


class GivenBrake(Struct, frozen=True, kw_only=True):
    """The brake is on, because of what failed lately: for a rule, for a region, or (both "") for everything."""

    rule: str = ""
    region: str = ""


class GivenHealth(Struct, frozen=True, kw_only=True):
    """What is known of an entity. `age_ms` None: it was seen just now, and goes on being seen so. `unknown`: nobody looked."""

    entity: str
    health: str
    age_ms: int | None = None


class GivenMetrics(Struct, frozen=True, kw_only=True):
    """A history of one service that measures so. None is not given; `uptime_ppm` None and `blind`: nobody looked at it."""

    service: str
    uptime_ppm: int | None = None
    blind: bool = False
    mttd_ms: int | None = None
    mtta_ms: int | None = None
    mttr_ms: int | None = None
    failover_ms: int | None = None
    incidents: int | None = None
    age_ms: int = 0


class GivenObjective(Struct, frozen=True, kw_only=True):
    """What an objective says, by its name or (`service`) by that of the service whose objectives say so.

    `left_ppm` of the budget, below zero when it is overspent; `burn_ppm` by window. `age_ms` None: it is read on and on;
    else it was read so long ago and cannot be read any more. `unknown`: it was never read.
    """

    name: str = ""
    service: str = ""
    left_ppm: int = 1_000_000
    burn_ppm: dict[str, int] = {}
    age_ms: int | None = None
    unknown: bool = False


class GivenRegion(Struct, frozen=True, kw_only=True):
    """`heard_ms` before the start the last word came from it; 0 and it goes on. None: it never said anything."""

    name: str
    heard_ms: int | None


class GivenCell(Struct, frozen=True, kw_only=True):
    """Where a level stands: a rule, on a target, at a severity."""

    rule: str
    target: str
    severity: str


class GivenAgreement(Struct, frozen=True, kw_only=True):
    """People agreed in `agreed` of `of` episodes, spread over the `since_ms` that the cell has been on `level`."""

    cell: GivenCell
    agreed: int
    of: int
    level: Mode
    since_ms: int


class GivenDemotion(Struct, frozen=True, kw_only=True):
    """`because`: harm, unhealthy, anomaly or budget."""

    cell: GivenCell
    because: str
    ago_ms: int


class GivenCalendar(Struct, frozen=True, kw_only=True):
    """A calendar that is read from elsewhere: what it said (`body`), `age_ms` before the start, and that it cannot be read
    now unless `readable`. None: it was never read.
    """

    name: str
    body: str = ""
    age_ms: int | None = None
    readable: bool = True


class Failing(Struct, frozen=True, kw_only=True):
    """A step that is refused by its target; on these targets alone where any are named."""

    step: str
    why: str
    targets: tuple[str, ...] = ()


class Given(Struct, frozen=True, kw_only=True):
    """Everything that is given beside the signals. What is empty is as a home is on its first day."""

    stops: tuple[Limit, ...] = ()
    holds: tuple[Limit, ...] = ()
    freezes: tuple[Limit, ...] = ()
    exclusions: tuple[Limit, ...] = ()
    maintenance: tuple[Limit, ...] = ()
    deploys: tuple[GivenDeploy, ...] = ()
    attempts: tuple[GivenAttempt, ...] = ()
    breakers: tuple[GivenBreaker, ...] = ()
    brakes: tuple[GivenBrake, ...] = ()
    busy: tuple[str, ...] = ()
    health: tuple[GivenHealth, ...] = ()
    metrics: tuple[GivenMetrics, ...] = ()
    objectives: tuple[GivenObjective, ...] = ()
    regions: tuple[GivenRegion, ...] = ()
    groups: tuple[str, ...] = ()
    agreements: tuple[GivenAgreement, ...] = ()
    demotions: tuple[GivenDemotion, ...] = ()
    calendars: tuple[GivenCalendar, ...] = ()
    failing: tuple[Failing, ...] = ()
    probes: dict[str, dict[str, Any]] = {}
    outputs: dict[str, Any] = {}
