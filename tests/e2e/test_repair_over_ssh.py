"""A whole repair by ssh: an alert, a decision, systemd on another machine restarts the unit, and it is seen well.

The machine is a box: Debian's systemd as process 1 of its own namespaces, with Debian's sshd as one of its units.
"""

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import kept_record
import pytest
from kill_home import PACK, PEOPLE
from real_node import TOKEN, Node, call, until
from test_alertmanager import written

from ssh_hosts import USER, Keys, private, public
from systemd_box import Box, NoBox, why_not
from watchkeeper.adapters.secrets import SecretStore

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]

ENDS_WITHIN_S = 120.0
KEYS = Keys()

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

MACHINE = """---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  name: checkout
  annotations:
    watchkeeper.dev/environment: dev
    watchkeeper.dev/tier: gold
    watchkeeper.dev/reach: ssh
    watchkeeper.dev/attr.unit: checkout.service
    watchkeeper.dev/attr.host: 127.0.0.1
    watchkeeper.dev/attr.ssh_port: "PORT"
    watchkeeper.dev/attr.ssh_user: LOGIN
    watchkeeper.dev/attr.ssh_key: secret:ssh-ops
    watchkeeper.dev/attr.host_key: PINNED
    watchkeeper.dev/address: host
spec: {type: service, lifecycle: production, owner: group:ops, system: shop}
"""

RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: wedged, owner: group:ops}
spec:
  match: {alertname: Wedged, severity: critical}
  target: {within: {system: shop}}
  runbook: shop/restart
  autonomy: {ceiling: auto}
  limits: {attempts: 2, within: 1h, settle: 5m}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: restart, owner: group:ops}
spec:
  permissions:
    - {do: service.restart, units: [target.unit]}
    - {do: command.run, programs: [cat]}
  timeout: 1m
  on_failure: stay
  steps:
    - id: before
      do: command.run
      with: {argv: [cat, STATE], expect: [0, 1]}
      effect: read
    - id: restart
      do: service.restart
      with: {unit: "${target.unit}"}
      timeout: 15s
    - id: healthy
      verify: {command: [grep, -x, well, STATE], via: ssh, successes: 2, every: 100ms, within: 20s}
"""

# It is well when it starts, and wedged once it is told so.
SERVICE = """
[Unit]
DefaultDependencies=no
[Service]
ExecStart=PYTHON -I -c "import signal, time; state = 'FOLDER/state'; open(state, 'w').write('well\\\\n'); \\
  signal.signal(signal.SIGUSR1, lambda *_: open(state, 'w').write('wedged\\\\n')); [time.sleep(60) for _ in range(1000)]"
"""


@contextmanager
def machine(folder: Path) -> Iterator[Box]:
    text = SERVICE.replace("PYTHON", os.path.realpath(sys.executable)).replace("FOLDER", str(folder))
    try:
        box = Box(folder / "box", KEYS, {"checkout.service": text})
    except NoBox as refused:
        pytest.skip(f"systemd does not come up in namespaces here: {refused}")
    try:
        until(lambda: (folder / "state").exists() and (folder / "state").read_text() == "well\n", "the service is well")
        yield box
    finally:
        box.close()


@contextmanager
def node(folder: Path, box: Box, pinned: str) -> Iterator[Node]:
    text = MACHINE.replace("PORT", str(box.port)).replace("LOGIN", USER).replace("PINNED", pinned)
    home = written(
        folder / "home",
        {
            "watchkeeper.yaml": SETTINGS.replace("USER", pwd.getpwuid(os.getuid()).pw_name),
            "catalog/all.yaml": PEOPLE + text,
            "packs/shop/pack.yaml": PACK,
            "packs/shop/rules/wedged.yaml": RULE,
            "packs/shop/runbooks/restart.yaml": RUNBOOK.replace("STATE", str(folder / "state")),
        },
    )
    found = Node(home)
    SecretStore(home).put("ssh-ops", private(KEYS.client), now=datetime.now(UTC))
    found.up()
    try:
        words = ("shop/wedged", "--level", "auto", "--for", "1d", "--cell", "environment=dev", "--reason", "tests")
        given = found.wk("autonomy", "grant", *words)
        assert given.returncode == 0, given.stderr
        yield found
        found.down()
    finally:
        if found.process is not None:
            found.kill()


def fire(here: Node) -> None:
    labels = {"alertname": "Wedged", "severity": "critical", "service": "checkout"}
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {},
        "startsAt": "2026-01-01T00:00:00Z",
        "fingerprint": "f1",
    }
    body = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "w", "alerts": [alert]}
    assert call(here.port, "POST", "/hooks/alertmanager", body, {"Authorization": f"Bearer {TOKEN}"})[0] == 202


def ended(here: Node) -> dict:
    """Within two minutes: on a busy machine a look over ssh takes its time. The failure says how far the runs are."""
    try:
        run = until(lambda: next(iter(here.items("/runs", state="closed")), None), "the run ends", ENDS_WITHIN_S)
    except AssertionError as late:
        shown = [(one["status"], one["why"], one["steps"]) for one in here.items("/runs")]
        raise AssertionError(f"{late}: {shown}") from late
    return here.client.get(f"/runs/{run['id']}")


def test_from_an_alert_to_a_restarted_unit_that_is_well_again(tmp_path: Path) -> None:
    with machine(tmp_path) as box, node(tmp_path, box, public(KEYS.host)) as here:
        first = box.shown("checkout.service", "InvocationID")
        assert box.systemctl("kill", "--signal=USR1", "checkout.service").returncode == 0
        until(lambda: (tmp_path / "state").read_text() == "wedged\n", "the service is wedged")
        fire(here)

        run = ended(here)
        assert run["status"] == "succeeded", run
        before, restart, healthy = run["steps"]
        assert before["output"]["stdout"] == "wedged\n"
        assert restart["output"]["state"] == "running"
        assert healthy["output"]["result"] == "healthy"
        assert (tmp_path / "state").read_text() == "well\n"
        assert box.shown("checkout.service", "InvocationID") != first

        decision = here.items("/decisions")[0]
        assert decision["verdict"] == "act", decision
        said = here.wk("ledger", "verify")
        assert said.returncode == 0, said.stdout + said.stderr
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home" / ".watchkeeper").rglob("*") if path.is_file())
    assert private(KEYS.client).splitlines()[1].encode() not in kept
    assert kept_record.wrong(tmp_path / "home") == []


def test_another_host_than_the_pinned_one_is_sent_nothing(tmp_path: Path) -> None:
    with machine(tmp_path) as box, node(tmp_path, box, public(KEYS.stranger)) as here:
        first = box.shown("checkout.service", "InvocationID")
        fire(here)
        run = ended(here)
        assert run["status"] == "failed", run
        assert KEYS.host.get_fingerprint() in run["why"]
        assert KEYS.stranger.get_fingerprint() in run["why"]
        assert box.shown("checkout.service", "InvocationID") == first


def could_not_look(here: Node) -> bool:
    return any("nothing was sent" in step["why"] for run in here.items("/runs") for step in run["steps"])


@pytest.mark.parametrize("away", [False, True], ids=["the host answers", "the host is away for a while"])
def test_a_node_that_dies_under_the_restart_asks_the_unit_what_became_of_it(tmp_path: Path, away: bool) -> None:
    with machine(tmp_path) as box, node(tmp_path, box, public(KEYS.host)) as here:
        starts = int(box.shown("checkout.service", "ExecMainStartTimestampMonotonic"))
        here.arm("done:restart:before")
        fire(here)
        here.process.wait(40)
        here.process = None
        if away:
            assert box.systemctl("stop", "sshd.service").returncode == 0
        here.up()
        if away:
            until(lambda: could_not_look(here), "a look was in vain", ENDS_WITHIN_S)
            assert box.systemctl("start", "sshd.service").returncode == 0
        run = ended(here)
        assert run["status"] == "succeeded", run
        restart = run["steps"][1]
        assert restart["status"] == "done"
        assert restart["attempts"] == 1, "it was restarted once, and the probe said so"
        assert int(box.shown("checkout.service", "ExecMainStartTimestampMonotonic")) > starts
