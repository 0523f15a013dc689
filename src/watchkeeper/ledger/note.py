"""A signed note: text, a blank line, signature lines. And the text form of the keys that check it.

Source: C2SP signed-note (https://c2sp.org/signed-note). Ed25519 only; lines of other signers and other kinds of key
(witnesses) are carried and ignored.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from watchkeeper.errors import Malformed, Untrusted

NOTE_CHARS_MAX: Final = 65_536
SIGNATURES_MAX: Final = 100
SEED_BYTES: Final = 32
_ED25519: Final = b"\x01"
_KEY_ID_BYTES: Final = 4
_DASH: Final = "— "


class PublicKey(Struct, frozen=True, kw_only=True):
    """Whose signature, and how it is checked. `key` has 32 bytes."""

    name: str
    key: bytes

    def identity(self) -> bytes:
        """Four bytes: a hint, not a proof."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.key).digest()[:_KEY_ID_BYTES]

    def text(self) -> str:
        """The *vkey*: `<name>+<8 hex digits>+<base64>`; safe to publish, and to be published."""
        return f"{self.name}+{self.identity().hex()}+{_b64(_ED25519 + self.key)}"


class Signature(Struct, frozen=True, kw_only=True):
    """One signature line. `key_id` has 4 bytes; `signature` what its kind of key makes."""

    name: str
    key_id: bytes
    signature: bytes


class Note(Struct, frozen=True, kw_only=True):
    """`text` ends with a newline and is exactly what was signed."""

    text: str
    signatures: tuple[Signature, ...]


def public_key(name: str, seed: bytes) -> PublicKey:
    """The public half of a 32-byte private seed. Raises Malformed for a bad name or length."""
    _name("key name", name)
    return PublicKey(name=name, key=_private(seed).public_key().public_bytes_raw())


def read_key(text: str) -> PublicKey:
    """A vkey. Raises Malformed, also when its id does not fit its key."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise Malformed("key", "is not of the form name+id+base64")
    name, identity, encoded = parts
    _name("key name", name)
    raw = _unb64("key", encoded)
    if len(raw) != 33 or raw[:1] != _ED25519:
        raise Malformed("key", "is not an Ed25519 key of 32 bytes")
    found = PublicKey(name=name, key=raw[1:])
    if found.identity().hex() != identity:
        raise Malformed("key", f"its id is {found.identity().hex()}, the text says {identity}: copied wrongly")
    return found


def sign(text: str, name: str, seed: bytes) -> str:
    """The note with one signature. Raises Malformed when `text` cannot be a note's text."""
    _text(text)
    private = _private(seed)
    key = public_key(name, seed)
    return f"{text}\n{_DASH}{name} {_b64(key.identity() + private.sign(text.encode()))}\n"


def read(note: str) -> Note:
    """Parse, and trust nothing. Raises Malformed."""
    if len(note) > NOTE_CHARS_MAX:
        raise Malformed("note", f"has {len(note)} characters, at most {NOTE_CHARS_MAX} are read")
    cut = note.rfind("\n\n")
    if cut < 0 or not note.endswith("\n"):
        raise Malformed("note", "has no blank line followed by signature lines")
    text, lines = note[: cut + 1], note[cut + 2 : -1].split("\n")
    _text(text)
    if not 0 < len(lines) <= SIGNATURES_MAX:
        raise Malformed("note", f"has {len(lines)} signatures, expected 1 to {SIGNATURES_MAX}")
    return Note(text=text, signatures=tuple(_signature(line) for line in lines))


def verify(note: str, keys: Sequence[PublicKey]) -> Note:
    """Signed by at least one of `keys`, and by none of them wrongly.

    Raises Malformed when it cannot be read, Untrusted when it is not signed by any of them or a signature is false.
    """
    found = read(note)
    signers = 0
    for signature in found.signatures:
        for key in keys:
            if key.name == signature.name and key.identity() == signature.key_id:
                _check(key, found.text, signature)
                signers += 1
    if not signers:
        known = ", ".join(key.name for key in keys) or "nobody"
        names = ", ".join(signature.name for signature in found.signatures)
        raise Untrusted(f"note is signed by {names}, not by a key that is trusted here ({known})")
    return found


def _check(key: PublicKey, text: str, signature: Signature) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature.signature, text.encode())
    except InvalidSignature as false:
        raise Untrusted(f"note: the signature of {key.name} is false: its text or signature was altered") from false


def _private(seed: bytes) -> Ed25519PrivateKey:
    if len(seed) != SEED_BYTES:
        raise Malformed("signing key", f"has {len(seed)} bytes, expected {SEED_BYTES}")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _signature(line: str) -> Signature:
    dash, name, encoded = (*line.split(" "), "", "")[:3]
    if line != f"{_DASH}{name} {encoded}" or f"{dash} " != _DASH:
        raise Malformed("signature", f"{line[:80]!r} is not '— name base64'")
    _name("signature", name)
    raw = _unb64("signature", encoded)
    if len(raw) <= _KEY_ID_BYTES:
        raise Malformed("signature", f"of {name} is too short")
    return Signature(name=name, key_id=raw[:_KEY_ID_BYTES], signature=raw[_KEY_ID_BYTES:])


def _text(text: str) -> None:
    if not text.endswith("\n") or any(letter < " " and letter != "\n" for letter in text):
        raise Malformed("note", "its text must end with a newline and hold no control characters")
    if not _encodable(text):
        raise Malformed("note", "its text is not UTF-8")


def _encodable(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _name(path: str, name: str) -> None:
    if not name or "+" in name or any(letter.isspace() for letter in name) or not name.isprintable():
        raise Malformed(path, f"{name!r} is not a name: no spaces and no '+', for example node-1.example.org")


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _unb64(path: str, text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as broken:
        raise Malformed(path, f"{text[:80]!r} is not base64") from broken
    if _b64(raw) != text:  # a second spelling of the same bytes
        raise Malformed(path, f"{text[:80]!r} is not base64 as it is written here")
    return raw
