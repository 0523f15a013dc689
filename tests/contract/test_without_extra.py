"""A node that was installed without the extra says so: at check, and at the last moment."""

import sys

import pytest

from ssh_hosts import Keys, place, public
from watchkeeper import bootstrap
from watchkeeper.adapters.process_spec import ProcessSpec
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.errors import Rejected

WORDS = "via: ssh needs the extra `ssh`: pip install 'watchkeeper[ssh]'"
KEYS = Keys()

CATALOG = f"""
apiVersion: backstage.io/v1alpha1
kind: Group
metadata: {{name: ops}}
spec: {{type: team, children: []}}
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: web
  annotations:
    watchkeeper.dev/reach: ssh
    watchkeeper.dev/attr.host: web.example
    watchkeeper.dev/address: host
    watchkeeper.dev/attr.host_key: {public(KEYS.host)}
spec: {{type: service, lifecycle: production, owner: group:ops}}
"""

PACK = """
apiVersion: watchkeeper.dev/v1
kind: Pack
metadata: {name: shop, owner: group:ops}
spec: {version: 1.0.0}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: restart, owner: group:ops}
spec:
  permissions: [{do: service.restart, units: [web.service]}]
  steps: [{id: restart, do: service.restart, with: {unit: web.service}}]
"""


@pytest.fixture
def home(tmp_path):
    for name, text in {
        "watchkeeper.yaml": "",
        "catalog/all.yaml": CATALOG,
        "packs/shop/pack.yaml": PACK,
        "packs/shop/runbooks/restart.yaml": RUNBOOK,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def told(home):
    return [str(problem) for problem in bootstrap.check(home).problems if "ssh" in problem.message]


def test_check_warns_of_each_runbook_that_would_be_refused(home, monkeypatch):
    assert told(home) == []
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    (warning,) = told(home)
    assert "packs/shop/runbooks/restart.yaml" in warning
    assert f"runbook shop/restart is refused on this node: {WORDS}" in warning


def test_check_warns_of_a_target_without_a_pinned_key(home):
    path = home / "catalog/all.yaml"
    path.write_text(path.read_text().replace(f"    watchkeeper.dev/attr.host_key: {public(KEYS.host)}\n", ""))
    (warning,) = told(home)
    assert "ssh does not reach it: no pinned host key" in warning


async def test_a_command_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    pool = SshPool()
    with pytest.raises(Rejected) as refused:
        await pool.run(place(1, KEYS), ProcessSpec(argv=("true",), timeout_ms=5_000))
    assert str(refused.value) == f"{WORDS}; nothing was sent"
    await pool.close()
