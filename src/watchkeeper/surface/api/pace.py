"""How often one caller may ask: a bucket that fills at the allowed rate and holds one second of it."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

CALLERS_MAX: Final = 10_000


class Pace:
    """`rate` is asked at each look, so that another configuration takes effect at once. `now_s` is monotonic."""

    def __init__(self, rate: Callable[[], int], now_s: Callable[[], float]) -> None:
        self._rate, self._now_s = rate, now_s
        self._full: OrderedDict[str, float] = OrderedDict()  # caller -> when its bucket is full again

    def allows(self, caller: str, rate: int | None = None) -> bool:
        most = rate if rate is not None else self._rate()
        now = self._now_s()
        full_at = max(self._full.pop(caller, now), now)
        allowed = full_at + 1 / most <= now + 1
        self._full[caller] = full_at + 1 / most if allowed else full_at
        if len(self._full) > CALLERS_MAX:
            self._full.popitem(last=False)
        return allowed
