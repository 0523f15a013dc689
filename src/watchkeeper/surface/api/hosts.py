"""Which names this node answers to. A page elsewhere that points its own name at 127.0.0.1 is refused.

Source: "DNS rebinding", https://owasp.org/www-community/attacks/DNS_Rebinding
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

NAMES_KEPT: Final = 256
LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


@lru_cache(NAMES_KEPT)
def loopback(host: str) -> bool:
    """Whether a name or an address, with or without brackets, is this machine's own."""
    name = host.strip("[]").lower()
    if name in LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """The name of a Host header, without its port."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[").lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def known(host: str, hosts: Iterable[str]) -> bool:
    name = name_of(host).rstrip(".")
    return bool(name) and (loopback(name) or any(name == name_of(each) for each in hosts))
