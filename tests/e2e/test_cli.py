"""What an operator types and reads, against a real node in a temporary home."""

import getpass
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

WK = str(Path(sys.executable).with_name("wk"))
WITHIN_S = 40.0
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith("WATCHKEEPER_") and name not in {"COLUMNS", "NO_COLOR"}
}

RULE = """\
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: service-down, owner: group:operations}
spec:
  match: {alertname: ServiceDown}
  target: {within: {system: example}}
  runbook: starter/look
  autonomy: {ceiling: auto}
  limits: {attempts: 100, within: 1h, settle: 1s}
"""
RUNBOOK = """\
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: look, owner: group:operations}
spec:
  description: Ask it how it is
  params: {times: {type: integer, default: 1, max: 3}}
  permissions:
    - {do: http.request, methods: [GET], to: target.url}
  timeout: 30s
  steps:
    - id: ask
      do: http.request
      with: {method: GET, url: "${target.url}/healthz"}
      timeout: 5s
"""
SCENARIO = """\
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {name: acts, owner: group:operations}
spec:
  given:
    signals: [{labels: {alertname: ServiceDown, service: web, severity: major}}]
    outputs: {ask: {status: 200}}
  expect: {verdict: act, rule: starter/service-down, effects: [{step: ask, action: http.request}], status: succeeded}
"""

# Of its own, so that a budget that nobody has read yet holds nothing back on what the other tests repair.
FRONT = """\
---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: front}
spec: {type: service, lifecycle: production, owner: group:operations, system: system:example}
"""
SLO = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: front-looks, displayName: The front answers}
spec:
  service: front
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.999}]
  indicator:
    spec:
      ratioMetric:
        good: {metricSource: {type: Watchkeeper, spec: {measure: healthy_samples}}}
        total: {metricSource: {type: Watchkeeper, spec: {measure: samples}}}
"""


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def wk(home: Path, *words: str, given: str | None = None, **environment: str) -> Answer:
    done = subprocess.run(
        [WK, "--home", str(home), *words],
        input=given if given is not None else "",
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, **environment},
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


class Up:
    """`wk up` in the foreground of nobody."""

    def __init__(self, home: Path, *words: str) -> None:
        self.home = home
        self.log = home.parent / "up.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [WK, "--home", str(home), "up", *(words or ("--port", "0"))],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    def ready(self) -> str:
        until(lambda: self.lines or self.process.poll() is not None, "ready")
        assert self.lines, self.log.read_text()
        return self.lines[0]

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=WITHIN_S)
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def until(what: Callable[[], Any], named: str) -> Any:
    end_s = monotonic() + WITHIN_S
    while not (found := what()):
        assert monotonic() < end_s, f"did not happen within {WITHIN_S:g} s: {named}"
        sleep(0.05)
    return found


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def target() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, target: int) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("wk") / "h"
    made = subprocess.run([WK, "init", str(home)], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert made.returncode == 0, made.stderr
    (home / "packs/starter/rules/service-down.yaml").write_text(RULE)
    (home / "packs/starter/runbooks/look.yaml").write_text(RUNBOOK)
    (home / "packs/starter/scenarios/only-observed.yaml").write_text(SCENARIO)
    (home / "slos").mkdir()
    (home / "slos/web.yaml").write_text(SLO)
    settings = home / "watchkeeper.yaml"
    settings.write_text(
        settings.read_text() + f'notify: {{routes: [{{name: chat, webhook: "http://127.0.0.1:{target}/chat"}}]}}\n'
    )
    catalog = home / "catalog/example.yaml"
    catalog.write_text(catalog.read_text().replace("http://127.0.0.1:8080", f"http://127.0.0.1:{target}") + FRONT)
    up = Up(home)
    up.ready()
    # Before anybody is known: the home's token reads, and nothing else.
    assert wk(home, "status").code == 0
    refused = wk(home, "stop", "--reason", "trying")
    assert refused.code == 1
    assert "may not stop" in refused.err
    me = wk(home, "identity", "add", "--me")
    again = wk(home, "identity", "add", "--me")
    assert (again.code, "is known already: 'wk whoami'" in again.out) == (0, True)
    assert me.code == 0, me.err
    yield up
    assert up.end() == 0
    assert len(up.lines) == 1, "stdout carries one line"


def fire(node: Up, service: str, name: str = "ServiceDown", **labels: str) -> None:
    token = (node.home / ".watchkeeper/token").read_text().strip()
    start = datetime.now(UTC) - timedelta(seconds=5)
    body = {
        "version": "4",
        "groupKey": "g",
        "status": "firing",
        "receiver": "r",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "",
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": name, "service": service, "severity": "major", **labels},
                "annotations": {},
                "startsAt": start.isoformat(),
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": f"{abs(hash((name, service, tuple(labels.items())))):016x}"[:16],
            }
        ],
    }
    port = int(node.lines[0].rpartition(":")[2])
    post(port, token, body)


def post(port: int, token: str, body: Any) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", "/hooks/alertmanager", json.dumps(body), headers)
        answer = connection.getresponse()
        assert answer.status // 100 == 2, answer.read()
    finally:
        connection.close()


def in_terminal(home: Path, typed: str, *words: str) -> tuple[int, str]:
    """The command in a terminal of 80 columns, and everything it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [WK, "--home", str(home), *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**ENVIRONMENT, "COLUMNS": "80", "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, typed.encode())
    shown = b""
    while True:
        try:
            found = os.read(ours, 65_536)
        except OSError:
            break
        if not found:
            break
        shown += found
    os.close(ours)
    return process.wait(timeout=30), shown.decode()


# -- without a node --------------------------------------------------------------------------------


def test_init_writes_a_home_that_passes_check_and_says_what_is_next(tmp_path: Path) -> None:
    home = tmp_path / "new"
    first = subprocess.run([WK, "init", str(home)], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert first.returncode == 0
    assert "Wrote 8 files" in first.stdout
    assert "wk up" in first.stdout
    checked = wk(home, "check")
    assert checked.code == 0
    assert "is sound: 3 entities, 1 rule, 1 runbook, 1 scenario" in checked.out
    again = subprocess.run([WK, "init", str(home)], capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert again.returncode == 0
    assert "is a home already" in again.stdout


def test_without_a_home_and_without_a_node_it_says_what_to_do(tmp_path: Path) -> None:
    none = wk(tmp_path, "status")
    assert none.code == 3
    assert "it has no watchkeeper.yaml; run 'wk init" in none.err
    (tmp_path / "watchkeeper.yaml").write_text("")
    stopped = wk(tmp_path, "status")
    assert stopped.code == 3
    assert stopped.err == f"wk: no node runs for {tmp_path}: start it with 'wk up'\n"


def test_check_names_every_place_and_up_refuses_the_same_home(tmp_path: Path) -> None:
    home = tmp_path / "h"
    subprocess.run([WK, "init", str(home)], capture_output=True, env=ENVIRONMENT, check=True)
    rule = home / "packs/starter/rules/service-down.yaml"
    rule.write_text(
        rule.read_text().replace("runbook: starter/look", "colour: red\n  priority: high\n  runbook: starter/gone")
    )
    found = wk(home, "check")
    assert found.code == 1
    places = [line for line in found.out.splitlines() if line.startswith("packs/starter/rules/service-down.yaml:")]
    assert len(places) >= 2
    assert all(re.match(r"\S+:\d+:\d+: ", line) for line in places)
    told = wk(home, "check", "--json")
    assert told.code == 1
    assert {each["file"] for each in told.json["problems"]} == {"packs/starter/rules/service-down.yaml"}
    up = Up(home)
    assert up.process.wait(timeout=WITHIN_S) == 3
    up.end()
    assert "errors in" in up.log.read_text()
    assert "wk check" in up.log.read_text()
    assert up.lines == []


def test_up_refuses_a_port_in_use_and_a_host_beyond_this_machine(tmp_path: Path) -> None:
    home = tmp_path / "h"
    subprocess.run([WK, "init", str(home)], capture_output=True, env=ENVIRONMENT, check=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = Up(home, "--port", str(port))
        assert up.process.wait(timeout=WITHIN_S) == 3
        up.end()
        assert f"port {port} on 127.0.0.1 is in use" in up.log.read_text()
    up = Up(home, "--port", "0", "--host", "0.0.0.0")
    assert up.process.wait(timeout=WITHIN_S) == 2
    up.end()
    assert "host 0.0.0.0 is beyond this machine and there is no TLS" in up.log.read_text()


def test_dev_is_refused_beside_production(tmp_path: Path) -> None:
    home = tmp_path / "h"
    subprocess.run([WK, "init", str(home)], capture_output=True, env=ENVIRONMENT, check=True)
    settings = home / "watchkeeper.yaml"
    settings.write_text(settings.read_text().replace("dev: {production: false}", "prod: {production: true}"))
    up = Up(home, "--port", "0", "--dev")
    assert up.process.wait(timeout=WITHIN_S) == 2
    up.end()
    assert "environment prod is production" in up.log.read_text()


def test_dev_applies_what_is_saved_and_leaves_what_has_errors(tmp_path: Path) -> None:
    home = tmp_path / "h"
    subprocess.run([WK, "init", str(home)], capture_output=True, env=ENVIRONMENT, check=True)
    up = Up(home, "--port", "0", "--dev")
    try:
        up.ready()
        before = wk(home, "status", "--json").json["configuration"]["digest"]
        pack = home / "packs/starter/pack.yaml"
        sound = pack.read_text()
        pack.write_text(sound.replace("0.1.0", "0.2.0"))
        after = until(
            lambda: (now := wk(home, "status", "--json").json["configuration"]["digest"]) != before and now, "applied"
        )
        pack.write_text("kind: Nonsense\n")
        until(lambda: "not applied" in up.log.read_text(), "the errors are told")
        assert wk(home, "status", "--json").json["configuration"]["digest"] == after
    finally:
        assert up.end() == 0


def test_a_worker_that_is_killed_is_started_again_and_a_supervisor_that_ends_takes_it_along(tmp_path: Path) -> None:
    home = tmp_path / "h"
    subprocess.run([WK, "init", str(home)], capture_output=True, env=ENVIRONMENT, check=True)
    up = Up(home)
    try:
        up.ready()
        first = _owner(home)
        os.kill(first, signal.SIGKILL)
        until(lambda: len(up.lines) == 2, "the second worker is ready")
        assert wk(home, "status").code == 0
        assert _owner(home) != first
        assert "the worker ended (killed by SIGKILL); starting it again" in up.log.read_text()
    finally:
        assert up.end() == 0
    assert wk(home, "status").code == 3
    assert not Path(f"/proc/{_owner(home)}").exists()


# -- with a node -----------------------------------------------------------------------------------


def test_a_state_file_that_cannot_be_read_ends_up_with_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    subprocess.run([WK, "init", str(home)], capture_output=True, env=ENVIRONMENT, check=True)
    (home / ".watchkeeper").write_text("a file where the folder belongs")
    refused = wk(home, "up", "--port", "0")
    assert refused.code == 3
    assert refused.err == f"wk: {home}/.watchkeeper: File exists; mend that and start again\n"


def test_a_second_node_on_the_same_home_is_refused(node: Up) -> None:
    second = Up(node.home)
    assert second.process.wait(timeout=WITHIN_S) == 3
    second.end()
    assert "owns it and one process may" in node.log.read_text()


def test_the_token_and_the_state_are_closed_to_others(node: Up) -> None:
    state = node.home / ".watchkeeper"
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / "token").stat().st_mode & 0o777 == 0o600
    assert (state / "api.sock").stat().st_mode & 0o777 == 0o600


def test_an_alert_is_asked_about_approved_run_and_on_record(node: Up) -> None:
    home = node.home
    cell = ("--cell", "environment=dev", "--for", "1h", "--reason", "e2e")
    granted = wk(home, "autonomy", "grant", "starter/service-down", "--level", "approve", *cell)
    assert granted.code == 0, granted.err
    assert "Granted: starter/service-down may go to approve (environment dev)" in granted.out
    fire(node, "web")
    waiting = until(lambda: wk(home, "approvals", "--json").json, "an approval waits")[0]
    listed = wk(home, "approvals")
    assert "◆ pending" in listed.out
    assert "look on web" in listed.out
    status = wk(home, "status")
    assert "1 approval waits for a person: wk approvals" in status.out

    tail = waiting["id"][-6:]
    shown = wk(home, "approve", tail)
    assert shown.code == 2, "without a terminal nothing is answered"
    assert "Approve look on web?" in shown.out
    assert f"bound to    {waiting['digest']}" in shown.out
    assert f"--yes --digest {waiting['digest']}" in shown.err
    assert wk(home, "approve", tail, "--yes").code == 2
    other = wk(home, "approve", tail, "--yes", "--digest", "0" * 64)
    assert other.code == 1
    assert wk(home, "approvals", "--json").json, "another digest answers nothing"

    code, said = in_terminal(home, "n\n", "approve", tail)
    assert code == 1
    assert "Nothing was answered." in said
    code, said = in_terminal(home, "y\n", "approve", tail, "--comment", "looks right")
    assert code == 0, said
    assert "Approved apr_…" in said

    done = until(lambda: wk(home, "runs", "--status", "succeeded", "--json").json, "the run succeeds")[0]
    runs = wk(home, "runs")
    assert "✓ succeeded" in runs.out
    run = wk(home, "runs", "show", done["id"][-6:])
    assert run.code == 0
    assert "✓ succeeded: look on web" in run.out
    assert "http.request" in run.out
    over = wk(home, "runs", "cancel", done["id"], "--reason", "too late")
    assert over.code == 1
    assert "has ended (succeeded)" in over.err
    again = wk(home, "approve", tail, "--yes", "--digest", waiting["digest"])
    assert again.code == 1
    assert "is approved already" in again.err

    why = wk(home, "explain", done["decision"])
    assert why.code == 0
    assert "21 guards: " in why.out
    by_run = wk(home, "explain", f"run_{done['id'][-6:]}")
    assert by_run.out == why.out
    same = wk(home, "replay", done["decision"])
    assert (same.code, same.out) == (0, "1 of 1 decision the same.\n")
    assert wk(home, "replay").code == 0
    trail = wk(home, "trail", done["incident"])
    assert trail.code == 0
    kinds = [line.split()[1] for line in trail.out.splitlines()[1:]]
    assert {"signal", "alert", "decision", "approval", "run", "effect", "entry"} <= set(kinds)


def test_hold_freeze_and_stop_are_set_seen_and_ended(node: Up) -> None:
    home = node.home
    missing = wk(home, "hold", "set", "--scope", "service=web", "--reason", "x")
    assert missing.code == 2
    assert "--for 1h" in missing.err
    assert wk(home, "hold", "set", "--scope", "colour=red", "--for", "1h", "--reason", "x").code == 2
    assert (
        "Held service web until"
        in wk(home, "hold", "set", "--scope", "service=web", "--for", "1h", "--reason", "me").out
    )
    held = wk(home, "hold", "--json").json[0]
    assert "service web" in wk(home, "hold", "list").out
    assert wk(home, "hold", "extend", held["id"][-6:], "--for", "2h").code == 0
    assert "Started run_…" in wk(home, "run", "starter/look", "--target", "web", "--reason", "my own hold").out
    assert wk(home, "hold", "lift", held["id"][-6:], "--reason", "done").code == 0
    assert "No hold is in force" in wk(home, "hold").out
    assert wk(home, "hold", "lift", "ffffff", "--reason", "x").code == 1

    assert wk(home, "freeze", "set", "--scope", "system=example", "--for", "1h", "--reason", "month end").code == 0
    frozen = wk(home, "freeze", "--json").json[0]
    assert "month end" in wk(home, "status").out
    assert wk(home, "freeze", "lift", frozen["id"], "--reason", "over").code == 0

    assert wk(home, "stop").code == 2, "a stop has a reason"
    assert "Stopped everything. " in wk(home, "stop", "--reason", "storm").out
    tried = wk(home, "run", "starter/look", "--target", "web", "--reason", "try")
    assert tried.code == 1
    assert tried.out.startswith("Not started. ■ refuse:") or tried.out.startswith("Not started. ‖ hold:")
    assert "wk explain dec_…" in tried.out
    assert wk(home, "status").out.startswith("Stopped: nothing acts until somebody resumes it.")
    assert "Resumed everything." in wk(home, "resume", "--reason", "over").out
    nothing = wk(home, "resume", "--reason", "again")
    assert nothing.code == 1
    assert "nothing is stopped" in nothing.err


def test_a_persons_own_run_and_its_parameters(node: Up) -> None:
    home = node.home
    assert wk(home, "run", "starter/look", "--target", "web").code == 2
    dry = wk(home, "run", "starter/look", "--target", "web", "--dry-run")
    assert dry.code == 0
    assert dry.out.startswith("It would ")
    assert wk(home, "run", "starter/look", "--target", "nothing", "--reason", "x").code == 2
    unknown = wk(home, "run", "starter/look", "--target", "web", "--set", "colour=red", "--reason", "x")
    assert unknown.code == 2
    assert "colour" in unknown.err
    beyond = wk(home, "run", "starter/look", "--target", "web", "--set", "times=9", "--reason", "x")
    assert beyond.code == 2
    assert "times" in beyond.err


def test_plan_shows_what_apply_makes_active_and_only_that(node: Up) -> None:
    home = node.home
    book = home / "packs/starter/runbooks/look.yaml"
    sound = book.read_text()
    assert "Nothing differs" in wk(home, "plan").out
    book.write_text(sound.replace("timeout: 30s", "timeout: 40s"))
    # The node looks at its folder every two seconds.
    until(lambda: "1 file differs from what is active" in wk(home, "status").out, "the difference is told")
    plan = wk(home, "plan")
    assert plan.code == 0
    assert "starter/look" in plan.out
    digest = wk(home, "plan", "--json").json["digest"]
    stale = wk(home, "apply", "--digest", "0" * 64, "--reason", "x")
    assert stale.code == 1
    assert "run 'wk plan' again" in stale.err
    assert wk(home, "apply").code == 2
    unasked = wk(home, "apply", "--reason", "in a script")
    assert unasked.code == 2
    assert f"nothing was applied. To apply what is shown: wk apply --digest {digest}" in " ".join(unasked.err.split())
    assert wk(home, "apply", "--digest", digest, "--reason", "longer").code == 0
    assert "Nothing to apply" in wk(home, "apply", "--reason", "again").out
    book.write_text("kind: Runbook\n")
    broken = wk(home, "apply", "--reason", "broken")
    assert broken.code == 1
    assert "packs/starter/runbooks/look.yaml:1:1" in broken.out
    assert "what is active stays" in broken.err
    book.write_text(sound)
    assert wk(home, "apply", "--yes", "--reason", "back").code == 0


def test_hostile_text_is_drawn_and_never_obeyed(node: Up) -> None:
    fire(node, "nobody-knows", name="Bad\x1b[31m\u202ename")
    until(lambda: any(each["unmapped"] for each in wk(node.home, "alerts", "--json").json), "it arrived")
    listed = wk(node.home, "alerts", "--unmapped")
    assert "Bad␛[31m<U+202E>name" in listed.out
    assert "\x1b" not in listed.out
    assert "unmapped" in listed.out


def test_tokens_and_secrets_never_stand_in_a_command_line(node: Up) -> None:
    home = node.home
    made = wk(home, "token", "create", "--source", "default", "--name", "am")
    assert made.code == 0
    assert re.fullmatch(r"wk_[0-9a-f]{24}_\S+\n", made.out)
    listed = wk(home, "token")
    assert made.out.strip().split("_")[2] not in listed.out
    assert wk(home, "token", "create", "--name", "whose").code == 2
    nothing = wk(home, "token", "create", "--identity", f"local:{getpass.getuser()}", "--name", "of-no-use")
    assert (nothing.code, "say what it may do" in nothing.err) == (2, True)
    mine = wk(
        home, "token", "create", "--identity", f"local:{getpass.getuser()}", "--name", "of-use", "--role", "viewer"
    )
    assert f"local:{getpass.getuser()}" in next(line for line in wk(home, "token").out.splitlines() if "of-use" in line)
    assert wk(home, "token", "revoke", mine.out.split("_")[1], "--reason", "done").code == 0
    assert wk(home, "token", "revoke", made.out.split("_")[1], "--reason", "done").code == 0
    assert wk(home, "secret", "put", "chat", given="s3cret\n").code == 0
    assert wk(home, "secret", "put", "chat", "s3cret").code == 2
    listed = wk(home, "secret")
    assert "chat" in listed.out
    assert "s3cret" not in listed.out
    assert wk(home, "secret", "delete", "chat").code == 0
    assert wk(home, "secret", "delete", "chat").code == 1


def test_the_ledger_is_exported_verified_apart_and_proves_an_entry(node: Up, tmp_path: Path) -> None:
    home = node.home
    kept = tmp_path / "checkpoint"
    kept.write_text(wk(home, "ledger").out)
    assert "The record holds: " in wk(home, "ledger", "verify", "--against", str(kept)).out
    folder = tmp_path / "export"
    made = wk(home, "ledger", "export", str(folder))
    assert folder.stat().st_mode & 0o777 == 0o700, "what was said and done is for whom it is given to"
    assert made.code == 0, made.err
    key = made.out.split("--key ")[1].strip()
    whole = wk(home, "ledger", "verify", "--export", str(folder), "--key", key, "--against", str(kept))
    assert whole.code == 0
    assert whole.out.startswith("ledger holds: ")
    assert wk(home, "ledger", "export", str(folder)).code == 2, "never into a folder with something in it"
    nowhere = wk(home, "ledger", "export", str(kept / "below"))
    assert nowhere.code == 3, "a place that cannot be written is no bug"
    assert "cannot be written: Not a directory" in nowhere.err
    proof = wk(home, "ledger", "prove", "0")
    assert proof.code == 0
    assert "Entry 0 is one of the " in proof.out
    assert wk(home, "ledger", "prove", "999999").code == 2

    bundle = next(path for path in (folder / "tile/entries").rglob("*") if path.is_file())
    bundle.write_bytes(bundle.read_bytes().replace(b'"local:', b'"lacol:', 1))
    altered = wk(home, "ledger", "verify", "--export", str(folder), "--key", key)
    assert altered.code == 1
    assert altered.out.startswith("ledger DOES NOT hold: ")


def test_the_scenarios_of_the_home_are_played(node: Up) -> None:
    passed = wk(node.home, "test")
    assert passed.code == 0
    assert passed.out == "✓ passed  starter/acts\n\n1 scenario: 1 passed, 0 failed.\n"
    scenario = node.home / "packs/starter/scenarios/only-observed.yaml"
    sound = scenario.read_text()
    scenario.write_text(sound.replace("verdict: act", "verdict: hold"))
    failed = wk(node.home, "test", "starter")
    assert failed.code == 1
    assert "- verdict: expected hold, it was act: " in failed.out
    assert "packs/starter/scenarios/only-observed.yaml:5" in failed.out
    assert wk(node.home, "test", "other").code == 1
    scenario.write_text(sound)


def test_the_node_plays_the_scenarios_of_its_active_configuration_and_keeps_how_they_went(node: Up) -> None:
    before = wk(node.home, "test", "--last")
    assert before.code == 0
    assert before.out == "· not run  starter/acts\n\n1 scenario of the active configuration: 1 not run.\n"
    played = wk(node.home, "test", "--node", "starter/service-down")
    assert played.code == 0, played.err
    assert played.out == "✓ passed  starter/acts\n\n1 scenario of the active configuration: 1 passed.\n"
    (kept,) = json.loads(wk(node.home, "test", "--last", "--json").out)
    assert (kept["state"], kept["current"], kept["last"]["verdict"], kept["last"]["effects"]) == (
        "passed",
        True,
        "act",
        1,
    )
    for way in ("--node", "--last"):
        none = wk(node.home, "test", way, "none")
        assert (none.code, none.out) == (1, "")
        assert "no scenario of 'none' in the active configuration" in none.err


def test_people_are_told_and_an_alert_is_judged_afresh_on_request(node: Up) -> None:
    home = node.home
    fire(node, "web", "Helped")
    alert = until(
        lambda: next((each for each in wk(home, "alerts", "--json").json if each["name"] == "Helped"), None), "an alert"
    )
    told = wk(home, "incidents", "escalate", alert["incident"], "--comment", "the pool is empty")
    assert told.code == 0, told.err
    assert told.out.startswith("Escalated ")
    assert "the pool is empty" in wk(home, "trail", alert["incident"]).out
    judged = wk(home, "alerts", "judge", alert["id"])
    assert judged.code == 0, judged.err
    assert "is judged afresh" in judged.out
    assert wk(home, "alerts", "judge", "alr_none").code != 0


def test_every_listing_has_json_and_a_limit(node: Up) -> None:
    home = node.home
    for verb in (
        "alerts",
        "incidents",
        "decisions",
        "runs",
        "approvals",
        "hold",
        "freeze",
        "autonomy",
        "identity",
        "token",
        "metrics",
    ):
        found = wk(home, verb, "--json", "--limit", "1")
        assert found.code == 0, (verb, found.err)
        assert isinstance(found.json, list), verb
        assert len(found.json) <= 1, verb

    for verb in ("rules", "runbooks", "catalog", "dead-letters", "notify", "slo"):
        assert isinstance(wk(home, verb, "--json").json, list), verb


def test_metrics_and_objectives_are_shown_with_age_class_and_why_they_are_unknown(node: Up) -> None:
    fire(node, "web", "Measured")
    until(lambda: wk(node.home, "metrics", "--json").json, "something measured")
    listed = wk(node.home, "metrics")
    assert listed.code == 0, listed.err
    assert listed.out.splitlines()[0].split()[:2] == ["service", "uptime"]
    one = wk(node.home, "metrics", "web", "--window", "7d")
    assert "7d, from" in one.out
    assert re.search(r"MTTR .* manual review +nothing to measure in this window", one.out), one.out
    metrics = {each["name"]: each for each in wk(node.home, "metrics", "web", "--json").json["metrics"]}
    assert metrics["incidents"]["value"] >= 1
    slo = wk(node.home, "slo", "front-looks")
    assert "target           99.9 % over 30d" in slo.out, slo.out
    assert "unknown because  nobody has looked at it yet" in slo.out, slo.out
    assert wk(node.home, "slo", "--service", "front", "--json").json[0]["response"] == "manual review"
    for words, code, said in (
        (("metrics", "nobody"), 1, "no entity 'nobody' in the active catalogue: wk catalog lists them"),
        (("metrics", "--window", "soon"), 2, "window: 'soon' is not a duration"),
        (("metrics", "--window", "91d"), 2, "window: 91d lies outside 1h to 90d"),
        (("catalog", "--condition", "odd"), 2, "--condition: expected degraded, failing, healthy, unknown, got 'odd'"),
        (("catalog", "nobody"), 1, "no entity 'nobody' in the active catalogue: wk catalog lists them"),
        (("slo", "nothing"), 1, "no SLO 'nothing' in the active configuration: wk slo lists them"),
    ):
        refused = wk(node.home, *words)
        assert refused.code == code, (words, refused.out, refused.err)
        assert said in refused.err, refused.err


def test_the_catalogue_says_how_the_whole_is_and_what_it_is_made_of(node: Up) -> None:
    found = wk(node.home, "catalog", "--json").json
    assert {"condition", "limits"} <= found[0].keys()
    of = {each["name"]: each["condition"]["is"] for each in found}
    same = wk(node.home, "catalog", "--condition", of["web"], "--json").json
    assert {each["name"] for each in same} == {name for name, level in of.items() if level == of["web"]}
    one = wk(node.home, "catalog", "example")
    assert one.code == 0, one.err
    assert re.search(r"condition +\S+ (healthy|degraded|failing|unknown): \d+ of \d+ healthy", one.out), one.out
    assert re.search(r"made of +.*web", one.out), one.out


def test_the_node_elsewhere_wants_a_token(node: Up) -> None:
    url = node.lines[0].rpartition(" ")[2]
    bare = subprocess.run(
        [WK, "status"], capture_output=True, text=True, env={**ENVIRONMENT, "WATCHKEEPER_URL": url}, check=False
    )
    assert bare.returncode == 1
    assert "not signed in" in bare.stderr
    made = wk(
        node.home,
        "token",
        "create",
        "--identity",
        f"local:{_user()}",
        "--role",
        "viewer",
        "--name",
        "far",
        "--for",
        "1h",
    )
    assert made.code == 0, made.err
    far = {**ENVIRONMENT, "WATCHKEEPER_URL": url, "WATCHKEEPER_TOKEN": made.out.strip()}
    seen = subprocess.run([WK, "status"], capture_output=True, text=True, env=far, check=False)
    assert seen.returncode == 0, seen.stderr
    refused = subprocess.run([WK, "stop", "--reason", "x"], capture_output=True, text=True, env=far, check=False)
    assert refused.returncode == 1
    assert "may not stop" in refused.stderr
    gone = {**far, "WATCHKEEPER_URL": "http://127.0.0.1:1"}
    nobody = subprocess.run([WK, "status"], capture_output=True, text=True, env=gone, check=False)
    assert nobody.returncode == 3
    assert "no node answers at http://127.0.0.1:1" in nobody.stderr


def test_tables_fit_a_terminal_of_80_columns(node: Up) -> None:
    for verb in (
        "status",
        "alerts",
        "incidents",
        "decisions",
        "runs",
        "approvals",
        "rules",
        "runbooks",
        "catalog",
        "token",
        "metrics",
        "slo",
    ):
        words = [verb, "--state", "any"] if verb == "approvals" else [verb]
        found = wk(node.home, *words, COLUMNS="80")
        assert found.code == 0, (verb, found.err)
        long = [line for line in found.out.splitlines() if len(line) > 80]
        assert not long, (verb, long)


def _owner(home: Path) -> int:
    return int((home / ".watchkeeper/store.lock").read_text())


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def test_a_suggestion_is_run_reviewed_reported_and_its_rule_demoted_and_lifted(node: Up) -> None:
    home, rule = node.home, "starter/service-down"
    for each in wk(home, "autonomy", "grants", "--json").json:
        assert wk(home, "autonomy", "revoke", each["id"], "--reason", "e2e").code == 0
    where = ("--cell", "severity=minor", "--cell", "environment=dev", "--for", "1h", "--reason", "e2e")
    assert wk(home, "autonomy", "grant", rule, "--level", "suggest", *where).code == 0
    fire(node, "web", severity="minor")

    def suggested() -> list[Any]:
        return [each for each in wk(home, "suggestions", "--json").json if each["severity"] == "minor"]

    suggestion = until(suggested, "it suggests")[0]
    name = f"dec_{suggestion['id'][-6:]}"
    listed = wk(home, "suggestions")
    assert "starter/look" in listed.out
    assert "Run one: wk run dec_…" in listed.out
    assert wk(home, "run", name).code == 2, "a reason is needed"
    exact = wk(home, "run", name, "--reason", "x", "--set", "times=2")
    assert (exact.code, exact.err.count("a suggestion is run as it is")) == (2, 1)
    started = wk(home, "run", name, "--reason", "it is what I would do")
    assert started.code == 0, started.out + started.err
    until(lambda: not wk(home, "suggestions", "--json").json or not suggested(), "the run succeeded and counts")

    shown = wk(home, "autonomy", "show", rule)
    assert shown.code == 0, shown.err
    assert "severity minor, environment dev" in shown.out
    assert "1 of 1 agreed." in shown.out
    assert "15 more in a row to reach approve." in shown.out
    assert re.search(r"standing +earned observe .*granted suggest \(grt_….*\) +<- binds", shown.out), shown.out
    cells = wk(home, "autonomy")
    assert cells.code == 0
    assert "suggest" in cells.out
    assert wk(home, "autonomy", "show", "starter/none").code == 1

    late = wk(home, "reject", suggestion["id"], "--comment", "too late")
    assert (late.code, late.err.count("answered it already")) == (1, 1)
    assert wk(home, "review", suggestion["id"], "--reason", "x").code == 2
    reviewed = wk(home, "review", suggestion["id"], "--agree", "--reason", "right")
    assert f"Recorded: you agree with {rule}." in reviewed.out, reviewed.err
    assert wk(home, "review").code == 0

    run = wk(home, "runs", "--json", "--limit", "1").json[0]
    assert wk(home, "feedback", run["id"], "meh").code == 2
    assert wk(home, "feedback", run["id"], "helpful").out == "Recorded: helpful.\n"
    harm = wk(home, "feedback", f"run_{run['id'][-6:]}", "harmful", "--text", "it was too loud")
    demoted, hint = harm.out.splitlines()
    assert demoted == f"Recorded: harmful. {rule} is demoted to observe in 1 cell: wk autonomy show {rule}", harm.err
    made = wk(home, *hint.partition("wk ")[2].replace("HOME", str(home)).split())
    assert made.code == 0, made.err
    assert wk(home, "test").code == 1, "the rules would suggest it again"
    demotion = wk(home, "autonomy", "demotions", "--json").json[0]
    assert "it was too loud" in wk(home, "autonomy", "demotions").out
    why = wk(home, "explain", suggestion["alert"])
    assert "How far it may go by itself: observe" in why.out
    assert "<- binds" in why.out
    assert wk(home, "autonomy", "lift", demotion["id"]).code == 2
    lifted = wk(home, "autonomy", "lift", f"dmt_{demotion['id'][-6:]}", "--reason", "it is quiet now")
    assert lifted.out == f"Lifted: {rule} goes back to where it stands.\n", lifted.err
    assert wk(home, "autonomy", "demotions", "--json").json == []
