"""The whole way with real servers: a service fails, Prometheus sees it, Alertmanager tells, Watchkeeper decides and
repairs, verifies, and it is Prometheus and Alertmanager again that say it is over.
"""

import http.client
import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import kept_record
import pytest
from kill_home import PACK, PEOPLE
from real_node import HERE, TOKEN, Node, until

from watchkeeper.demo.loopback import free_port

MISSING = [name for name in ("prometheus", "prometheus-alertmanager") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        bool(MISSING),
        reason=f"not installed here: {', '.join(MISSING)} (apt install prometheus prometheus-alertmanager)",
    ),
]

SETTINGS = """
environments:
  dev: {production: false}
sources:
  prometheus: {kind: alertmanager, group: prometheus, repeat: 1h, credential: {bearer: "env:HOOK_TOKEN"}}
notify:
  routes:
    - {name: nobody, webhook: "http://127.0.0.1:9/none"}
roles:
  users: {USER: [admin]}
"""

SERVICE = """---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  annotations:
    watchkeeper.dev/environment: dev
    watchkeeper.dev/tier: gold
    watchkeeper.dev/reach: api
    watchkeeper.dev/attr.url: http://127.0.0.1:PORT
    watchkeeper.dev/address: url
    watchkeeper.dev/honours: idempotency-key
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
"""

RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: worker-dead, owner: group:ops}
spec:
  match: {alertname: WorkerDead, severity: critical}
  target: {within: {system: shop}}
  runbook: shop/recycle
  autonomy: {ceiling: auto}
  limits: {attempts: 2, within: 1h, settle: 5m}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: recycle, owner: group:ops}
spec:
  permissions:
    - {do: http.request, methods: [POST], to: target.url}
  timeout: 1m
  on_failure: stay
  steps:
    - id: recycle
      do: http.request
      with: {method: POST, url: "${target.url}/recycle"}
      effect: keyed
      timeout: 5s
    - id: healthy
      verify: {http: "${target.url}/healthz", expect: {status: 200}, successes: 3, every: 200ms, within: 10s}
"""

PROMETHEUS = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: ["127.0.0.1:ALERTMANAGER"]}]
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ["127.0.0.1:SERVICE"], labels: {service: checkout}}]
"""

RULES = """
groups:
  - name: shop
    rules:
      - alert: WorkerDead
        expr: worker_alive == 0
        for: 1s
        labels: {severity: critical}
        annotations: {summary: "{{ $labels.service }} takes orders and works on none"}
"""

ALERTMANAGER = """
route: {receiver: watchkeeper, group_by: [alertname, service], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: watchkeeper
    webhook_configs:
      - url: http://127.0.0.1:NODE/hooks/alertmanager
        send_resolved: true
        http_config: {authorization: {type: Bearer, credentials: TOKEN}}
"""


def ask(port: int, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@contextmanager
def running(argv: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as words:
        process = subprocess.Popen(argv, stdout=words, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def service(folder: Path) -> Iterator[int]:
    words = folder / "service.out"
    with running([sys.executable, str(HERE / "failing_service.py")], words):
        yield int(until(lambda: words.read_text().strip(), "the service listens"))


@contextmanager
def node(folder: Path, service_port: int) -> Iterator[Node]:
    home = written(
        folder / "home",
        {
            "watchkeeper.yaml": SETTINGS.replace("USER", pwd.getpwuid(os.getuid()).pw_name),
            "catalog/all.yaml": PEOPLE + SERVICE.replace("PORT", str(service_port)),
            "packs/shop/pack.yaml": PACK,
            "packs/shop/rules/worker-dead.yaml": RULE,
            "packs/shop/runbooks/recycle.yaml": RUNBOOK,
        },
    )
    found = Node(home)
    found.up()
    try:
        words = ("shop/worker-dead", "--level", "auto", "--for", "1d", "--cell", "environment=dev", "--reason", "tests")
        given = found.wk("autonomy", "grant", *words)
        assert given.returncode == 0, given.stderr
        yield found
        found.down()
    finally:
        if found.process is not None:
            found.kill()


@contextmanager
def monitoring(folder: Path, service_port: int, node_port: int) -> Iterator[int]:
    """Alertmanager and Prometheus; yields Prometheus's port."""
    alertmanager, prometheus = free_port(), free_port()
    written(
        folder,
        {
            "alertmanager.yml": ALERTMANAGER.replace("NODE", str(node_port)).replace("TOKEN", TOKEN),
            "prometheus.yml": PROMETHEUS.replace("ALERTMANAGER", str(alertmanager)).replace(
                "SERVICE", str(service_port)
            ),
            "rules.yml": RULES,
        },
    )
    with ExitStack() as stack:
        argv = [
            "prometheus-alertmanager",
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ]
        stack.enter_context(running(argv, folder / "alertmanager.log"))
        argv = [
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
            "--rules.alert.resend-delay=1s",
        ]
        stack.enter_context(running(argv, folder / "prometheus.log"))
        for port, log in ((alertmanager, "alertmanager.log"), (prometheus, "prometheus.log")):
            until(
                lambda port=port: ask(port, "GET", "/-/ready")[0] == 200,
                f"{log} says ready; it says {(folder / log).read_text()[-2000:]}",
            )
        yield prometheus


def sampled(port: int, query: str) -> str:
    """The value of the one series; "" when there is none."""
    status, text = ask(port, "GET", f"/api/v1/query?query={query}")
    found = json.loads(text)["data"]["result"] if status == 200 else []
    return found[0]["value"][1] if found else ""


def firing(port: int) -> list[str]:
    status, text = ask(port, "GET", "/api/v1/alerts")
    assert status == 200
    return [each["state"] for each in json.loads(text)["data"]["alerts"]]


def test_from_a_dead_worker_to_a_resolved_incident(tmp_path: Path) -> None:
    with (
        service(tmp_path) as shop,
        node(tmp_path, shop) as here,
        monitoring(tmp_path, shop, here.port) as prometheus,
    ):
        until(lambda: sampled(prometheus, "worker_alive") == "1", "Prometheus scrapes the healthy service")
        assert ask(shop, "POST", "/orders", b"one")[0] == 202
        assert ask(shop, "POST", "/orders", b"poison")[0] == 202
        until(lambda: ask(shop, "GET", "/healthz")[0] == 503, "the service fails")

        decision = until(lambda: next(iter(here.items("/decisions")), None), "a decision is made")
        assert decision["verdict"] == "act", decision
        assert decision["rule"] == "shop/worker-dead"
        run = until(lambda: next(iter(here.items("/runs", state="closed")), None), "the run ends")
        run = here.client.get(f"/runs/{run['id']}")
        assert run["status"] == "succeeded", run
        assert [step["status"] for step in run["steps"]] == ["done", "done"]
        assert run["steps"][1]["output"]["result"] == "healthy"
        assert ask(shop, "GET", "/healthz")[0] == 200

        until(lambda: sampled(prometheus, "recycles_total") == "1", "Prometheus sees the repair")
        until(lambda: firing(prometheus) == [], "Prometheus sees it well")
        alert = until(lambda: next(iter(here.items("/alerts", state="resolved")), None), "Alertmanager says resolved")
        assert alert["labels"]["alertname"] == "WorkerDead"
        assert alert["annotations"]["summary"] == "checkout takes orders and works on none"
        assert alert["entity"] == "component:default/checkout"
        assert here.items("/alerts", state="firing") == []
        incident = until(
            lambda: next(iter(here.items("/incidents", state="resolved")), None), "the incident is resolved"
        )
        assert incident["id"] == alert["incident"]

        assert len(here.items("/runs")) == 1, "one episode, one run"
        assert sampled(prometheus, "recycles_total") == "1"
        said = here.wk("ledger", "verify")
        assert said.returncode == 0, said.stdout + said.stderr
        assert here.items("/dead-letters") == []
    assert kept_record.wrong(tmp_path / "home") == []
