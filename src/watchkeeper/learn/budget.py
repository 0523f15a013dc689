"""The error budget of an objective, and how fast it burns. Whole numbers: parts per million, and events as counted.

In: how much was bad, out of what, in the objective's window and in each burn window. Out: `Budget`.
Source: SRE Workbook, "Alerting on SLOs": burn rate 1 spends the budget exactly in its window.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

PPM: Final = 1_000_000


class Ratio(Struct, frozen=True, kw_only=True):
    """Bad out of total, in any one unit: looks, milliseconds, thousandths of events. 0 <= bad <= total."""

    bad: int
    total: int


class Budget(Struct, frozen=True, kw_only=True):
    """`left_ppm` of the budget: 1,000,000 untouched, 0 spent, below it overspent. `burn_ppm` by window, 1,000,000 is
    burn rate 1; None where nothing was counted. All None when nothing was counted in the objective's own window.
    """

    target_ppm: int
    attainment_ppm: int | None
    left_ppm: int | None
    burn_ppm: dict[str, int | None]

    @property
    def spent(self) -> bool:
        return self.left_ppm is not None and self.left_ppm <= 0


def budget(target_ppm: int, whole: Ratio | None, burning: Mapping[str, Ratio | None]) -> Budget:
    """Shares are rounded down, what was spent up: a budget is never shown larger than it is."""
    burn = {name: _burn_ppm(target_ppm, ratio) for name, ratio in burning.items()}
    spent_ppm = _burn_ppm(target_ppm, whole)
    return Budget(
        target_ppm=target_ppm,
        attainment_ppm=(whole.total - whole.bad) * PPM // whole.total if whole is not None and whole.total else None,
        left_ppm=None if spent_ppm is None else PPM - spent_ppm,
        burn_ppm=burn,
    )


def _burn_ppm(target_ppm: int, ratio: Ratio | None) -> int | None:
    """The share of bad over the share that may be bad, in parts per million, rounded up."""
    if ratio is None or ratio.total <= 0:
        return None
    return -(-ratio.bad * PPM * PPM // (ratio.total * (PPM - target_ppm)))
