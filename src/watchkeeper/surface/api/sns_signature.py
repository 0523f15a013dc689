"""Whether Amazon SNS sent it: signature versions 1 and 2, a certificate from SNS alone, a topic that may send, and in time.

Certificate and subscription are fetched only from `sns.REGION.amazonaws.com` over https, without redirects: the URL comes
from the body, and a body is anybody's until its signature was checked.
Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct

from watchkeeper.errors import Malformed, Rejected, Unavailable
from watchkeeper.signals.plain import instant_from
from watchkeeper.signals.sns import envelope_of
from watchkeeper.surface.api.node import Node
from watchkeeper.values import ms_between

log = structlog.get_logger("watchkeeper.hooks")

CERTIFICATES_MAX: Final = 16
CERTIFICATE_BYTES_MAX: Final = 65_536
URL_CHARS_MAX: Final = 2_048
TOPIC_CHARS_MAX: Final = 256
EARLY_MAX_MS: Final = 300_000
CONFIRMS: Final = "SubscriptionConfirmation"
_HOST: Final = re.compile(r"sns\.[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?")
_NOTIFICATION: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_HASHES: Final = {"1": hashes.SHA1, "2": hashes.SHA256}  # version 1 is what SNS uses unless a topic says otherwise


class _Certificates:
    """Checked certificates by their URL: a URL of SNS names one certificate for ever."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, x509.Certificate] = OrderedDict()

    async def get(self, node: Node, url: str) -> x509.Certificate:
        """Raises Malformed for a URL or certificate that cannot be, Unavailable when it cannot be fetched now."""
        if not from_sns(url) or not urlsplit(url).path.endswith(".pem"):
            raise Malformed("SigningCertURL", "is none of sns.REGION.amazonaws.com over https")
        found = self._kept.get(url)
        if found is None:
            body = await _fetch(node, url)
            try:
                found = x509.load_pem_x509_certificate(body[:CERTIFICATE_BYTES_MAX])
            except ValueError as wrong:
                raise Malformed("SigningCertURL", f"holds no certificate: {wrong}") from wrong
            self._kept[url] = found
            if len(self._kept) > CERTIFICATES_MAX:
                self._kept.popitem(last=False)
        now = node.engine.clock.now()
        if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
            self._kept.pop(url, None)
            raise Malformed("SigningCertURL", "its certificate is not valid now")
        return found


_certificates: Final = _Certificates()


def from_sns(url: str) -> bool:
    """https, a host of SNS, its own port, nobody's name in it."""
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and parts.port is None and parts.username is None and "@" not in parts.netloc
    except ValueError:
        return False
    return len(url) <= URL_CHARS_MAX and plain and bool(_HOST.fullmatch(parts.hostname or "")) and not parts.fragment


class Unsigned(Struct, frozen=True):
    """Why nobody is believed to have sent it."""

    why: str


async def signed_by_sns(node: Node, body: bytes, sources: Iterable[str]) -> str | Unsigned:
    """The source whose topics hold the one that signed this."""
    try:
        envelope = envelope_of(body)
        topic = str(envelope.get("TopicArn"))
        source = next((name for name in sources if topic in node.settings.sources[name].topics), None)
        if source is None:
            return Unsigned(
                f"topic {topic[:TOPIC_CHARS_MAX]} is on the list of no source: add it to 'topics:', then wk apply"
            )
        if not await _holds(node, envelope):
            return Unsigned("its signature does not hold")
        late_ms = ms_between(instant_from(envelope.get("Timestamp"), "Timestamp"), node.engine.clock.now())
    except Malformed as wrong:
        return Unsigned(str(wrong))
    if not -EARLY_MAX_MS <= late_ms <= node.settings.sources[source].late_max_ms:
        return Unsigned(f"it is {late_ms // 1000} s old; 'late_max' of {source} says how old it may be")
    return source


async def _holds(node: Node, envelope: dict[str, Any]) -> bool:
    algorithm = _HASHES.get(str(envelope.get("SignatureVersion")))
    if algorithm is None:
        raise Malformed("SignatureVersion", "is neither 1 nor 2")
    try:
        signature = base64.b64decode(str(envelope.get("Signature")), validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise Malformed("Signature", f"is not base64: {wrong}") from wrong
    certificate = await _certificates.get(node, str(envelope.get("SigningCertURL")))
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise Malformed("SigningCertURL", "its certificate has no RSA key")
    try:
        key.verify(signature, canonical(envelope), padding.PKCS1v15(), algorithm())
    except InvalidSignature:
        return False
    return True


def canonical(envelope: dict[str, Any]) -> bytes:
    """What is signed: names and values in their fixed order, each on a line of its own; an absent subject is left out.

    Raises Malformed for a field that is missing.
    """
    names = _NOTIFICATION if envelope.get("Type") == "Notification" else _CONFIRMATION
    lines: list[str] = []
    for name in names:
        value = envelope.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            raise Malformed(name, "is missing, or no text")
        lines += [name, value]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


async def confirmed(node: Node, source: str, body: bytes) -> bool:
    """Answer a topic's question whether it may send here, where the source says so; False when nothing was asked or
    nobody said so. Raises Unavailable: SNS asks again.
    """
    envelope = envelope_of(body)
    if envelope.get("Type") != CONFIRMS or not node.settings.sources[source].confirm:
        return False
    url = str(envelope.get("SubscribeURL"))
    if not from_sns(url):
        log.warning("a subscription was not confirmed", why="its SubscribeURL is not one of SNS", source=source)
        return False
    await _fetch(node, url)
    log.info("subscribed", topic=str(envelope.get("TopicArn"))[:300], source=source)
    return True


async def _fetch(node: Node, url: str) -> bytes:
    if node.engine.fetch is None:
        raise Unavailable("this node asks nobody for certificates")
    try:
        return await node.engine.fetch(url)
    except Rejected as refused:
        raise Unavailable(f"the certificate cannot be had now: {refused}") from refused
