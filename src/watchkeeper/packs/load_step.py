"""Steps of a runbook, read with the scope each of them sees: earlier outputs only, and siblings never.

A step has exactly one of `do`, `verify`, `approve`, `parallel`, `foreach` and `call`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from watchkeeper.documents import Fields, Kind, Node, path_join, suggestion, text_of, wrong
from watchkeeper.errors import Malformed
from watchkeeper.packs.action import ACTIONS, ActionFacts, Harm, PackAction, effect_of, is_program, via_of
from watchkeeper.packs.clauses import Clauses, canonical_ref, where_of
from watchkeeper.packs.expression import Template
from watchkeeper.packs.load_verification import load_verification
from watchkeeper.packs.permission import covered
from watchkeeper.packs.runbook import (
    STEP_TIMEOUT_MS,
    STEPS_MAX,
    Ask,
    Call,
    Effect,
    Parameter,
    Permission,
    Retry,
    Step,
    StepKind,
    Undo,
    Via,
    Waves,
)
from watchkeeper.packs.scope import is_name, runbook_scope
from watchkeeper.packs.template import compile_template

ATTEMPTS_MAX: Final = 100
CONCURRENT_MAX: Final = 256
APPROVERS_MAX: Final = 16
WAVES_MAX: Final = 16
NESTING_MAX: Final = 4  # of parallel and foreach inside each other
TIMEOUT_MAX_MS: Final = 86_400_000

ERRORS: Final = ("unavailable", "rejected", "denied", "timeout")
_WAVE: Final = re.compile(r"[1-9][0-9]{0,4}|(?:100|[1-9][0-9]?)%")
_RUNBOOK: Final = re.compile(r"(?:[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_PARTS: Final = ("with", "via", "effect", "timeout", "retry", "check", "undo", "steps")


class Steps:
    """The reader of one runbook's steps. `outputs` grows as steps are read, so that a step sees what is before it."""

    def __init__(
        self,
        clauses: Clauses,
        pack: str,
        parameters: Mapping[str, Parameter],
        secrets: Mapping[str, Any],
        permissions: Sequence[Permission],
        actions: Mapping[str, PackAction],
    ) -> None:
        self.clauses = clauses
        self.problems = clauses.problems
        self.pack = pack
        self.parameters = parameters
        self.secrets = secrets
        self.permissions = permissions
        self.actions = actions
        self.ids: dict[str, Node] = {}
        self.calls: list[tuple[str, Mapping[str, Any], Node, str]] = []

    def read(
        self, fields: Fields, name: str, outputs: tuple[str, ...], depth: int = 0
    ) -> tuple[tuple[Step, ...], tuple[str, ...]]:
        """The steps of a list, and the ids whose outputs are seen after it."""
        found = []
        for child in fields.many(name, required=True, most=STEPS_MAX):
            step, outputs = self.step(child, outputs, depth)
            if step is not None:
                found.append(step)
        node = fields.node_of(name)
        if node is not None and node.kind is Kind.LIST and not node.items:
            fields.wrong(name, "is empty: a list of steps holds at least one")
        return tuple(found), outputs

    def step(self, fields: Fields, outputs: tuple[str, ...], depth: int) -> tuple[Step | None, tuple[str, ...]]:
        identity = self._id(fields)
        scope = runbook_scope(self.parameters, outputs)
        kinds = [kind for kind in StepKind if fields.has(kind.value)]
        when = fields.node_of("when")
        common: dict[str, Any] = {
            "id": identity,
            "where": where_of(fields.node),
            "when": None if when is None else self.clauses.clause(when, fields.at("when"), scope),
            "with_previous": fields.boolean("with_previous"),
        }
        fields.text("description")
        if len(kinds) != 1:
            names = ", ".join(StepKind)
            fields.wrong(
                kinds[1].value if kinds else "",
                f"has {' and '.join(kinds)}: a step does one thing"
                if kinds
                else f"does nothing: expected one of {names}",
            )
            fields.known.update(_PARTS)
            fields.done()
            return None, outputs
        kind = kinds[0]
        fields.known -= {other.value for other in StepKind if other is not kind}
        after = outputs
        match kind:
            case StepKind.DO:
                step = self._do(fields, common, scope, outputs)
                after = (*outputs, identity) if identity else outputs
            case StepKind.VERIFY:
                child = fields.child("verify")
                step = Step(
                    kind=kind,
                    verify=None if child is None else load_verification(child, self.clauses, scope, self._secret),
                    **common,
                )
            case StepKind.APPROVE:
                step = Step(kind=kind, ask=self._ask(fields, scope), **common)
            case StepKind.PARALLEL:
                step, after = self._parallel(fields, common, outputs, depth)
            case StepKind.FOREACH:
                step = self._foreach(fields, common, outputs, depth)
            case StepKind.CALL:
                step = self._call(fields, common, scope)
        fields.done()
        return step, after

    def _id(self, fields: Fields) -> str:
        identity = fields.text("id", required=True)
        if identity and not is_name(identity):
            fields.wrong(
                "id",
                f"{identity!r} cannot be said as steps.{identity}: use letters, digits and '_', and no word of CEL",
                expected="a name such as drain_host",
            )
        first = self.ids.get(identity)
        if identity and first is not None:
            fields.wrong(
                "id", f"the id {identity!r} stands twice, first in line {first.line}: ids are unique in a runbook"
            )
        if identity:
            self.ids.setdefault(identity, fields.node)
        if len(self.ids) == STEPS_MAX + 1:
            fields.wrong("", f"a runbook has at most {STEPS_MAX} steps: call another for a part")
        return identity

    # -- the six kinds ---------------------------------------------------------------------------

    def _do(self, fields: Fields, common: dict[str, Any], scope: Mapping[str, str], outputs: tuple[str, ...]) -> Step:
        call, facts = self._action(fields, "do", scope)
        own = {**scope, **runbook_scope(self.parameters, (*outputs, common["id"]))} if common["id"] else scope
        effect = fields.choice("effect", Effect)
        check = fields.child("check")
        undo = fields.child("undo")
        checked = None if check is None else self._called(check, scope)
        if facts is not None and effect is Effect.READ and facts.harm is not Harm.NONE and not self._reads(call):
            fields.wrong("effect", f"{call.action} changes something, so its effect cannot be read")
        if effect is None and facts is not None:
            effect = effect_of(call.action, facts, call.arguments)
        if checked is None and effect is Effect.PROBED:
            checked = self._shipped_probe(call, facts)
            if checked is None:
                fields.wrong(
                    "effect", "is probed, and no `check` says how to ask whether it happened", expected="a `check`"
                )
        via = fields.choice("via", Via)
        if is_program(call.action) and via is Via.API:
            fields.wrong("via", f"{call.action} is a program, which runs on this node: leave `via` out, or say local")
        timeout_ms, timeout_from = self._timeout(fields, scope)
        step = Step(
            kind=StepKind.DO,
            call=call,
            via=via_of(facts, via),
            effect=effect or Effect.ONCE,
            timeout_ms=timeout_ms,
            timeout_from=timeout_from,
            retry=self._retry(fields),
            check=checked,
            undo=None if undo is None else self._undo(undo, own),
            **common,
        )
        self._permit(fields, "do", call, facts)
        return step

    def _reads(self, call: Call) -> bool:
        return call.action in {"http.request", "command.run"}

    def _ask(self, step: Fields, scope: Mapping[str, str]) -> Ask | None:
        fields = step.child("approve")
        if fields is None:
            return None
        by = fields.texts("by", required=True, one_will_do=True, most=APPROVERS_MAX)
        if not by and fields.has("by"):
            fields.wrong("by", "is empty: name at least one group or person")
        found = Ask(
            by=tuple(canonical_ref(text) for text in by),
            count=fields.integer("count", default=1, least=1, most=APPROVERS_MAX),
            within_ms=fields.duration("within", default=1_200_000, least=60_000, most=7 * 86_400_000),
            show=self.clauses.clauses(fields, "show", scope, "dyn"),
        )
        fields.done()
        return found

    def _parallel(
        self, fields: Fields, common: dict[str, Any], outputs: tuple[str, ...], depth: int
    ) -> tuple[Step, tuple[str, ...]]:
        settings = fields.child("parallel")
        most = 1
        if settings is not None:
            most = settings.integer("max", default=CONCURRENT_MAX, least=1, most=CONCURRENT_MAX)
            settings.done()
        self._deep(fields, depth)
        steps, after = [], list(outputs)
        for child in fields.many("steps", required=True, most=STEPS_MAX):
            step, seen = self.step(child, outputs, depth + 1)
            after += [name for name in seen if name not in after]
            if step is not None:
                steps.append(step)
        if fields.node_of("steps") is not None and not fields.items("steps"):
            fields.wrong("steps", "is empty: a parallel group holds at least one step")
        return Step(kind=StepKind.PARALLEL, steps=tuple(steps), concurrent_max=most, **common), tuple(after)

    def _foreach(self, fields: Fields, common: dict[str, Any], outputs: tuple[str, ...], depth: int) -> Step:
        settings = fields.child("foreach")
        waves, most = None, 1
        if settings is not None:
            over = settings.text("in", required=True)
            if over and over != "targets":
                settings.wrong("in", f"expected targets, got {over!r}")
            stop = settings.child("stop")
            words = settings.texts(
                "waves",
                default=("100%",),
                pattern=_WAVE,
                expected='a count or a share, such as "1" or "10%"',
                most=WAVES_MAX,
            )
            waves = Waves(
                waves=words or ("100%",),
                failed_max=None if stop is None else stop.integer("failed", default=None, most=10_000),
                unhealthy_max=None if stop is None else stop.integer("unhealthy", default=None, most=10_000),
            )
            most = settings.integer("max", default=CONCURRENT_MAX, least=1, most=CONCURRENT_MAX)
            if stop is not None:
                stop.done()
            settings.done()
        self._deep(fields, depth)
        steps, _ = self.read(fields, "steps", outputs, depth + 1)
        return Step(kind=StepKind.FOREACH, steps=steps, waves=waves, concurrent_max=most, **common)

    def _call(self, fields: Fields, common: dict[str, Any], scope: Mapping[str, str]) -> Step:
        name = fields.text("call", required=True, pattern=_RUNBOOK, expected="a runbook such as payments/warm-cache")
        name = name if "/" in name else f"{self.pack}/{name}"
        arguments = self._with(fields, scope, secrets=False)
        self.calls.append((name, arguments, fields.node_of("call") or fields.node, fields.at("call")))
        return Step(kind=StepKind.CALL, runbook=name, arguments=arguments, **common)

    def _deep(self, fields: Fields, depth: int) -> None:
        if depth >= NESTING_MAX:
            fields.wrong("", f"groups of steps are nested deeper than {NESTING_MAX}: call another runbook")

    # -- the parts of an action ------------------------------------------------------------------

    def _action(self, fields: Fields, name: str, scope: Mapping[str, str]) -> tuple[Call, ActionFacts | None]:
        action = fields.text(name, required=True)
        facts = ACTIONS.get(action)
        qualified = action if "/" in action else f"{self.pack}/{action}"
        if facts is None and qualified in self.actions:
            action, facts = qualified, self.actions[qualified].facts
        arguments = self._with(fields, scope)
        if action and facts is None:
            known = (*ACTIONS, *self.actions)
            hint = suggestion(action, known) or f": known are {', '.join(sorted(known))}"
            fields.wrong(name, f"there is no action {action!r}{hint}")
        for needed in facts.needs if facts is not None else ():
            if needed not in arguments:
                fields.wrong("with", f"{action} needs {needed!r}")
        if action == "command.run" and isinstance(arguments.get("argv"), (str, Template)):
            fields.wrong(
                "with",
                'argv is a list of words, such as [systemctl, restart, "${target.unit}"]; a shell string is written out: [sh, -c, ...]',
            )
        return Call(action=action, arguments=arguments), facts

    def _with(self, fields: Fields, scope: Mapping[str, str], *, secrets: bool = True) -> dict[str, Any]:
        answer = self._secret if secrets else None
        return {
            key: self.clauses.tree(node, path_join(fields.at("with"), key), scope, answer)
            for key, node in fields.mapping("with", most=64)
        }

    def _secret(self, name: str) -> str:
        if name in self.secrets:
            return ""
        return f"no secret {name!r} is declared under `secrets`{suggestion(name, self.secrets)}"

    def _called(self, fields: Fields, scope: Mapping[str, str]) -> Call:
        """A probe. It may look and never change, so it needs no permission."""
        call, facts = self._action(fields, "do", scope)
        if facts is not None and facts.harm is not Harm.NONE and not self._reads(call):
            fields.wrong("do", f"{call.action} changes something, and a check only looks")
        fields.done()
        return call

    def _undo(self, fields: Fields, scope: Mapping[str, str]) -> Undo:
        call, facts = self._action(fields, "do", scope)
        verify = fields.child("verify")
        undo = Undo(
            call=call,
            safe_if_not_done=fields.boolean("safe_if_not_done"),
            timeout_ms=fields.duration("timeout", default=STEP_TIMEOUT_MS, least=1, most=TIMEOUT_MAX_MS),
            retry=self._retry(fields),
            verify=None if verify is None else load_verification(verify, self.clauses, scope, self._secret),
        )
        self._permit(fields, "do", call, facts)
        fields.done()
        return undo

    def _shipped_probe(self, call: Call, facts: ActionFacts | None) -> Call | None:
        """The probe the action brings, asked about the same thing."""
        probe = ACTIONS.get(facts.probe) if facts is not None else None
        if facts is None or probe is None:
            return None
        since = compile_template("${intent_at}", self.clauses.compiler, {"intent_at": "timestamp"})
        return Call(action=facts.probe, arguments={**call.arguments, "since": since})

    def _permit(self, fields: Fields, name: str, call: Call, facts: ActionFacts | None) -> None:
        if facts is None or facts.free:
            return
        if why := covered(self.permissions, call.action, call.arguments):
            fields.wrong(name, why)

    def _retry(self, fields: Fields) -> Retry:
        child = fields.child("retry")
        if child is None:
            return Retry()
        errors = child.texts("errors", default=("unavailable",), one_will_do=True)
        for error in errors:
            if error not in ERRORS:
                child.wrong("errors", f"expected some of {', '.join(ERRORS)}, got {error!r}{suggestion(error, ERRORS)}")
        retry = Retry(
            attempts_max=child.integer("attempts", default=1, least=1, most=ATTEMPTS_MAX),
            first_ms=child.duration("first", default=500, least=1, most=TIMEOUT_MAX_MS),
            most_ms=child.duration("max", default=30_000, least=1, most=TIMEOUT_MAX_MS),
            errors=errors,
        )
        if retry.first_ms > retry.most_ms:
            child.wrong("first", "is longer than `max`")
        child.done()
        return retry

    def _timeout(self, fields: Fields, scope: Mapping[str, str]) -> tuple[int, Any]:
        """A duration, or a template that answers one when the step falls due."""
        node = fields.node_of("timeout")
        if node is None or node.kind is not Kind.TEXT or "${" not in node.raw:
            return fields.duration("timeout", default=STEP_TIMEOUT_MS, least=1, most=TIMEOUT_MAX_MS), None
        text = text_of(node, self.problems, fields.at("timeout"))
        try:
            return STEP_TIMEOUT_MS, compile_template(text or "", self.clauses.compiler, scope)
        except Malformed as malformed:
            wrong(self.problems, node, fields.at("timeout"), malformed.why, expected="a duration, or ${params.grace}")
            return STEP_TIMEOUT_MS, None


def walk(steps: Sequence[Step]) -> list[Step]:
    """Every step, those inside groups too, in the order written."""
    return [inner for step in steps for inner in (step, *walk(step.steps))]
