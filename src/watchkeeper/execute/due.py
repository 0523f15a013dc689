"""What a run wants next: a function of its journal's fold and of the time, nothing else.

In: a run, now. Out: commands, in the order of the plan; those of a parallel group or of several targets stand side by
side and may be carried out at once. A command is listed until an event answers it, except that a step with an intent
is not listed: its effect is under way.
"""

from datetime import timedelta
from typing import Final

from watchkeeper.execute.backoff import step_key
from watchkeeper.execute.bindings import check_arguments
from watchkeeper.execute.fleet import has_room
from watchkeeper.execute.plan import CONTAINERS, at_once, body
from watchkeeper.execute.run import (
    Begin,
    Command,
    Doubt,
    End,
    Evaluate,
    Expire,
    Perform,
    Probe,
    Request,
    Sleep,
    Status,
    StepStatus,
    Verify,
)
from watchkeeper.execute.state import OPEN, PASSED, Branch, Run, StepState
from watchkeeper.execute.undo import States, Steps, state_in, uncertain, undoing_path
from watchkeeper.execute.words import left
from watchkeeper.guards.situation import Target
from watchkeeper.packs.runbook import Step, StepKind
from watchkeeper.values import Instant, duration_text, ms_between, rfc3339

FRESH: Final = timedelta(seconds=60)  # a command that waited longer is derived again before anything is sent


def pending(run: Run, now: Instant) -> tuple[Command, ...]:
    """What to do next. A `Sleep`, where there is one, is last: look again then even if nothing happened."""
    if run.ended:
        return ()
    if run.ending is not None:
        ending = run.ending
        return (End(run=run.id, start_by_at=now + FRESH, status=ending.status, why=ending.why, state=ending.state),)
    if run.restored:
        return (Doubt(run=run.id, start_by_at=now + FRESH, path="", why=run.why),)
    if run.started_at is None:
        return _before(run, now)
    bounded = run.timeout_at is not None and run.root.leaving is None and not run.paused
    if bounded and run.timeout_at is not None and now >= run.timeout_at:
        took = duration_text(ms_between(run.started_at, run.timeout_at))
        return (Expire(run=run.id, start_by_at=now + FRESH, why=f"the run took longer than {took}"),)
    walk = _walk(run, now)
    if bounded:
        walk.wake(run.timeout_at)
    if walk.wake_at is not None:
        walk.out.append(Sleep(run=run.id, start_by_at=walk.wake_at, until_at=walk.wake_at))
    return tuple(walk.out)


def doubts(run: Run, now: Instant) -> tuple[str, ...]:
    """The paths that wait for a person's word."""
    return tuple(command.path for command in _walk(run, now).out if isinstance(command, Doubt))


def _walk(run: Run, now: Instant) -> "_Walk":
    walk, root, steps = _Walk(run, now), run.root, run.plan.runbook.steps
    if root.undoing is not None:
        walk.undo(root, steps, "", goes=root.leaving is not None and root.leaving.undo)
    else:
        walk.sequence(steps, root.steps, "", run.plan.targets, halted=run.paused or root.leaving is not None)
    return walk


def _before(run: Run, now: Instant) -> tuple[Command, ...]:
    until = run.start_by_at
    if now >= until:
        waited = "its start" if run.admitted else run.opened.waiting_for or "its admission"
        why = f"it was to start by {rfc3339(until)} and waited for {waited}"
        return (End(run=run.id, start_by_at=now + FRESH, status=Status.LAPSED, why=why, state=left(run)),)
    sleep = Sleep(run=run.id, start_by_at=until, until_at=until)
    if run.admitted and not run.paused:
        return Begin(run=run.id, start_by_at=until), sleep
    return (sleep,)


class _Walk:
    """One look at the tree: the commands found, and the earliest time at which there may be another."""

    __slots__ = ("cut", "fresh_at", "now", "out", "run", "wake_at")

    def __init__(self, run: Run, now: Instant) -> None:
        self.run, self.now = run, now
        self.out: list[Command] = []
        self.wake_at: Instant | None = None
        self.cut = run.root.leaving is not None and run.root.leaving.cut
        self.fresh_at = now + FRESH
        if run.root.leaving is None and run.timeout_at is not None and run.timeout_at < self.fresh_at:
            self.fresh_at = run.timeout_at

    def wake(self, at: Instant | None) -> None:
        if at is not None and (self.wake_at is None or at < self.wake_at):
            self.wake_at = at

    def sequence(
        self,
        steps: Steps,
        states: States,
        prefix: str,
        targets: tuple[Target, ...],
        *,
        halted: bool,
        safe_first: bool = True,
    ) -> None:
        """The first step that has not passed, if it has not failed. `halted`: nothing begins at a safe point."""
        for index, state in enumerate(states):
            if state.status in PASSED:
                continue
            step = steps[index]
            safe = not step.with_previous if index else safe_first
            self._step(step, state, f"{prefix}{step.id}" if prefix else step.id, targets, halted=halted, safe=safe)
            return

    def _step(
        self, step: Step, state: StepState, path: str, targets: tuple[Target, ...], *, halted: bool, safe: bool
    ) -> None:
        status = state.status
        if status is StepStatus.IN_DOUBT:
            self._doubt(step, state, path)
            return
        if status is StepStatus.DUE and step.kind in CONTAINERS:
            self._inside(step, state, path, targets, halted=halted, safe=safe)
            return
        if halted and self.cut and state.repeat:
            self._ask(state, path, state.why, undo=False)
            return
        if halted and (self.cut or (safe and not state.repeat)):
            return
        if status is StepStatus.PENDING:
            self.out.append(Evaluate(run=self.run.id, start_by_at=self.fresh_at, path=path))
        elif status is StepStatus.DUE:
            match step.kind:
                case StepKind.DO:
                    self._perform(state, path, undo=False, safe=safe and not state.repeat)
                case StepKind.VERIFY:
                    self.out.append(
                        Verify(run=self.run.id, start_by_at=self.fresh_at, path=path, arguments=state.arguments)
                    )
                case _:
                    self._approval(state, path)

    def _inside(
        self, step: Step, state: StepState, path: str, targets: tuple[Target, ...], *, halted: bool, safe: bool
    ) -> None:
        inner = body(self.run.plan, step)
        match step.kind:
            case StepKind.CALL:
                self.sequence(inner, state.steps, f"{path}/", targets, halted=halted, safe_first=safe)
            case StepKind.PARALLEL:
                self._group(step, state, path, targets, halted=halted, safe=safe)
            case _:
                self._targets(step, state, inner, path, targets, halted=halted)

    def _group(
        self, step: Step, state: StepState, path: str, targets: tuple[Target, ...], *, halted: bool, safe: bool
    ) -> None:
        bad = any(child.status is StepStatus.FAILED for child in state.steps)
        room = at_once(step) - sum(child.status in OPEN for child in state.steps)
        for child, its in zip(step.steps, state.steps, strict=True):
            if its.status is StepStatus.PENDING:
                if room <= 0:
                    continue
                room -= 1
            elif its.status not in OPEN:
                continue
            # Nothing inside a group follows anything: the safe point is the one before the group.
            self._step(child, its, f"{path}/{child.id}", targets, halted=halted or bad, safe=bad or safe)

    def _targets(
        self, step: Step, state: StepState, inner: Steps, path: str, targets: tuple[Target, ...], *, halted: bool
    ) -> None:
        fleet = state.fleet
        assert fleet is not None
        for index, branch in fleet.active.items():
            prefix = f"{path}[{index}]/"
            if branch.undoing is None:
                stays = halted or branch.leaving is not None
                self.sequence(inner, branch.steps, prefix, (targets[index],), halted=stays)
            else:
                self.undo(branch, inner, prefix, goes=self.run.root.leaving is None)
        if not halted and has_room(step, fleet, len(targets)):
            first = f"{path}[{fleet.begun}]/{inner[0].id}"
            self.out.append(Evaluate(run=self.run.id, start_by_at=self.fresh_at, path=first))

    def undo(self, branch: Branch, steps: Steps, prefix: str, *, goes: bool) -> None:
        """The step that is being undone. A pause holds the next sending, never the outcome of the last.

        Unless `goes`, undoing ends here and only what was sent and never answered is asked about.
        """
        path = undoing_path(branch)
        if path is None:
            return
        state = state_in(self.run.plan, steps, branch.steps, path[len(prefix) :])
        undo = state.undo
        if not goes:
            if undo is not None and uncertain(undo) and not self._covered():
                self._ask(undo, path, undo.why, undo=True)
            return
        if undo is None or undo.status is StepStatus.PENDING:
            if not self.run.paused:
                self.out.append(Evaluate(run=self.run.id, start_by_at=self.fresh_at, path=path, undo=True))
        elif undo.status is StepStatus.DUE:
            if not self.run.paused:
                self._perform(undo, path, undo=True, safe=True)
        elif undo.status is StepStatus.IN_DOUBT:
            self._ask(undo, path, undo.why, undo=True)
        elif undo.status is StepStatus.DONE:
            self.out.append(
                Verify(run=self.run.id, start_by_at=self.fresh_at, path=path, arguments=undo.verify, undo=True)
            )

    def _covered(self) -> bool:
        """Whether the run itself will undo what this target began to undo."""
        root = self.run.root
        return root.leaving is not None and root.leaving.undo and root.undoing is None

    def _perform(self, state: StepState, path: str, *, undo: bool, safe: bool) -> None:
        if state.retry_at is not None and state.retry_at > self.now:
            self.wake(state.retry_at)
            return
        self.out.append(
            Perform(
                run=self.run.id,
                start_by_at=self.fresh_at,
                path=path,
                attempt=state.attempts + 1,
                key=step_key(self.run.opened.key_root, path, undo=undo),
                arguments=state.arguments,
                timeout_ms=state.timeout_ms,
                undo=undo,
                safe_point=safe,
                repeat=state.repeat,
                finish=self.run.finishing,
            )
        )

    def _approval(self, state: StepState, path: str) -> None:
        if state.until_at is None:
            self.out.append(Request(run=self.run.id, start_by_at=self.fresh_at, path=path, arguments=state.arguments))
        elif self.run.paused:
            return
        elif self.now >= state.until_at:
            why = f"nobody answered {state.approval} by {rfc3339(state.until_at)}"
            self.out.append(Expire(run=self.run.id, start_by_at=self.fresh_at, path=path, why=why))
        else:
            self.wake(state.until_at)

    def _doubt(self, step: Step, state: StepState, path: str) -> None:
        leaving = self.run.root.leaving
        if leaving is not None and leaving.undo and step.undo is not None and step.undo.safe_if_not_done:
            return  # its undo covers it either way
        if state.ask_at is None:
            self._ask(state, path, state.why, undo=False)
        elif state.ask_at > self.now:
            self.wake(state.ask_at)
        else:
            arguments = check_arguments(self.run, path)
            if isinstance(arguments, str):
                self._ask(state, path, arguments, undo=False)
                return
            self.out.append(
                Probe(
                    run=self.run.id,
                    start_by_at=self.fresh_at,
                    path=path,
                    not_before_at=state.ask_at,
                    arguments=arguments,
                    look=state.looks + 1,
                )
            )

    def _ask(self, state: StepState, path: str, why: str, *, undo: bool) -> None:
        self.out.append(
            Doubt(
                run=self.run.id,
                start_by_at=self.fresh_at,
                path=path,
                why=why,
                undo=undo,
                since_at=state.intent_at,
            )
        )
