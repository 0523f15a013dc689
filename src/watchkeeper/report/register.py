"""The exclusion register as auditors take it away: every exclusion, and every decision that it stopped.

In: exclusions, what they stopped with its places in the ledger, and all decisions that an exclusion refused. Out: an
`Export` that says itself whether the two agree, and the same as CSV. Source of CSV: RFC 4180.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from watchkeeper.values import Instant, rfc3339

REMOVED: Final = "removed"  # the state of an exclusion that is no longer in the file
HEAD: Final = (
    *("exclusion", "state", "scope", "control", "criterion", "reason", "owner", "approver", "from", "review", "until"),
    *(
        "compensating",
        "stopped",
        "observed",
        "decision",
        "at",
        "verdict",
        "rule",
        "runbook",
        "actor",
        "target",
        "targets",
    ),
    *("sentence", "alert", "incident", "ledger"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class Stopped(Struct, frozen=True, kw_only=True):
    """One decision. `ledger` are the positions of its entries; they may still be pending, then there is none yet."""

    decision: str
    at: Instant
    verdict: str
    rule: str
    runbook: str
    actor: str
    target: str
    targets: tuple[str, ...]
    sentence: str
    alert: str
    incident: str
    ledger: tuple[int, ...]


class Entry(Struct, frozen=True, kw_only=True):
    """One exclusion. `stopped` decisions would have acted or asked; `observed` ones would not have acted anyway."""

    id: str
    state: str
    scope: dict[str, str]
    control: str
    criterion: str
    reason: str
    owner: str
    approver: str
    from_at: Instant
    review_at: Instant | None
    until_at: Instant
    compensating: str
    stopped: int
    observed: int
    decisions: tuple[Stopped, ...]


class Reconciled(Struct, frozen=True, kw_only=True):
    """The register held against the decisions taken, both read on their own. `missing` are decisions that an exclusion
    refused and the register lacks, `unknown` those in the register that are no longer kept as decisions, `unledgered`
    those without an entry in the ledger.
    """

    decisions: int
    listed: int
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    unledgered: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        return not self.missing and not self.unledgered


class Export(Struct, frozen=True, kw_only=True):
    at: Instant
    since_at: Instant | None
    until_at: Instant | None
    configuration: str
    checkpoint: str
    exclusions: tuple[Entry, ...]
    stopped: int
    observed: int
    reconciled: Reconciled
    agrees: bool


def reconcile(listed: Mapping[str, Stopped], refused: Iterable[str]) -> Reconciled:
    """`refused` are the ids of all decisions whose exclusion guard refused, read from the decisions themselves."""
    taken = set(refused)
    return Reconciled(
        decisions=len(taken),
        listed=len(listed),
        missing=tuple(sorted(taken - listed.keys())),
        unknown=tuple(sorted(listed.keys() - taken)),
        unledgered=tuple(sorted(name for name, each in listed.items() if not each.ledger)),
    )


def csv_of(export: Export) -> str:
    """One line a decision; an exclusion that stopped none has one line of its own."""
    rows: list[Sequence[Any]] = [HEAD]
    for each in export.exclusions:
        own = (
            each.id,
            each.state,
            "; ".join(f"{name}={value}" for name, value in each.scope.items()),
            each.control,
            each.criterion,
            each.reason,
            each.owner,
            each.approver,
            rfc3339(each.from_at),
            rfc3339(each.review_at) if each.review_at is not None else "",
            rfc3339(each.until_at),
            each.compensating,
            each.stopped,
            each.observed,
        )
        rows.extend((*own, *_cells(decision)) for decision in each.decisions)
        if not each.decisions:
            rows.append((*own, *([""] * (len(HEAD) - len(own)))))
    return "".join(f"{','.join(_cell(cell) for cell in row)}\r\n" for row in rows)


def _cells(one: Stopped) -> tuple[str, ...]:
    return (
        one.decision,
        rfc3339(one.at),
        one.verdict,
        one.rule,
        one.runbook,
        one.actor,
        one.target,
        " ".join(one.targets),
        one.sentence,
        one.alert,
        one.incident,
        " ".join(str(index) for index in one.ledger),
    )


def _cell(value: Any) -> str:
    """Quoted where RFC 4180 says so. Text that a spreadsheet would take for a formula is marked as text."""
    text = str(value)
    if text.startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in ',"\r\n') else text
