"""How an entity is reached: what its attributes say about the way in, read once.

| attribute | ssh |
|---|---|
| `host` | what is dialled; `address` must name it |
| `ssh_port` | 22 |
| `ssh_user` | `watchkeeper` |
| `host_key` | the pinned keys, separated by commas; `cert-authority` before one makes it the CA of the host's certificate |
| `ssh_key`, `ssh_certificate` | where the client's key (and certificate) is kept: `secret:NAME` or `env:NAME` |
| `ssh_sudo` | `true`: systemctl is run by `sudo -n` |

| attribute | kube |
|---|---|
| `kube_server` | the API server, https; `address` must name it |
| `kube_ca` | its authority: a certificate in PEM, or where it is kept |
| `kube_token`, or `kube_certificate` and `kube_key`, or `kubeconfig` | where the credential is kept |

Source: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT", for the words of a pinned key.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

SSH_PORT: Final = 22
SSH_USER: Final = "watchkeeper"
HOST_KEYS_MAX: Final = 8  # a host has one of each kind, and the next ones while keys are renewed
PORT_MAX: Final = 65_535

SECRETS: Final = ("ssh_key", "ssh_certificate", "kube_ca", "kube_token", "kube_certificate", "kube_key", "kubeconfig")

_AUTHORITY: Final = "cert-authority"
_REFERENCE: Final = re.compile(r"(secret|env):([A-Za-z0-9_./-]{1,128})")
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,63}")
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]{2,45}\]?")


class Reference(Struct, frozen=True, kw_only=True):
    """Where a secret is kept: `store` is `file` (the encrypted file) or `env`."""

    store: str
    path: str


class Pin(Struct, frozen=True, kw_only=True):
    """A key that is trusted for a host: `blob` is its public form. `authority`: it signs the host's certificate."""

    blob: bytes
    authority: bool = False

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)


class SshWay(Struct, frozen=True, kw_only=True):
    """What is needed to reach a host by ssh, apart from the credential itself."""

    host: str
    port: int
    user: str
    pins: tuple[Pin, ...]
    sudo: bool = False


class KubeWay(Struct, frozen=True, kw_only=True):
    """`ca` is a certificate in PEM where the catalogue holds it itself, else ""."""

    server: str
    ca: str = ""


class Lacking(Struct, frozen=True, kw_only=True):
    """Why an entity cannot be reached: the attribute (or `address`), and a sentence that says what to write."""

    attribute: str
    why: str


def fingerprint(blob: bytes) -> str:
    """As `ssh-keygen -l` writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def ssh_way(attributes: Mapping[str, str], addresses: tuple[str, ...]) -> SshWay | Lacking:
    """The first thing that is missing or wrong, else the way in."""
    host = attributes.get("host", "").strip()
    if not host or "host" not in addresses:
        return Lacking(attribute="host", why="no host that may be dialled: add attr.host, and host to `address`")
    if not _HOST.fullmatch(host):
        return Lacking(attribute="host", why=f"host {host[:64]!r} is no name or address; the port stands in ssh_port")
    port = attributes.get("ssh_port", str(SSH_PORT)).strip()
    if not (port.isdecimal() and 1 <= int(port) <= PORT_MAX):
        return Lacking(attribute="ssh_port", why=f"ssh_port {port[:16]!r} is not within 1 and {PORT_MAX}")
    user = attributes.get("ssh_user", SSH_USER).strip()
    if not _USER.fullmatch(user):
        return Lacking(attribute="ssh_user", why=f"ssh_user {user[:64]!r} is not the name of a user")
    sudo = attributes.get("ssh_sudo", "false").strip()
    if sudo not in {"true", "false"}:
        return Lacking(attribute="ssh_sudo", why=f"ssh_sudo is {sudo[:16]!r}: write true or false")
    pins = read_pins(attributes.get("host_key", ""))
    if isinstance(pins, Lacking):
        return pins
    return SshWay(host=host.strip("[]"), port=int(port), user=user, pins=pins, sudo=sudo == "true")


def read_pins(text: str) -> tuple[Pin, ...] | Lacking:
    """`ssh-ed25519 AAAA...`, or `cert-authority ssh-ed25519 AAAA...`; several stand with commas between them."""
    items = [item.strip() for item in text.replace("\n", ",").split(",") if item.strip()]
    if not items:
        return Lacking(
            attribute="host_key",
            why="no pinned host key: no step connects to a host whose key is not in the catalogue; "
            "read it at the host with 'ssh-keygen -yf /etc/ssh/ssh_host_ed25519_key' and add attr.host_key",
        )
    if len(items) > HOST_KEYS_MAX:
        return Lacking(attribute="host_key", why=f"{len(items)} pinned host keys, at most {HOST_KEYS_MAX}")
    pins = []
    for item in items:
        words = item.split()
        authority = words[0] == _AUTHORITY
        words = words[1:] if authority else words
        blob = _blob(words[0], words[1]) if len(words) >= 2 else None
        if blob is None:
            return Lacking(
                attribute="host_key",
                why=f"{item[:40]!r} is no public key: expected such as 'ssh-ed25519 AAAA...', "
                f"with {_AUTHORITY} before it for the CA of a host certificate",
            )
        pins.append(Pin(blob=blob, authority=authority))
    return tuple(pins)


def _blob(kind: str, text: str) -> bytes | None:
    """The key's bytes, which begin with its own kind. Source: RFC 4253 6.6."""
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    named = kind.encode()
    return blob if blob.startswith(len(named).to_bytes(4, "big") + named) and len(blob) > len(named) + 4 else None


def kube_way(attributes: Mapping[str, str], addresses: tuple[str, ...]) -> KubeWay | Lacking:
    """The first thing that is missing or wrong, else the way in."""
    server = attributes.get("kube_server", "").strip()
    if not server or "kube_server" not in addresses:
        return Lacking(
            attribute="kube_server",
            why="no API server that may be dialled: add attr.kube_server: https://HOST:6443, and kube_server to "
            "`address`",
        )
    try:
        parts = urlsplit(server)
        fine = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and not parts.query
    except ValueError:
        fine = False
    if not fine or "@" in server:
        return Lacking(attribute="kube_server", why=f"kube_server {server[:80]!r} is no https URL without a user")
    ca = attributes.get("kube_ca", "").strip()
    return KubeWay(server=server.rstrip("/"), ca="" if reference_of(ca) else ca)


def lacking(reach: str, attributes: Mapping[str, str], addresses: tuple[str, ...]) -> Lacking | None:
    """Why a step could not reach the entity this way, as far as its attributes show; None when it can."""
    match reach:
        case "ssh":
            way: object = ssh_way(attributes, addresses)
        case "kube":
            way = kube_way(attributes, addresses)
        case _:
            return None
    return way if isinstance(way, Lacking) else None


def reference_of(text: str) -> Reference | None:
    """`secret:NAME` or `env:NAME`; None for anything else."""
    found = _REFERENCE.fullmatch(text.strip())
    return Reference(store="env" if found[1] == "env" else "file", path=found[2]) if found else None


def references(attributes: Mapping[str, str]) -> dict[str, Reference]:
    """The secrets that the way in needs, by attribute."""
    found = {name: reference_of(attributes.get(name, "")) for name in SECRETS}
    return {name: reference for name, reference in found.items() if reference is not None}
