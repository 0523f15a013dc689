"""A real node killed with -9, supervisor and worker, at every boundary of a step and inside of steps; then again at
random moments. What must hold is asked of a target that survived and of the record: see `_promises`.

`WATCHKEEPER_KILLS` says how many kills in all (at least those of the named points), `WATCHKEEPER_SEED` when the random
ones come.
"""

import json
import os
import pwd
import shlex
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from threading import Thread
from time import sleep

import kept_record
import kill_home
import pytest
from kill_home import EFFECT_OF, VERB_OF, batch, honours
from real_node import Node, Target, alive, until

pytestmark = [pytest.mark.kills, pytest.mark.timeout(0)]

KILLS_IN_CI = 30
KILLS = int(os.environ.get("WATCHKEEPER_KILLS", KILLS_IN_CI))
SEED = int(os.environ.get("WATCHKEEPER_SEED", "1"))
COUNTED = os.environ.get("WATCHKEEPER_COUNTED", "")
USER = pwd.getpwuid(os.getuid()).pw_name
RESTING = {"in_doubt", "succeeded", "failed", "undone", "undo_failed", "stopped", "lapsed", "cancelled", "closed"}
EVEN, ODD = 0, 1  # services that honour keys, and that do not


@dataclass
class Ground:
    """A node, a target that outlives it, and what the test knows: what was posted and what was acknowledged."""

    node: Node
    target: Target
    services: list[str]
    used: int = 0
    kills: int = 0
    starts: dict[tuple[str, str], datetime] = field(default_factory=dict)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)

    def fresh(self, kind: int) -> str:
        """A service that no test has used yet: even ones honour keys."""
        self.used += 1 if self.used % 2 == kind else 2
        return self.services[self.used - 1]

    def fire(self, alert: str, *services: str, until_taken: bool = True) -> None:
        """As Alertmanager posts: again and again until it hears 2xx, if that is wanted."""
        wanted = [(alert, service) for service in services]
        for each in wanted:
            self.starts.setdefault(each, datetime.now(UTC))
        body = batch(*wanted, starts=self.starts[wanted[0]])
        if until_taken:
            until(lambda: self.node.post(body) == 202, f"{wanted} is taken")
        elif self.node.post(body) != 202:
            return
        self.acknowledged.update(wanted)

    def struck(self) -> None:
        self.node.wait_struck()
        self.kills += 1

    def killed(self) -> None:
        self.node.kill()
        self.kills += 1

    def rests(self, service: str) -> dict:
        """The run on a service, once it has ended or waits for a person."""
        run = until(lambda: self.node.run_of(service), f"a run on {service}")
        return until(
            lambda: found if (found := self.node.client.get(f"/runs/{run['id']}"))["status"] in RESTING else None,
            f"run {run['id']} on {service} rests; it is {run['status']}",
        )


@contextmanager
def ground(folder: Path, services: int) -> Iterator[Ground]:
    names = [f"svc-{number}" for number in range(services)]
    target = Target(names)
    home = folder / "home"
    kill_home.write(home, target.port, names, USER)
    node = Node(home)
    try:
        for name in names:
            if honours(name):
                target.mode(name, honours=True)
        node.up()
        for rule in ("shop/down", "shop/stuck"):
            given = node.wk(
                "autonomy",
                "grant",
                rule,
                "--level",
                "auto",
                "--for",
                "30d",
                "--cell",
                "environment=dev",
                "--reason",
                "tests",
            )
            assert given.returncode == 0, given.stderr
        yield Ground(node, target, names)
    finally:
        if node.process is not None:
            node.kill()
        target.close()


# What must hold, whatever was killed.


def _promises(here: Ground) -> None:
    """The node is up; every run rests. Leaves it down, with nothing open."""
    node, target = here.node, here.target
    state = target.state()
    runs = [node.client.get(f"/runs/{each['id']}") for each in node.items("/runs")]
    _nothing_is_lost(here)
    doubtful = [run for run in runs if run["status"] == "in_doubt"]
    for run in runs:
        service = run["targets"][0].rpartition("/")[2]
        assert run["status"] in {"succeeded", "in_doubt"}, (service, run["status"], run["why"], run["steps"])
        _effects(run, service, state["services"][service], node.journal(run["id"]))
    for run in doubtful:
        _a_person_knows(here, run)
    _verifies(here)
    _settled(here, doubtful)
    assert not node.items("/runs", state="open")
    _verifies(here)
    _count(here, runs)
    node.down()
    assert kept_record.wrong(node.home) == []


def _count(here: Ground, runs: list[dict]) -> None:
    in_doubt = sum(run["status"] == "in_doubt" for run in runs)
    _add_up(
        kills=here.kills,
        starts=here.node.starts,
        acknowledged=len(here.acknowledged),
        runs=len(runs),
        in_doubt=in_doubt,
    )


def _add_up(**found: int) -> None:
    """For who counts over many rounds (`tests/soak.py`)."""
    if COUNTED:
        with Path(COUNTED).open("a", encoding="ascii") as file:
            file.write(f"{json.dumps(found)}\n")


def _nothing_is_lost(here: Ground) -> None:
    def known() -> set[tuple[str, str]]:
        return {(each["labels"]["alertname"], each["labels"]["service"]) for each in here.node.items("/alerts")}

    until(lambda: here.acknowledged <= known(), "every acknowledged delivery is an alert")


def _effects(run: dict, service: str, seen: dict, journal: list[dict]) -> None:
    """Once for each key where keys are honoured; nowhere sent again while nobody knew."""
    counts = Counter({key: count for key, count in seen["effects"].items() if not key.startswith("look ")})
    if seen["honours"]:
        assert not [key for key, count in counts.items() if count > 1], f"{service}: a key took effect twice: {counts}"
    for step in run["steps"]:
        if step["id"] not in EFFECT_OF:
            continue
        path, verb = step["id"], VERB_OF[step["id"]]
        arrived = [each for each in seen["arrivals"] if (each["run"], each["verb"]) == (run["id"], verb)]
        intents = [event for event in journal if event["event"] == "intended" and event["path"] == path]
        keys = {event["key"] for event in intents}
        assert len(arrived) <= len(intents), f"{service} {path}: {len(arrived)} arrived for {len(intents)} intents"
        assert {each["key"] for each in arrived} <= keys, f"{service} {path}: it was sent under a key nobody recorded"
        assert len(keys) <= 1, f"{service} {path}: a repetition has another key: {keys}"
        blind = {"keyed": not seen["honours"], "probed": True, "once": True}.get(EFFECT_OF[path], False)
        if blind:
            refuted = sum(
                event["event"] == "failed" or (event["event"] in {"probed", "settled"} and event["happened"] is False)
                for event in journal
                if event.get("path") == path
            )
            assert len(intents) <= 1 + refuted, (
                f"{service} {path} was sent again while its outcome was unknown: {journal}"
            )
        if run["status"] == "succeeded" and path != "look":
            assert sum(count for key, count in counts.items() if key.startswith(f"{verb} ")) == 1, (
                service,
                path,
                counts,
            )


def _a_person_knows(here: Ground, run: dict) -> None:
    steps = [step["id"] for step in run["steps"] if step["status"] == "in_doubt"]
    assert steps, f"{run['id']} is in doubt without a step that is"
    told = until(lambda: here.target.told(run["id"], "in_doubt"), f"a person is told that {run['id']} is in doubt")
    assert any(step in each["subject"] for each in told for step in steps), told


def _verifies(here: Ground) -> None:
    """Now, and against checkpoints that went out with notices and were kept by who got them."""
    said = here.node.wk("ledger", "verify")
    assert said.returncode == 0, said.stdout + said.stderr
    kept = [each["checkpoint"] for each in here.target.state()["told"] if each["checkpoint"]]
    for checkpoint in {kept[0], kept[len(kept) // 2], kept[-1]} if kept else ():
        found = here.node.client.post("/ledger/verify", {"against": checkpoint})
        assert found["ok"], found


def _settled(here: Ground, doubtful: list[dict]) -> None:
    """What is in doubt ends by a person's word: closed by force, or by what they saw at the target."""
    node = here.node
    for number, run in enumerate(doubtful):
        if number % 2:
            step = next(step["id"] for step in run["steps"] if step["status"] == "in_doubt")
            service = run["targets"][0].rpartition("/")[2]
            verb = VERB_OF[step]
            effects = here.target.service(service)["effects"]
            happened = any(key.startswith(f"{verb} ") for key in effects)
            said = node.wk(*_as_told(here, run, happened=happened))
            assert said.returncode == 0, said.stderr
            until(
                lambda run=run: node.client.get(f"/runs/{run['id']}")["status"] in RESTING - {"in_doubt"},
                f"{run['id']} goes on once a person has said what happened",
            )
            after = node.client.get(f"/runs/{run['id']}")
            assert after["status"] == "succeeded", (after["why"], after["steps"])
            assert sum(n for key, n in here.target.service(service)["effects"].items() if key.startswith(verb)) == 1
        else:
            refused = node.wk("runs", "close", run["id"])
            assert refused.returncode == 2, "closing needs --force and a reason"
            said = node.wk("runs", "close", run["id"], "--force", "--reason", "looked at the target")
            assert said.returncode == 0, said.stderr
            until(
                lambda run=run: node.client.get(f"/runs/{run['id']}")["status"] == "closed",
                f"{run['id']} is closed",
            )


def _as_told(here: Ground, run: dict, *, happened: bool) -> list[str]:
    """The words of the notice that a person got, with the reason filled in: they can be pasted as they are."""
    wanted = f"--happened {'yes' if happened else 'no'}"
    command = next(each for each in here.target.told(run["id"], "in_doubt")[0]["commands"] if wanted in each)
    return [*shlex.split(command.replace("...", "looked-at-the-target"))[1:]]


# Named points: the commit of an event, a moment before it or as soon as it is durable.

POINTS = [
    ("Down", EVEN, "accepted::before", ""),
    ("Down", ODD, "accepted::after", ""),
    ("Down", ODD, "taken::after", ""),
    ("Down", EVEN, "opened::before", ""),
    ("Down", ODD, "opened::after", ""),
    ("Down", ODD, "intended:look:after", ""),
    ("Down", ODD, "intended:drain:before", ""),
    ("Down", EVEN, "intended:drain:after", ""),
    ("Down", ODD, "intended:drain:after", "drain"),
    ("Down", EVEN, "done:drain:before", ""),
    ("Down", ODD, "done:drain:before", "drain"),
    ("Down", EVEN, "done:restart:before", ""),
    ("Down", ODD, "verified:healthy:before", ""),
    ("Down", ODD, "ended::after", ""),
    ("Stuck", ODD, "intended:push:after", "push"),
    ("Stuck", EVEN, "done:push:before", "push"),
]
RARER = [  # only in long runs
    ("Down", EVEN, "taken::before", ""),
    ("Down", ODD, "intended:look:before", ""),
    ("Down", ODD, "intended:restart:after", ""),
    ("Down", ODD, "done:restart:after", ""),
    ("Stuck", EVEN, "intended:push:before", ""),
    ("Stuck", ODD, "done:push:after", ""),
]

# The kill lands while the target has the request in its hands: the effect comes late, never, or came unheard.
INSIDE = [
    ("Down", "drain", "before", False),
    ("Down", "restart", "before", False),
    ("Down", "restart", "before", True),
    ("Down", "restart", "after", False),
    ("Stuck", "push", "before", True),
]

# A second kill, while the first one is being recovered from.
AGAIN = ["doubted:restart:after", "probed:restart:before"]
AGAIN_RARER = ["doubted:restart:before", "probed:restart:after"]

FIRST_START = ["put:activation:after", "put:token:after"]
FIRST_START_RARER = ["put:activation:before", "put:token:before"]

if KILLS > KILLS_IN_CI:
    POINTS += RARER
    AGAIN += AGAIN_RARER
    FIRST_START += FIRST_START_RARER
NAMED = len(POINTS) + len(INSIDE) + 2 * len(AGAIN) + len(FIRST_START)


def test_killed_at_every_boundary_of_a_step(tmp_path: Path) -> None:
    with ground(tmp_path, 2 * len(POINTS) + 2) as here:
        for alert, kind, point, doubtful in POINTS:
            service = here.fresh(kind)
            here.node.arm(point)
            here.fire(alert, service, until_taken=False)
            here.struck()
            here.node.up()
            here.fire(alert, service)  # who heard no 2xx sends it again, and Alertmanager repeats what fires anyway
            run = here.rests(service)
            steps = [step["id"] for step in run["steps"] if step["status"] == "in_doubt"]
            assert steps == ([doubtful] if doubtful else []), f"{point} on {service}: {run['status']} {steps}"
        _promises(here)


def test_killed_while_the_target_has_the_request_in_its_hands(tmp_path: Path) -> None:
    with ground(tmp_path, 2 * len(INSIDE) + 2) as here:
        for alert, step, at, drop in INSIDE:
            pair = (here.fresh(EVEN), here.fresh(ODD))
            verb = VERB_OF[step]
            for service in pair:
                here.target.gate(service, verb, at)
            here.fire(alert, *pair)
            for service in pair:
                until(partial(here.target.reached, service, verb), f"{verb} reaches {service}")
            here.killed()
            for service in pair:
                here.target.let_go(service, verb, drop=drop)
            here.node.up()
            for service in pair:
                run = here.rests(service)
                doubtful = [each["id"] for each in run["steps"] if each["status"] == "in_doubt"]
                blind = step == "push" or (step == "drain" and not honours(service))
                assert doubtful == ([step] if blind else []), f"{step} {at} on {service}: {run['status']} {doubtful}"
                arrived = [each for each in here.target.service(service)["arrivals"] if each["verb"] == verb]
                again = (step == "drain" and honours(service)) or (step == "restart" and drop)
                assert len(arrived) == (2 if again else 1), f"{step} {at} on {service}: {arrived}"
        _promises(here)


def test_killed_again_while_it_recovers(tmp_path: Path) -> None:
    with ground(tmp_path, 2 * len(AGAIN) + 2) as here:
        for number, point in enumerate(AGAIN):
            service = here.fresh(number % 2)
            here.target.gate(service, "restart", "before")
            here.fire("Down", service)
            until(lambda service=service: here.target.reached(service, "restart"), f"restart reaches {service}")
            here.killed()
            here.target.let_go(service, "restart", drop=bool(number // 2))
            here.node.arm(point)
            here.node.up(wait=False)
            here.struck()
            here.node.up()
            assert here.rests(service)["status"] == "succeeded", point
        _promises(here)


def test_killed_at_random_moments_under_a_storm(tmp_path: Path) -> None:
    """Deliveries go on being posted while the node dies; whatever was acknowledged counts."""
    kills, each = max(4, KILLS - NAMED), 5
    dice = Random(SEED)
    with ground(tmp_path, 2 * each * kills + 4) as here:
        for _ in range(kills):
            fired = [(dice.choice(["Down", "Down", "Stuck"]), here.fresh(dice.randint(0, 1))) for _ in range(each)]
            storm = Thread(target=_storm, args=(here, fired))
            delay_s = dice.choice([dice.uniform(0, 0.05), dice.uniform(0, 0.4), dice.uniform(0, 2.0)])
            storm.start()
            sleep(delay_s)  # the moment is the point
            here.killed()
            storm.join()
            here.node.up()
        missing = set(here.starts) - here.acknowledged
        for alert, service in sorted(missing):
            here.fire(alert, service)
        until(lambda: _all_rest(here), f"seed {SEED}: every episode has a run, and every run rests")
        try:
            _promises(here)
        except AssertionError as broken:
            raise AssertionError(f"seed {SEED}, {kills} kills: {broken}") from broken


def _all_rest(here: Ground) -> bool:
    runs = here.node.items("/runs")
    places = {run["targets"][0].rpartition("/")[2] for run in runs}
    resting = all(here.node.client.get(f"/runs/{run['id']}")["status"] in RESTING for run in runs if run["open"])
    return resting and {service for _, service in here.starts} <= places


def _storm(here: Ground, fired: list[tuple[str, str]]) -> None:
    for alert, service in fired:
        here.fire(alert, service, until_taken=False)


def test_killed_during_its_first_start(tmp_path: Path) -> None:
    """Whoever comes first can still become the admin."""
    target = Target(["svc-0"])
    try:
        for number, point in enumerate(FIRST_START):
            home = tmp_path / str(number) / "home"
            kill_home.write(home, target.port, ["svc-0"], "nobody-here")
            _first_start(Node(home), point)
    finally:
        target.close()


def _first_start(node: Node, point: str) -> None:
    try:
        node.arm(point)
        node.up(wait=False)
        node.wait_struck()
        node.up()
        said = node.wk("identity", "add", "--me")
        assert said.returncode == 0, f"{point}: {said.stderr}"
        verified = node.wk("ledger", "verify")
        assert verified.returncode == 0, f"{point}: {verified.stdout}{verified.stderr}"
        node.down()
        _add_up(kills=1, starts=node.starts)
    finally:
        if node.process is not None:
            node.kill()


# One of the two processes.


def test_a_worker_that_is_killed_is_started_again_by_its_supervisor(tmp_path: Path) -> None:
    with ground(tmp_path, 4) as here:
        node, service = here.node, here.fresh(ODD)
        here.target.gate(service, "restart", "after")
        here.fire("Down", service)
        until(lambda: here.target.reached(service, "restart"), "the restart is under way")
        worker = node.worker()
        os.kill(worker, signal.SIGKILL)
        here.target.let_go(service, "restart")
        node.wait_ready(2)
        assert node.process is not None
        assert node.process.poll() is None
        assert node.worker() not in {0, worker}
        assert here.rests(service)["status"] == "succeeded"
        assert "killed by SIGKILL" in node.last_words()
        _promises(here)


def test_a_worker_that_hangs_is_killed_and_its_successor_goes_on(tmp_path: Path) -> None:
    with ground(tmp_path, 4) as here:
        node, service = here.node, here.fresh(EVEN)
        here.target.gate(service, "restart", "before")
        here.fire("Down", service)
        until(lambda: here.target.reached(service, "restart"), "the restart is under way")
        worker = node.worker()
        os.kill(worker, signal.SIGSTOP)
        until(lambda: not alive(worker), "the hanging worker is killed", within_s=10)
        here.target.let_go(service, "restart", drop=True)
        node.wait_ready(2)
        assert here.rests(service)["status"] == "succeeded"
        assert "gave no sign of life" in node.log.read_text()
        _promises(here)


def test_a_worker_without_its_supervisor_ends_and_leaves_the_home_free(tmp_path: Path) -> None:
    with ground(tmp_path, 4) as here:
        node, service = here.node, here.fresh(ODD)
        worker = node.worker()
        assert node.process is not None
        node.process.kill()
        node._gone(worker)
        node.up()
        here.fire("Down", service)
        assert here.rests(service)["status"] == "succeeded"
        _promises(here)


def test_a_second_node_on_the_same_home_is_refused(tmp_path: Path) -> None:
    with ground(tmp_path, 4) as here:
        said = here.node.wk("up", "--port", "0")
        assert said.returncode == 3, said.stdout + said.stderr
        assert str(here.node.home) in said.stderr
        assert "stop" in said.stderr
        assert "Traceback" not in said.stderr
        service = here.fresh(EVEN)
        here.fire("Down", service)
        assert here.rests(service)["status"] == "succeeded"
        _promises(here)
