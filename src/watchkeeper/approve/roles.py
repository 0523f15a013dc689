"""What each role may do: one table. Stopping is easy, starting and enabling is hard; nothing is allowed by default.

Policies may narrow this further; they cannot widen it.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.approve.people import Actor


class Verb(StrEnum):
    """What somebody may want to do. `approve_emergency` answers a freeze, beside `approve`. `release`: close a breaker,
    release the brake. `play`: the scenarios of the active configuration.
    """

    READ = "read"
    METRICS = "metrics"
    POST_HOOK = "post_hook"
    FEEDBACK = "feedback"
    ACKNOWLEDGE = "acknowledge"
    STOP = "stop"
    HOLD = "hold"
    LIFT_HOLD = "lift_hold"
    FREEZE = "freeze"
    LIFT_FREEZE = "lift_freeze"
    PAUSE = "pause"
    CANCEL = "cancel"
    REJECT = "reject"
    RUN = "run"
    SETTLE = "settle"
    APPROVE = "approve"
    APPROVE_EMERGENCY = "approve_emergency"
    RESUME = "resume"
    CLOSE = "close"
    GRANT = "grant"
    REVIEW = "review"
    REPLAY_DEAD_LETTER = "replay_dead_letter"
    APPLY = "apply"
    IDENTITY = "identity"
    TOKEN = "token"  # noqa: S105  a verb, no secret
    ERASE = "erase"
    RESTORE = "restore"
    BACKUP = "backup"
    EXPORT = "export"
    RELEASE = "release"
    DEMOTE = "demote"
    LIFT_DEMOTION = "lift_demotion"
    PLAY = "play"


class Role(StrEnum):
    """`emergency` and `metrics` stand beside the ladder of the other four: each gives its one permission."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    EMERGENCY = "emergency"
    METRICS = "metrics"


_VIEWER: Final = frozenset({Verb.READ, Verb.METRICS})
_OPERATOR: Final = _VIEWER | {
    Verb.FEEDBACK,
    Verb.ACKNOWLEDGE,
    Verb.STOP,
    Verb.HOLD,
    Verb.LIFT_HOLD,
    Verb.FREEZE,
    Verb.PAUSE,
    Verb.CANCEL,
    Verb.REJECT,
    Verb.RUN,
    Verb.SETTLE,
    Verb.REVIEW,
    Verb.REPLAY_DEAD_LETTER,
    Verb.EXPORT,
    Verb.DEMOTE,
    Verb.PLAY,
}
_APPROVER: Final = _OPERATOR | {Verb.APPROVE, Verb.RESUME, Verb.LIFT_FREEZE, Verb.CLOSE, Verb.RELEASE}
_ADMIN: Final = _APPROVER | {
    Verb.APPROVE_EMERGENCY,
    Verb.GRANT,
    Verb.LIFT_DEMOTION,
    Verb.APPLY,
    Verb.IDENTITY,
    Verb.TOKEN,
    Verb.ERASE,
    Verb.RESTORE,
    Verb.BACKUP,
}

TABLE: Final[dict[str, frozenset[Verb]]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.APPROVER: _APPROVER,
    Role.ADMIN: _ADMIN,
    Role.EMERGENCY: frozenset({Verb.READ, Verb.APPROVE, Verb.APPROVE_EMERGENCY}),
    Role.METRICS: frozenset({Verb.METRICS}),
}

# The bootstrap token reads, posts to hooks, and makes the first identities and tokens: nothing else (SEMANTICS 14).
BOOTSTRAP: Final = frozenset({Verb.READ, Verb.POST_HOOK, Verb.IDENTITY, Verb.TOKEN})
HOOK: Final = frozenset({Verb.POST_HOOK})
HUMANS_ONLY: Final = frozenset(
    {
        Verb.APPROVE,
        Verb.APPROVE_EMERGENCY,
        Verb.GRANT,
        Verb.SETTLE,
        Verb.RESUME,
        Verb.REVIEW,
        Verb.DEMOTE,
        Verb.LIFT_DEMOTION,
        Verb.RELEASE,
        Verb.RESTORE,
    }
)


class Allowed(Struct, frozen=True):
    by: str


class Denied(Struct, frozen=True):
    reason: str


def may(actor: Actor, verb: Verb) -> Allowed | Denied:
    """Whether the actor may, by its credential and roles; a denial says what would be needed."""
    who = actor.name or "nobody"
    if actor.bootstrap:
        if verb in BOOTSTRAP:
            return Allowed("bootstrap token")
        return Denied(f"The bootstrap token may not {_word(verb)}: make an identity (wk identity add --me).")
    if actor.source:
        if verb in HOOK:
            return Allowed(f"source {actor.source}")
        return Denied(f"The credential of source {actor.source} can only post to its hook.")
    giving = [role for role in actor.roles if verb in TABLE.get(role, frozenset())]
    if not giving:
        needed = [role.value for role in Role if verb in TABLE[role]]
        needs = f"needs the role {' or '.join(needed)}" if needed else "is for hook credentials"
        return Denied(f"{who} may not {_word(verb)}: that {needs}.")
    if verb in HUMANS_ONLY and not actor.human:
        return Denied(f"{who} is no person, and only a person may {_word(verb)}.")
    return Allowed(min(giving))


def verbs_of(actor: Actor) -> tuple[Verb, ...]:
    """Everything the actor may, in the order of the table: what a page offers buttons for."""
    return tuple(verb for verb in Verb if isinstance(may(actor, verb), Allowed))


def _word(verb: Verb) -> str:
    return _WORDS.get(verb, verb.value.replace("_", " "))


_WORDS: Final = {
    Verb.POST_HOOK: "post to a hook",
    Verb.APPROVE_EMERGENCY: "approve an emergency",
    Verb.IDENTITY: "change identities",
    Verb.TOKEN: "change tokens",
    Verb.METRICS: "read metrics",
    Verb.APPLY: "apply a configuration",
    Verb.RELEASE: "close a breaker or release the brake",
    Verb.DEMOTE: "demote a rule",
    Verb.LIFT_DEMOTION: "lift a demotion",
    Verb.PLAY: "play scenarios",
}
