"""Which addresses an entity declares: the attributes that its `watchkeeper.dev/address` names, as host:port."""

from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from watchkeeper.adapters.address import AddressRule, endpoint
from watchkeeper.guards.situation import Target

PLACES_KEPT: Final = 4_096
_PORTS = {"http": 80, "https": 443}


def declared(target: Target | None) -> AddressRule:
    """The rule for calls on behalf of a target; nothing guarded may be dialled without one."""
    if target is None:
        return AddressRule()
    return _rule(tuple([target.attributes.get(name, "") for name in target.addresses]))


@lru_cache(PLACES_KEPT)
def _rule(values: tuple[str, ...]) -> AddressRule:
    return AddressRule(declared=frozenset({host_port(value) for value in values} - {""}))


def host_port(value: str) -> str:
    """`http://127.0.0.1:9001/x` or `127.0.0.1:9001` to `127.0.0.1:9001`; "" for what is neither."""
    text = value if "://" in value else f"//{value}"
    try:
        parts = urlsplit(text)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return endpoint(parts.hostname, port) if parts.hostname and port else ""
