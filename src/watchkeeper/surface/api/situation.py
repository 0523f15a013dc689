"""Alerts, incidents, decisions: what is going on, and why it was judged as it was."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.correlate.alert import Alert
from watchkeeper.correlate.incident import Incident
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import invalid, missing
from watchkeeper.engine.decision_counts import Counts
from watchkeeper.engine.incident_reading import Trail
from watchkeeper.engine.incidents import Mark
from watchkeeper.engine.reading import LIMIT_DEFAULT, Explained, Listed
from watchkeeper.engine.records import Note
from watchkeeper.engine.replay_tests import Written
from watchkeeper.engine.replaying import Replayed
from watchkeeper.guards.situation import Situation
from watchkeeper.surface.api.bodies import NO_COMMENT, NOTHING, Comment, Nothing
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where

family = Family("situation")

Span = Annotated[str, Query(max_length=20, description="Such as 24h or 30d: no further back. Without it all of them.")]


@family.get("/alerts", Listed)
async def alerts(
    node: Here,
    state: Filter = None,
    entity: Filter = None,
    severity: Filter = None,
    incident: Filter = None,
    source: Filter = None,
    unmapped: bool = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    wanted = where(state=state, entity=entity, severity=severity, incident=incident, source=source)
    return answer(await node.reading.alerts(wanted, after=after, limit=limit, unmapped=unmapped))


@family.get("/suppressed", Listed)
async def suppressed(node: Here) -> Response:
    """What sources keep to themselves: silenced or inhibited there, also what never reached this node."""
    return answer(Listed(items=node.engine.silences.listed()))


@family.get("/suppressed/sources", Listed)
async def suppressed_sources(node: Here) -> Response:
    """Who says what is suppressed: when each Alertmanager was asked last, and when its event recorder was heard last."""
    return answer(Listed(items=node.engine.silences.sources()))


@family.get("/alerts/{identity}", Alert)
async def alert(node: Here, identity: str) -> Response:
    return answer(await node.reading.alert(identity))


@family.post("/alerts/{identity}/judge", Verb.RUN, status=202)
async def judge(node: Here, actor: Who, identity: str, _body: Nothing = NOTHING) -> Response:
    """Ask to have it judged afresh, now."""
    found = node.engine.correlation.alert(identity)
    if found is None:
        return answer(missing("alert", identity))
    node.engine.pipeline.now(identity, f"{actor.name} asked", actor.name)
    return answer({"alert": identity, "asked_by": actor.name}, 202)


@family.get("/incidents", Listed)
async def incidents(
    node: Here,
    state: Filter = None,
    entity: Filter = None,
    severity: Filter = None,
    handling: bool = False,
    pressing: bool = False,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    """`handling=true`: with what is being done about each, the transactions it touches, who owns it, and how many alerts
    fired at once, over time. `pressing=true`: by the priority of the transactions, of the newest 1,000, and without a cursor.
    """
    wanted = where(state=state, entity=entity, severity=severity)
    if pressing and after is not None:
        return answer(invalid("after", "what is most pressing changes from look to look: it has no pages"))
    return answer(
        await node.incidents.incidents(wanted, after=after, limit=limit, handling=handling, pressing=pressing)
    )


@family.get("/incidents/{identity}", Incident)
async def incident(node: Here, identity: str) -> Response:
    return answer(await node.incidents.incident(identity))


@family.get("/incidents/{identity}/trail", Trail)
async def trail(node: Here, identity: str) -> Response:
    """Everything that belongs to it, in order: from the first signal to the last ledger entry."""
    return answer(await node.incidents.trail(identity))


async def _mark(node: Here, actor: Who, identity: str, mark: Mark, body: Comment) -> Response:
    return answer(await node.engine.incidents.mark(actor, identity, mark, body.comment))


@family.post("/incidents/{identity}/acknowledge", Verb.ACKNOWLEDGE, Note)
async def acknowledge(node: Here, actor: Who, identity: str, body: Comment = NO_COMMENT) -> Response:
    return await _mark(node, actor, identity, Mark.ACKNOWLEDGED, body)


@family.post("/incidents/{identity}/comment", Verb.ACKNOWLEDGE, Note)
async def comment(node: Here, actor: Who, identity: str, body: Comment) -> Response:
    return await _mark(node, actor, identity, Mark.NOTE, body)


@family.post("/incidents/{identity}/resolve", Verb.ACKNOWLEDGE, Note)
async def resolve(node: Here, actor: Who, identity: str, body: Comment = NO_COMMENT) -> Response:
    return await _mark(node, actor, identity, Mark.RESOLVED, body)


@family.post("/incidents/{identity}/close", Verb.ACKNOWLEDGE, Note)
async def close(node: Here, actor: Who, identity: str, body: Comment = NO_COMMENT) -> Response:
    return await _mark(node, actor, identity, Mark.CLOSED, body)


@family.post("/incidents/{identity}/escalate", Verb.ACKNOWLEDGE, Note)
async def escalate(node: Here, actor: Who, identity: str, body: Comment = NO_COMMENT) -> Response:
    return await _mark(node, actor, identity, Mark.ESCALATED, body)


@family.get("/decisions", Listed)
async def decisions(
    node: Here,
    verdict: Filter = None,
    rule: Filter = None,
    alert: Filter = None,
    incident: Filter = None,
    service: Filter = None,
    window: Span = "",
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    wanted = where(verdict=verdict, rule=rule, alert=alert, incident=incident, service=service)
    return answer(await node.counted.decisions(wanted, window, after=after, limit=limit))


@family.get("/decisions/counts", Counts)
async def decision_counts(
    node: Here,
    rule: Filter = None,
    alert: Filter = None,
    incident: Filter = None,
    service: Filter = None,
    window: Span = "",
) -> Response:
    """How many of each verdict the list holds, for the same filters; read from keys, so it costs what the window holds."""
    wanted = where(rule=rule, alert=alert, incident=incident, service=service)
    return answer(await node.counted.counts(wanted, window))


@family.get("/decisions/{identity}", Decision)
async def decision(node: Here, identity: str) -> Response:
    return answer(await node.reading.decision(identity))


@family.get("/decisions/{identity}/situation", Situation)
async def situation(node: Here, identity: str) -> Response:
    return answer(await node.reading.situation(identity))


@family.get("/decisions/{identity}/explain", Explained)
async def explain(
    node: Here,
    identity: str,
    counterfactual: Annotated[str, Query(max_length=20, description="A verdict: what would lead to it?")] = "",
) -> Response:
    return answer(await node.reading.explain(identity, counterfactual))


@family.get("/decisions/{identity}/test", Written)
async def replay_test(node: Here, identity: str) -> Response:
    """The replay test that a decision called false or harmful makes, as a file of a pack: no later version of the rules may
    make it again.
    """
    return answer(await node.engine.replay_tests.written(identity))


@family.get("/decisions/{identity}/replay", Replayed)
async def replay(node: Here, identity: str) -> Response:
    """The decision made again from its record, under the configuration that was active then, and compared."""
    return answer(await node.replaying.replay(identity))


@family.get("/proposals", Listed)
async def proposals(node: Here, rule: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    return answer(await node.reading.proposals(where(rule=rule), after=after, limit=limit))
