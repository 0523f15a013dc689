"""An entry of the exclusion register, and the scope in which it and its like bind."""

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
    """A subsystem kept out of automation. An expired one still binds until it is renewed or removed on record."""

    id: str
    scope: Scope
    control: str
    reason: str
    owner: str
    approver: str
    from_at: Instant
    until_at: Instant
    compensating: str = ""
