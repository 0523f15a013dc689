"""People and machines: who an actor is, and with what credential it came.

A token's secret is never stored: `sha256` of its text is. The text is `wk_<id tail>_<random>` and is shown once.
"""

from typing import Final

from msgspec import Struct

from watchkeeper.values import Instant

BOOTSTRAP_HOURS: Final = 24


class Identity(Struct, frozen=True, kw_only=True):
    """`name` is `local:<user>` for a uid of this machine, otherwise what an admin gave it. `groups` are catalogue
    groups (`group:default/payments-sre`) for approvals. A person is `human`; a pipeline or a script is not.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    at: Instant
    by: str
    groups: tuple[str, ...] = ()
    human: bool = True
    removed_at: Instant | None = None
    removed_by: str = ""


class Token(Struct, frozen=True, kw_only=True):
    """A bearer credential of one identity, with no more than its roles. A hook token can only post to `source`. `parent`
    is the token that made it for itself (`wk console` over TCP): it is worth nothing once that one is not.
    """

    id: str
    identity: str
    name: str
    sha256: str
    roles: tuple[str, ...]
    at: Instant
    by: str
    expires_at: Instant | None = None
    source: str = ""
    bootstrap: bool = False
    revoked_at: Instant | None = None
    revoked_by: str = ""
    parent: str = ""


class Session(Struct, frozen=True, kw_only=True):
    """A browser that signed in. `id` is the public half of its cookie's text, `sha256` of the whole; `token` the id of
    the token that it stands for, or `identity` that of the person, whom `way` (an identity provider, say) vouched for.
    """

    id: str
    sha256: str
    token: str
    name: str
    at: Instant
    until_at: Instant
    identity: str = ""
    way: str = "token"


class Actor(Struct, frozen=True, kw_only=True):
    """Who asks, as established by a socket, a token or the engine itself."""

    name: str
    roles: frozenset[str] = frozenset()
    groups: tuple[str, ...] = ()
    human: bool = True
    identity: str = ""
    token: str = ""
    source: str = ""
    bootstrap: bool = False
    channel: str = "socket"


AUTOMATION: Final = Actor(name="automation", human=False, channel="engine")


class Grant(Struct, frozen=True, kw_only=True):
    """A level given on record for a cell (SEMANTICS 4). Empty cell fields cover every value.

    `second` is who gave the second pair of eyes, needed in production; `in_force_at` is since when it binds.
    """

    id: str
    rule: str
    level: str
    at: Instant
    until_at: Instant
    by: str
    reason: str
    tier: str = ""
    severity: str = ""
    environment: str = ""
    region: str = ""
    second: str = ""
    revoked_at: Instant | None = None
    revoked_by: str = ""
    pending: bool = False
    in_force_at: Instant | None = None
