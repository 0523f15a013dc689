"""Runs that start a pack's program, on a real node over its own store: from the page that explains it, and under change."""

import asyncio
import hashlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from watchkeeper import bootstrap
from watchkeeper.approve.people import Actor
from watchkeeper.engine.answer import No
from watchkeeper.engine.records import FileBlob, RunRecord, put, read
from watchkeeper.home.starter import starter
from watchkeeper.ports import Commit

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-an-action.md"
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
ALICE = Actor(name="alice", roles=frozenset({"admin", "approver", "operator"}), identity="idn_a")
WITHIN_S = 60

ACTION = """
apiVersion: watchkeeper.dev/v1
kind: Action
metadata: {name: say, owner: group:operations}
spec:
  program: actions/say.sh
  effect: once
  input: {type: object}
  output: {type: object}
"""

RUNBOOK = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: say, owner: group:operations}
spec:
  secrets: {admin: {store: file, path: admin}}
  permissions: [{do: starter/say}]
  on_failure: stay
  steps:
    - {id: first, do: starter/say, with: {token: {secret: admin}}, timeout: 20s}
    - {id: second, do: starter/say, timeout: 20s}
"""


def page_files():
    """The files of the page: a block names its file in its first line, a program in its second."""
    found = {}
    for indent, _, body in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        text = "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        named = re.match(r"(?:#!.*\n)?# ((?:packs|catalog)/\S+)\n", text)
        if named:
            found[named[1]] = text
    return found


def write(home, files):
    for name, text in {**{path: body.decode() for path, body in starter().items()}, **files}.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def folder_home(home, spool, **files):
    page = page_files()
    page["catalog/spool.yaml"] = page["catalog/spool.yaml"].replace("/var/spool/outbox", str(spool))
    write(home, {**page, **files})


class Running:
    """A node on a home, and one person."""

    def __init__(self, home):
        self.home = home

    async def __aenter__(self):
        self.node = await bootstrap.open_node(self.home)
        await self.node.engine.start()
        return self

    async def __aexit__(self, *_):
        await self.node.close()

    async def run(self, runbook):
        judged = await self.node.engine.steering.run(ALICE, runbook, ("resource:default/outbox",), {}, "tested")
        assert not isinstance(judged, No), judged
        assert judged.opening, [finding.reason for finding in judged.decision.findings if finding.outcome != "pass"]
        return judged.opening.record.id

    async def until(self, what, named):
        async with asyncio.timeout(WITHIN_S):
            while not (found := await what()):
                assert not self.node.engine.failed, self.node.engine.failed
                await asyncio.sleep(0.02)
        return found

    async def ended(self, run):
        """Durably, and let go of: until then its target is busy."""

        async def look():
            if run in self.node.engine.runner.live:
                return None
            row = await self.node.store.get("run", run)
            record = read(row, RunRecord) if row is not None else None
            return record if record is not None and not record.open else None

        return await self.until(look, f"{run} ends")

    async def journal(self, run):
        return b"\n".join(await self.node.store.journal(run)).decode()

    async def apply(self):
        changes = self.node.engine.changes
        applied = await changes.apply(ALICE, changes.plan().digest, "tested")
        assert not isinstance(applied, No), applied


async def test_the_example_of_the_page_runs(tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    for number in range(5):
        (spool / f"{number}").touch()
        os.utime(spool / f"{number}", (number, number))
    folder_home(tmp_path / "home", spool)
    async with Running(tmp_path / "home") as node:
        run = await node.run("starter/trim")
        ended = await node.ended(run)
        assert ended.status == "succeeded", ended.why
        assert sorted(each.name for each in spool.iterdir()) == ["3", "4"]
        journal = await node.journal(run)
    assert '"output":{"removed":3,"left":2}' in journal
    assert '"event":"child"' in journal


async def test_arguments_beyond_the_permission_and_beyond_the_schema_do_not_start_it(tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    (spool / "kept").touch()
    runbook = page_files()["packs/starter/runbooks/trim.yaml"].replace("keep: 2", "keep: 0")
    folder_home(tmp_path / "home", spool, **{"packs/starter/runbooks/trim.yaml": runbook})
    async with Running(tmp_path / "home") as node:
        ended = await node.ended(await node.run("starter/trim"))
    assert ended.status == "failed"
    assert "its arguments: keep: 0 is less than the minimum of 1; nothing was run" in ended.why
    assert (spool / "kept").exists()


def said_home(home, script):
    files = {
        "packs/starter/actions/say.yaml": ACTION,
        "packs/starter/actions/say.sh": script,
        "packs/starter/runbooks/say.yaml": RUNBOOK,
    }
    folder_home(home, "/nowhere", **files)
    bootstrap.secret_store(home).put("admin", "hunter2-and-more", now=datetime.now(UTC))


@pytest.fixture
def gate(tmp_path):
    """The program waits at it: it opens when the file is there."""
    return tmp_path / "gate"


def waiting(gate, word):
    return f"""#!/bin/sh
while [ ! -e {gate} ]; do sleep 0.02; done
echo '{{"said": "{word}"}}'
"""


async def test_a_run_in_flight_keeps_its_program_and_the_next_has_the_new_one(tmp_path, gate):
    home = tmp_path / "home"
    said_home(home, waiting(gate, "old"))
    async with Running(home) as node:
        run = await node.run("starter/say")

        async def started():
            return '"event":"child"' in await node.journal(run)

        await node.until(started, "the first program runs")
        (home / "packs/starter/actions/say.sh").write_text(waiting(gate, "new"))
        await node.apply()
        gate.touch()
        assert (await node.ended(run)).status == "succeeded"
        journal = await node.journal(run)
        assert (journal.count('"said":"old"'), journal.count('"said":"new"')) == (2, 0)
        again = await node.run("starter/say")
        assert (await node.ended(again)).status == "succeeded"
        assert (await node.journal(again)).count('"said":"new"') == 2


async def test_one_flipped_bit_fails_the_step_as_untrusted_and_nothing_is_retried(tmp_path, gate):
    home = tmp_path / "home"
    said_home(home, waiting(gate, "old"))
    gate.touch()
    async with Running(home) as node:
        assert (await node.ended(await node.run("starter/say"))).status == "succeeded"
        (placed,) = (home / ".watchkeeper/programs").glob("*/say.sh")
        body = bytearray(placed.read_bytes())
        body[-3] ^= 1
        placed.chmod(0o700)
        placed.write_bytes(body)
        placed.chmod(0o500)
        run = await node.run("starter/say")
        ended = await node.ended(run)
        journal = await node.journal(run)
    assert ended.status == "failed"
    assert "does not hold the bytes that were applied; nothing was run" in ended.why
    assert '"error":"untrusted"' in journal
    assert '"event":"child"' not in journal


async def test_an_altered_copy_in_the_store_is_not_started_either(tmp_path, gate):
    home = tmp_path / "home"
    script = waiting(gate, "old")
    said_home(home, script)
    gate.touch()
    async with Running(home) as node:
        altered = FileBlob(sha256=hashlib.sha256(script.encode()).hexdigest(), body=script.encode() + b"# more\n")
        await node.node.store.commit(Commit(at=datetime.now(UTC), puts=(put(altered),)))
        run = await node.run("starter/say")
        ended = await node.ended(run)
        journal = await node.journal(run)
    assert "the stored copy of packs/starter/actions/say.sh is missing or altered; nothing was run" in ended.why
    assert '"error":"untrusted"' in journal


async def test_a_secret_that_the_program_prints_is_scrubbed_wherever_it_would_be_kept(tmp_path):
    home = tmp_path / "home"
    script = """#!/bin/sh
if [ -z "$WATCHKEEPER_SECRET_ADMIN" ]; then echo '{}'; exit; fi
token="$(cat "/dev/fd/$WATCHKEEPER_SECRET_ADMIN")"
echo "the token is $token" >&2
echo "{\\"token\\": \\"$token\\", \\"length\\": ${#token}}"
"""
    said_home(home, script)
    async with Running(home) as node:
        shown = []
        show = node.node.engine.performer._show
        node.node.engine.performer._show = lambda run, step, stream, data: (
            shown.append(data),
            show(run, step, stream, data),
        )
        run = await node.run("starter/say")
        ended = await node.ended(run)
        journal = await node.journal(run)
    assert ended.status == "succeeded", ended.why
    assert '"output":{"token":"[scrubbed:secret]","length":16}' in journal
    assert shown == [b"the token is [scrubbed:secret]\n"]
    everything = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"hunter2" not in everything


async def test_a_node_that_goes_down_ends_its_program_and_the_next_one_asks_a_person(tmp_path, gate):
    home = tmp_path / "home"
    said_home(home, waiting(gate, "old"))
    async with Running(home) as node:
        run = await node.run("starter/say")

        async def started():
            return '"event":"child"' in await node.journal(run)

        await node.until(started, "the program runs")
    async with Running(home) as node:

        async def doubted():
            return '"event":"doubted"' in await node.journal(run)

        await node.until(doubted, "its step is in doubt, being once")


UNDONE = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: undone, owner: group:operations}
spec:
  permissions: [{do: starter/say}]
  on_failure: undo
  steps:
    - id: word
      do: notify
      with: {subject: one, text: two}
      undo: {do: starter/say, with: {undo: true}}
    - {id: fail, do: starter/say, timeout: 20s}
"""

PROBED = """
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: probed, owner: group:operations}
spec:
  permissions: [{do: starter/say}]
  steps:
    - {id: first, do: starter/say, effect: probed, timeout: 2s, check: {do: starter/look}}
"""

LOOK = """
apiVersion: watchkeeper.dev/v1
kind: Action
metadata: {name: look, owner: group:operations}
spec:
  program: actions/look.sh
  effect: read
  input: {type: object}
  output: {type: object, properties: {happened: {type: boolean}}, required: [happened]}
"""


async def test_a_program_undoes_a_step_that_is_no_program(tmp_path):
    home, mark = tmp_path / "home", tmp_path / "undone"
    said_home(home, f"#!/bin/sh\ngrep -q '\"undo\":true' || exit 1\ntouch {mark}\necho '{{}}'\n")
    write(home, {"packs/starter/runbooks/undone.yaml": UNDONE})
    async with Running(home) as node:
        ended = await node.ended(await node.run("starter/undone"))
    assert ended.status == "undone", ended.why
    assert mark.exists()


async def test_a_reading_program_answers_what_became_of_a_step_in_doubt(tmp_path):
    home = tmp_path / "home"
    said_home(home, "#!/bin/sh\nkill -ABRT $$\n")
    look = '#!/bin/sh\necho \'{"happened": true, "why": "it is there"}\'\n'
    more = {"actions/look.yaml": LOOK, "actions/look.sh": look, "runbooks/probed.yaml": PROBED}
    write(home, {f"packs/starter/{name}": text for name, text in more.items()})
    async with Running(home) as node:
        run = await node.run("starter/probed")
        ended = await node.ended(run)
        journal = await node.journal(run)
    assert ended.status == "succeeded", ended.why
    assert '"event":"probed"' in journal
    assert "it is there" in journal


@pytest.mark.parametrize("runbook", ["starter/say", "starter/undone"])
@pytest.mark.parametrize("local", [True, False])
async def test_in_production_a_program_runs_only_where_local_is_allowed(tmp_path, runbook, local):
    home = tmp_path / "home"
    said_home(home, "#!/bin/sh\necho '{}'\n")
    first = UNDONE.replace("    - {id: fail, do: starter/say, timeout: 20s}\n", "")  # only its undo is a program
    write(home, {"packs/starter/runbooks/undone.yaml": first})
    settings = f"environments:\n  dev: {{production: true, local: {str(local).lower()}}}\nsources:\n  default: {{kind: alertmanager}}\n"
    (home / "watchkeeper.yaml").write_text(settings)
    async with Running(home) as node:
        judged = await node.node.engine.steering.run(ALICE, runbook, ("resource:default/outbox",), {}, "tested")
        refused = [finding.reason for finding in judged.decision.findings if finding.outcome == "refuse"]
    if local:
        assert refused == []
    else:
        assert len(refused) == 1
        assert "would run on this node itself (via: local), which is not allowed in production" in refused[0]


SCENARIO = """
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {name: said, owner: group:operations}
spec:
  given:
    signals: [{labels: {alertname: SpoolFull, service: outbox, severity: major}}]
    outputs: {first: {said: old}}
  expect:
    verdict: act
    effects: [{step: first, action: starter/say}, {step: second, action: starter/say}]
    status: succeeded
"""

RULE = """
apiVersion: watchkeeper.dev/v1
kind: Rule
metadata: {name: full, owner: group:operations}
spec:
  match: {alertname: SpoolFull}
  runbook: starter/say
  autonomy: {ceiling: auto}
"""


ROUTED = """
environments:
  dev: {production: false, local: true}
sources:
  default: {kind: alertmanager}
notify:
  routes:
    - {name: all, webhook: "http://127.0.0.1:1/none"}
"""


def test_a_scenario_remembers_a_program_and_does_not_start_it(tmp_path):
    home, mark = tmp_path / "home", tmp_path / "ran"
    said_home(home, f"#!/bin/sh\ntouch {mark}\necho '{{}}'\n")
    more = {"scenarios/said.yaml": SCENARIO, "rules/full.yaml": RULE}
    write(home, {f"packs/starter/{name}": text for name, text in more.items()})
    (home / "watchkeeper.yaml").write_text(ROUTED)
    compiled = bootstrap.check(home)
    assert compiled.configuration is not None, compiled.errors
    scenario = next(each for each in compiled.configuration.scenarios if each.name == "starter/said")
    played = bootstrap.play(compiled.configuration, scenario)
    assert not played.failures, played
    assert not mark.exists()
