"""A rule: when this, propose that runbook. Data as loaded, every expression compiled."""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.packs.expression import Expression

ATTEMPTS_DEFAULT: Final = 3
ATTEMPTS_WITHIN_MS: Final = 3_600_000
SETTLE_MS: Final = 300_000
APPROVE_WITHIN_MS: Final = 1_800_000
START_BY_MS: Final = 600_000
TARGETS_MAX: Final = 10_000


class Mode(StrEnum):
    """The rungs of the autonomy ladder, lowest first."""

    OBSERVE = "observe"
    SUGGEST = "suggest"
    APPROVE = "approve"
    AUTO = "auto"


MODE_ORDER: Final = tuple(Mode)


class Risk(StrEnum):
    """The risk class of a runbook, lowest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Per(StrEnum):
    ALERT = "alert"
    INCIDENT = "incident"


class WhenUnknown(StrEnum):
    """What an unknown clause does: the rule does not match (the reason kept), or its proposal holds."""

    SKIP = "skip"
    HOLD = "hold"


class TargetQuery(Struct, frozen=True, kw_only=True):
    """An indexed look-up, not a scan. `annotation` equals the value of `value`; none or more than `most` is an error.

    `within` is a static bound on the result: `system`, `environment`, `region`, `domain` or `tier` -> value.
    With neither annotation nor value the alert's own entity is the target.
    """

    kind: str = ""
    annotation: str = ""
    value: Expression | None = None
    within: dict[str, str] = {}
    most: int = 1


class Agreement(Struct, frozen=True, kw_only=True):
    """N of M regions must see it; a region that cannot see is unknown."""

    agree: int
    of: tuple[str, ...]


class Corroboration(Struct, frozen=True, kw_only=True):
    groups: int
    within_ms: int


class Unavailable(Struct, frozen=True, kw_only=True):
    """At most `most` members (or `most_ppm` of them) of the scope `of` under repair or unhealthy at once."""

    of: str
    most: int | None = None
    most_ppm: int | None = None


class Limits(Struct, frozen=True, kw_only=True):
    attempts: int = ATTEMPTS_DEFAULT
    attempts_within_ms: int = ATTEMPTS_WITHIN_MS
    settle_ms: int = SETTLE_MS
    approve_within_ms: int = APPROVE_WITHIN_MS
    start_by_ms: int = START_BY_MS
    unavailable: Unavailable | None = None
    blast_max: int | None = None


class CeilingCase(Struct, frozen=True, kw_only=True):
    when: Expression
    ceiling: Mode


class Rule(Struct, frozen=True, kw_only=True):
    """`name` is `pack/name`. `match` is indexed equality: label -> accepted values; an absent label is "".

    `arguments` are the runbook's parameters, each a literal or a Template.
    `where` is `file:line` of the rule, `digest` that of its normal form (a change of it decides anew).
    """

    name: str
    owner: str
    pack: str
    where: str
    digest: str
    match: dict[str, tuple[str, ...]]
    runbook: str
    when: tuple[Expression, ...] = ()
    when_unknown: WhenUnknown = WhenUnknown.SKIP
    for_ms: int = 0
    regions: Agreement | None = None
    corroborate: Corroboration | None = None
    per: Per = Per.ALERT
    target: TargetQuery = TargetQuery()
    arguments: dict[str, Any] = {}
    priority: int = 0
    ceiling: Mode = Mode.OBSERVE
    ceilings: tuple[CeilingCase, ...] = ()
    limits: Limits = Limits()
    enabled: bool = True
    description: str = ""
