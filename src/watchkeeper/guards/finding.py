"""A finding: one guard's answer to one proposal, with its reason."""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.values import Instant, digest

SEEN: Final = "seen"


class Outcome(StrEnum):
    """What a guard answers. *Unknown* is no outcome of its own: it is `hold` with `unknown` set."""

    PASS = "pass"  # noqa: S105  the word guards use
    ASK = "ask"
    HOLD = "hold"
    REFUSE = "refuse"


class Moment(StrEnum):
    """When guards are asked (SEMANTICS 2)."""

    DECIDE = "decide"
    START = "start"
    CONTINUE = "continue"
    UNDO = "undo"


class Finding(Struct, frozen=True, kw_only=True):
    """`reason` is one sentence for the operator; `evidence` holds what was compared (strings, integers, booleans,
    lists of them: it is hashed); `until_at` is when the answer may change by itself; `change` says what would
    change it. `names` are the version keys that the answer rests on: a change of one decides afresh.

    Evidence under the key `seen` holds readings that move by themselves (a budget's level, an age). An approval answers
    the rest of the evidence, so that a reading that moves within its bound does not ask anew.
    """

    guard: str
    outcome: Outcome
    reason: str
    evidence: dict[str, Any] = {}
    until_at: Instant | None = None
    change: str = ""
    names: tuple[str, ...] = ()
    unknown: bool = False
    escalate: bool = False
    configured: bool = True


def answer_key(finding: Finding) -> str:
    """`<guard>:<evidence digest>`: what an approval answers when it answers this finding."""
    evidence = {name: value for name, value in finding.evidence.items() if name != SEEN}
    return f"{finding.guard}:{digest(evidence)}"
