"""A Runbook's document to a `Runbook`. Every problem is told; a runbook is built only when there was no error."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from watchkeeper.documents import Envelope, Fields, Kind, Node, path_join, suggestion, text_of, wrong
from watchkeeper.packs.action import ACTIONS, STORES, UNBUILT_STORES, UNBUILT_VIA, PackAction, carried
from watchkeeper.packs.clauses import Clauses, canonical_ref, normal_digest, where_of
from watchkeeper.packs.load_step import Steps, walk
from watchkeeper.packs.permission import is_expression
from watchkeeper.packs.risk import RISK_ORDER, raised, risk_of
from watchkeeper.packs.rule import Risk
from watchkeeper.packs.runbook import (
    RUNBOOK_TIMEOUT_MS,
    OnFailure,
    OnStop,
    Parameter,
    Permission,
    Runbook,
    SecretRef,
    Step,
    StepKind,
)
from watchkeeper.packs.scope import is_name, runbook_scope
from watchkeeper.values import INTEGER_MAX, duration_ms

PARAMETERS_MAX: Final = 64
OPTIONS_MAX: Final = 256
PATTERN_CHARS_MAX: Final = 256
TEXT_CHARS_MAX: Final = 4_096
PERMISSIONS_MAX: Final = 64
NEEDS_MAX: Final = 64
TIMEOUT_MAX_MS: Final = 7 * 86_400_000

TYPES: Final = ("text", "integer", "bool", "duration", "choice")


class Called(Struct, frozen=True, kw_only=True):
    """A `call` that was read, to be checked against the runbook it names once all are known."""

    caller: str
    name: str
    arguments: Mapping[str, Any]
    node: Node
    field: str


class Loaded(Struct, frozen=True, kw_only=True):
    runbook: Runbook
    calls: tuple[Called, ...]
    needs: tuple[tuple[str, Node, str], ...]
    node: Node


def load_runbook(head: Envelope, pack: str, clauses: Clauses, actions: Mapping[str, PackAction]) -> Loaded | None:
    """None when the document has an error. `actions` are the programs of all packs, by name."""
    spec = head.spec
    before = len(spec.problems)
    name = f"{pack}/{head.name}"
    parameters = _parameters(spec)
    secrets = _secrets(spec)
    permissions = _permissions(spec, clauses, parameters, actions)
    reader = Steps(clauses, pack, parameters, secrets, permissions, actions)
    steps, _ = reader.read(spec, "steps", ())
    needs = _needs(spec)
    failover = spec.boolean("failover")
    timeout_ms = spec.duration("timeout", default=RUNBOOK_TIMEOUT_MS, least=1_000, most=TIMEOUT_MAX_MS)
    found, reasons = risk_of(steps, permissions, actions, failover=failover)
    stated = spec.choice("risk", Risk)
    if stated is not None and RISK_ORDER.index(stated) < RISK_ORDER.index(found):
        spec.wrong(
            "risk", f"is {found.value}, because {reasons[0]}: it may be raised and not lowered to {stated.value}"
        )
    if stated is not None and stated is not found:
        reasons = (f"its author says {stated.value}", *reasons)
    runbook = Runbook(
        name=name,
        owner=canonical_ref(head.owner),
        pack=pack,
        where=where_of(head.node),
        digest=normal_digest("Runbook", name, head.owner, head.node),
        steps=steps,
        parameters=parameters,
        secrets=secrets,
        permissions=permissions,
        needs=tuple(ref for ref, _, _ in needs),
        objective_ppm=_objective(spec),
        timeout_ms=timeout_ms,
        on_stop=spec.choice("on_stop", OnStop, default=OnStop.UNDO),
        on_failure=spec.choice("on_failure", OnFailure, default=OnFailure.UNDO),
        expects=spec.texts("expects", one_will_do=True, most=OPTIONS_MAX),
        risk=raised(found, stated),
        risk_reasons=reasons,
        failover=failover,
        description=spec.text("description"),
        unbuilt=unbuilt(steps, secrets),
    )
    spec.done()
    for step in walk(steps):
        if step.timeout_from is None and step.kind is StepKind.DO and step.timeout_ms > timeout_ms:
            spec.wrong("timeout", f"ends the run before its step {step.id} may: raise it, or shorten the step's")
    if any(problem.severity == "error" for problem in spec.problems[before:]):
        return None
    calls = tuple(
        Called(caller=name, name=called, arguments=arguments, node=node, field=field)
        for called, arguments, node, field in reader.calls
    )
    return Loaded(runbook=runbook, calls=calls, needs=needs, node=head.node)


def unbuilt(steps: Sequence[Step], secrets: Mapping[str, SecretRef]) -> tuple[str, ...]:
    """What parses and this release cannot perform, in the words of the files."""
    found = []
    for step in walk(steps):
        calls = [call for call in (step.call, step.undo.call if step.undo else None, step.check) if call is not None]
        if step.kind is StepKind.DO and step.via in UNBUILT_VIA:
            found.append(f"via: {step.via.value} (step {step.id})")
        elif step.call is not None and step.via is not None and not carried(step.call.action, step.via):
            found.append(f"{step.call.action} via: {step.via.value} (step {step.id})")
        else:
            facts = [(call.action, ACTIONS.get(call.action)) for call in calls]
            found += [
                f"{name} (step {step.id})" for name, fact in facts if fact is not None and fact.via in UNBUILT_VIA
            ]
    found += [f"store: {ref.store} (secret {name})" for name, ref in secrets.items() if ref.store in UNBUILT_STORES]
    return tuple(dict.fromkeys(found))


def _parameters(spec: Fields) -> dict[str, Parameter]:
    found = {}
    for name, fields in spec.children("params", most=PARAMETERS_MAX).items():
        if not is_name(name):
            fields.wrong(
                "", f"{name!r} cannot be said as params.{name}: use letters, digits and '_', and no word of CEL"
            )
            fields.known.update(entry.key for entry in fields.node.entries)
            continue
        found[name] = _parameter(fields)
        fields.done()
    return found


def _parameter(fields: Fields) -> Parameter:
    kind = fields.text("type", required=True)
    if kind and kind not in TYPES:
        fields.wrong("type", f"expected one of {', '.join(TYPES)}, got {kind!r}{suggestion(kind, TYPES)}")
    kind = kind if kind in TYPES else "text"
    least, most = _bounds(fields, kind)
    options = fields.texts("options", most=OPTIONS_MAX) if kind in {"choice", "text"} else ()
    pattern = fields.text("pattern", most=PATTERN_CHARS_MAX) if kind == "text" else ""
    if kind == "choice" and not options:
        fields.wrong("options", "is missing: a choice lists what it may be")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as malformed:
        fields.wrong("pattern", f"is not a regular expression: {malformed}")
        pattern = ""
    parameter = Parameter(
        type=kind,
        required=fields.boolean("required"),
        least=least,
        most=most,
        options=options,
        pattern=pattern,
        description=fields.text("description"),
        default=_default(fields, kind),
    )
    if parameter.required and parameter.default is not None:
        fields.wrong("required", "is true beside a default: leave one of them out")
    if parameter.default is not None and (why := unfit(parameter, parameter.default)):
        fields.wrong("default", why)
    return parameter


def _bounds(fields: Fields, kind: str) -> tuple[int | None, int | None]:
    match kind:
        case "duration":
            least, most = fields.duration("min", default=None), fields.duration("max", default=None)
        case "integer":
            least = fields.integer("min", default=None, least=-INTEGER_MAX)
            most = fields.integer("max", default=None, least=-INTEGER_MAX)
        case "text":
            least = fields.integer("min", default=None, most=TEXT_CHARS_MAX)
            most = fields.integer("max", default=None, least=1, most=TEXT_CHARS_MAX)
        case _:
            return None, None
    if least is not None and most is not None and least > most:
        fields.wrong("min", "is more than `max`: nothing could be given")
    return least, most


def _default(fields: Fields, kind: str) -> Any:
    match kind:
        case "duration":
            return fields.duration("default", default=None)
        case "integer":
            return fields.integer("default", default=None, least=-INTEGER_MAX)
        case "bool":
            return fields.boolean("default", default=None)
        case _:
            return fields.text("default", default=None, most=TEXT_CHARS_MAX)


def unfit(parameter: Parameter, value: Any) -> str:
    """Why a literal is no value for a parameter; "" when it is. A duration is text or milliseconds."""
    match parameter.type:
        case "duration":
            if isinstance(value, str):
                try:
                    value = duration_ms(value)
                except ValueError as malformed:
                    return str(malformed)
            if not isinstance(value, int) or isinstance(value, bool):
                return f"expected a duration such as 30s, got {value!r}"
        case "integer":
            if not isinstance(value, int) or isinstance(value, bool):
                return f"expected an integer, got {value!r}"
        case "bool":
            return "" if isinstance(value, bool) else f"expected true or false, got {value!r}"
        case _:
            if not isinstance(value, str):
                return f"expected text, got {value!r}"
            if parameter.options and value not in parameter.options:
                return f"expected one of {', '.join(parameter.options)}, got {value!r}"
            if parameter.pattern and not re.fullmatch(parameter.pattern, value):
                return f"{value!r} does not match {parameter.pattern!r}"
            value = len(value)
    if parameter.least is not None and value < parameter.least:
        return f"is less than its min ({parameter.least})"
    if parameter.most is not None and value > parameter.most:
        return f"is more than its max ({parameter.most})"
    return ""


def _secrets(spec: Fields) -> dict[str, SecretRef]:
    found = {}
    for name, fields in spec.children("secrets", most=PARAMETERS_MAX).items():
        store = fields.text("store", required=True)
        if store and store not in STORES:
            fields.wrong("store", f"expected one of {', '.join(STORES)}, got {store!r}{suggestion(store, STORES)}")
        found[name] = SecretRef(store=store, path=fields.text("path", required=True), field=fields.text("field"))
        fields.done()
    return found


def _permissions(
    spec: Fields, clauses: Clauses, parameters: Mapping[str, Parameter], actions: Mapping[str, PackAction]
) -> tuple[Permission, ...]:
    scope = runbook_scope(parameters, ())
    found = []
    for fields in spec.many("permissions", most=PERMISSIONS_MAX):
        action = fields.text("do", required=True)
        if action and action not in ACTIONS and action not in actions:
            known = (*ACTIONS, *actions)
            fields.wrong("do", f"there is no action {action!r}{suggestion(action, known)}")
        bounds, allowed = {}, {}
        for entry in fields.node.entries:
            if entry.key == "do":
                continue
            fields.known.add(entry.key)
            place = path_join(fields.path, entry.key)
            nodes = entry.value.items if entry.value.kind is Kind.LIST else (entry.value,)
            if not nodes:
                wrong(
                    fields.problems, entry.value, place, "is empty: it would allow nothing; leave it out to allow any"
                )
            bounds[entry.key] = tuple(
                text for node in nodes if (text := text_of(node, fields.problems, place)) is not None
            )
            allowed[entry.key] = tuple(_allowed(nodes, place, clauses, scope))
        found.append(Permission(action=action, bounds=bounds, allowed=allowed))
        fields.done()
    return tuple(found)


def _allowed(nodes: Iterable[Node], place: str, clauses: Clauses, scope: Mapping[str, str]) -> Iterable[Any]:
    for node in nodes:
        if node.kind is not Kind.TEXT:
            continue
        if not is_expression(node.raw):
            yield node.raw
        elif (expression := clauses.clause(node, place, scope, "string")) is not None:
            yield expression


def _needs(spec: Fields) -> tuple[tuple[str, Node, str], ...]:
    """Canonical references, each with its place: whether they exist is asked when the catalogue is known."""
    found = []
    for position, node in enumerate(spec.items("needs", most=NEEDS_MAX)):
        place = f"{spec.at('needs')}[{position}]"
        text = text_of(node, spec.problems, place, expected="a reference such as component:config-store")
        if text is not None:
            found.append((canonical_ref(text, "component"), node, place))
    return tuple(found)


def _objective(spec: Fields) -> int | None:
    fields = spec.child("objective")
    if fields is None:
        return None
    success = fields.percent("success", required=True)
    fields.done()
    return success or None
