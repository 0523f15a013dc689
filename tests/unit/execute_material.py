"""Small runbooks, and a scripted world for the in-memory driver: what the tests of the run machine start from."""

from datetime import UTC, datetime, timedelta

from watchkeeper.engine.memory import Memory
from watchkeeper.execute.attempt import look_again_at
from watchkeeper.execute.run import Answered, Asked, Done, Doubted, Failed, Opened, Plan, Probed, Settled, Verified
from watchkeeper.guards.situation import Target
from watchkeeper.packs.expression import Broken, Known
from watchkeeper.packs.runbook import (
    Ask,
    Call,
    Effect,
    Retry,
    Runbook,
    Step,
    StepKind,
    Undo,
    Verification,
    Waves,
)
from watchkeeper.values import after_ms
from watchkeeper.verify.sample import Result

T0 = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def at(ms=0):
    return T0 + timedelta(milliseconds=ms)


class Look:
    """An expression that is a Python function of its bindings."""

    def __init__(self, source, answer, references=()):
        self.source, self._answer, self.references = source, answer, references

    def evaluate(self, bindings):
        try:
            return Known(self._answer(bindings))
        except Exception as broken:  # noqa: BLE001  evaluation never raises
            return Broken(f"'{self.source}': {type(broken).__name__}: {broken}")


TRUE, FALSE = Look("true", lambda b: True), Look("false", lambda b: False)


def target(name="web-1", honours=(), **more):
    return Target(ref=f"resource:{name}", kind="Resource", name=name, digest="d", honours=honours, **more)


def do(name, *, undo=None, **more):
    more.setdefault("effect", Effect.IDEMPOTENT)
    if undo == "safe":
        undo = Undo(call=Call(action=f"un{name}"), safe_if_not_done=True)
    elif undo == "unsafe":
        undo = Undo(call=Call(action=f"un{name}"))
    return Step(id=name, kind=StepKind.DO, call=Call(action=name), undo=undo, **more)


def verify(name="healthy", **more):
    spec = Verification(probe="http", arguments={"url": "http://web-1/healthz"}, expect={"status": 200})
    return Step(id=name, kind=StepKind.VERIFY, verify=more.pop("verify", spec), **more)


def approve(name="sure", within_ms=60_000, **more):
    return Step(id=name, kind=StepKind.APPROVE, ask=Ask(by=("group:sre",), within_ms=within_ms), **more)


def parallel(name, *steps, most=2, **more):
    return Step(id=name, kind=StepKind.PARALLEL, steps=steps, concurrent_max=most, **more)


def foreach(name, *steps, waves=("100%",), failed=None, unhealthy=None, most=1, **more):
    stop = Waves(waves=waves, failed_max=failed, unhealthy_max=unhealthy)
    return Step(id=name, kind=StepKind.FOREACH, steps=steps, waves=stop, concurrent_max=most, **more)


def call(name, runbook, arguments=None, **more):
    return Step(id=name, kind=StepKind.CALL, runbook=runbook, arguments=arguments or {}, **more)


def runbook(*steps, name="payments/restart", **more):
    return Runbook(name=name, owner="group:sre", pack="payments", where="a.yaml:1", digest="d", steps=steps, **more)


def plan(*steps, targets=None, called=(), arguments=None, alert=None, **more):
    return Plan(
        configuration="c1",
        runbook=runbook(*steps, **more),
        called={one.name: one for one in called},
        targets=(target(),) if targets is None else targets,
        arguments=arguments or {},
        alert=alert or {},
    )


def opened(**more):
    more.setdefault("start_by_at", at(600_000))
    return Opened(
        at=T0, run="run_1", decision="dec_1", runbook="payments/restart", configuration="c1", key_root="root", **more
    )


class World:
    """Answers by path: `does[path]` is a list of outcomes, one an attempt, the last one repeated.

    An outcome is "done", "doubt", "lost" (never answers), or an error class for Failed; `un:<path>` is the undo.
    `sees[path]` is the result of a verification, `checks[path]` what the check says (a list: look by look, asked again after a None), `settles[path]` the person,
    `answers[path]` the approver (None: nobody), `no[path]` a Held or Ended of the guards, once.
    """

    def __init__(self, does=None, sees=None, checks=None, settles=None, answers=None, no=None, takes_ms=100):
        self.does, self.sees, self.checks = dict(does or {}), sees or {}, checks or {}
        self.settles, self.answers, self.no = settles or {}, answers or {}, dict(no or {})
        self.takes_ms = takes_ms
        self.sent = []
        self.doubts = []
        self.probes = []
        self.performs = []

    def permit(self, run, command, now):
        return self.no.pop(getattr(command, "path", "begin"), None)

    def perform(self, run, command, now):
        from watchkeeper.execute import machine

        name = f"un:{command.path}" if command.undo else command.path
        self.sent.append(name)
        self.performs.append(command)
        script = self.does.get(name, ["done"])
        outcome = script[min(command.attempt, len(script)) - 1]
        where = {"path": command.path, "attempt": command.attempt, "undo": command.undo}
        then = after_ms(now, self.takes_ms)
        if outcome == "lost":
            return None
        if outcome == "done":
            return self.takes_ms, Done(at=then, output={"n": command.attempt}, **where)
        if outcome == "doubt":
            ask_at = after_ms(now, command.timeout_ms)
            return self.takes_ms, Doubted(at=then, why="no answer", ask_at=ask_at, **where)
        retry_at = machine.retry_at(run, command, outcome, then)
        return self.takes_ms, Failed(at=then, error=outcome, why=f"{outcome} here", retry_at=retry_at, **where)

    def verify(self, run, command, now):
        name = f"un:{command.path}" if command.undo else command.path
        result = self.sees.get(name, Result.HEALTHY)
        then = after_ms(now, self.takes_ms)
        return self.takes_ms, Verified(at=then, path=command.path, result=result, why=result, undo=command.undo)

    def probe(self, run, command, now):
        self.probes.append((command.path, now))
        script, then = self.checks.get(command.path), after_ms(now, self.takes_ms)
        happened = script[min(command.look, len(script)) - 1] if isinstance(script, list) else script
        ask_at = (
            look_again_at(command.look, self.takes_ms, then) if happened is None and isinstance(script, list) else None
        )
        return self.takes_ms, Probed(at=then, path=command.path, happened=happened, ask_at=ask_at)

    def request(self, run, command, now):
        asked = Asked(at=now, path=command.path, approval="apr_1", until_at=after_ms(now, 60_000))
        approved = self.answers.get(command.path, True)
        if approved is None:
            return asked, None
        then = after_ms(now, 1_000)
        return asked, (1_000, Answered(at=then, path=command.path, approval="apr_1", approved=approved, by="ann"))

    def doubt(self, run, command, now):
        self.doubts.append(f"un:{command.path}" if command.undo else command.path)
        happened = self.settles.get(command.path)
        if happened is None:
            return None
        return 1_000, Settled(at=after_ms(now, 1_000), path=command.path, happened=happened, by="ann")


def drive(a_plan, world=None, tell=(), until=None, **more):
    memory = Memory(a_plan, opened(**more), world or World())
    for event in tell:
        memory.tell(event)
    memory.drive(until)
    return memory


__all__ = [
    "FALSE", "T0", "TRUE", "Broken", "Call", "Effect", "Look", "Result", "Retry", "Undo", "Verification", "World",
    "approve", "at", "call", "do", "drive", "foreach", "opened", "parallel", "plan", "runbook", "target", "verify",
]  # fmt: skip
