"""A replay test: a decision that somebody called false or harmful, and that no later version of the rules may make again.

```yaml
apiVersion: watchkeeper.dev/v1
kind: ReplayTest
metadata: {name: harmful-3f9c77ab01, owner: group:payments-sre}
spec:
  decision: dec_01998a3c-...
  at: 2026-03-02T09:14:00Z
  rule: payments/wedged-instance
  runbook: payments/restart-instance
  targets: [resource:default/web-1]
  forbids: act
  record: eNqtW...
```

`wk decisions test` writes it. `record` is what was recorded of the decision, packed; the fields beside it are for people.
"""

from typing import Final

from msgspec import Struct

from watchkeeper.documents import Envelope
from watchkeeper.packs.clauses import canonical_ref, where_of
from watchkeeper.values import Instant

RECORD_CHARS_MAX: Final = 900_000  # of one file of 1 MiB
FORBIDS: Final = ("act", "ask")
TARGETS_SHOWN_MAX: Final = 20


class ReplayTest(Struct, frozen=True, kw_only=True):
    """`forbids` is the most lenient verdict that was wrong: it and what is more lenient may not come again."""

    name: str
    pack: str
    owner: str
    where: str
    decision: str
    rule: str
    runbook: str
    targets: tuple[str, ...]
    forbids: str
    record: str
    at: Instant | None = None
    description: str = ""


def load_replay_test(head: Envelope, pack: str) -> ReplayTest | None:
    """None when the document has an error."""
    spec = head.spec
    before = len(spec.problems)
    found = ReplayTest(
        name=f"{pack}/{head.name}",
        pack=pack,
        owner=canonical_ref(head.owner),
        where=where_of(head.node),
        description=spec.text("description"),
        decision=spec.text("decision", required=True),
        at=spec.instant("at"),
        rule=spec.text("rule", required=True),
        runbook=spec.text("runbook", required=True),
        targets=spec.texts("targets", one_will_do=True),
        forbids=spec.text("forbids", required=True),
        record=spec.text("record", required=True, most=RECORD_CHARS_MAX),
    )
    if found.forbids and found.forbids not in FORBIDS:
        spec.wrong("forbids", f"expected one of {', '.join(FORBIDS)}, got {found.forbids!r}")
    spec.done()
    return found if not any(problem.severity == "error" for problem in spec.problems[before:]) else None
