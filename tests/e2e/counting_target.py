"""A target that outlives the node: it counts whatever reaches it, and whatever took effect.

    python counting_target.py --port 9300 --services svc-0,svc-1

| request                                                | answer                                                       |
|--------------------------------------------------------|--------------------------------------------------------------|
| POST /SERVICE/drain, undrain, restart, reload          | the effect, counted                                          |
| POST /SERVICE/services/SERVICE/restart                 | the same restart, as a supervisor of services takes it       |
| GET  /SERVICE/services/SERVICE                         | {unit, state, pid, started_at, starts}: was it restarted?    |
| GET  /SERVICE/healthz                                  | 200 or 500                                                   |
| GET  /SERVICE/look                                     | 200 always; counted as an arrival                            |
| POST /told                                             | a notice for a person, kept                                  |
| POST /control/mode {service, honours, broken, sticky}  | how a service is from now on                                 |
| POST /control/gate {service, verb, at}                 | the next such request stops `before` or `after` its effect   |
| POST /control/open {service, drop}                     | let it go on; with `drop` its effect never happens           |
| GET  /control/state                                    | everything that was counted                                  |

A service that honours keys lets each key take effect once, also while the first request with it is under way. One
that does not counts every arrival as an effect. Nothing is written down: what this process saw is what was.
"""

import argparse
import json
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EFFECTS = ("drain", "undrain", "restart", "reload")
GATE_WITHIN_S = 60.0


@dataclass
class Gate:
    """One request stops here. `reached` says that it did."""

    at: str
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    drop: bool = False
    left: threading.Event = field(default_factory=threading.Event)


class Service:
    def __init__(self, name: str) -> None:
        self.name = name
        self.turn = threading.Lock()
        self.honours = False
        self.broken = True
        self.sticky = False  # a restart does not mend it
        self.arrivals: list[dict[str, Any]] = []
        self.effects: Counter[str] = Counter()  # by "verb key"
        self.started_at = ""
        self.starts = 0
        self.gates: dict[str, Gate] = {}

    def take(self, verb: str, headers: Any) -> None:
        key = headers.get("Idempotency-Key", "")
        with self.turn:
            self.arrivals.append(
                {
                    "verb": verb,
                    "key": key,
                    "run": headers.get("Watchkeeper-Run", ""),
                    "fence": int(headers.get("Watchkeeper-Fence", "0")),
                    "at": now(),
                }
            )
            gate = self.gates.pop(verb, None)
        if gate is not None and gate.at == "before":
            self._stop_at(gate)
        if gate is None or not gate.drop:
            self._effect(verb, key)
        if gate is not None and gate.at == "after":
            self._stop_at(gate)
        if gate is not None:
            gate.left.set()

    def _stop_at(self, gate: Gate) -> None:
        gate.reached.set()
        gate.opened.wait(GATE_WITHIN_S)

    def _effect(self, verb: str, key: str) -> None:
        with self.turn:
            name = f"{verb} {key}"
            if self.honours and self.effects[name]:
                return
            self.effects[name] += 1
            if verb == "restart":
                self.started_at, self.starts = now(), self.starts + 1
            if verb in {"restart", "reload"} and not self.sticky:
                self.broken = False

    def shown(self) -> dict[str, Any]:
        with self.turn:
            return {
                "honours": self.honours,
                "broken": self.broken,
                "arrivals": list(self.arrivals),
                "effects": dict(self.effects),
                "starts": self.starts,
            }


class World:
    def __init__(self, names: list[str]) -> None:
        self.services = {name: Service(name) for name in names}
        self.held: dict[tuple[str, str], Gate] = {}
        self.told: list[dict[str, Any]] = []


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def handler(world: World) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if self.path == "/control/state":
                gates = [
                    {"service": service, "verb": verb, "reached": gate.reached.is_set(), "left": gate.left.is_set()}
                    for (service, verb), gate in list(world.held.items())
                ]
                services = {name: each.shown() for name, each in world.services.items()}
                self._say(200, {"services": services, "told": list(world.told), "gates": gates})
                return
            service = world.services.get(parts[0])
            if service is None:
                self._say(404, {"title": f"no service {parts[0]}"})
            elif parts[1:] == ["healthz"]:
                self._say(500 if service.broken else 200, {})
            elif parts[1:] == ["look"]:
                service.take("look", self.headers)
                self._say(200, {"load": 3})
            elif parts[1:2] == ["services"]:
                found = {"unit": service.name, "state": "running", "pid": 1, "starts": service.starts}
                self._say(200, {**found, "started_at": service.started_at or None})
            else:
                self._say(404, {"title": f"nothing at {self.path}"})

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            parts = self.path.strip("/").split("/")
            if parts == ["told"]:
                world.told.append({**json.loads(raw), "at_sink": now()})
                self._say(202, {})
            elif parts[0] == "control":
                self._say(200, self._control(parts[1], json.loads(raw)))
            elif parts[0] in world.services and parts[-1] in EFFECTS:
                world.services[parts[0]].take(parts[-1], self.headers)
                self._say(200, {"done": parts[-1]})
            else:
                self._say(404, {"title": f"nothing at {self.path}"})

        def _control(self, what: str, asked: dict[str, Any]) -> dict[str, Any]:
            service = world.services[asked["service"]]
            match what:
                case "mode":
                    with service.turn:
                        service.honours = asked.get("honours", service.honours)
                        service.broken = asked.get("broken", service.broken)
                        service.sticky = asked.get("sticky", service.sticky)
                case "gate":
                    gate = Gate(at=asked["at"])
                    world.held[service.name, asked["verb"]] = service.gates[asked["verb"]] = gate
                case "open":
                    for (name, _), gate in list(world.held.items()):
                        if name == service.name:
                            gate.drop = asked.get("drop", False)
                            gate.opened.set()
                case other:
                    raise ValueError(other)
            return {}

        def _say(self, status: int, found: dict[str, Any]) -> None:
            body = json.dumps(found).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # whoever asked is dead; what was done stays done

        def log_message(self, *_: Any) -> None:
            return None

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: Any) -> None:
        """A connection that was torn is what these tests are about."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--services", required=True)
    given = parser.parse_args()
    server = Server(("127.0.0.1", 0), handler(World(given.services.split(","))))
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
