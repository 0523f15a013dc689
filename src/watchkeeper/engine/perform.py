"""The performer: sends effects, takes samples, asks probes; each ends in the one event that says what happened.

Nothing here retries and nothing here decides. What an action raises is translated once, by what is known of the
effect: not sent, refused, or unknown.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
import structlog

from watchkeeper.catalog.reach import references
from watchkeeper.engine.action import OUTPUT_BYTES_MAX, Action, Invocation, Observation, Prober
from watchkeeper.engine.clock import Clock
from watchkeeper.engine.lease import Lease
from watchkeeper.engine.runner import Live
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.execute import machine
from watchkeeper.execute.attempt import look_again_at
from watchkeeper.execute.budget import Budget, full, take
from watchkeeper.execute.run import (
    Child,
    Done,
    Doubted,
    Event,
    Failed,
    Intended,
    Perform,
    Probe,
    Probed,
    Verified,
    Verify,
)
from watchkeeper.guards.situation import Target
from watchkeeper.packs.action import ACTIONS, carried, is_program
from watchkeeper.packs.runbook import Call, Effect, SecretRef, Step, Verification, Via
from watchkeeper.report.scrub import Scrubber
from watchkeeper.values import Instant, after_ms, ms_between
from watchkeeper.verify import verify as verifying
from watchkeeper.verify.judge import judge
from watchkeeper.verify.sample import Result, Sample, Seen

log = structlog.get_logger("watchkeeper.perform")

OUTPUT_TEXT_MAX: Final = 64 * 1024  # what one step's output may hold in the journal
TIMEOUT_GRACE_S: Final = 5.0  # an action ends what it started within it, after its own time-out

_NOTHING_LEASED: Final = Scrubber()
EXITS: Final = list(range(256))  # of a command that looks: each says something
RETRIES_EACH_MS: Final = 600_000  # `limits.retries_per_target` is for so long
BUDGETS_MAX: Final = 50_000
LOOKS_KEPT_MAX: Final = 200  # of one verification, in the journal

Leaser = Callable[[SecretRef], Awaitable[str]]
Shower = Callable[[str, str, str, bytes], None]
Find = Callable[[str, str], Awaitable[Action | None]]  # a pack's program by name and the digest of a configuration


class Around:
    """What the engine lends an action for one sending."""

    def __init__(
        self,
        live: Live,
        invocation: Invocation,
        lease: Lease,
        leaser: Leaser,
        show: Shower,
        record_child: Callable[[Live, Child], Any],
        clock: Clock,
        *,
        undo: bool = False,
    ) -> None:
        self._live, self._invocation, self._undo = live, invocation, undo
        self._lease, self._leaser, self._show = lease, leaser, show
        self._record_child, self._clock = record_child, clock
        self._room = OUTPUT_BYTES_MAX
        self._partial: dict[str, bytes] = {}
        self.leased: list[str] = []

    async def lease(self, name: str) -> str:
        reference = self._invocation.secrets.get(name)
        if reference is None:
            raise Rejected(
                f"runbook {self._invocation.runbook}: step {self._invocation.step} uses secret {name!r}, which is not "
                f"declared under `secrets:`"
            )
        value = await self._leaser(reference)
        self.leased.append(value)
        return value

    def output(self, stream: str, data: bytes) -> None:
        """Whole lines only: a piece may end in the middle of a secret, and half a secret is not recognised."""
        kept = data[: self._room]
        self._room -= len(kept)
        lines = self._partial.pop(stream, b"") + kept
        whole, newline, rest = lines.rpartition(b"\n")
        if rest:
            self._partial[stream] = rest
        if newline:
            self._show(
                self._invocation.run, self._invocation.step, stream, Scrubber(self.leased).bytes(whole + newline)
            )

    def flush(self) -> None:
        """The last lines, which ended without a newline."""
        for stream, rest in self._partial.items():
            self._show(self._invocation.run, self._invocation.step, stream, Scrubber(self.leased).bytes(rest))
        self._partial.clear()

    async def started(self, pid: int, start_ticks: int) -> None:
        child = Child(
            at=self._clock.now(), path=self._invocation.step, pid=pid, start_ticks=start_ticks, undo=self._undo
        )
        await self._record_child(self._live, child)

    def lease_ok(self) -> bool:
        return self._lease.held()


class StepPerformer:
    """Knows the actions by name. `find` answers the programs of packs, by the configuration of the run."""

    def __init__(
        self,
        actions: Mapping[str, Action],
        prober: Prober,
        clock: Clock,
        lease: Lease,
        leaser: Leaser,
        show: Shower,
        record_child: Callable[[Live, Child], Any],
        retries_max: Callable[[], int],
        find: Find,
    ) -> None:
        self._find = find
        self._retries_max = retries_max
        self._budgets: dict[str, Budget] = {}
        self._actions, self._prober, self._clock = actions, prober, clock
        self._lease, self._leaser, self._show, self._record_child = lease, leaser, show, record_child

    async def effect(self, live: Live, command: Perform, intent: Intended) -> Event:
        step = machine.step_at(live.run, command.path)
        call = step.undo.call if command.undo and step.undo is not None else step.call
        assert call is not None
        effect = Effect.IDEMPOTENT if command.undo and step.effect is Effect.READ else step.effect
        invocation = self._invocation(live, command, intent, step, call)
        around = Around(
            live,
            invocation,
            self._lease,
            self._leaser,
            self._show,
            self._record_child,
            self._clock,
            undo=command.undo,
        )
        where: dict[str, Any] = {"path": command.path, "attempt": command.attempt, "undo": command.undo}
        try:
            action = await self._action(live, call)
            if not self._lease.held():
                raise Unavailable("this node lost its lease before the effect was sent; nothing was sent")
            async with asyncio.timeout(command.timeout_ms / 1000 + TIMEOUT_GRACE_S):
                output = await action.perform(invocation, around)
        except (InDoubt, TimeoutError) as unknown:
            why = self._clean(str(unknown) or f"no answer in {command.timeout_ms} ms", around)
            if effect is Effect.READ:
                return self._failed(live, command, "timeout", why)
            ask_at = after_ms(intent.at, command.timeout_ms)
            return Doubted(at=self._clock.now(), why=why, ask_at=ask_at, **where)
        except Unavailable as later:
            return self._failed(live, command, "unavailable", self._clean(str(later), around))
        except Rejected as never:
            return self._failed(live, command, "rejected", self._clean(str(never), around))
        except Untrusted as altered:  # no retry data names it: what is started next must be looked at first
            return self._failed(live, command, "untrusted", self._clean(str(altered), around))
        finally:
            around.flush()
        return Done(at=self._clock.now(), output=bounded(output, around.leased), **where)

    async def _action(self, live: Live, call: Call) -> Action:
        found = self._actions.get(call.action)
        if found is None and is_program(call.action):
            found = await self._find(call.action, live.plan.configuration)
        if found is None:
            raise Rejected(f"no action {call.action!r} on this node")
        return found

    def _invocation(self, live: Live, command: Perform | Probe, intent: Intended, step: Step, call: Call) -> Invocation:
        run = live.run
        target = machine.target_at(run, command.path)
        runbook = machine.runbook_at(run, command.path)
        return Invocation(
            run=run.id,
            decision=run.decision,
            incident=str(live.plan.alert.get("incident", "")),
            runbook=runbook.name,
            step=command.path,
            attempt=intent.attempt,
            key=intent.key,
            fence=intent.fence,
            arguments=command.arguments,
            timeout_ms=getattr(command, "timeout_ms", step.timeout_ms),
            intent_at=intent.at,
            target=target,
            via=_via(step, call, target),
            actor="automation",
            secrets=_secrets(runbook.secrets, target),
            drill=live.plan.drill,
        )

    def _failed(self, live: Live, command: Perform, error: str, why: str) -> Failed:
        """Failed, with the time of the next attempt when the step's retry data and the target's budget allow one."""
        now = self._clock.now()
        retry_at = machine.retry_at(live.run, command, error, now)
        if retry_at is not None and not self._granted(live, command, now):
            retry_at, why = None, f"{why}; its retries are spent: the target's budget allows no more for now"
        return Failed(
            at=now,
            path=command.path,
            attempt=command.attempt,
            error=error,
            why=why,
            undo=command.undo,
            retry_at=retry_at,
        )

    def _granted(self, live: Live, command: Perform, now: Instant) -> bool:
        """Whether the target's retry budget, shared by all its runs and steps, allows one more (CAPABILITIES 2.3)."""
        target = machine.target_at(live.run, command.path)
        place = target.ref if target is not None else live.run.id
        if place not in self._budgets and len(self._budgets) >= BUDGETS_MAX:
            self._budgets.pop(next(iter(self._budgets)))
        most = self._retries_max()
        before = self._budgets.get(place) or full(now, most, most, RETRIES_EACH_MS)
        self._budgets[place], granted = take(before, now)
        return granted

    async def verification(self, live: Live, command: Verify) -> Event:
        step = machine.step_at(live.run, command.path)
        spec = step.undo.verify if command.undo and step.undo is not None else step.verify
        assert spec is not None
        target = machine.target_at(live.run, command.path)
        state = verifying.begin(spec, self._clock.now())
        looks: deque[tuple[int, int, str]] = deque(maxlen=LOOKS_KEPT_MAX)
        while (result := verifying.result(state, self._clock.now())) is None:
            wait_ms = ms_between(self._clock.now(), verifying.next_at(state))
            if wait_ms > 0:
                await asyncio.sleep(wait_ms / 1000)
            began_ms = self._clock.monotonic_ms()
            arguments = {name: value for name, value in command.arguments.items() if name != "expect"}
            look = await self._look(live, command, spec, arguments, target)
            expect = command.arguments.get("expect", spec.expect)
            seen, why = judge(spec.probe, expect, look.values) if look.seen else (Seen.NOTHING, look.why)
            sample = Sample(at=self._clock.now(), seen=seen, why=why, took_ms=self._clock.monotonic_ms() - began_ms)
            self._show(live.run.id, command.path, "sample", msgspec.json.encode(sample))
            looks.append((ms_between(state.began_at, sample.at), sample.took_ms, seen.value))
            state = verifying.observe(state, sample)
        return Verified(
            at=self._clock.now(),
            path=command.path,
            result=result,
            why=verifying.why(state, result),
            samples=state.samples,
            healthy=state.healthy,
            undo=command.undo,
            healed_by_itself=result is Result.HEALTHY and not machine.effects_before(live.run, command.path),
            good_at=state.row_at if result is Result.HEALTHY else None,
            looks=tuple(looks),
        )

    async def _look(
        self, live: Live, command: Verify, spec: Verification, arguments: Mapping[str, Any], target: Target | None
    ) -> Observation:
        """From this node by the prober; by ssh as the action itself would, and any exit is something seen."""
        if spec.via is not Via.SSH:
            return await self._prober.look(spec.probe, arguments, spec.timeout_ms, target)
        now = self._clock.now()
        look = Perform(
            run=live.run.id,
            start_by_at=now,
            path=command.path,
            attempt=1,
            key="",
            arguments={**arguments, "expect": EXITS},
            timeout_ms=spec.timeout_ms,
        )
        call = Call(action="command.run")
        intent = Intended(at=now, path=command.path, attempt=1, key="")
        step = msgspec.structs.replace(machine.step_at(live.run, command.path), via=Via.SSH)
        invocation = self._invocation(live, look, intent, step, call)
        around = Around(live, invocation, self._lease, self._leaser, _unshown, _unrecorded, self._clock)
        try:
            action = await self._action(live, call)
            async with asyncio.timeout(spec.timeout_ms / 1000 + TIMEOUT_GRACE_S):
                values = await action.perform(invocation, around)
        except (InDoubt, TimeoutError, Unavailable, Rejected, Untrusted) as blind:
            return Observation(seen=False, why=self._clean(str(blind), around))
        return Observation(seen=True, values=scrubbed(values, Scrubber(around.leased)))

    async def probe(self, live: Live, command: Probe) -> Event:
        step = machine.step_at(live.run, command.path)
        assert step.check is not None
        intent = machine.intent_of(live.run, command.path)
        invocation = self._invocation(live, command, intent, step, step.check)
        around = Around(live, invocation, self._lease, self._leaser, self._show, _unrecorded, self._clock)
        began_ms = self._clock.monotonic_ms()
        try:
            action = await self._action(live, step.check)
            async with asyncio.timeout(step.timeout_ms / 1000 + TIMEOUT_GRACE_S):
                output = await action.perform(invocation, around)
        except (InDoubt, TimeoutError, Unavailable, Rejected, Untrusted) as blind:
            # The network or a busy machine may let the next look through; a refusal stays one.
            now, refused = self._clock.now(), isinstance(blind, Rejected | Untrusted)
            took_ms = self._clock.monotonic_ms() - began_ms
            ask_at = None if refused else look_again_at(command.look, took_ms, now)
            why = self._clean(str(blind) or f"the check did not answer in {step.timeout_ms} ms", around)
            return Probed(at=now, path=command.path, happened=None, why=why, ask_at=ask_at)
        happened = output.get("happened")
        return Probed(
            at=self._clock.now(),
            path=command.path,
            happened=happened if isinstance(happened, bool) else None,
            why=self._clean(str(output.get("why", "")), around),
            output=bounded(output, around.leased),
        )

    def _clean(self, text: str, around: Around) -> str:
        return Scrubber(around.leased).text(text)[:2000]


def _unshown(_run: str, _step: str, _stream: str, _data: bytes) -> None:
    """What a look reads is judged; the sample that is shown says what came of it."""


async def _unrecorded(_live: Live, _child: Child) -> None:
    """A probe has no intent that could name its process: it only looks, and dies with this node."""


def _via(step: Step, call: Call, target: Target | None) -> Via:
    """What undoes or checks a step may go another way than the step: a program runs on this node, a call is a call."""
    facts = ACTIONS.get(call.action)
    if facts is not None and facts.via is not None:
        return facts.via
    via = step.via or _reach(target)
    if via is Via.API and is_program(call.action):
        return Via.LOCAL
    return via if carried(call.action, via) else _reach(target)


def _reach(target: Target | None) -> Via:
    return Via(target.reach) if target is not None and target.reach else Via.LOCAL


def _secrets(declared: Mapping[str, SecretRef], target: Target | None) -> dict[str, SecretRef]:
    """Those of the runbook, and those that the target's attributes name as its way in (`target.ssh_key`)."""
    own = references(target.attributes) if target is not None else {}
    return {**{f"target.{name}": SecretRef(store=ref.store, path=ref.path) for name, ref in own.items()}, **declared}


def bounded(output: Mapping[str, Any], leased: list[str]) -> dict[str, Any]:
    """Output as the journal keeps it: scrubbed, JSON, at most OUTPUT_TEXT_MAX bytes; what is cut says so."""
    clean = scrubbed(dict(output), Scrubber(leased) if leased else _NOTHING_LEASED)
    raw = msgspec.json.encode(clean)
    if len(raw) <= OUTPUT_TEXT_MAX:
        found: dict[str, Any] = clean
        return found
    text = raw[: OUTPUT_TEXT_MAX - 200].decode("utf-8", "replace")
    return {"truncated": True, "bytes": len(raw), "text": text}


def scrubbed(value: Any, scrubber: Scrubber) -> Any:
    """The same shape with every string scrubbed, keys included."""
    if type(value) is int:
        return value
    if isinstance(value, str):
        return scrubber.text(value)
    if isinstance(value, Mapping):
        return {scrubber.text(str(key)): scrubbed(item, scrubber) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrubbed(item, scrubber) for item in value]
    return value
