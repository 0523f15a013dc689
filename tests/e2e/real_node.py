"""A real node and a real target as processes, for tests that kill the one and ask the other."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from watchkeeper.surface.client import SOCKET, Client, Where

HERE = Path(__file__).parent
WK = Path(sys.executable).with_name("wk")
READY = "watchkeeper ready on http://127.0.0.1:"
UP_WITHIN_S = 40.0
WITHIN_S = 40.0
LOOK_S = 0.02
TOKEN = "hook-token-of-the-tests"


def until(what: Callable[[], Any], named: str, within_s: float = WITHIN_S) -> Any:
    """The first true answer; the failure names what did not happen."""
    end_s = monotonic() + within_s
    while not (found := what()):
        assert monotonic() < end_s, f"did not happen within {within_s:g} s: {named}"
        sleep(LOOK_S)
    return found


def call(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Raises OSError or HTTPException when there is no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        raw = None if body is None else json.dumps(body).encode()
        connection.request(method, path, raw, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
        return answer.status, json.loads(data) if data else None
    finally:
        connection.close()


class Target:
    """The counting target, and the sink of notices in it."""

    def __init__(self, services: list[str]) -> None:
        argv = [sys.executable, str(HERE / "counting_target.py"), "--services", ",".join(services)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def state(self) -> dict[str, Any]:
        return call(self.port, "GET", "/control/state")[1]

    def service(self, name: str) -> dict[str, Any]:
        return self.state()["services"][name]

    def mode(self, service: str, **how: Any) -> None:
        assert call(self.port, "POST", "/control/mode", {"service": service, **how})[0] == 200

    def gate(self, service: str, verb: str, at: str) -> None:
        """The next such request stops there until `let_go`."""
        assert call(self.port, "POST", "/control/gate", {"service": service, "verb": verb, "at": at})[0] == 200

    def reached(self, service: str, verb: str) -> bool:
        return any(each["reached"] for each in self._gates(service, verb))

    def let_go(self, service: str, verb: str, *, drop: bool = False) -> None:
        assert call(self.port, "POST", "/control/open", {"service": service, "drop": drop})[0] == 200
        until(lambda: all(each["left"] for each in self._gates(service, verb)), f"{service} {verb} goes on")

    def _gates(self, service: str, verb: str) -> list[dict[str, Any]]:
        return [each for each in self.state()["gates"] if (each["service"], each["verb"]) == (service, verb)]

    def told(self, run: str, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.state()["told"] if each["kind"] == kind and each["ids"].get("run") == run]


class Node:
    """`wk up` on a home: a supervisor and its worker. Killed as often as one likes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.outage_s = 0.0
        self.point = home.parent / "kill-at"
        self.log = home.parent / "node.log"
        self.words = home.parent / "node.out"
        self.client = Client(Where(socket=home / SOCKET, name=str(home)), timeout_s=20)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE / "fault_points"), os.environ.get("PYTHONPATH", "")])),
            "WATCHKEEPER_KILL_AT": str(self.point),
            "HOOK_TOKEN": TOKEN,
        }

    def up(self, *, wait: bool = True) -> None:
        assert self.process is None, "it runs already"
        self.starts += 1
        with self.log.open("ab") as log, self.words.open("wb") as words:
            self.process = subprocess.Popen(
                [str(WK), "--home", str(self.home), "up", "--port", str(self.port)],
                stdout=words,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, nth: int = 1) -> None:
        """Until the `nth` worker of this supervisor takes hooks."""

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"wk up ended with {self.process.returncode}:\n{self.last_words()}"
            return self.words.read_text().count(READY) >= nth

        until(ready, f"the node is ready:\n{self.last_words()}", UP_WITHIN_S)
        self.port = int(self.words.read_text().rpartition(READY)[2].split()[0])

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def worker(self) -> int:
        """The pid of the supervisor's one child; 0 when there is none."""
        assert self.process is not None
        pid = self.process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except FileNotFoundError:
            return 0
        return int(children[0]) if children else 0

    def kill(self) -> None:
        """-9 to both, supervisor first. What the worker started dies with it."""
        assert self.process is not None
        worker = self.worker()
        self.process.kill()
        if worker:
            _kill(worker)
        self._gone(worker)

    def wait_struck(self, within_s: float = WITHIN_S) -> None:
        """Until the armed point has ended both."""
        assert self.process is not None
        worker = self.worker()
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"point {self.point.read_text()} was not reached within {within_s} s:\n{self.last_words()}"
            ) from None
        self._gone(worker)

    def _gone(self, worker: int) -> None:
        assert self.process is not None
        self.process.wait(10)
        if worker:
            until(lambda: not alive(worker), f"process {worker} ends")
        self.process = None

    def arm(self, point: str) -> None:
        new = self.point.with_suffix(".new")
        new.write_text(point, encoding="ascii")
        new.rename(self.point)

    def disarm(self) -> None:
        self.point.unlink(missing_ok=True)

    def down(self) -> None:
        """As Ctrl-C does it."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.last_words()
        self.process = None

    def wk(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(WK), "--home", str(self.home), *words],
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=60,
            check=False,
        )

    def post(self, body: bytes) -> int:
        """A delivery to the Alertmanager hook; its status, 0 when nobody answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
            connection.request("POST", "/hooks/alertmanager", body, headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return 0
        else:
            return answer.status
        finally:
            connection.close()

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        return list(self.client.items(path, query, limit=100_000))

    def run_of(self, service: str) -> dict[str, Any] | None:
        """The newest run on a service, with its steps."""
        for each in self.items("/runs"):
            if each["targets"] == [f"component:default/{service}"] or each["targets"][0].endswith(f"/{service}"):
                return self.client.get(f"/runs/{each['id']}")
        return None

    def journal(self, run: str) -> list[dict[str, Any]]:
        return self.items(f"/runs/{run}/journal")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
