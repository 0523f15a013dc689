"""Who posts to a hook. The source's name comes from the credential, never from the body (SEMANTICS 9).

Every comparison takes the same time whatever is wrong, and every candidate is compared: a sender learns only yes or no.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final

from watchkeeper.errors import Rejected
from watchkeeper.home.settings import Credential, CredentialKind, SourceKind, SourceSettings
from watchkeeper.surface.api.node import Node, header

TIMESTAMP: Final = b"x-watchkeeper-timestamp"
SECONDS_DIGITS_MAX: Final = 12
NAMED_MAX: Final = 5  # sources in one sentence
SIGNATURES_MAX: Final = 8  # in one header


async def sender_of(node: Node, scope: Mapping[str, Any], body: bytes, sources: Iterable[str]) -> str | None:
    """The one of `sources` whose credential came with the request; None when none did.

    Raises Rejected when a secret that the configuration names cannot be read: then nobody can be told apart.
    """
    given = header(scope, b"authorization")
    kind, _, text = given.partition(" ")
    kind, text = kind.lower(), text.strip()
    names = tuple(sources)
    if kind == "bearer" and text.startswith("wk_"):
        actor = node.engine.identities.identify(text, node.engine.clock.now())
        if actor is not None and actor.source in names:
            return actor.source
    found: str | None = None
    for name in names:
        settings = node.settings.sources[name]
        if await _proves(node, scope, body, settings, kind, text):
            found = found or name
    return found


def why_not(node: Node, scope: Mapping[str, Any], sources: Iterable[str]) -> str:
    """What the operator reads of a post that `sender_of` told of nobody. The sender is never told."""
    names = tuple(sources)
    if not names:
        return "no source of the active configuration posts here: add one under 'sources:', then wk apply"
    may = ", ".join(names[:NAMED_MAX]) + (" and more" if len(names) > NAMED_MAX else "")
    signs = {node.settings.sources[name].credential for name in names}
    headers = {each.header for each in signs if each.kind is CredentialKind.HMAC}
    signed = next((each for each in sorted(headers) if header(scope, _named(each))), "")
    if signed:
        return f"{signed} does not match the key of {may}, or its time is too far off"
    kind, _, text = header(scope, b"authorization").partition(" ")
    if not kind:
        wanted = "".join(f", nor {each}" for each in sorted(headers))
        return f"it bears no Authorization{wanted}; {may} may post here"
    if kind.lower() == "bearer" and text.strip().startswith("wk_"):
        actor = node.engine.identities.identify(text.strip(), node.engine.clock.now())
        if actor is None:
            return f"its token is unknown, expired or revoked: wk token create --source {names[0]}"
        of = f"source {actor.source}" if actor.source else "a person or program, not of a source"
        return f"its token is that of {of}; {may} may post here"
    if kind.lower() not in {"bearer", "basic"}:  # what stands there may be the secret itself
        return "its Authorization is neither 'Bearer TOKEN' nor basic"
    return f"its {kind.lower()} credential is none of {may}"


async def _proves(
    node: Node, scope: Mapping[str, Any], body: bytes, settings: SourceSettings, kind: str, text: str
) -> bool:
    credential = settings.credential
    if credential.secret is None:
        return False
    match credential.kind:
        case CredentialKind.BEARER if kind == "bearer":
            return _same(text, await node.leaser(credential.secret))
        case CredentialKind.BASIC if kind == "basic":
            user, _, password = _basic(text).partition(":")
            right = await node.leaser(credential.secret)
            return _same(user, credential.user) & _same(password, right)
        case CredentialKind.HMAC:
            signature = header(scope, _named(credential.header))
            if not signature:
                return False
            match settings.kind:
                case SourceKind.GRAFANA:
                    return await _signed_by_grafana(node, scope, body, credential, signature)
                case SourceKind.PAGERDUTY | SourceKind.GITHUB:
                    return await _signed_body(node, body, credential, signature)
                case _:
                    return await _signed(node, scope, body, credential, signature)
        case _:
            return False


async def _signed(node: Node, scope: Mapping[str, Any], body: bytes, credential: Credential, signature: str) -> bool:
    """HMAC-SHA-256 in hex over time stamp, '.' and body. Both stand in one header (`t=1700000000,v1=<hex>`), or the
    time stamp (Unix seconds) in `X-Watchkeeper-Timestamp` and the hex alone, or after `sha256=`, in the header.
    """
    assert credential.secret is not None
    parts = dict(part.strip().partition("=")[::2] for part in signature.split(","))
    stamp = parts.get("t") or header(scope, TIMESTAMP)
    claimed = parts.get("v1") or signature.removeprefix("sha256=")
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > SECONDS_DIGITS_MAX:
        return False
    key = await node.leaser(credential.secret)
    right = hmac.new(key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return _same(claimed.lower(), right) and _in_time(node, stamp, credential)


async def _signed_by_grafana(
    node: Node, scope: Mapping[str, Any], body: bytes, credential: Credential, signature: str
) -> bool:
    """Hex alone, over the body; with a time stamp header over time stamp, ':' and body. Without it nothing bounds a replay.

    Source: Grafana's webhook contact point, HMAC signature.
    """
    assert credential.secret is not None
    key = await node.leaser(credential.secret)
    if not credential.timestamp:
        return _same(signature.lower(), hmac.new(key.encode(), body, hashlib.sha256).hexdigest())
    stamp = header(scope, _named(credential.timestamp))
    if not stamp.isascii() or not stamp.isdigit() or len(stamp) > SECONDS_DIGITS_MAX:
        return False
    right = hmac.new(key.encode(), stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return _same(signature.lower(), right) and _in_time(node, stamp, credential)


async def _signed_body(node: Node, body: bytes, credential: Credential, signature: str) -> bool:
    """GitHub: `sha256=<hex>`. PagerDuty: `v1=<hex>`, several of them while a secret is exchanged. Both over the body."""
    assert credential.secret is not None
    right = hmac.new((await node.leaser(credential.secret)).encode(), body, hashlib.sha256).hexdigest()
    given = [part.strip().partition("=") for part in signature.split(",")[:SIGNATURES_MAX]]
    found = [_same(claimed.lower(), right) for name, _, claimed in given if name in {"v1", "sha256"}]
    return any(found)


def _in_time(node: Node, stamp: str, credential: Credential) -> bool:
    late_ms = abs(int(node.engine.clock.now().timestamp() * 1000) - int(stamp) * 1000)
    return late_ms <= credential.tolerance_ms


def _named(name: str) -> bytes:
    return name.lower().encode("latin-1", "replace")


def _basic(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""


def _same(given: str, right: str) -> bool:
    if not right:
        raise Rejected("a hook's secret is empty: set it, or take the credential out of watchkeeper.yaml")
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), right.encode())
