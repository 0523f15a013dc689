"""Reading: every look at this node, over its store and its memory. Nothing here changes anything.

Answers are plain values ready to be encoded: the stored document with what is worked out from it beside. An ended run
never changes, so its folded steps are kept.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from watchkeeper.approve.approval import Approval, State
from watchkeeper.approve.people import Actor, Grant, Identity, Token
from watchkeeper.approve.roles import verbs_of
from watchkeeper.correlate.alert import Alert, AlertState, state_at
from watchkeeper.correlate.incident import Incident
from watchkeeper.decide.counterfactual import Counterfactual, counterfactual, counterfactuals
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.decide.explain import explain, near_misses
from watchkeeper.engine.answer import No, invalid, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.foreseeing import foreseen
from watchkeeper.engine.intake import SignalReader
from watchkeeper.engine.records import ChangeRecord, Message, RunRecord, Waiting, kind_of, read
from watchkeeper.engine.retention import absent
from watchkeeper.engine.runner import decode
from watchkeeper.errors import Conflict
from watchkeeper.execute import machine
from watchkeeper.execute.run import ENDED, Status
from watchkeeper.guards.autonomy import effective, standing
from watchkeeper.guards.situation import Freeze, Hold, Ladder, Situation, Stop
from watchkeeper.packs.rule import Mode, Rule
from watchkeeper.ports import Row
from watchkeeper.signals.signal import DeadLetter, Signal

LIMIT_DEFAULT: Final = 100
STEPS_KEPT_MAX: Final = 2_000  # ended runs whose steps are kept folded
JOURNAL_EVENTS_MAX: Final = 10_000  # in one answer

Document = TypeVar("Document", bound=Struct)
View = dict[str, Any]


class Listed(Struct, frozen=True, kw_only=True):
    """A page, newest first. `next` is the cursor of the following one, None at the end."""

    items: tuple[Any, ...]
    next: str | None = None


class Explained(Struct, frozen=True, kw_only=True):
    """Why, in plain words. `near_misses` and `counterfactuals` are worked out now, from the record. `ladder` are the four
    inputs of the mode, as they were; None for a person's own run, which the ladder does not bind.
    """

    decision: str
    sentence: str
    counts: str
    decided: tuple[Any, ...]
    also: tuple[Any, ...]
    clauses: tuple[Any, ...]
    changes: tuple[str, ...]
    near_misses: tuple[Any, ...] = ()
    counterfactuals: tuple[Any, ...] = ()
    ladder: Any = None


class Reader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._steps: OrderedDict[str, tuple[View, ...]] = OrderedDict()

    # Alerts.

    async def alerts(self, where: Mapping[str, str], *, after: str | None, limit: int, unmapped: bool) -> Listed:
        """`state` stale is a matter of time: it is asked of the alerts that fire."""
        wanted, state = dict(where), where.get("state", "")
        if state == AlertState.STALE:
            wanted["state"] = AlertState.FIRING.value
        if "entity" in wanted:
            wanted["entity"] = self._ref(wanted["entity"])
        if unmapped:
            wanted["entity"] = ""
        page = await self._engine.store.find("alert", wanted, after=after, limit=limit)
        found = [self.alert_view(read(row, Alert)) for row in page.items]
        return Listed(items=tuple(each for each in found if not state or each["state"] == state), next=page.next)

    async def alert(self, identity: str) -> View | No:
        found = self._engine.correlation.alert(identity) or await self._get(Alert, identity)
        if found is None:
            return await absent(self._engine.store, "alert", identity)
        decisions = await self._engine.store.find("decision", {"alert": identity})
        return {
            **self.alert_view(found),
            "decisions": [decision_view(read(row, Decision)) for row in decisions.items],
        }

    def alert_view(self, alert: Alert) -> View:
        return {
            **msgspec.to_builtins(alert),
            "name": alert.labels.get("alertname", ""),
            "state": state_at(alert, self._engine.clock.now()).value,
            "entity": alert.entity,
            "place": alert.place,
            "symptom": alert.symptom,
            "unmapped": not alert.entity,
            "suppressed": self._engine.world.suppressed.get((alert.group, alert.fingerprint), ""),
            "entity_from": list(SignalReader(self._engine.world).source(alert.source).entity_from),
            "incident": self._engine.correlation.incident_id_of(alert.id) or "",
        }

    # Incidents; one of them in full is read by `incident_reading`.

    async def incidents(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        wanted = dict(where)
        if "entity" in wanted:
            wanted["entity"] = self._ref(wanted["entity"])
        return await self._page(Incident, wanted, after, limit)

    # Decisions.

    async def decisions(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        page = await self._engine.store.find("decision", where, after=after, limit=limit)
        return Listed(items=tuple(decision_view(read(row, Decision)) for row in page.items), next=page.next)

    async def decision(self, identity: str) -> View | No:
        found = await self._get(Decision, identity)
        if found is None:
            return await absent(self._engine.store, "decision", identity)
        runs = await self._engine.store.find("run", {"decision": identity}, limit=1)
        approvals = await self._engine.store.find("approval", {"decision": identity}, limit=10)
        feedback = await self._engine.store.find("feedback", {"decision": identity}, limit=100)
        return {
            **decision_view(found),
            "run": runs.items[0].id if runs.items else None,
            "approvals": [row.id for row in approvals.items],
            "feedback": [msgspec.Raw(row.body) for row in feedback.items],
        }

    async def situation(self, identity: str) -> Situation | No:
        found = await self._get(Decision, identity)
        if found is None:
            return await absent(self._engine.store, "decision", identity)
        situation = await self._get(Situation, found.situation)
        return situation or await absent(self._engine.store, "situation", found.situation)

    async def explain(self, identity: str, wanted: str = "") -> Explained | No:
        """`wanted` asks what would lead to that verdict; "" asks for every one that can be reached."""
        found = await self._get(Decision, identity)
        if found is None:
            return await absent(self._engine.store, "decision", identity)
        if wanted and wanted not in {verdict.value for verdict in Verdict}:
            return invalid("counterfactual", f"{wanted!r} is none of {', '.join(Verdict)}")
        plain = explain(found)
        situation = await self._get(Situation, found.situation)
        return Explained(
            decision=identity,
            sentence=plain.sentence,
            counts=plain.counts,
            decided=plain.decided,
            also=plain.also,
            clauses=plain.clauses,
            changes=plain.changes,
            near_misses=self._near(found, situation),
            counterfactuals=self._counterfactuals(found, situation, wanted),
            ladder=ladder_view(situation.ladder)
            if situation is not None and found.targets and found.actor == "automation"
            else None,
        )

    def _near(self, decision: Decision, situation: Situation | None) -> tuple[Any, ...]:
        if situation is None or situation.alert is None:
            return ()
        facts = situation.alert
        situations = self._engine.situations
        entity = situations.target(facts.entity) if facts.entity else None
        every = self._engine.world.configuration.rulebook.rules.values()
        rules: list[Rule] = [rule for rule in every if rule.name != decision.rule]
        return near_misses(rules, facts, situations.bindings(facts, entity, decision.at), decision.at)

    def _counterfactuals(self, decision: Decision, situation: Situation | None, wanted: str) -> tuple[Any, ...]:
        """Worked out on the recorded situation with the rulebook of today; () where the proposal cannot be made again."""
        if (
            situation is None
            or not decision.targets
            or decision.configuration != self._engine.world.configuration.digest
        ):
            return ()
        rulebook = self._engine.world.configuration.rulebook
        rule, runbook = rulebook.rules.get(decision.rule), rulebook.runbooks.get(decision.runbook)
        if runbook is None:
            return ()
        proposal = self._engine.situations.proposal(
            rule, runbook, decision.targets, decision.arguments, situation.alert, decision.at, actor=decision.actor
        )
        if wanted:
            one = counterfactual(proposal, situation, Verdict(wanted))
            found: tuple[Counterfactual, ...] = (one,) if one is not None else ()
        else:
            found = counterfactuals(proposal, situation)
        return tuple(
            {
                "verdict": each.verdict.value,
                "sentence": each.sentence,
                "changes": [change.text for change in each.changes],
            }
            for each in found
        )

    async def proposals(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        """Held decisions that wait for their wake-up."""
        return await self._page(Waiting, {"state": "open", **where}, after, limit)

    # Runs.

    async def runs(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        page = await self._engine.store.find("run", where, after=after, limit=limit)
        return Listed(items=tuple([await self.run_view(read(row, RunRecord)) for row in page.items]), next=page.next)

    async def run(self, identity: str) -> View | No:
        record = await self._record(identity)
        if record is None:
            return await absent(self._engine.store, "run", identity)
        approvals = await self._engine.store.find("approval", {"run": identity}, limit=100)
        feedback = await self._engine.store.find("feedback", {"decision": record.decision}, limit=100)
        return {
            **await self.run_view(record),
            "approvals": [row.id for row in approvals.items],
            "feedback": [msgspec.Raw(row.body) for row in feedback.items],
        }

    async def run_view(self, record: RunRecord) -> View:
        """The record with its steps. A live run says its own status: it is ahead of what is listed by a commit at most."""
        live = self._engine.runner.live.get(record.id)
        status = live.run.status.value if live is not None else record.status
        effects = live.run.effects if live is not None else record.effects
        return {
            **msgspec.to_builtins(record),
            "status": status,
            "effects": effects,
            "steps": await self.steps(record),
        }

    async def steps(self, record: RunRecord) -> tuple[View, ...]:
        kept = self._steps.get(record.id)
        if kept is not None:
            self._steps.move_to_end(record.id)
            return kept
        try:
            run = await self._engine.run_of(record)
        except Conflict:
            return ()  # a journal that does not fit its plan: the record still says how it ended
        if run is None:
            return ()
        found = tuple(
            {
                "id": view.path,
                "status": view.state.status.value,
                "attempts": view.state.attempts,
                "started_at": view.state.started_at or view.state.intent_at,
                "ended_at": view.state.ended_at,
                "output": view.state.output,
                "kind": view.step.kind.value,
                "do": view.step.call.action if view.step.call is not None else "",
                "effect": view.step.effect.value,
                "error": view.state.error,
                "why": view.state.why,
                "intent_at": view.state.intent_at,
                "retry_at": view.state.retry_at,
                "approval": view.state.approval,
                "arguments": view.state.arguments,
                "undo": view.state.undo.status.value if view.state.undo is not None else None,
            }
            for view in (*machine.fleets_of(run), *machine.steps_of(run))
        )
        if run.status in ENDED:
            self._steps[record.id] = found
            if len(self._steps) > STEPS_KEPT_MAX:
                self._steps.popitem(last=False)
        return found

    async def journal(self, identity: str, *, first: int, limit: int) -> View | No:
        if await self._record(identity) is None:
            return await absent(self._engine.store, "run", identity)
        bodies = await self._engine.store.journal(identity)
        events = [
            {"number": first + at, **msgspec.to_builtins(decode.decode(body))}
            for at, body in enumerate(bodies[first : first + limit])
        ]
        return {"items": events, "next": str(first + limit) if len(bodies) > first + limit else None}

    async def output(self, identity: str, step: str) -> View | No:
        """Live output while the run is open; what the journal kept of it once it has ended."""
        record = await self._record(identity)
        if record is None:
            return await absent(self._engine.store, "run", identity)
        chunks = [msgspec.to_builtins(chunk) for chunk in self._engine.outputs.of(identity, step)]
        if not chunks:
            chunks = [
                {"step": each["id"], "stream": "output", "text": msgspec.json.encode(each["output"]).decode()}
                for each in await self.steps(record)
                if each["output"] and (not step or each["id"] == step)
            ]
        return {"items": chunks, "live": identity in self._engine.runner.live}

    async def _record(self, identity: str) -> RunRecord | None:
        live = self._engine.runner.live.get(identity)
        return live.record if live is not None else await self._get(RunRecord, identity)

    # Approvals.

    async def approvals(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        page = await self._engine.store.find("approval", where, after=after, limit=limit)
        return Listed(items=tuple(approval_view(read(row, Approval)) for row in page.items), next=page.next)

    async def approval(self, identity: str) -> View | No:
        """The card: what is asked, what exactly would be done (`does`, a target), and the digest that an answer must carry."""
        found = self._engine.world.approvals.get(identity) or await self._get(Approval, identity)
        if found is None:
            return missing("approval", identity)
        decision = await self._get(Decision, found.decision)
        card = approval_view(found)
        if decision is not None:
            card["arguments"] = decision.arguments
            card["decided"] = decision_view(decision)
            runbook = self._engine.world.configuration.rulebook.runbooks.get(decision.runbook)
            if runbook is not None:
                card["risk"] = runbook.risk.value
                card["does"] = foreseen(self._engine, decision)
                card["steps"] = [
                    {"id": step.id, "kind": step.kind.value, "do": step.call.action if step.call else ""}
                    for step in runbook.steps
                ]
        card["checkpoint"] = self._engine.sequencer.checkpoint
        return card

    # What people set, people themselves, and what came in.

    async def limits(
        self, document: type[Hold | Freeze | Stop | Grant], where: Mapping[str, str], *, after: str | None, limit: int
    ) -> Listed:
        return await self._page(document, where, after, limit)

    async def limit(self, document: type[Document], what: str, identity: str) -> Document | No:
        return await self._get(document, identity) or missing(what, identity)

    async def identities(self, *, after: str | None, limit: int) -> Listed:
        return await self._page(Identity, {"state": "open"}, after, limit)

    async def tokens(self, *, after: str | None, limit: int) -> Listed:
        """Without their digests: nobody needs them, and they are all that is stored of the text."""
        page = await self._engine.store.find("token", {"state": "open"}, after=after, limit=limit)
        return Listed(items=tuple(token_view(read(row, Token)) for row in page.items), next=page.next)

    def whoami(self, actor: Actor) -> View:
        found = msgspec.to_builtins(actor)
        return {**found, "roles": sorted(actor.roles), "may": [verb.value for verb in verbs_of(actor)]}

    async def signals(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        return await self._page(Signal, where, after, limit)

    async def dead_letters(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        page = await self._engine.store.find("dead_letter", where, after=after, limit=limit)
        state = where.get("state", "")
        found = [msgspec.to_builtins(read(row, DeadLetter)) for row in page.items]
        return Listed(items=tuple({**each, **({"state": state} if state else {})} for each in found), next=page.next)

    async def messages(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        page = await self._engine.store.find("message", where, after=after, limit=limit)
        return Listed(items=tuple(message_view(read(row, Message)) for row in page.items), next=page.next)

    async def changes(self, where: Mapping[str, str], *, after: str | None, limit: int) -> Listed:
        wanted = dict(where)
        if "service" in wanted:
            wanted["service"] = self._ref(wanted["service"])
        return await self._page(ChangeRecord, wanted, after, limit)

    async def change(self, identity: str) -> ChangeRecord | No:
        return await self._get(ChangeRecord, identity) or await absent(self._engine.store, "change", identity)

    # The whole.

    async def status(self, version: str, differing: Sequence[str]) -> View:
        engine, store = self._engine, self._engine.store
        world, configuration = engine.world, engine.world.configuration
        activation = await store.find("activation", limit=1)
        made: Any = msgspec.json.decode(activation.items[0].body) if activation.items else {}
        _, wrong = engine.ready()
        return {
            "version": version,
            "node": engine.sequencer.key.name,
            "started_at": engine.started_at,
            "at": engine.clock.now(),
            "epoch": world.epoch,
            "configuration": {"digest": configuration.digest, "at": made.get("at"), "by": made.get("by", "")},
            "folder": {"differs": len(differing), "files": list(differing)},
            "counts": {
                "alerts": await store.count("alert", {"state": "firing"}),
                "incidents": await store.count("incident", {"state": "open"}),
                "approvals": await store.count("approval", {"state": State.PENDING.value}),
                "runs": await store.count("run", {"state": "open"}),
                "held": await store.count("proposal", {"state": "open"}),
                "unmapped": await store.count("alert", {"state": "firing", "entity": ""}),
                "dead_letters": await store.count("dead_letter", {"state": "open"}),
                "in_doubt": await store.count("run", {"status": Status.IN_DOUBT.value}),
            },
            "stops": tuple(world.stops.values()),
            "holds": tuple(world.holds.values()),
            "freezes": tuple(world.freezes.values()),
            "clock": world.clock,
            "ledger": {
                "size": await store.tree_size(),
                "pending": len(await store.pending_entries()),
                "checkpoint": engine.sequencer.checkpoint,
            },
            "telling": {"failing": dict(engine.outbox.failing)},
            "store": {"bytes": await store.size_bytes()},
            "production": any(each.production for each in configuration.settings.environments.values()),
            "wrong": wrong,
        }

    # How documents are found.

    def _ref(self, name: str) -> str:
        """A reference as people write it (`web`, `component:web`) in its full form; as it is when nothing bears it."""
        catalog = self._engine.world.configuration.catalog
        return name if name in catalog.entities else catalog.named.get(name, name)

    async def _get(self, document: type[Document], identity: str) -> Document | None:
        row: Row | None = await self._engine.store.get(kind_of(document), identity)
        return read(row, document) if row is not None else None

    async def _page(self, document: type[Struct], where: Mapping[str, str], after: str | None, limit: int) -> Listed:
        page = await self._engine.store.find(kind_of(document), where, after=after, limit=limit)
        return Listed(items=tuple(msgspec.Raw(row.body) for row in page.items), next=page.next)


def decision_view(decision: Decision) -> View:
    """The whole record. Each finding's `until` is its `until_at`."""
    found: View = msgspec.to_builtins(decision)
    for finding in found["findings"]:
        finding["until"] = finding["until_at"]
    return found


def approval_view(approval: Approval) -> View:
    """`digest` is what an answer must carry: the binding that was displayed."""
    return {**msgspec.to_builtins(approval), "digest": approval.binding}


def ladder_view(ladder: Ladder) -> View:
    """The four inputs, the mode they give, and which of them binds."""
    mode, binds = effective(ladder)
    return {
        "cell": ladder.cell,
        "mode": mode.value,
        "binds": binds if mode is not Mode.AUTO else "nothing",
        "ceiling": ladder.ceiling.value,
        "risk_ceiling": ladder.risk_ceiling.value,
        "standing": standing(ladder).value,
        "earned": ladder.earned.value,
        "granted": ladder.granted.value,
        "grant": ladder.grant,
        "demoted": ladder.demoted.value if ladder.demoted is not None else None,
        "demotion": ladder.demotion,
        "evidence": ladder.evidence,
    }


def token_view(token: Token) -> View:
    return {name: value for name, value in msgspec.to_builtins(token).items() if name != "sha256"}


def message_view(message: Message) -> View:
    """Without the route's address, which may itself be a secret."""
    found: View = msgspec.to_builtins(message)
    return {**found, "route": str(message.route.get("name", message.channel))}
