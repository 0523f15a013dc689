"""What a runbook would do, told before it does it: the card of a request shows the calls themselves, not their names.

In: a plan and one of its targets. Out: a `Foreseen` a step, each argument with its value where it can be known now. What
only a step's output, the run or the moment of sending can say stays as it was written, and is named: decided later.
Nothing here is evaluated a second time: a run evaluates its own, and its intent records what was sent.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.decide.target import bind_target
from watchkeeper.errors import Conflict
from watchkeeper.execute.bindings import ARGV_ARGUMENTS, URL_ARGUMENTS, parameters
from watchkeeper.execute.plan import body as body_of
from watchkeeper.execute.run import Plan
from watchkeeper.guards.situation import Target
from watchkeeper.packs.expression import Answer, Known, Template
from watchkeeper.packs.runbook import CALL_DEPTH_MAX, Call, Runbook, Step, StepKind, Verification
from watchkeeper.packs.template import SecretUse, expressions_in, render, render_argv, render_json, render_url

STEPS_FORESEEN_MAX: Final = 200
LATER: Final = frozenset({"steps", "run", "intent_at"})  # names that have no value before the run has

Bindings = Mapping[str, Any]


class Foreseen(Struct, frozen=True, kw_only=True):
    """`arguments` are (name, value as text). `later` names those that are decided later, as written. `when` is the
    condition of the step, `of` its part: "" for the step itself, `undo` for what takes it back.
    """

    step: str
    kind: str
    do: str
    arguments: tuple[tuple[str, str], ...]
    later: tuple[str, ...] = ()
    when: str = ""
    of: str = ""


class _Frame(Struct, frozen=True, kw_only=True):
    """`bound` is the target that expressions see here, `each` the one that a fleet's steps would see."""

    plan: Plan
    arguments: dict[str, Any]
    bound: Target | None
    each: Target | None
    prefix: str = ""
    depth: int = 0

    def seen(self) -> Bindings:
        found: dict[str, Any] = {"params": self.arguments, "alert": self.plan.alert}
        return {**found, "target": bind_target(self.bound)} if self.bound is not None else found


def foresee(plan: Plan, target: Target | None) -> tuple[Foreseen, ...]:
    """In the order of the steps; those of a fleet as they would be for `target`. At most STEPS_FORESEEN_MAX."""
    found: list[Foreseen] = []
    bound = target if len(plan.targets) == 1 else None
    _steps(_Frame(plan=plan, arguments=plan.arguments, bound=bound, each=target), plan.runbook.steps, found)
    return tuple(found[:STEPS_FORESEEN_MAX])


def _steps(frame: _Frame, steps: tuple[Step, ...], found: list[Foreseen]) -> None:
    seen = frame.seen()
    for step in steps:
        if len(found) >= STEPS_FORESEEN_MAX:
            return
        name = f"{frame.prefix}{step.id}"
        deeper = replace(frame, prefix=f"{name}/")
        match step.kind:
            case StepKind.FOREACH:
                _steps(replace(deeper, bound=frame.each), body_of(frame.plan, step), found)
            case StepKind.PARALLEL:
                _steps(deeper, body_of(frame.plan, step), found)
            case StepKind.CALL:
                called = frame.plan.called.get(step.runbook)
                given = _called(called, step, seen)
                if called is None or given is None or frame.depth >= CALL_DEPTH_MAX:
                    found.append(_line(name, step, Call(action=step.runbook, arguments=step.arguments), frame))
                else:
                    _steps(replace(deeper, arguments=given, depth=frame.depth + 1), called.steps, found)
            case StepKind.VERIFY if step.verify is not None:
                looked = Call(action=step.verify.probe, arguments=_looked(step.verify))
                found.append(_line(name, step, looked, frame))
            case _:
                found.append(_line(name, step, step.call or Call(action=""), frame))
        if step.undo is not None:
            found.append(_line(name, step, step.undo.call, frame, of="undo"))


def _looked(verification: Verification) -> dict[str, Any]:
    """What is asked, and what must be seen."""
    return {**verification.arguments, **({"expect": verification.expect} if verification.expect else {})}


def _called(called: Runbook | None, step: Step, seen: Bindings) -> dict[str, Any] | None:
    """The parameters that a called runbook would get; None when they are not known yet."""
    if called is None or _waits(step.arguments):
        return None
    given = render_json(step.arguments, seen)
    if not isinstance(given, Known):
        return None
    try:
        return parameters(called, given.value)
    except (ValueError, Conflict):
        return None


def _line(name: str, step: Step, call: Call, frame: _Frame, *, of: str = "") -> Foreseen:
    seen = frame.seen()
    addresses = frame.bound.addresses if frame.bound is not None else ()
    shown: list[tuple[str, str]] = []
    later: list[str] = []
    for key, value in call.arguments.items():
        answer = None if _waits(value) else _answer(key, value, seen, addresses)
        if isinstance(answer, Known):
            shown.append((key, _text(answer.value)))
        else:
            shown.append((key, _text(_written(value))))
            later.append(key)
    when = step.when.source if step.when is not None and not of else ""
    return Foreseen(
        step=name, kind=step.kind.value, do=call.action, arguments=tuple(shown), later=tuple(later), when=when, of=of
    )


def _waits(value: Any) -> bool:
    return any(path and path[0] in LATER for each in expressions_in(value) for path in each.references)


def _answer(name: str, value: Any, seen: Bindings, addresses: tuple[str, ...]) -> Answer:
    """As the run itself would: the place decides what an answer may be."""
    if name in URL_ARGUMENTS and isinstance(value, Template):
        return render_url(value, seen, addresses)
    if name in ARGV_ARGUMENTS and isinstance(value, (list, tuple)):
        return render_argv(value, seen)
    return render(value, seen) if isinstance(value, Template) else render_json(value, seen)


def _written(value: Any) -> Any:
    """The value as its author wrote it."""
    match value:
        case Template():
            return value.source
        case SecretUse():
            return {"secret": value.name}
        case dict():
            return {key: _written(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_written(inner) for inner in value]
        case _:
            return value


def _text(value: Any) -> str:
    """A text as it is; a command as its words, quoted where a space would lie; else JSON."""
    match value:
        case str():
            return value
        case list() | tuple() if all(isinstance(each, str) for each in value):
            return " ".join(each if each and " " not in each else msgspec.json.encode(each).decode() for each in value)
        case _:
            return msgspec.json.encode(value).decode()
