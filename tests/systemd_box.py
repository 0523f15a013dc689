"""A machine in a box: Debian's systemd as process 1 of namespaces of its own, with Debian's sshd as one of its units.

The network is this machine's, so that its sshd is reached at 127.0.0.1; processes, mounts and control groups are
its own. Only units of the test's own folder are loaded: nothing of this machine is started or changed.
"""

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from time import monotonic, sleep

from ssh_hosts import SSHD, Keys, configured
from watchkeeper.demo.loopback import free_port

SYSTEMD = next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if Path(path).exists()), None)
WITHIN_S = 30.0

# Its own /run hides this machine's; /tmp stays, for the folders of the test lie there.
INIT = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd /run/lock /run/sshd
mount -t proc proc /proc
exec env -i container=watchkeeper-test PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH={units} \\
  {systemd} --system --unit=box.target --log-target=console --show-status=no
"""


def why_not() -> str:
    """Why there can be no box here, with what to install; "" when it can be tried."""
    if os.getuid() != 0:
        return "only root can make the namespaces of a systemd"
    missing = [what for what, found in (("systemd", SYSTEMD), ("openssh-server", SSHD)) if found is None]
    missing += [] if shutil.which("unshare") and shutil.which("nsenter") else ["util-linux"]
    return f"not installed here (apt install {' '.join(missing)})" if missing else ""


class NoBox(Exception):
    """Systemd did not come up in its namespaces: this kernel or sandbox does not let it."""


class Box:
    """`units` are texts by name; each that wants it is started with the box."""

    def __init__(self, folder: Path, keys: Keys, units: dict[str, str]) -> None:
        self.folder = folder
        self.port = free_port()
        config = configured(folder / "sshd", keys, self.port)
        place = folder / "units"
        place.mkdir(parents=True)
        names = ["sshd.service", *units]
        texts = {
            **units,
            "sshd.service": f"[Unit]\nDefaultDependencies=no\n[Service]\nExecStart={SSHD} -D -e -f {config}\n",
            "box.target": f"[Unit]\nDefaultDependencies=no\nWants={' '.join(names)}\n",
        }
        for name, text in texts.items():
            (place / name).write_text(text)
        script = INIT.format(units=shlex.quote(str(place)), systemd=SYSTEMD)
        self.log = folder / "systemd.log"
        flags = ("--pid", "--mount", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["unshare", *flags, "/bin/sh", "-c", script], stdout=log, stderr=log, start_new_session=True
            )
        end_s = monotonic() + WITHIN_S
        while self.systemctl("is-active", "sshd.service").stdout.strip() != "active":
            if self.process.poll() is not None or monotonic() > end_s:
                said = self.log.read_text(errors="replace")[-2000:]
                self.close()
                raise NoBox(said)
            sleep(0.05)

    def systemctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """As root inside the box."""
        init = self._init()
        if not init:
            return subprocess.CompletedProcess(words, 1, "", "not up")
        argv = ["nsenter", "-t", init, "--pid", "--mount", "--ipc", "--uts", "--cgroup", "systemctl", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)

    def shown(self, unit: str, name: str) -> str:
        return self.systemctl("show", "--property", name, "--value", unit).stdout.strip()

    def _init(self) -> str:
        pid = self.process.pid
        try:
            return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
        except (FileNotFoundError, IndexError):
            return ""

    def close(self) -> None:
        self.process.kill()  # with it goes process 1, and with that everything in the box
        self.process.wait()
