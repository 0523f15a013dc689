"""Secrets: references in runbooks, values on lease, and the encrypted file they are kept in.

`env:NAME` is a variable of this node; `file:NAME` stands in `HOME/.watchkeeper/secrets.bin`, sealed with AES-256-GCM
under the key in `secrets.key` beside it. Whoever can read both files has the secrets: the key guards copies and
backups of the one file, the modes guard the two. Loose modes are refused, not repaired: who read it is unknown.
"""

import fcntl
import hmac
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Never

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from watchkeeper.errors import Rejected, Unavailable, Untrusted
from watchkeeper.values import Instant, after_ms

VALUE_BYTES_MAX: Final = 16 << 10
SECRETS_MAX: Final = 1_000
STORE_BYTES_MAX: Final = 32 << 20
LEASE_MS: Final = 300_000  # a step asks again after this, and so sees a value that was replaced

_MAGIC: Final = b"WKSEC1\0\0"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_REFERENCE: Final = re.compile(r"(?:secret:\s*)?(env|file):([A-Za-z_][A-Za-z0-9_.-]{0,127})")


class Secret:
    """A value that no log line, traceback or pickle shows. `reveal()` is where it is used, and nowhere else."""

    __slots__ = ("_value",)
    _value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        return self._value

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a secret does not change ({name})")

    def __repr__(self) -> str:
        return "[secret]"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "[secret]"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(Secret)  # nothing about the value

    def __reduce_ex__(self, protocol: Any) -> Never:
        raise TypeError("a secret is never pickled or copied")


class Lease(Struct, frozen=True, kw_only=True):
    """`version` tells two values of one name apart without showing either; 0 for a variable."""

    reference: str
    value: Secret
    version: int
    expires_at: Instant


class SecretEntry(Struct, frozen=True, kw_only=True):
    """What a listing shows."""

    name: str
    version: int
    put_at: Instant


class _Kept(Struct, frozen=True, kw_only=True):
    value: str
    version: int
    put_at: Instant

    def __repr__(self) -> str:
        return "[secret]"


class _Content(Struct, frozen=True, kw_only=True):
    """`last` keeps counting for a name that was deleted, so that a version never means two values."""

    secrets: dict[str, _Kept] = {}
    last: dict[str, int] = {}


class SecretStore:
    """The encrypted file. Small and synchronous; writers of several processes take turns, readers never wait."""

    def __init__(self, home: Path) -> None:
        self._folder = home / ".watchkeeper"
        self._file = self._folder / "secrets.bin"
        self._key = self._folder / "secrets.key"
        self._read: tuple[tuple[int, int, int], _Content] | None = None

    def __repr__(self) -> str:
        return f"SecretStore({self._file})"

    def put(self, name: str, value: str, *, now: Instant) -> SecretEntry:
        """Durable when it returns. Raises Rejected, Untrusted (the file was altered), Unavailable (the disk)."""
        if not _REFERENCE.fullmatch(f"file:{name}"):
            raise Rejected(f"secret {name[:64]!r}: not a name; letters, digits, '_', '.', '-', a letter first")
        if not value or len(value.encode()) > VALUE_BYTES_MAX:
            raise Rejected(f"secret {name}: empty, or longer than {VALUE_BYTES_MAX} bytes")
        with self._writing() as content:
            if name not in content.secrets and len(content.secrets) >= SECRETS_MAX:
                raise Rejected(f"secret {name}: there are {SECRETS_MAX} already; delete one that is not used")
            kept = _Kept(value=value, version=content.last.get(name, 0) + 1, put_at=now)
            self._write(
                _Content(secrets=content.secrets | {name: kept}, last=content.last | {name: kept.version}),
            )
        return SecretEntry(name=name, version=kept.version, put_at=now)

    def delete(self, name: str) -> bool:
        """False when there was none."""
        with self._writing() as content:
            if name not in content.secrets:
                return False
            rest = {other: kept for other, kept in content.secrets.items() if other != name}
            self._write(_Content(secrets=rest, last=content.last))
        return True

    def list(self) -> tuple[SecretEntry, ...]:
        content = self._content()
        return tuple(
            SecretEntry(name=name, version=kept.version, put_at=kept.put_at)
            for name, kept in sorted(content.secrets.items())
        )

    def get(self, name: str) -> tuple[Secret, int]:
        """The value and its version."""
        kept = self._content().secrets.get(name)
        if kept is None:
            raise Rejected(f"secret file:{name}: there is none; put it with 'watchkeeper secret put {name}'")
        return Secret(kept.value), kept.version

    # -- the file ----------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[_Content]:
        try:
            self._folder.mkdir(mode=0o700, parents=False, exist_ok=True)
            lock = os.open(self._folder / "secrets.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as failed:
            raise Unavailable(f"{self._folder}: {failed.strerror}") from failed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._content()
        finally:
            os.close(lock)

    def _content(self) -> _Content:
        _check_folder(self._folder)
        try:
            found = self._file.lstat()
        except FileNotFoundError:
            return _Content()
        mark = (found.st_ino, found.st_mtime_ns, found.st_size)
        if self._read is not None and self._read[0] == mark:
            _check_mode(self._file, found)
            return self._read[1]
        sealed = _private(self._file, STORE_BYTES_MAX)
        key = _private(self._key, _KEY_BYTES + 1)
        if sealed is None or key is None:
            raise Rejected(f"{self._key}: missing, so {self._file} cannot be opened; bring it back from its backup")
        if len(key) != _KEY_BYTES:
            raise Rejected(f"{self._key}: {len(key)} bytes, a key has {_KEY_BYTES}")
        start = len(_MAGIC) + _NONCE_BYTES
        if sealed[: len(_MAGIC)] != _MAGIC:
            raise Untrusted(f"{self._file}: not a secret store of this version")
        try:
            plain = AESGCM(key).decrypt(sealed[len(_MAGIC) : start], sealed[start:], _MAGIC)
            content = msgspec.json.decode(plain, type=_Content)
        except (InvalidTag, ValueError, msgspec.MsgspecError) as wrong:
            # `from None`: what could not be decoded may stand in the error.
            raise Untrusted(f"{self._file}: altered, or sealed with another key than {self._key}") from (
                None if isinstance(wrong, msgspec.MsgspecError) else wrong
            )
        self._read = (mark, content)
        return content

    def _write(self, content: _Content) -> None:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = _MAGIC + nonce + AESGCM(self._made_key()).encrypt(nonce, msgspec.json.encode(content), _MAGIC)
        fresh = self._folder / "secrets.bin.new"
        try:
            with suppress(FileNotFoundError):
                fresh.unlink()  # of a writer that did not come to its end
            _written(fresh, sealed)
            fresh.replace(self._file)
        except OSError as failed:
            raise Unavailable(f"{self._file}: {failed.strerror}; the store is as it was") from failed
        self._read = None
        try:
            _synced(self._folder)
        except OSError as failed:
            raise Unavailable(
                f"{self._file}: {failed.strerror}; it is replaced, but a power failure may bring the old one back; put it again"
            ) from failed

    def _made_key(self) -> bytes:
        key = _private(self._key, _KEY_BYTES + 1)
        if key is None:
            key = AESGCM.generate_key(_KEY_BYTES * 8)
            try:
                _written(self._key, key)
                _synced(self._folder)
            except OSError as failed:
                raise Unavailable(f"{self._key}: {failed.strerror}") from failed
        if len(key) != _KEY_BYTES:
            raise Rejected(f"{self._key}: {len(key)} bytes, a key has {_KEY_BYTES}")
        return key


class Secrets:
    """References to leases. `live()` feeds the scrubber."""

    def __init__(self, store: SecretStore, *, clock: Callable[[], Instant] = lambda: datetime.now(UTC)) -> None:
        self._store = store
        self._clock = clock
        self._variables: dict[str, Secret] = {}

    async def lease(self, reference: str) -> Lease:
        """Of `env:NAME` or `file:NAME`, with or without `secret:` before it. Raises as the store, or Rejected."""
        found = _REFERENCE.fullmatch(reference)
        if found is None:
            raise Rejected(f"secret reference {reference[:20]!r}…: write env:NAME or file:NAME")
        kind, name = found.groups()
        if kind == "env":
            value = os.environ.get(name)
            if not value:
                raise Rejected(f"secret env:{name}: not set in the environment of this node")
            secret, version = Secret(value), 0
            self._variables[name] = secret
        else:
            secret, version = self._store.get(name)
        expires_at = after_ms(self._clock(), LEASE_MS)
        return Lease(reference=f"{kind}:{name}", value=secret, version=version, expires_at=expires_at)

    def live(self) -> tuple[Secret, ...]:
        """Every value in the store and every variable that was leased so far."""
        stored = (self._store.get(entry.name)[0] for entry in self._store.list())
        return (*stored, *self._variables.values())


# -- private files ---------------------------------------------------------------------------------


def _check_folder(folder: Path) -> None:
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise Rejected(f"{folder}: not a folder")
    _check_mode(folder, found)


def _check_mode(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise Rejected(f"{path}: belongs to user {found.st_uid}, not to {os.geteuid()} who runs this")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        wanted = "700" if stat.S_ISDIR(found.st_mode) else "600"
        raise Rejected(
            f"{path}: mode {mode:04o} lets others in; find out who read it, renew the secrets, then 'chmod {wanted} {path}'"
        )


def _private(path: Path, bytes_max: int) -> bytes | None:
    """What stands in a file that only its owner can touch; None when there is no file."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as failed:
        raise Rejected(f"{path}: {failed.strerror}; it must be a plain file of its own") from failed
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise Rejected(f"{path}: not a plain file")
        _check_mode(path, found)
        if found.st_size > bytes_max:
            raise Rejected(f"{path}: {found.st_size} bytes, at most {bytes_max}")
        return file.read(bytes_max)


def _written(path: Path, data: bytes) -> None:
    """A new file, mode 0600 from its first moment, on the disk when this returns."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(number)


def _synced(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
