"""Pack actions by name, from the configuration of the run: what was applied when it was decided is what it starts."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from watchkeeper.engine.action import Action
from watchkeeper.engine.records import FileBlob, read
from watchkeeper.errors import Untrusted
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.action import PackAction
from watchkeeper.ports import Store


class Programs(Protocol):
    """Makes a pack's program an action: `body` are its bytes, `sha256` what the configuration says of them."""

    def action(self, declared: PackAction, sha256: str, body: bytes) -> Action: ...


class PackActions:
    """`compiled` answers a configuration that was active once, by its digest."""

    def __init__(
        self, store: Store, compiled: Callable[[str], Awaitable[Configuration | None]], programs: Programs | None
    ) -> None:
        self._store, self._compiled, self._programs = store, compiled, programs

    async def find(self, name: str, configuration: str) -> Action | None:
        """None when that configuration has no such program, or this node starts none.

        Raises Untrusted when the stored copy is not what was applied.
        """
        found = await self._compiled(configuration)
        declared = found.rulebook.actions.get(name) if found is not None else None
        if found is None or declared is None or self._programs is None:
            return None
        sha256 = found.files[declared.path]
        row = await self._store.get("file", sha256)
        body = read(row, FileBlob).body if row is not None else b""
        if row is None or hashlib.sha256(body).hexdigest() != sha256:
            raise Untrusted(
                f"{name}: the stored copy of {declared.path} is missing or altered; nothing was run. Run "
                f"'wk ledger verify', and restore the store from a backup"
            )
        return self._programs.action(declared, sha256, body)
