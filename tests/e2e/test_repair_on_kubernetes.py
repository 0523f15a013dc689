"""A whole repair on Kubernetes: an alert, a decision, a rollout that is restarted once and waited for.

The API server is the small one of the tests (tests/kube_server.py); the hand of the test is its controller.
"""

import asyncio
import os
import pwd
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kill_home import PACK, PEOPLE
from real_node import TOKEN, Node, call, until
from test_alertmanager import written

from kube_server import KubeServer
from watchkeeper.adapters.secrets import SecretStore

pytestmark = [pytest.mark.kills, pytest.mark.timeout(120)]

SETTINGS = """
environments:
  dev: {production: false}
sources:
  default: {kind: alertmanager, repeat: 1h, credential: {bearer: "env:HOOK_TOKEN"}}
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
    watchkeeper.dev/reach: kube
    watchkeeper.dev/attr.kube_server: URL
    watchkeeper.dev/attr.kube_ca: secret:shop-ca
    watchkeeper.dev/attr.kube_token: secret:shop-cluster
    watchkeeper.dev/attr.deployment: web
    watchkeeper.dev/address: kube_server
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
"""

RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: leak, owner: group:ops}
spec:
  match: {alertname: Leak, severity: critical}
  target: {within: {system: shop}}
  runbook: shop/roll
  autonomy: {ceiling: auto}
  limits: {attempts: 2, within: 1h, settle: 5m}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: roll, owner: group:ops}
spec:
  permissions:
    - {do: kube.rollout_restart, namespaces: [shop], kinds: [Deployment], names: [target.deployment]}
    - {do: kube.status, namespaces: [shop], kinds: [Deployment], names: [target.deployment]}
  timeout: 1m
  on_failure: stay
  steps:
    - id: roll
      do: kube.rollout_restart
      with: {namespace: shop, kind: Deployment, name: "${target.deployment}"}
      timeout: 3s
    - id: through
      do: kube.status
      with: {namespace: shop, kind: Deployment, name: "${target.deployment}", expect: {rolled_out: true}}
      retry: {attempts: 50, first: 100ms, max: 300ms}
"""

LABELS = {"app": "web"}
DEPLOYMENT = {
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": []}},
    },
}


class Cluster:
    """The API server in a loop and a thread of its own."""

    def __init__(self) -> None:
        self.server = KubeServer()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._do(self.server.__aenter__())
        self._do(self.server.put(DEPLOYMENT))

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def web(self) -> dict[str, Any]:
        return self._do(self.server.get("Deployment", "shop", "web"))

    def roll_out(self) -> None:
        """What a controller would do with the newest template."""
        found = self.web()
        count = found["spec"]["replicas"]
        names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        found["status"] = {**dict.fromkeys(names, count), "observedGeneration": found["metadata"]["generation"]}
        self._do(self.server.put(found))

    def close(self) -> None:
        self._do(self.server.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@contextmanager
def shop(folder: Path) -> Iterator[tuple[Node, Cluster]]:
    cluster = Cluster()
    home = written(
        folder / "home",
        {
            "watchkeeper.yaml": SETTINGS.replace("USER", pwd.getpwuid(os.getuid()).pw_name),
            "catalog/all.yaml": PEOPLE + SERVICE.replace("URL", cluster.server.url),
            "packs/shop/pack.yaml": PACK,
            "packs/shop/rules/leak.yaml": RULE,
            "packs/shop/runbooks/roll.yaml": RUNBOOK,
        },
    )
    store = SecretStore(home)
    store.put("shop-ca", cluster.server.ca_pem, now=datetime.now(UTC))
    store.put("shop-cluster", "admin-token", now=datetime.now(UTC))
    node = Node(home)
    try:
        node.up()
        words = ("shop/leak", "--level", "auto", "--for", "1d", "--cell", "environment=dev", "--reason", "tests")
        given = node.wk("autonomy", "grant", *words)
        assert given.returncode == 0, given.stderr
        yield node, cluster
        node.down()
    finally:
        if node.process is not None:
            node.kill()
        cluster.close()


def fire(node: Node) -> None:
    labels = {"alertname": "Leak", "severity": "critical", "service": "checkout"}
    alert = {"status": "firing", "labels": labels, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "f1"}
    body = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "w", "alerts": [alert]}
    assert call(node.port, "POST", "/hooks/alertmanager", body, {"Authorization": f"Bearer {TOKEN}"})[0] == 202


@pytest.mark.parametrize("killed", [False, True], ids=["", "killed before the outcome was kept"])
def test_a_rollout_is_restarted_once_and_waited_for(tmp_path: Path, killed: bool) -> None:
    with shop(tmp_path) as (node, cluster):
        if killed:
            node.arm("done:roll:before")
        fire(node)
        if killed:
            node.process.wait(40)
            node.process = None
            node.up()
        until(lambda: cluster.web()["metadata"]["generation"] == 2, "the template is changed")
        cluster.roll_out()
        run = until(lambda: next(iter(node.items("/runs", state="closed")), None), "the run ends")
        run = node.client.get(f"/runs/{run['id']}")
        assert run["status"] == "succeeded", run
        roll, through = run["steps"]
        assert (roll["status"], roll["attempts"]) == ("done", 1)
        assert through["output"]["rolled_out"] is True
        found = cluster.web()
        assert found["metadata"]["generation"] == 2, "restarted once"
        assert found["metadata"]["annotations"]["watchkeeper.dev/run"] == run["id"]
        said = node.wk("ledger", "verify")
        assert said.returncode == 0, said.stdout + said.stderr
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home" / ".watchkeeper").glob("watchkeeper.db*"))
    assert b"admin-token" not in kept
