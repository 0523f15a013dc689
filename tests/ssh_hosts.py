"""Hosts to reach by ssh: Debian's own sshd as a process, and a small server in this process that can misbehave."""

import asyncio
import getpass
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Self

import asyncssh

from watchkeeper.adapters.ssh_place import SshPlace
from watchkeeper.catalog.reach import SshWay, read_pins
from watchkeeper.demo.loopback import free_port

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
USER = getpass.getuser()
WITHIN_S = 20.0


class Keys:
    """A host's key, a client's key, and the two authorities that may sign them."""

    def __init__(self) -> None:
        self.host, self.client, self.host_ca, self.user_ca, self.stranger = (
            asyncssh.generate_private_key("ssh-ed25519") for _ in range(5)
        )

    def host_certificate(self, principal: str = "127.0.0.1", *, ended: bool = False) -> asyncssh.SSHCertificate:
        return self.host_ca.generate_host_certificate(self.host, "host", principals=[principal], **validity(ended))

    def certificate(self, principal: str = USER, *, ended: bool = False) -> str:
        found = self.user_ca.generate_user_certificate(self.client, "ops", principals=[principal], **validity(ended))
        return found.export_certificate().decode()


def validity(ended: bool) -> dict[str, datetime]:
    now = datetime.now(UTC)
    if ended:
        return {"valid_after": now - timedelta(days=2), "valid_before": now - timedelta(days=1)}
    return {"valid_after": now - timedelta(hours=1), "valid_before": now + timedelta(hours=1)}


def public(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])


def private(key: asyncssh.SSHKey) -> str:
    return key.export_private_key().decode()


def place(port: int, keys: Keys, *, pins: str = "", key: str = "", certificate: str = "") -> SshPlace:
    found = read_pins(pins or public(keys.host))
    assert isinstance(found, tuple), found
    way = SshWay(host="127.0.0.1", port=port, user=USER, pins=found)
    return SshPlace(way=way, key=key or private(keys.client), certificate=certificate)


class Sshd:
    """Debian's sshd in the foreground, for the user who runs the tests."""

    def __init__(self, folder: Path, keys: Keys, *, certified: bool = False, ended: bool = False) -> None:
        assert SSHD is not None
        Path("/run/sshd").mkdir(exist_ok=True)  # it wants to leave its privileges there
        self.port = free_port()
        self.config = configured(folder, keys, self.port, certified=certified, ended=ended)
        self.log = folder / "sshd.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(self.config)], stderr=log)
        end_s = monotonic() + WITHIN_S
        while b"Server listening" not in self.log.read_bytes():
            assert self.process.poll() is None, self.log.read_text()
            assert monotonic() < end_s, "sshd does not listen"
            sleep(0.01)

    def sessions(self) -> int:
        """How many sign-ins it has seen."""
        return self.log.read_text(errors="replace").count("Accepted publickey")

    async def close(self) -> None:
        self.process.terminate()
        self.process.wait()


def configured(folder: Path, keys: Keys, port: int, *, certified: bool = False, ended: bool = False) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    written(folder / "host_key", private(keys.host), 0o600)
    written(folder / "authorized_keys", public(keys.client) + "\n", 0o600)
    written(folder / "user_ca.pub", public(keys.user_ca) + "\n", 0o644)
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {'none' if certified else folder / 'authorized_keys'}",
        f"TrustedUserCAKeys {folder}/user_ca.pub",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "PidFile none",
        "LogLevel VERBOSE",
    ]
    if certified:
        certificate = keys.host_certificate(ended=ended).export_certificate().decode()
        written(folder / "host_key-cert.pub", certificate, 0o644)
        lines.append(f"HostCertificate {folder}/host_key-cert.pub")
    written(folder / "sshd_config", "\n".join(lines) + "\n", 0o600)
    return folder / "sshd_config"


def written(path: Path, text: str, mode: int) -> None:
    path.write_text(text)
    path.chmod(mode)


class Server:
    """An ssh server in this loop that hands commands to /bin/sh. `hang_up` breaks a connection where one wants it."""

    def __init__(self, keys: Keys, *, certified: bool = False, ended: bool = False) -> None:
        self.keys, self.certified, self.ended = keys, certified, ended
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.commands: list[str] = []
        self.signals: list[str] = []
        self.hang_up = ""  # "" never, "session" when one is opened, "command" when it is told one
        self.told = asyncio.Event()

    async def __aenter__(self) -> Self:
        host = (self.keys.host, self.keys.host_certificate(ended=self.ended)) if self.certified else self.keys.host
        self.acceptor = await asyncssh.create_server(
            lambda: _Serving(self),
            "127.0.0.1",
            0,
            server_host_keys=[host],
            authorized_client_keys=asyncssh.import_authorized_keys(public(self.keys.client)),
            encoding=None,
            process_factory=None,
        )
        self.port = self.acceptor.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for connection in self.connections:
            connection.abort()
        self.acceptor.close()
        await self.acceptor.wait_closed()

    def sessions(self) -> int:
        return len(self.connections)


class _Serving(asyncssh.SSHServer):
    def __init__(self, server: Server) -> None:
        self.server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connection = conn

    def auth_completed(self) -> None:
        self.server.connections.append(self.connection)

    def session_requested(self) -> "_Session":
        if self.server.hang_up == "session":
            self.connection.abort()
        return _Session(self.server, self.connection)


class _Session(asyncssh.SSHServerSession[bytes]):
    def __init__(self, server: Server, connection: asyncssh.SSHServerConnection) -> None:
        self.server, self.connection = server, connection
        self.stdin = bytearray()
        self.process: asyncio.subprocess.Process | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self.channel = chan

    def exec_requested(self, command: str) -> bool:
        self.server.commands.append(command)
        self.command = command
        self.server.told.set()
        if self.server.hang_up == "command":
            self.connection.abort()
        return self.server.hang_up != "refuse"

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.stdin += data

    def eof_received(self) -> bool:
        self.task = asyncio.create_task(self._run())
        return True

    def signal_received(self, signal: str) -> None:
        self.server.signals.append(signal)
        if self.process is not None:
            self.process.terminate()

    async def _run(self) -> None:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", self.command, stdin=pipe, stdout=pipe, stderr=pipe
        )
        out, err = await self.process.communicate(bytes(self.stdin))
        self.channel.write(out)
        self.channel.write_stderr(err)
        if self.process.returncode is not None and self.process.returncode < 0:
            self.channel.exit_with_signal("TERM")
        else:
            self.channel.exit(self.process.returncode or 0)
