"""What a step's expressions see, and the one time they are evaluated.

In: a run and the path of a step that falls due. Out: `StepDue` with literal arguments, or with the sentence that
says why they could not be worked out. Pure: a compiled expression is a value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from watchkeeper.decide.target import bind_target
from watchkeeper.errors import Conflict
from watchkeeper.execute.plan import body as body_of
from watchkeeper.execute.plan import place, position, segments
from watchkeeper.execute.run import Evaluate, Plan, StepDue
from watchkeeper.execute.state import PASSED, Run, StepState
from watchkeeper.execute.undo import branch_at
from watchkeeper.guards.situation import Target
from watchkeeper.packs.expression import Known, Template
from watchkeeper.packs.runbook import CALL_DEPTH_MAX, Ask, Call, Parameter, Runbook, Step, StepKind, Verification
from watchkeeper.packs.template import render, render_argv, render_json, render_url
from watchkeeper.values import Instant, duration_ms

TIMEOUT_MAX_MS: Final = 86_400_000  # a step that may take longer than a day is another runbook
URL_ARGUMENTS: Final = frozenset({"url"})
ARGV_ARGUMENTS: Final = frozenset({"argv"})

Bindings = Mapping[str, Any]


class Frame(Struct, frozen=True, kw_only=True):
    """The surroundings of one step: the runbook it stands in, its targets, the parameters and outputs it sees."""

    runbook: Runbook
    targets: tuple[Target, ...]
    arguments: dict[str, Any]
    outputs: dict[str, dict[str, Any]]
    state: StepState


class _No(Exception):
    """Carries a sentence up a few frames, never out of this file."""


def evaluate(run: Run, command: Evaluate, now: Instant) -> StepDue:
    """`when` and the arguments of the step, once. `broken` holds the sentence when an expression has no answer.

    Raises Conflict when the plan has no such step.
    """
    where = place(run.plan, command.path)
    step = where.step
    seen: list[Bindings] = []  # worked out at most once, and only when an expression asks

    def bound() -> Bindings:
        if not seen:
            seen.append(bindings(run, command.path))
        return seen[0]

    addresses = where.targets[0].addresses if len(where.targets) == 1 else ()
    try:
        if command.undo:
            if step.undo is None:
                raise Conflict(f"step {command.path} has no undo")
            verify = {} if step.undo.verify is None else _verification(step.undo.verify, bound, addresses)
            arguments = _call(step.undo.call, bound, addresses)
            return StepDue(
                at=now,
                path=command.path,
                arguments=arguments,
                timeout_ms=step.undo.timeout_ms,
                undo=True,
                verify=verify,
            )
        if step.when is not None and not _wanted(step, bound()):
            return StepDue(at=now, path=command.path, skipped=True)
        arguments = _arguments(run.plan, step, bound, addresses, where.depth)
        if step.kind is StepKind.FOREACH and not where.targets:
            raise _No("there is no target, and no target is never every target")
        return StepDue(at=now, path=command.path, arguments=arguments, timeout_ms=_timeout_ms(step, bound))
    except _No as no:
        return StepDue(at=now, path=command.path, broken=f"step {command.path}: {no}", undo=command.undo)


def check_arguments(run: Run, path: str) -> dict[str, Any] | str:
    """The arguments of the step's check, or why they could not be worked out."""
    where = place(run.plan, path)
    if where.step.check is None:
        return f"step {path} has no check"
    addresses = where.targets[0].addresses if len(where.targets) == 1 else ()
    try:
        return _call(where.step.check, lambda: bindings(run, path), addresses)
    except _No as no:
        return f"check of step {path}: {no}"


def bindings(run: Run, path: str) -> dict[str, Any]:
    """`params, target, alert, run, steps` and, after the first intent, `intent_at`. `target` only where there is one."""
    frame = frame_at(run, path)
    found: dict[str, Any] = {
        "params": frame.arguments,
        "alert": run.plan.alert,
        "run": {
            "id": run.id,
            "decision": run.decision,
            "incident": str(run.plan.alert.get("incident", "")),
            "actor": run.opened.actor,
            "started_at": run.started_at,
        },
        "steps": {name: {"output": output} for name, output in frame.outputs.items()},
    }
    if len(frame.targets) == 1:
        found["target"] = bind_target(frame.targets[0])
    if frame.state.intent_at is not None:
        found["intent_at"] = frame.state.intent_at
    return found


def frame_at(run: Run, path: str) -> Frame:
    """Raises Conflict when the run has no step at `path`, or never reached it."""
    plan = run.plan
    runbook, steps, states, targets = plan.runbook, plan.runbook.steps, run.root.steps, plan.targets
    arguments, outputs = plan.arguments, dict[str, dict[str, Any]]()
    parts = segments(path)
    for depth, (name, index) in enumerate(parts):
        at = position(steps, name, path)
        step, state = steps[at], states[at]
        _collect(steps, states, outputs)
        if depth == len(parts) - 1:
            return Frame(runbook=runbook, targets=targets, arguments=arguments, outputs=outputs, state=state)
        steps = body_of(plan, step)
        if index >= 0:
            branch = branch_at(state, index)
            targets = (targets[index],)
            states = tuple(StepState() for _ in steps) if branch is None else branch.steps
        else:
            states = state.steps
        if step.kind is StepKind.CALL:
            runbook, arguments, outputs = plan.called[step.runbook], state.arguments, {}
        if len(states) != len(steps):
            raise Conflict(f"run {run.id}: step {path} was not reached")
    raise Conflict(f"run {run.id} has no step {path!r}")


def parameters(runbook: Runbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Literal parameters of a call, defaults filled in. Raises ValueError with the sentence for the operator."""
    unknown = sorted(set(given) - set(runbook.parameters))
    if unknown:
        raise ValueError(f"runbook {runbook.name} has no parameter {', '.join(unknown)}")
    found: dict[str, Any] = {}
    for name, parameter in runbook.parameters.items():
        value = given.get(name, parameter.default)
        if value is None and name not in given:
            if parameter.required:
                raise ValueError(f"runbook {runbook.name} needs parameter {name}")
            found[name] = None
            continue
        found[name] = _fits(runbook, name, parameter, value)
    return found


def _fits(runbook: Runbook, name: str, parameter: Parameter, value: Any) -> Any:
    where = f"parameter {name} of runbook {runbook.name}"
    wrong = ""
    match parameter.type:
        case "duration" if isinstance(value, str):
            try:
                value = duration_ms(value)
            except ValueError as no:
                raise ValueError(f"{where}: {no}") from no
        case "integer" | "duration":
            if not isinstance(value, int) or isinstance(value, bool):
                wrong = "not a whole number"
        case "bool":
            if not isinstance(value, bool):
                wrong = "neither true nor false"
        case _:
            if not isinstance(value, str):
                wrong = "not text"
    if wrong:
        raise ValueError(f"{where} is {value!r}, {wrong}")
    if parameter.options and value not in parameter.options:
        raise ValueError(f"{where} is {value!r}, not one of {', '.join(parameter.options)}")
    if parameter.least is not None and isinstance(value, int) and value < parameter.least:
        raise ValueError(f"{where} is {value}, less than {parameter.least}")
    if parameter.most is not None and isinstance(value, int) and value > parameter.most:
        raise ValueError(f"{where} is {value}, more than {parameter.most}")
    if parameter.pattern and not re.fullmatch(parameter.pattern, str(value)):
        raise ValueError(f"{where} is {value!r}, which does not match {parameter.pattern!r}")
    return value


def _collect(steps: Sequence[Step], states: Sequence[StepState], outputs: dict[str, dict[str, Any]]) -> None:
    """Outputs of passed steps; those inside a parallel group are seen from outside it, inside calls they are not."""
    for step, state in zip(steps, states, strict=True):
        if state.status in PASSED:
            outputs[step.id] = state.output
        if step.kind is StepKind.PARALLEL and state.steps:
            _collect(step.steps, state.steps, outputs)


def _wanted(step: Step, bound: Bindings) -> bool:
    assert step.when is not None
    answer = step.when.evaluate(bound)
    if not isinstance(answer, Known):
        raise _No(f"when: {answer.why}")
    if not isinstance(answer.value, bool):
        raise _No(f"when: '{step.when.source}' answers {answer.value!r}, neither true nor false")
    return answer.value


def _arguments(
    plan: Plan, step: Step, bound: Callable[[], Bindings], addresses: tuple[str, ...], depth: int
) -> dict[str, Any]:
    match step:
        case Step(kind=StepKind.DO, call=Call() as call):
            return _call(call, bound, addresses)
        case Step(kind=StepKind.VERIFY, verify=Verification() as verification):
            return _verification(verification, bound, addresses)
        case Step(kind=StepKind.APPROVE, ask=Ask() as ask):
            return {
                expression.source: _one(Template((expression,), expression.source), bound) for expression in ask.show
            }
        case Step(kind=StepKind.CALL):
            if depth >= CALL_DEPTH_MAX:
                raise _No(f"calls are nested deeper than {CALL_DEPTH_MAX}")
            called = plan.called.get(step.runbook)
            if called is None:
                raise _No(f"the configuration has no runbook {step.runbook}")
            try:
                return parameters(called, _tree(step.arguments, bound))
            except ValueError as no:
                raise _No(str(no)) from no
        case Step(kind=StepKind.PARALLEL | StepKind.FOREACH):
            return {}
        case _:
            raise _No(f"a step of kind {step.kind} lacks what it needs; run 'watchkeeper check'")


def _verification(
    verification: Verification, bound: Callable[[], Bindings], addresses: tuple[str, ...]
) -> dict[str, Any]:
    arguments = _call(Call(action=verification.probe, arguments=verification.arguments), bound, addresses)
    return {**arguments, "expect": _tree(verification.expect, bound)}


def _call(call: Call, bound: Callable[[], Bindings], addresses: tuple[str, ...]) -> dict[str, Any]:
    """Arguments of an action. In a URL and in a command the place decides what an answer may be."""
    found: dict[str, Any] = {}
    for name, value in call.arguments.items():
        if name in URL_ARGUMENTS and isinstance(value, Template):
            answer = render_url(value, bound(), addresses)
        elif name in ARGV_ARGUMENTS and isinstance(value, (list, tuple)):
            answer = render_argv(value, bound())
        else:
            found[name] = _one(value, bound)
            continue
        if not isinstance(answer, Known):
            raise _No(f"{name}: {answer.why}")
        found[name] = list(answer.value) if isinstance(answer.value, tuple) else answer.value
    return found


def _tree(value: dict[str, Any], bound: Callable[[], Bindings]) -> dict[str, Any]:
    return {name: _one(inner, bound) for name, inner in value.items()}


def _one(value: Any, bound: Callable[[], Bindings]) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    answer = render(value, bound()) if isinstance(value, Template) else render_json(value, bound())
    if not isinstance(answer, Known):
        raise _No(answer.why)
    return answer.value


def _timeout_ms(step: Step, bound: Callable[[], Bindings]) -> int:
    if step.timeout_from is None:
        return step.timeout_ms
    asked = step.timeout_from
    value = _one(asked if isinstance(asked, (int, str, Template)) else Template((asked,), asked.source), bound)
    try:
        found = duration_ms(value) if isinstance(value, str) else value
    except ValueError as no:
        raise _No(f"timeout: {no}") from no
    if not isinstance(found, int) or isinstance(found, bool) or not 0 < found <= TIMEOUT_MAX_MS:
        raise _No(f"timeout: {value!r} is not a duration between 1ms and a day")
    return found
