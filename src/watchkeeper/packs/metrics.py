"""The metrics that a rule can see: names, types, and what each is. `wk check --context` prints them.

Shares are doubles from 0.0 to 1.0, lengths of time are durations: `metrics.mttr > duration("30m")`,
`slo["checkout"].budget_left < 0.1`.
"""

from collections.abc import Iterable
from typing import Final

from watchkeeper.packs.expression import Expression

METRICS: Final[dict[str, tuple[str, str]]] = {
    # name -> type in expressions, what it is
    "uptime": ("double", "share of the time that was watched in which the service was up, 0.0 to 1.0"),
    "mttd": ("duration", "mean time to detect: from the sender's start to our first receipt"),
    "mtta": ("duration", "mean time to acknowledge: from first receipt to a person's acknowledgement"),
    "mttr": ("duration", "mean time to restore: from the sender's start to the end of the last alert"),
    "failover": ("duration", "mean failover duration: from the first bad sample to the first verified good one"),
    "incidents": ("int", "incidents opened in the window"),
    "budget_left": (
        "double",
        "error budget left of the service's SLO, the lowest of several; below zero when overspent",
    ),
}
OF_SLO: Final[dict[str, str]] = {
    # field of slo["name"] -> what it is
    "target": "the share that was promised, 0.0 to 1.0",
    "attainment": "the share that was reached in its window",
    "budget_left": "share of the error budget that is left; below zero when overspent",
    "burn": "burn rate by window (5m, 30m, 1h, 6h, 3d): 1.0 spends the budget exactly in its window",
}
SLO: Final = "slo"  # the word for everything of slo["name"]


def measured_paths(expressions: Iterable[Expression]) -> tuple[tuple[str, ...], ...]:
    """Every mention of a metric or an SLO, each once: `("metrics", "mttr")`, `("slo", "checkout", "burn", "1h")`."""
    found = {path for each in expressions for path in each.references if path[0] in {"metrics", SLO}}
    return tuple(sorted(found))
