"""The protocol side of ssh, by asyncssh: a signed-in connection, and one command on it."""

import asyncio
import base64
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Final

import asyncssh
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import SSHCertificate, load_ssh_public_identity

from watchkeeper.adapters.process_spec import Ending, ProcessResult, ProcessSpec, Stream
from watchkeeper.adapters.ssh_place import OnOutput, SshPlace
from watchkeeper.catalog.reach import Pin
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.values import rfc3339

KEEPALIVE_S: Final = 15  # a peer that died without a word is noticed after four of them
KEEPALIVES_MAX: Final = 3
DRAIN_MS: Final = 500  # for output behind the exit status: a child that stayed may hold the channel open
TERM_GRACE_MS: Final = 1_000
EXIT_TIMED_OUT: Final = 124  # Source: timeout(1)
HOST_KEY_KINDS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_CERTIFIED: Final = "-cert-v01@openssh.com"
FOR_EVER: Final = 2**64 - 1  # Source: OpenSSH PROTOCOL.certkeys, "valid before"


class _Client(asyncssh.SSHClient):
    """Remembers what the host showed, so that a refusal can name both fingerprints."""

    def __init__(self) -> None:
        self.shown = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.shown = key.get_fingerprint()
        return False

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        del host, addr, port
        self.shown = f"{key.get_fingerprint()} (a certificate authority)"
        return False


async def dial(place: SshPlace, address: str) -> "Link":
    """Raises: Untrusted (not the pinned host), Rejected (it lets nobody in with this key), Unavailable."""
    way, where = place.way, place.where
    identity = _identity(place)
    trusted = [_public(pin) for pin in way.pins if not pin.authority]
    authorities = [_public(pin) for pin in way.pins if pin.authority]
    # The pinned kinds come first, so that a host with several keys shows that one; the others follow, so that a host
    # without it shows what it has and the refusal can name it.
    kinds = [kind for key in trusted for kind in _kinds(key)]
    kinds += [f"{kind}{_CERTIFIED}" for kind in HOST_KEY_KINDS if authorities]
    client = _Client()
    try:
        connection, _ = await asyncssh.create_connection(
            lambda: client,
            address,
            way.port,
            config=None,
            username=way.user,
            host_key_alias=way.host,
            known_hosts=(trusted, authorities, []),
            server_host_key_algs=list(dict.fromkeys((*kinds, *HOST_KEY_KINDS))),
            client_keys=[identity],
            agent_path=None,
            password=None,
            gss_host=None,
            preferred_auth="publickey",
            keepalive_interval=KEEPALIVE_S,
            keepalive_count_max=KEEPALIVES_MAX,
            connect_timeout=None,
            login_timeout=None,
        )
    except asyncssh.HostKeyNotVerifiable as other:
        raise _untrusted(place, client, str(other.reason)) from other
    except asyncssh.PermissionDenied as denied:
        with_what = "certificate and key" if place.certificate else "key"
        raise Rejected(
            f"{where}: the host does not let {way.user} in with {with_what} {identity[0].get_fingerprint()}; nothing was "
            f"sent"
        ) from denied
    except asyncssh.KeyExchangeFailed as strange:
        raise Rejected(f"{where}: no common way to encrypt: {strange.reason}; nothing was sent") from strange
    except (asyncssh.ProtocolNotSupported, asyncssh.IllegalUserName) as strange:
        raise Rejected(f"{where}: {strange.reason}; nothing was sent") from strange
    except asyncssh.Error as failed:
        raise Unavailable(f"{where}: {failed.reason or 'the connection was lost'}; nothing was sent") from failed
    except OSError as failed:
        raise Unavailable(f"{where}: {failed.strerror or failed}; nothing was sent") from failed
    return Link(connection, where)


class Link:
    """A signed-in connection. Commands share it, each on a channel of its own."""

    def __init__(self, connection: asyncssh.SSHClientConnection, where: str) -> None:
        self._connection = connection
        self._where = where

    @property
    def closed(self) -> bool:
        return self._connection.is_closed()

    def close(self) -> None:
        self._connection.close()

    async def execute(
        self,
        command: str,
        spec: ProcessSpec,
        on_output: OnOutput | None,
        may_send: Callable[[], bool],
        left_ms: int,
    ) -> ProcessResult:
        """`command` is `spec` as text, and ends by itself after `left_ms`. Raises as `SshPool.run`."""
        began = monotonic()
        session = _Session(spec.output_bytes_max, on_output, may_send)
        name = spec.argv[0]
        try:
            async with asyncio.timeout(left_ms / 1000):
                await self._connection.create_session(
                    lambda: session,
                    command,
                    env={},
                    send_env=[],
                    request_pty=False,
                    x11_forwarding=False,
                    encoding=None,
                )
                session.feed(spec.stdin)
                await session.exited()
        except TimeoutError as late:
            if not session.sent:
                session.leave()
                raise Unavailable(f"{self._where}: no channel in {spec.timeout_ms} ms; nothing was sent") from late
            await session.end()
            return session.result(Ending.TIMED_OUT, began)
        except _NotNow as refused:
            session.leave()
            raise Unavailable("this node lost its lease before the command; nothing was sent") from refused
        except asyncssh.ChannelOpenError as refused:
            session.leave()
            if session.sent:
                raise Rejected(f"{self._where}: the host runs no command for this user: {refused.reason}") from refused
            raise Unavailable(f"{self._where}: no channel: {refused.reason}; nothing was sent") from refused
        except (asyncssh.Error, OSError) as lost:
            session.leave()
            if session.sent:
                raise InDoubt(f"{self._where}: the connection was lost under {name}; it may have run") from lost
            raise Unavailable(f"{self._where}: the connection was lost; nothing was sent") from lost
        finally:
            if session.sent and not session.through:
                session.leave()
        if session.exit is None and session.signal is None:
            raise InDoubt(f"{self._where}: the connection was lost under {name}; it may have run")
        if session.exit == EXIT_TIMED_OUT and monotonic() - began >= left_ms / 1000:
            return session.result(Ending.TIMED_OUT, began)
        return session.result(Ending.EXITED if session.signal is None else Ending.SIGNALLED, began)


class _NotNow(Exception):
    """The last look before the command left said no."""


class _Session(asyncssh.SSHClientSession[bytes]):
    """One command: its output up to a bound, and how it ended. `sent`: the command may have left."""

    def __init__(self, bound: int, on_output: OnOutput | None, may_send: Callable[[], bool]) -> None:
        self._bound, self._on_output, self._may_send = bound, on_output, may_send
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._kept = {stream: bytearray() for stream in Stream}
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._cut = False
        self.sent = False
        self.exit: int | None = None
        self.signal: int | None = None

    # -- what the connection says ----------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is open; the command is what is sent next."""
        self._channel = chan
        if not self._may_send():
            raise _NotNow
        self.sent = True

    def data_received(self, data: bytes, datatype: int | None) -> None:
        stream = Stream.STDERR if datatype == asyncssh.EXTENDED_DATA_STDERR else Stream.STDOUT
        kept = self._kept[stream]
        room = self._bound - len(kept)
        kept += data[:room]
        self._cut = self._cut or len(data) > room
        if self._on_output is not None:
            self._on_output(stream, data)

    def exit_status_received(self, status: int) -> None:
        self.exit = status
        self._over()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        del core_dumped, msg, lang
        self.signal = _number(signal)
        self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._over()
        if not self._closed.done():
            self._closed.set_result(None)

    def _over(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    # -- what is asked of it ---------------------------------------------------------------------

    @property
    def through(self) -> bool:
        return self._closed.done()

    def feed(self, data: bytes) -> None:
        assert self._channel is not None
        if data:
            self._channel.write(data)
        self._channel.write_eof()

    async def exited(self) -> None:
        """Its end, and the output that is still on the way."""
        await asyncio.shield(self._ended)
        _, late = await asyncio.wait([self._closed], timeout=DRAIN_MS / 1000)
        self._cut = self._cut or bool(late)

    async def end(self) -> None:
        """Ask it to end, and wait a little for its last words."""
        assert self._channel is not None
        if not self._closed.done():
            self._channel.terminate()
            await asyncio.wait([self._closed], timeout=TERM_GRACE_MS / 1000)
        self.leave()

    def leave(self) -> None:
        """Let go of the channel. A program that still runs is asked to end."""
        if self._channel is None or self._closed.done():
            return
        if self.sent and self.exit is None and self.signal is None:
            self._channel.terminate()
        self._channel.close()

    def result(self, ending: Ending, began: float) -> ProcessResult:
        return ProcessResult(
            ending=ending,
            exit=self.exit,
            signal=self.signal,
            stdout=bytes(self._kept[Stream.STDOUT]),
            stderr=bytes(self._kept[Stream.STDERR]),
            truncated=self._cut,
            ms=int((monotonic() - began) * 1000),
            pid=0,
            started=0,
        )


def _number(name: str) -> int:
    """15 for `TERM`; 0 for a signal that only the other machine knows."""
    found = getattr(signal, f"SIG{name}", None)
    return int(found) if isinstance(found, signal.Signals) else 0


def _kinds(key: asyncssh.SSHKey) -> tuple[str, ...]:
    """The signatures that a host with this key is asked for. The old one of RSA, with SHA-1, is not among them."""
    name = key.get_algorithm()
    return ("rsa-sha2-512", "rsa-sha2-256") if name == "ssh-rsa" else (name,)


def _public(pin: Pin) -> asyncssh.SSHKey:
    name = pin.blob[4 : 4 + int.from_bytes(pin.blob[:4], "big")].decode("ascii", "replace")
    try:
        return asyncssh.import_public_key(f"{name} {base64.b64encode(pin.blob).decode()}")
    except (asyncssh.KeyImportError, ValueError) as unfit:
        raise Rejected(f"the pinned key {pin.fingerprint} cannot be read: {unfit}; nothing was sent") from unfit


def _identity(place: SshPlace) -> tuple[asyncssh.SSHKey, asyncssh.SSHCertificate | None]:
    where = place.where
    try:
        key = asyncssh.import_private_key(place.key)
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as unfit:
        locked = "passphrase" in str(unfit).lower()
        # `from None`: what could not be read may stand in the error.
        raise Rejected(
            f"{where}: the client's key has a passphrase: keep it without one, the secret store encrypts it; nothing was "
            f"sent"
            if locked
            else f"{where}: the client's key is no private key that can be read; nothing was sent"
        ) from None
    if not place.certificate:
        return key, None
    try:
        certificate = asyncssh.import_certificate(place.certificate)
        found = load_ssh_public_identity(place.certificate.strip().encode())
    except (asyncssh.KeyImportError, UnsupportedAlgorithm, ValueError) as unfit:
        raise Rejected(f"{where}: the client's certificate cannot be read: {unfit}; nothing was sent") from unfit
    if isinstance(found, SSHCertificate) and found.valid_before != FOR_EVER:
        end_at = datetime.fromtimestamp(min(found.valid_before, 2**33), UTC)
        if datetime.now(UTC) >= end_at:
            raise Rejected(
                f"{where}: the client's certificate ended at {rfc3339(end_at)}: have the SSH CA sign the key again; "
                f"nothing was sent"
            )
    return key, certificate


def _untrusted(place: SshPlace, client: _Client, why: str) -> Untrusted:
    pinned = ", ".join(
        f"{pin.fingerprint}{' (a certificate authority)' if pin.authority else ''}" for pin in place.way.pins
    )
    shown = f"shows {client.shown}" if client.shown else f"does not prove to be it ({why})"
    return Untrusted(
        f"{place.where}: the host {shown}, and the catalogue pins {pinned}; nothing was sent. Find out why before you "
        f"change host_key"
    )
