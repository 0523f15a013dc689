"""A checkpoint: how large the tree was and what its root was, signed. Whoever keeps one can prove an alteration.

Source: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint) in a C2SP signed note.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from watchkeeper.errors import Malformed, Untrusted
from watchkeeper.ledger import note
from watchkeeper.ledger.note import PublicKey
from watchkeeper.ledger.tree import HASH_BYTES, SIZE_MAX

_SIZE_DIGITS_MAX: Final = len(str(SIZE_MAX))


class Checkpoint(Struct, frozen=True, kw_only=True):
    """`origin` names the log, e.g. `watchkeeper.example.org/ledger`; by custom also the name of its key."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def sign(checkpoint: Checkpoint, seed: bytes, name: str = "") -> str:
    """The signed note. The key's name is the origin unless `name` says otherwise. Raises Malformed."""
    lines = (checkpoint.origin, str(checkpoint.size), base64.b64encode(checkpoint.root).decode("ascii"))
    text = "".join(f"{line}\n" for line in (*lines, *checkpoint.extensions))
    if _parse(text) != checkpoint:
        raise Malformed("checkpoint", "would not read back as it is: a line of it holds a newline")
    return note.sign(text, name or checkpoint.origin, seed)


def read(text: str) -> Checkpoint:
    """Parse, and trust nothing: see `verify`. Raises Malformed."""
    return _parse(note.read(text).text)


def verify(text: str, keys: Sequence[PublicKey], origin: str = "") -> Checkpoint:
    """Signed by one of `keys`, for the log `origin` when it is given.

    Raises Malformed when it cannot be read, Untrusted when it is not signed so: stop, keep the text, tell a person.
    """
    found = _parse(note.verify(text, keys).text)
    if origin and found.origin != origin:
        raise Untrusted(f"checkpoint is of log {found.origin}, expected {origin}: it belongs to another ledger")
    return found


def pasted(text: str) -> str:
    """A checkpoint as it comes back from a ticket or a mail: line ends, indentation and quoting undone.

    The signature still decides whether it is the text that was signed.
    """
    lines = [line.strip().removeprefix(">").strip() for line in text.strip().splitlines()]
    while lines and lines[-1] in {"", "```"}:
        lines.pop()
    while lines and lines[0] in {"", "```"}:
        lines.pop(0)
    return "".join(f"{line}\n" for line in lines)


def _parse(text: str) -> Checkpoint:
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise Malformed("checkpoint", "needs three lines: origin, size, root; and has no empty ones")
    origin, size, root = lines[:3]
    if not size.isascii() or not size.isdigit() or len(size) > _SIZE_DIGITS_MAX or str(int(size)) != size:
        raise Malformed("checkpoint.size", f"{size[:40]!r} is not a number of entries")
    try:
        raw = base64.b64decode(root, validate=True)
    except (binascii.Error, ValueError) as broken:
        raise Malformed("checkpoint.root", f"{root[:80]!r} is not base64") from broken
    if len(raw) != HASH_BYTES or base64.b64encode(raw).decode("ascii") != root:
        raise Malformed("checkpoint.root", f"{root[:80]!r} is not the base64 of {HASH_BYTES} bytes")
    return Checkpoint(origin=origin, size=int(size), root=raw, extensions=tuple(lines[3:]))
