"""A runbook's handbook page, in Markdown: what it does, step by step, for a person who must do it by hand.

In: a runbook and the rulebook around it. Out: text. Nothing is worked out at run time: what varies stays `${ }`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

from watchkeeper.packs.expression import Expression, Template
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.rulebook import Rulebook
from watchkeeper.packs.runbook import (
    Ask,
    Call,
    Effect,
    OnFailure,
    OnStop,
    Parameter,
    Runbook,
    Step,
    StepKind,
    Verification,
)
from watchkeeper.packs.template import SecretUse
from watchkeeper.values import duration_text


def page(runbook: Runbook, rulebook: Rulebook) -> str:
    """The whole page. Ends with a newline."""
    rules = [rule for _, rule in sorted(rulebook.rules.items()) if rule.runbook == runbook.name]
    parts = (
        f"# {runbook.name}",
        runbook.description,
        "\n".join(_facts(runbook)),
        _section("When it is proposed", _proposed(rules, runbook)),
        _section("Parameters", (_parameter(name, each) for name, each in sorted(runbook.parameters.items()))),
        _section("What it may do", (f"- {_permission(each.action, each.bounds)}" for each in runbook.permissions)),
        _section("What it needs first", (f"- `{need}` must be healthy" for need in runbook.needs)),
        _section("Steps", _steps(runbook.steps)),
        _section("When it is stopped or fails", _ends(runbook)),
        _section("By hand", _by_hand(runbook)),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, lines: Iterable[str]) -> str:
    body = "\n".join(lines)
    return f"## {title}\n\n{body}" if body else ""


def _facts(runbook: Runbook) -> Iterator[str]:
    why = f" ({'; '.join(runbook.risk_reasons)})" if runbook.risk_reasons else ""
    yield f"- Owner: {runbook.owner}"
    yield f"- Risk: {runbook.risk.value}{why}"
    yield f"- Must end within {duration_text(runbook.timeout_ms)}"
    yield f"- Written in `{runbook.where}`"
    if runbook.expects:
        yield f"- While it runs these alerts are expected: {', '.join(runbook.expects)}"
    if runbook.secrets:
        yield f"- Uses secrets: {', '.join(f'`{name}`' for name in sorted(runbook.secrets))}"
    if runbook.unbuilt:
        yield f"- Cannot run yet: {', '.join(runbook.unbuilt)}"


def _proposed(rules: list[Rule], runbook: Runbook) -> Iterator[str]:
    if not rules:
        yield f"No rule proposes it. A person runs it: `wk run {runbook.name} --target NAME --reason ...`"
    for rule in rules:
        labels = ", ".join(f"{name} is {' or '.join(values)}" for name, values in rule.match.items())
        clauses = "".join(f" and `{clause.source}`" for clause in rule.when)
        held = f", firing for {duration_text(rule.for_ms)}" if rule.for_ms else ""
        yield f"- `{rule.name}`: {labels}{clauses}{held}. By itself it may go as far as {rule.ceiling.value}."


def _parameter(name: str, found: Parameter) -> str:
    parts = [found.type if not found.options else f"one of {', '.join(found.options)}"]
    if found.required:
        parts.append("required")
    elif found.default is not None:
        shown = duration_text(found.default) if found.type == "duration" else str(found.default).lower()
        parts.append(f"default {shown}")
    for word, bound in (("at least", found.least), ("at most", found.most)):
        if bound is not None:
            parts.append(f"{word} {duration_text(bound) if found.type == 'duration' else bound}")
    about = f": {found.description}" if found.description else ""
    return f"- `{name}` ({', '.join(parts)}){about}"


def _permission(action: str, bounds: Mapping[str, Any]) -> str:
    said = "; ".join(f"{name} {_value(value)}" for name, value in bounds.items())
    return f"`{action}`{': ' + said if said else ''}"


# -- steps -------------------------------------------------------------------------------------------


def _steps(steps: Iterable[Step], depth: int = 0) -> Iterator[str]:
    lead = "   " * depth
    for number, step in enumerate(steps, start=1):
        yield f"{lead}{number}. **{step.id}**: {_what(step)}"
        for line in _about(step):
            yield f"{lead}   - {line}"
        yield from _steps(step.steps, depth + 1)


def _what(step: Step) -> str:
    match step.kind:
        case StepKind.DO:
            return _call(step.call)
        case StepKind.VERIFY:
            return _verification(step.verify)
        case StepKind.APPROVE:
            return _ask(step.ask)
        case StepKind.PARALLEL:
            return f"at the same time, at most {step.concurrent_max} of:"
        case StepKind.FOREACH:
            waves = f", in waves of {', then '.join(step.waves.waves)}" if step.waves is not None else ""
            return f"for each target{waves}:"
        case StepKind.CALL:
            given = f" with {_arguments(step.arguments)}" if step.arguments else ""
            return f"everything in `{step.runbook}`{given}"
        case _ as never:
            assert_never(never)


def _about(step: Step) -> Iterator[str]:
    if step.when is not None:
        yield f"Only when `{step.when.source}`"
    if step.kind is not StepKind.DO:
        return
    if step.via is not None:
        yield f"Reached over {step.via.value}"
    yield _EFFECTS[step.effect]
    if step.retry.attempts_max > 1:
        yield (
            f"Tried up to {step.retry.attempts_max} times, from {duration_text(step.retry.first_ms)} apart, when "
            f"{' or '.join(step.retry.errors)}"
        )
    yield f"Has {_timeout(step)} to answer"
    if step.check is not None:
        yield f"Whether it happened: {_call(step.check)}"
    if step.with_previous:
        yield "Follows the step before it without a pause: no stop in between"
    if step.undo is not None:
        safe = "" if step.undo.safe_if_not_done else ", only when it is known to have happened"
        yield f"Undone by {_call(step.undo.call)}{safe}"


_EFFECTS = {
    Effect.READ: "Changes nothing",
    Effect.IDEMPOTENT: "Sending it twice does no more than once",
    Effect.KEYED: "Carries a key, so that the target does it once",
    Effect.FENCED: "Carries a fencing token, so that an older sender is refused",
    Effect.PROBED: "After a crash a probe says whether it happened",
    Effect.ONCE: "Never sent twice: after a crash a person decides",
}


def _timeout(step: Step) -> str:
    return f"`{_value(step.timeout_from)}`" if step.timeout_from is not None else duration_text(step.timeout_ms)


def _call(call: Call | None) -> str:
    if call is None:
        return "nothing"
    given = _arguments(call.arguments)
    return f"`{call.action}`{' with ' + given if given else ''}"


def _arguments(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} `{_value(value)}`" for name, value in found.items())


def _verification(found: Verification | None) -> str:
    if found is None:
        return "nothing"
    expected = f", expecting {_arguments(found.expect)}" if found.expect else ""
    soak = f", and still {duration_text(found.soak_ms)} later" if found.soak_ms else ""
    times = (
        "once" if found.successes == 1 else f"{found.successes} times in a row, {duration_text(found.every_ms)} apart"
    )
    return (
        f"look with {found.probe} ({_arguments(found.arguments)}{expected}) until it is healthy {times}{soak}; within "
        f"{duration_text(found.within_ms)}"
    )


def _ask(found: Ask | None) -> str:
    if found is None:
        return "nothing"
    by = " or ".join(found.by) or "whoever may approve"
    people = "a person" if found.count == 1 else f"{found.count} people"
    shown = f", who sees {', '.join(f'`{each.source}`' for each in found.show)}" if found.show else ""
    return f"ask {people} ({by}){shown}; without an answer within {duration_text(found.within_ms)} it ends there"


def _ends(runbook: Runbook) -> Iterator[str]:
    stop = {
        OnStop.UNDO: "what was done is undone, newest first",
        OnStop.STAY: "it stays as it is",
        OnStop.FINISH: "it is finished first",
    }[runbook.on_stop]
    failure = {
        OnFailure.UNDO: "what was done is undone, newest first",
        OnFailure.STAY: "it stays as it is",
    }[runbook.on_failure]
    yield f"- Held, frozen or stopped between two steps: {stop}, and a person is told the state it was left in."
    yield f"- A step fails: {failure}, and a person is told."
    yield "- Nobody knows whether a step happened: a person looks, and says so with `wk runs settle`."


def _by_hand(runbook: Runbook) -> Iterator[str]:
    given = " ".join(f"--set {name}=..." for name, each in sorted(runbook.parameters.items()) if each.required)
    line = f"wk run {runbook.name} --target NAME {given + ' ' if given else ''}--reason '...'"
    yield f"See what would be decided, and send nothing: `{line} --dry-run`"
    yield ""
    yield f"Run it, with every guard asked: `{line}`"


def _value(value: Any) -> str:
    """What was written, on one line."""
    match value:
        case Template():
            return value.source
        case SecretUse():
            return f"secret {value.name}"
        case Mapping():
            return "{" + ", ".join(f"{name}: {_value(each)}" for name, each in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_value(each) for each in value) + "]"
        case bool():
            return str(value).lower()
        case _ if hasattr(value, "evaluate"):
            return _source(value)
        case _:
            return " ".join(str(value).split())


def _source(value: Expression) -> str:
    return value.source
