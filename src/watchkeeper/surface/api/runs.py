"""Runs: what is being done, what was done, and a person's hand on it."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.decide.decide import decide
from watchkeeper.engine.answer import No, denied
from watchkeeper.engine.reading import JOURNAL_EVENTS_MAX, LIMIT_DEFAULT, Listed, approval_view, decision_view
from watchkeeper.engine.records import RunRecord
from watchkeeper.surface.api.bodies import ITEMS_MAX, NO_REASON, Body, Reason, Text, Word
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where

family = Family("runs")

State = Annotated[str | None, Query(pattern="^(open|closed)$")]


class RunBody(Body):
    runbook: Word
    targets: Annotated[list[Word], Field(max_length=ITEMS_MAX)]
    arguments: dict[str, Any] = Field(default_factory=dict)
    reason: Text = ""
    dry_run: bool = False


class CloseBody(Body):
    reason: Text
    force: bool = False


class SettleBody(Body):
    step: Word
    happened: bool
    reason: Text = ""


@family.get("/runs", Listed)
async def runs(
    node: Here,
    status: Filter = None,
    state: State = None,
    runbook: Filter = None,
    incident: Filter = None,
    decision: Filter = None,
    rule: Filter = None,
    after: After = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Response:
    wanted = where(status=status, state=state, runbook=runbook, incident=incident, decision=decision, rule=rule)
    return answer(await node.reading.runs(wanted, after=after, limit=limit))


@family.get("/runs/{identity}", RunRecord)
async def run(node: Here, identity: str) -> Response:
    return answer(await node.reading.run(identity))


@family.get("/runs/{identity}/journal", Listed)
async def journal(
    node: Here,
    identity: str,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=JOURNAL_EVENTS_MAX)] = 1_000,
) -> Response:
    """Its events, oldest first."""
    return answer(await node.reading.journal(identity, first=int(after or 0), limit=limit))


@family.get("/runs/{identity}/output")
async def output(node: Here, identity: str, step: Filter = None) -> Response:
    return answer(await node.reading.output(identity, step or ""))


@family.post("/runs", Verb.RUN, status=202)
async def start(node: Here, actor: Who, body: RunBody) -> Response:
    """A person's own act, judged like every other proposal. It may act, ask, hold or refuse: the decision says which."""
    targets = tuple(body.targets)
    if body.dry_run:
        tried = await node.engine.steering.dry_run(actor, body.runbook, targets, body.arguments)
        if isinstance(tried, No):
            return answer(tried)
        proposal, situation, _ = tried
        found = decision_view(decide(proposal, situation))
        return answer({"decision": found, "run": None, "approval": None, "dry_run": True}, 202)
    judged = await node.engine.steering.run(actor, body.runbook, targets, body.arguments, body.reason)
    if isinstance(judged, No):
        return answer(judged)
    opening, approval = judged.opening, judged.approval
    return answer(
        {
            "decision": decision_view(judged.decision),
            "run": await node.reading.run_view(opening.record) if opening is not None else None,
            "approval": approval_view(approval) if approval is not None else None,
            "dry_run": False,
        },
        202,
    )


@family.post("/runs/{identity}/pause", Verb.PAUSE, RunRecord)
async def pause(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    return answer(await node.engine.steering.pause(actor, identity, body.reason))


@family.post("/runs/{identity}/resume", Verb.PAUSE, RunRecord)
async def resume(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    return answer(await node.engine.steering.resume(actor, identity, body.reason))


@family.post("/runs/{identity}/cancel", Verb.CANCEL, RunRecord)
async def cancel(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    return answer(await node.engine.steering.cancel(actor, identity, body.reason))


@family.post("/runs/{identity}/close", Verb.CLOSE, RunRecord)
async def close(node: Here, actor: Who, identity: str, body: CloseBody) -> Response:
    """Ends it whatever its state. What was sent stays as it is."""
    if not body.force:
        return answer(denied("closing leaves the target as it is: say that you mean it (force: true)"))
    return answer(await node.engine.steering.close(actor, identity, body.reason))


@family.post("/runs/{identity}/settle", Verb.SETTLE, RunRecord)
async def settle(node: Here, actor: Who, identity: str, body: SettleBody) -> Response:
    """What became of a step in doubt, by a person who looked."""
    return answer(await node.engine.steering.settle(actor, identity, body.step, body.reason, happened=body.happened))
