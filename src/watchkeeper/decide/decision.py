"""A decision: the verdict on one proposal, and every reason for it."""

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from watchkeeper.guards.finding import Finding
from watchkeeper.guards.situation import Target
from watchkeeper.packs.rule import Mode
from watchkeeper.values import Instant, Severity

DECIDE_REV: Final = 2  # raised with any change that can alter a decision; replay compares across revisions


class Verdict(StrEnum):
    """Strictness falls from top to bottom: refuse > hold > observe > suggest > ask > act."""

    REFUSE = "refuse"
    HOLD = "hold"
    OBSERVE = "observe"
    SUGGEST = "suggest"
    ASK = "ask"
    ACT = "act"


STRICTNESS: Final = {verdict: len(Verdict) - at for at, verdict in enumerate(Verdict)}


class ClauseResult(Struct, frozen=True, kw_only=True):
    """One line of the rule's clause table: the text, the answer (`true`, `false`, `unknown`, `broken`), what it saw."""

    source: str
    answer: str
    why: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """`id` is a function of what was judged and when. `binding` is the digest an approval answers: pack, runbook,
    literal parameters, resolved targets with their attributes, policy version, mode and episode.
    `reason` is the one sentence of the finding that decided. `wake_at` is set on a hold. `versions` are the numbers that
    admission compares; those that its findings name decide afresh when they change.
    """

    id: str
    at: Instant
    verdict: Verdict
    would_be: Verdict
    mode: Mode
    reason: str
    rule: str
    runbook: str
    arguments: dict[str, Any]
    targets: tuple[Target, ...]
    findings: tuple[Finding, ...]
    clauses: tuple[ClauseResult, ...]
    alert: str
    episode: str
    symptom: str
    incident: str
    severity: Severity
    pack: str
    configuration: str
    situation: str
    binding: str
    engine: dict[str, str]
    actor: str = "automation"
    owner: str = ""
    escalate: bool = False
    start_by_at: Instant | None = None
    approve_by_at: Instant | None = None
    wake_at: Instant | None = None
    follows: str = ""
    because: str = ""
    priority: int = 0
    versions: dict[str, int] = {}


class ClaimWant(Struct, frozen=True, kw_only=True):
    """A limit to be claimed at admission: at most `limit` units of `key` at once (or inside the window).

    `until_at` None: a concurrency claim, ended by the run's end event. Otherwise a window claim.
    """

    key: str
    limit: int
    units: int = 1
    until_at: Instant | None = None
