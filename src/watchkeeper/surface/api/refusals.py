"""Refusals: posts to hooks that nobody could be told of. The sender hears only *no*; the operator reads why, here and in the
log. A page of names that somebody guesses at is not kept: only hooks that exist are.
"""

from typing import Final

import structlog
from msgspec import Struct

from watchkeeper.values import Instant, ms_between

log = structlog.get_logger("watchkeeper.hooks")

LOGGED_EVERY_MS: Final = 60_000  # for one hook; all are counted
HOOKS_MAX: Final = 1_000


class Refusal(Struct, frozen=True, kw_only=True):
    """Of one hook, in this process. `why` is that of the last post."""

    hook: str
    count: int
    at: Instant
    why: str


class Refusals:
    def __init__(self) -> None:
        self._found: dict[str, Refusal] = {}
        self._logged: dict[str, Instant] = {}

    def refuse(self, hook: str, at: Instant, why: str) -> None:
        before = self._found.get(hook)
        if before is None and len(self._found) >= HOOKS_MAX:
            return
        self._found[hook] = Refusal(hook=hook, count=before.count + 1 if before is not None else 1, at=at, why=why)
        logged = self._logged.get(hook)
        if logged is None or ms_between(logged, at) >= LOGGED_EVERY_MS:
            self._logged[hook] = at
            log.warning("a post to a hook was refused", hook=hook, why=why, refused=self._found[hook].count)

    def listed(self) -> tuple[Refusal, ...]:
        return tuple(sorted(self._found.values(), key=lambda each: each.hook))

    def counts(self) -> dict[str, int]:
        return {each.hook: each.count for each in self.listed()}
