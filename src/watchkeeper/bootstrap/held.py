"""What one process holds."""

from pathlib import Path

from msgspec import Struct

from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.secrets import Secrets
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.documents import Problem
from watchkeeper.engine.engine import Engine
from watchkeeper.ports import Store


class Node(Struct, kw_only=True):
    """What one process holds: the engine, and what must be closed after it."""

    engine: Engine
    store: Store
    client: HttpClient
    ssh: SshPool
    home: Path
    secrets: Secrets
    problems: tuple[Problem, ...] = ()
    interrupted: str = ""  # what was found of a restore that was interrupted, in words; "": nothing

    async def close(self) -> None:
        await self.engine.stop()
        await self.ssh.close()
        await self.client.close()
        await self.store.close()
