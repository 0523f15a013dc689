"""Addresses: which ones a call may be made to, and who turns names into them.

An address that leads back to this machine, to its link or to a cloud's metadata service is *guarded*: it is
refused unless the entity declares that very `host:port`. The rule judges the address that will be dialled, never
the name that led to it, so a name that changes its mind between check and call changes nothing.

Source: RFC 6890 (special-purpose addresses); RFC 6052 (NAT64), RFC 3056 (6to4), RFC 4380 (Teredo), RFC 5214
(ISATAP) and RFC 4291 2.5.5 (mapped) for the IPv6 forms that carry an IPv4 address.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from time import monotonic
from typing import Final, Protocol

from msgspec import Struct

from watchkeeper.errors import Rejected, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOKUPS_MAX: Final = 8  # threads: the system's resolver cannot be called off, only waited for
NAMES_KEPT_MAX: Final = 1024
NAME_KEPT_MS: Final = 5_000  # a name is asked again after this; each call is judged afresh all the same
ADDRESSES_KEPT: Final = 4_096  # parsed and judged once: what an address is does not change
ADDRESSES_MAX: Final = 4  # of one name, in the resolver's order


class AddressRule(Struct, frozen=True, kw_only=True):
    """`declared` holds `host:port` as the entity writes them (IPv6 in brackets).

    A guarded address is allowed when it stands there as a literal (`127.0.0.1:9001`). A declared *name* allows a
    guarded address only when it is `localhost`: any other name's answer belongs to whoever runs its zone.
    """

    declared: frozenset[str] = frozenset()


class Resolver(Protocol):
    """A name to its addresses, best first. Raises `Unavailable` (ask later) or `Rejected` (there is no such name)."""

    async def addresses(self, host: str, port: int) -> tuple[Address, ...]: ...


def admitted(address: Address, *, host: str, port: int, rule: AddressRule) -> str | None:
    """None when the address may be dialled for `host`, else why not, for a person."""
    kind = guarded(address)
    if kind is None or _declared(address, host, port, rule.declared):
        return None
    literal = endpoint(str(address), port)
    led = "" if host == str(address) else f" ({host} leads there)"
    return f"{literal} is a {kind} address{led}; if the call is meant, declare {literal} as an address of the entity"


@lru_cache(ADDRESSES_KEPT)
def _declared(address: Address, host: str, port: int, written: frozenset[str]) -> bool:
    declared = {canonical(one) for one in written}
    if endpoint(str(address), port) in declared:
        return True
    return address.is_loopback and _is_localhost(host) and endpoint(host, port) in declared


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def endpoint(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@lru_cache(ADDRESSES_KEPT)
def canonical(declared: str) -> str:
    """`host:port` in the one spelling that is compared."""
    host, _, port = declared.rpartition(":")
    host = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
    with suppress(ValueError):  # a name
        host = str(ipaddress.ip_address(host))
    return endpoint(host, int(port)) if port.isdecimal() else declared


# -- what is guarded -------------------------------------------------------------------------------

# Services that answer a machine's own credentials, outside the link-local range. Sources: the clouds' manuals.
_METADATA: Final = frozenset(
    ipaddress.ip_address(one)
    for one in (
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_TRANSLATED: Final = ipaddress.IPv6Network("::ffff:0:0:0/96")
_SITE_LOCAL: Final = ipaddress.IPv6Network("fec0::/10")
_THIS_NETWORK: Final = ipaddress.IPv4Network("0.0.0.0/8")
_ISATAP: Final = frozenset((0x00005EFE, 0x02005EFE))


@lru_cache(ADDRESSES_KEPT)
def guarded(address: Address) -> str | None:
    """What makes it special, or None. An IPv6 form that carries an IPv4 address is judged by both."""
    if address in _METADATA:
        return "metadata"
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified or (address.version == 4 and address in _THIS_NETWORK):
        return "unspecified"
    if address.is_link_local or (address.version == 6 and address in _SITE_LOCAL):
        return "link-local"
    if address.is_multicast:
        return "multicast"
    if address.version == 4:
        return "reserved" if address.is_reserved else None
    if address in _NAT64_LOCAL:
        return "NAT64 (its prefix length is the operator's secret)"
    for inner in _carried(address):
        kind = guarded(inner)
        if kind is not None:
            return f"{kind} (as {inner} inside IPv6)"
    return None


def _carried(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if address in _NAT64 or address in _COMPATIBLE or address in _TRANSLATED:
        return (low,)
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return (low,)
    return ()


# -- names to addresses ----------------------------------------------------------------------------

_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class SystemResolver:
    """The machine's own resolver (hosts file, DNS), in threads of its own; answers kept `NAME_KEPT_MS`."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="resolve")
        self._kept: dict[tuple[str, int], tuple[float, tuple[Address, ...]]] = {}

    async def addresses(self, host: str, port: int) -> tuple[Address, ...]:
        kept = self._kept.get((host, port))
        if kept is not None and self._clock() < kept[0]:
            return kept[1]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._threads, _look_up, host, port)
        except socket.gaierror as unknown:
            if unknown.errno in _NO_SUCH_NAME:
                raise Rejected(f"{host}: no such name") from unknown
            raise Unavailable(f"{host}: the name cannot be looked up now ({unknown.strerror})") from unknown
        except UnicodeError as unfit:
            raise Rejected(f"{host!r}: not a host name") from unfit
        except OSError as failed:
            raise Unavailable(f"{host}: the name cannot be looked up now ({failed.strerror})") from failed
        if not answers:
            raise Rejected(f"{host}: no such name")
        while len(self._kept) >= NAMES_KEPT_MAX:
            self._kept.pop(next(iter(self._kept)))
        self._kept[host, port] = (self._clock() + NAME_KEPT_MS / 1000, answers)
        return answers

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> tuple[Address, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found)
    return tuple(addresses)[:ADDRESSES_MAX]
