"""Where a node may listen. Beyond loopback only with TLS, or when somebody says on record that it need not be."""

import ipaddress

from watchkeeper.home.settings import Server


def loopback(host: str) -> bool:
    """Whether only this machine can reach it. A name other than localhost may lead anywhere."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refusal(host: str, server: Server, *, insecure: bool) -> str:
    """Why this node may not listen there; "" when it may."""
    if loopback(host) or insecure or server.insecure:
        return ""
    if server.certificate and server.key:
        return ""
    return (
        f"host {host} is beyond this machine and there is no TLS, so tokens could be read on the way: set "
        "server.certificate and server.key in watchkeeper.yaml, or say --insecure for a network that you trust"
    )


def shown(host: str, port: int, *, tls: bool) -> str:
    """The address as a person opens it."""
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'https' if tls else 'http'}://{name}:{port}"
