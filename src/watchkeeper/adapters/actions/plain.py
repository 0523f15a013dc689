"""`wait` and `notify`: the two actions that touch no target."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from watchkeeper.engine.action import Invocation, Surroundings
from watchkeeper.engine.outbox import Telling
from watchkeeper.errors import Rejected
from watchkeeper.packs.runbook import Effect
from watchkeeper.values import duration_ms, duration_text

WAIT_MOST_MS: Final = 3_600_000


class Wait:
    """Arguments: for (a duration). A wait that was cut short by a restart begins again."""

    name = "wait"
    effect = Effect.READ

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:  # noqa: ARG002  the port
        asked = invocation.arguments.get("for", 0)
        try:
            wait_ms = duration_ms(asked) if isinstance(asked, str) else int(asked)
        except (ValueError, TypeError) as wrong:
            raise Rejected(f"for: {wrong}") from wrong
        if not 0 <= wait_ms <= WAIT_MOST_MS:
            raise Rejected(f"for: {duration_text(wait_ms)} is longer than {duration_text(WAIT_MOST_MS)}")
        await asyncio.sleep(wait_ms / 1000)
        return {"waited_ms": wait_ms}


class Notify:
    """Arguments: subject, text, severity. Goes by the routes of the home, through the outbox, once a key."""

    name = "notify"
    effect = Effect.KEYED

    def __init__(self, telling: Telling) -> None:
        self._telling = telling

    async def perform(self, invocation: Invocation, around: Surroundings) -> Mapping[str, Any]:  # noqa: ARG002  the port
        subject = str(invocation.arguments.get("subject") or f"{invocation.runbook}: {invocation.step}")
        text = str(invocation.arguments.get("text") or "")
        told = await self._telling(invocation, subject, text, str(invocation.arguments.get("severity") or "info"))
        return {"routes": told}
