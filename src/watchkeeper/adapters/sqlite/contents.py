"""Contents under day keys: what lies beside an entry is encrypted, so that it can go without touching the tree.

A key serves the entries of one day. When the last content under it has been erased the key goes too, and with it
whatever copies of those contents a disk or a backup still has. Orders of erasure have a key of their own that never
goes: they prove that the others went lawfully.

Source: NIST SP 800-38D (AES-GCM; 96-bit random nonces, far below 2^32 entries a key); SP 800-88 (cryptographic erase).
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from watchkeeper.ledger.entry import SALT_BYTES, Content, Entry, Kind
from watchkeeper.values import Instant

ORDERS: Final = "orders"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


def day_of(entry: Entry, at: Instant) -> str:
    """Whose key the content gets: the UTC day of the commit, `orders` for an order of erasure."""
    return ORDERS if entry.kind == Kind.ERASE else at.date().isoformat()


def seal(key: AESGCM, entry: Entry, content: Content, nonce: bytes) -> bytes:
    """Bound to the entry by its digest: a content moved beside another entry does not open. `nonce`: NONCE_BYTES
    fresh random ones.
    """
    return nonce + key.encrypt(nonce, content.salt + content.body, entry.digest.encode())


def opened(key: AESGCM, sealed: bytes, digest: str) -> Content | None:
    """None when it does not open: altered, moved, or under another key. Verification names the entry."""
    try:
        plain = key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], digest.encode())
    except (InvalidTag, ValueError):
        return None
    return Content(salt=plain[:SALT_BYTES], body=plain[SALT_BYTES:])
