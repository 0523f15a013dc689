"""One run over many targets in waves: a canary first, stopped by its threshold, killed twice under way, none sent twice.

`WATCHKEEPER_BULK` says how many targets; the soak takes 10,000 and keeps the figures at `WATCHKEEPER_BULK_FIGURES`.
"""

import json
import os
import pwd
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic

import pytest
from kill_home import PACK, PEOPLE
from real_node import READY, TOKEN, Node, call, until
from test_alertmanager import written

TARGETS = int(os.environ.get("WATCHKEEPER_BULK", "300"))
FILE_TARGETS = 500  # so many in one file of the catalogue
AT_ONCE = 32
BAD_MAX = 5  # failures that stop it

pytestmark = [pytest.mark.kills, pytest.mark.timeout(max(120, TARGETS // 4))]

SETTINGS = """
environments:
  dev: {production: false, local: true}
sources:
  default: {kind: alertmanager, repeat: 1h, credential: {bearer: "env:HOOK_TOKEN"}}
notify:
  routes:
    - {name: nobody, webhook: "http://127.0.0.1:9/none"}
roles:
  users: {USER: [admin]}
"""

TARGET = """---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: web-N
  annotations:
    watchkeeper.dev/environment: dev
    watchkeeper.dev/reach: api
    watchkeeper.dev/group: webs
    watchkeeper.dev/attr.url: http://127.0.0.1:PORT/web-N
    watchkeeper.dev/address: url
    watchkeeper.dev/honours: idempotency-key
spec: {type: instance, owner: group:ops, system: shop}
"""

RULE = f"""
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {{name: renew, owner: group:ops}}
spec:
  match: {{alertname: CertificatesEnd}}
  target: {{kind: Resource, by: {{watchkeeper.dev/group: alert.labels.group}}, within: {{system: shop}}, max: {max(TARGETS, 1)}}}
  runbook: shop/renew
  autonomy: {{ceiling: auto}}
  limits: {{attempts: 3, within: 1h, settle: 5m}}
"""

RUNBOOK = f"""
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {{name: renew, owner: group:ops}}
spec:
  permissions:
    - {{do: http.request, methods: [POST], to: target.url}}
  timeout: 6h
  on_failure: stay
  steps:
    - id: fleet
      foreach: {{in: targets, waves: ["1", "1%", "10%", "50%", "100%"], max: {AT_ONCE}, stop: {{failed: {BAD_MAX}}}}}
      steps:
        - id: renew
          do: http.request
          with: {{method: POST, url: "${{target.url}}/renew"}}
          effect: keyed
          timeout: 30s
"""


class Targets:
    """Every target of the fleet at one port. It honours keys: a repeated one is answered and not carried out again."""

    def __init__(self) -> None:
        self.lock = threading.Condition()
        self.hold_at = TARGETS  # so many are carried out, and whoever comes then waits: there the node is killed
        self.seen: set[str] = set()
        self.effects: Counter[str] = Counter()
        self.repeated = 0
        self.under_way = self.most = 0
        self.bad: set[str] = set()
        self.order: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                name, key = self.path.split("/")[1], self.headers["Idempotency-Key"]
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                code = outer.took(name, key)
                self.send_response(code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def took(self, name: str, key: str) -> int:
        with self.lock:
            if name in self.bad:
                return 409
            self.lock.wait_for(lambda: len(self.order) < self.hold_at)
            if key in self.seen:
                self.repeated += 1
                return 200
            self.seen.add(key)
            self.effects[name] += 1
            self.order.append(name)
            return 200

    def go_on(self, until: int) -> None:
        with self.lock:
            self.hold_at = until
            self.lock.notify_all()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def fleet(folder: Path) -> Iterator[tuple[Node, Targets]]:
    targets = Targets()
    text = TARGET.replace("PORT", str(targets.port))
    catalog = {
        f"catalog/web-{start}.yaml": "".join(
            text.replace("N\n", f"{n:05d}\n", 1).replace("web-N", f"web-{n:05d}")
            for n in range(start, min(start + FILE_TARGETS, TARGETS))
        )
        for start in range(0, TARGETS, FILE_TARGETS)
    }
    home = written(
        folder / "home",
        {
            "watchkeeper.yaml": SETTINGS.replace("USER", pwd.getpwuid(os.getuid()).pw_name),
            "catalog/people.yaml": PEOPLE,
            **catalog,
            "packs/shop/pack.yaml": PACK,
            "packs/shop/rules/renew.yaml": RULE,
            "packs/shop/runbooks/renew.yaml": RUNBOOK,
        },
    )
    node = Node(home)
    try:
        up(node)
        words = ("shop/renew", "--level", "auto", "--for", "1d", "--cell", "environment=dev", "--reason", "tests")
        given = node.wk("autonomy", "grant", *words)
        assert given.returncode == 0, given.stderr
        yield node, targets
        node.down()
    finally:
        if node.process is not None:
            node.kill()
        targets.close()


def up(node: Node) -> None:
    """A catalogue of 10,000 takes its time to be read, on a busy machine more than a small home is given."""
    node.up(wait=False)
    until(lambda: READY in node.words.read_text(), "the node is ready", max(60.0, TARGETS / 20))
    node.wait_ready()


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had. Source: proc(5), VmHWM."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def test_a_bulk_goes_on_where_it_was_and_stops_at_its_threshold(tmp_path: Path) -> None:
    within_s = max(60.0, TARGETS / 8)
    with fleet(tmp_path) as (node, targets):
        bad_from = TARGETS * 3 // 4  # all from here on refuse, so the threshold is reached in the last wave
        targets.bad = {f"web-{n:05d}" for n in range(bad_from, TARGETS)}
        idle = peak_bytes(node.worker())
        targets.go_on(TARGETS // 5)
        began = monotonic()
        labels = {"alertname": "CertificatesEnd", "severity": "critical", "group": "webs"}
        alert = {"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "f1"}
        body = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "w", "alerts": [alert]}
        assert call(node.port, "POST", "/hooks/alertmanager", body, {"Authorization": f"Bearer {TOKEN}"})[0] == 202

        peaks, taken_up = [], []
        for mark, following in ((TARGETS // 5, TARGETS * 6 // 10), (TARGETS * 6 // 10, TARGETS)):  # two of the waves
            until(lambda mark=mark: len(targets.order) == mark, f"{mark} of it are done", within_s)
            peaks.append(peak_bytes(node.worker()))
            node.kill()
            again = monotonic()
            before = len(targets.order)
            targets.go_on(following)  # what was under way arrives now, from a node that is gone
            up(node)
            until(lambda before=before: len(targets.order) > before + AT_ONCE, "it goes on", within_s)
            taken_up.append(monotonic() - again)
        run = until(lambda: next(iter(node.items("/runs", state="closed")), None), "the run ends", within_s)
        took_s = monotonic() - began
        peaks.append(peak_bytes(node.worker()))

        run = node.client.get(f"/runs/{run['id']}")
        assert run["status"] == "failed", run["why"]
        (step,) = run["steps"]
        assert (step["id"], step["kind"], step["status"]) == ("fleet", "foreach", "failed")
        assert "stopped after" in step["why"]
        counts = step["output"]
        assert counts["targets"] == TARGETS
        assert BAD_MAX <= counts["failed"] <= BAD_MAX + AT_ONCE  # those under way went on to their end
        assert counts["done"] == bad_from
        assert max(targets.effects.values()) == 1, "none twice"
        assert sorted(targets.effects) == [f"web-{n:05d}" for n in range(bad_from)], "none left out"
        assert targets.order[0] == "web-00000", "the canary went first"
        size = sum(path.stat().st_size for path in (tmp_path / "home" / ".watchkeeper").rglob("*") if path.is_file())
        figures = {
            "targets": TARGETS,
            "effects": len(targets.order),
            "repeated_under_one_key": targets.repeated,
            "took_s": round(took_s, 1),
            "taken_up_after_s": [round(each, 1) for each in taken_up],
            "idle_peak_bytes": idle,
            "peak_bytes": max(peaks),
            "state_bytes": size,
            "journal_events": len(node.journal(run["id"])),
        }
        if kept := os.environ.get("WATCHKEEPER_BULK_FIGURES"):
            Path(kept).write_text(json.dumps(figures))
