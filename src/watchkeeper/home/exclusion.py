"""An entry of the exclusion register, and the scope in which it and its like bind."""

from enum import StrEnum

from msgspec import Struct

from watchkeeper.values import Instant


class Scope(Struct, frozen=True, kw_only=True):
    """What a stop, hold, freeze, exclusion or maintenance covers. Empty fields cover everything; all given must agree.

    `entity` is a reference, `rule` a `pack/name`.
    """

    environment: str = ""
    system: str = ""
    region: str = ""
    kind: str = ""
    tier: str = ""
    entity: str = ""
    service: str = ""
    rule: str = ""


class Exclusion(Struct, frozen=True, kw_only=True):
    """A subsystem kept out of automation. An expired one still binds until it is renewed or removed on record.

    `criterion` is the test that put it on the list, `control` the regulation or control behind it. `review_at`: its
    owner is to look at it again by then; None where `until_at` is the only date.
    """

    id: str
    scope: Scope
    control: str
    reason: str
    owner: str
    approver: str
    from_at: Instant
    until_at: Instant
    compensating: str = ""
    criterion: str = ""
    review_at: Instant | None = None


class State(StrEnum):
    """How an exclusion stands at a time. It binds in all of them but `planned`."""

    PLANNED = "planned"
    IN_FORCE = "in_force"
    REVIEW_DUE = "review_due"
    EXPIRED = "expired"


def state_of(exclusion: Exclusion, now: Instant) -> State:
    if exclusion.from_at > now:
        return State.PLANNED
    if exclusion.until_at <= now:
        return State.EXPIRED
    if exclusion.review_at is not None and exclusion.review_at <= now:
        return State.REVIEW_DUE
    return State.IN_FORCE
