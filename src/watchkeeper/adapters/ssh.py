"""Commands on other machines by ssh: one bounded pool of connections, whose hosts are known by a pinned key.

A host's key stands in the catalogue, or the CA that signs it; there is no trust on first use. The client's key is
handed over for the call and never touches a disk. Connections are kept for the next step and closed when idle.

What a failure means is said by its class: `Unavailable` while no command was sent, `InDoubt` from the moment its
channel stood open, `Rejected` when the host refuses, `Untrusted` when the host is not the one that is pinned.
The library is imported when the first step needs it: it is the extra `ssh`.
"""

import asyncio
import hashlib
import importlib
import importlib.util
import ipaddress
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from watchkeeper.adapters.address import ADDRESSES_MAX, Address, Resolver, SystemResolver, admitted
from watchkeeper.adapters.process_spec import STDIN_BYTES_MAX, TIMEOUT_MAX_MS, ProcessResult, ProcessSpec
from watchkeeper.adapters.ssh_command import command_line
from watchkeeper.adapters.ssh_place import OnOutput, SshPlace
from watchkeeper.errors import Rejected, Unavailable

if TYPE_CHECKING:
    from watchkeeper.adapters.ssh_link import Link

CONNECTIONS_MAX: Final = 256
SESSIONS_PER_HOST_MAX: Final = 8  # sshd allows 10 on one connection (MaxSessions) unless told otherwise
CONNECT_TIMEOUT_MS: Final = 10_000  # from the first packet to the end of the sign-in
IDLE_MS: Final = 60_000
EXTRA: Final = "via: ssh needs the extra `ssh`: pip install 'watchkeeper[ssh]'"


def installed() -> bool:
    return importlib.util.find_spec("asyncssh") is not None


class SshPool:
    """Made and closed in the loop that uses it. Safe for any number of tasks of that loop."""

    def __init__(
        self,
        *,
        resolver: Resolver | None = None,
        idle_ms: int = IDLE_MS,
        connections_max: int = CONNECTIONS_MAX,
        connect_timeout_ms: int = CONNECT_TIMEOUT_MS,
    ) -> None:
        own = SystemResolver()
        self._resolver: Resolver = own if resolver is None else resolver
        self._own = own
        self._idle_ms, self._connections_max = idle_ms, connections_max
        self._connect_timeout_ms = connect_timeout_ms
        self._slots: dict[str, _Slot] = {}
        self._freed = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many are open or being opened."""
        return len(self._slots)

    async def close(self) -> None:
        for slot in self._slots.values():
            slot.drop()
        self._slots.clear()
        self._own.close()

    async def run(
        self,
        place: SshPlace,
        spec: ProcessSpec,
        on_output: OnOutput | None = None,
        *,
        may_send: Callable[[], bool] = lambda: True,
    ) -> ProcessResult:
        """As `process.run`, on another machine; `timeout_ms` counts from this call, connecting included.

        `may_send` is asked as the last act before the command leaves. When the time is over, or this is cancelled,
        the program is sent SIGTERM and left: it also ends by its own `timeout`, which needs nobody here.
        Raises: Unavailable (nothing was sent), InDoubt (it may have run), Rejected, Untrusted.
        """
        if not 0 < spec.timeout_ms <= TIMEOUT_MAX_MS:
            raise Rejected(f"{spec.argv[0]}: timeout_ms {spec.timeout_ms} is not within 1 and {TIMEOUT_MAX_MS}")
        if len(spec.stdin) > STDIN_BYTES_MAX:
            raise Rejected(f"{spec.argv[0]}: more than {STDIN_BYTES_MAX} bytes for its stdin")
        until = monotonic() + spec.timeout_ms / 1000
        command_line(spec.argv, env=spec.env, cwd=spec.cwd, timeout_ms=1)  # refused before anybody is dialled
        while True:
            slot, reused = await self._slot(place, until)
            try:
                left_ms = max(1, int((until - monotonic()) * 1000))
                command = command_line(spec.argv, env=spec.env, cwd=spec.cwd, timeout_ms=left_ms)
                assert slot.link is not None
                return await slot.link.execute(command, spec, on_output, may_send, left_ms)
            except Unavailable:
                # A kept connection that had died without a word: no channel was opened, so nothing was sent on it.
                if not reused or slot.link is None or not slot.link.closed:
                    raise
            finally:
                self._leave(slot)

    async def _slot(self, place: SshPlace, until: float) -> tuple["_Slot", bool]:
        """A connection with room for one more command, and whether it was there before."""
        key = _key(place)
        try:
            async with asyncio.timeout(max(0.0, until - monotonic())):
                slot = self._slots.get(key) or await self._another(key)
                slot.using += 1
                slot.stay()
                try:
                    await slot.room.acquire()
                except BaseException:  # also when cancelled: its place in the pool is free again
                    self._left(slot)
                    raise
                try:
                    async with slot.connecting:
                        reused = slot.link is not None and not slot.link.closed
                        if not reused:
                            slot.link = await self._opened(place)
                except BaseException:  # also when cancelled: its place in the pool is free again
                    self._leave(slot)
                    raise
        except TimeoutError as late:
            raise Unavailable(f"{place.where}: no connection in time; nothing was sent") from late
        return slot, reused

    async def _another(self, key: str) -> "_Slot":
        while len(self._slots) >= self._connections_max:
            idle = next((slot for slot in self._slots.values() if slot.using == 0), None)
            if idle is not None:
                self._end(idle)
                break
            self._freed.clear()
            await self._freed.wait()
            if key in self._slots:
                return self._slots[key]
        slot = self._slots[key] = _Slot(key)
        return slot

    async def _opened(self, place: SshPlace) -> "Link":
        module = await _library()
        addresses = await self._judged(place)
        failed: Unavailable | None = None
        for address in addresses:  # another address of the same name, only while nobody has answered
            try:
                async with asyncio.timeout(self._connect_timeout_ms / 1000):
                    link: Link = await module.dial(place, str(address))
                    return link
            except TimeoutError as late:
                failed = Unavailable(f"{place.where}: no connection in {self._connect_timeout_ms} ms; nothing was sent")
                failed.__cause__ = late
            except Unavailable as refused:
                failed = refused
        assert failed is not None
        raise failed

    async def _judged(self, place: SshPlace) -> tuple[Address, ...]:
        host, port = place.way.host, place.way.port
        try:
            addresses: tuple[Address, ...] = (ipaddress.ip_address(host),)
        except ValueError:
            addresses = (await self._resolver.addresses(host, port))[:ADDRESSES_MAX]
        for address in addresses:
            why_not = admitted(address, host=host, port=port, rule=place.rule)
            if why_not is not None:
                raise Rejected(f"{place.where}: {why_not}")
        return addresses

    def _leave(self, slot: "_Slot") -> None:
        slot.room.release()
        self._left(slot)

    def _left(self, slot: "_Slot") -> None:
        slot.using -= 1
        if slot.using:
            return
        if slot.link is None or slot.link.closed:
            self._end(slot)
        else:
            slot.timer = asyncio.get_running_loop().call_later(self._idle_ms / 1000, self._end, slot)
        self._freed.set()

    def _end(self, slot: "_Slot") -> None:
        slot.drop()
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
        self._freed.set()


class _Slot:
    """One connection, made or to be made. `using` counts commands on it, waiting ones too."""

    __slots__ = ("connecting", "key", "link", "room", "timer", "using")

    def __init__(self, key: str) -> None:
        self.key = key
        self.link: Link | None = None
        self.connecting = asyncio.Lock()
        self.room = asyncio.Semaphore(SESSIONS_PER_HOST_MAX)
        self.timer: asyncio.TimerHandle | None = None
        self.using = 0

    def stay(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def drop(self) -> None:
        self.stay()
        if self.link is not None:
            self.link.close()


def _key(place: SshPlace) -> str:
    """Nobody gets a connection that was made with another key, or to a host that was pinned otherwise."""
    way = place.way
    parts = (
        way.host,
        way.port,
        way.user,
        [(pin.blob, pin.authority) for pin in way.pins],
        place.key,
        place.certificate,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


async def _library() -> Any:
    """The part that speaks the protocol; half a second of importing, once, beside the loop."""
    if not installed():
        raise Rejected(f"{EXTRA}; nothing was sent")
    return await asyncio.to_thread(importlib.import_module, "watchkeeper.adapters.ssh_link")
