"""Standing: how far each rule may go and why, what takes it down, and people's word on what it would have done."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed, approval_view, decision_view
from watchkeeper.engine.records import Feedback
from watchkeeper.learn.agreement import Evidence
from watchkeeper.learn.standing import Demotion
from watchkeeper.surface.api.bodies import NO_REASON, NOTHING, Body, Nothing, Reason, Text, Word
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where

family = Family("standing")

State = Annotated[str | None, Query(pattern="^(open|closed)$")]


class ReviewBody(Body):
    agrees: bool
    reason: Text


class FeedbackBody(Body):
    says: Word
    text: Text = ""


@family.get("/autonomy", Listed)
async def autonomy(node: Here, rule: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """Cells by rule: the four inputs of the mode, which binds, and what is missing for the next level."""
    return answer(node.standing.cells(rule or "", after=after, limit=limit))


@family.get("/demotions", Listed)
async def demotions(
    node: Here, state: State = None, rule: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Response:
    return answer(await node.standing.stored(Demotion, where(state=state, rule=rule), after=after, limit=limit))


@family.get("/demotions/{identity}", Demotion)
async def demotion(node: Here, identity: str) -> Response:
    return answer(node.engine.world.earned.demotion(identity) or missing("demotion", identity))


@family.post("/demotions/{identity}/lift", Verb.LIFT_DEMOTION, Demotion)
async def lift(node: Here, actor: Who, identity: str, body: Reason) -> Response:
    """In production it waits for a second person."""
    return answer(await node.engine.standings.lift(actor, identity, body.reason))


@family.post("/demotions/{identity}/second", Verb.LIFT_DEMOTION, Demotion)
async def second(node: Here, actor: Who, identity: str, _body: Nothing = NOTHING) -> Response:
    return answer(await node.engine.standings.second(actor, identity))


@family.get("/evidence", Listed)
async def evidence(
    node: Here, rule: Filter = None, decision: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Response:
    """What people did or said about episodes: all that levels are earned by."""
    return answer(await node.standing.stored(Evidence, where(rule=rule, decision=decision), after=after, limit=limit))


@family.get("/reviews", Listed)
async def reviews(node: Here, rule: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """Episodes that wait for a verdict, with what the rule would have done."""
    return answer(await node.standing.reviews(rule or "", after=after, limit=limit))


@family.post("/decisions/{identity}/review", Verb.REVIEW, Listed)
async def review(node: Here, actor: Who, identity: str, body: ReviewBody) -> Response:
    """Was it right? One word a person; a later one replaces it."""
    found = await node.engine.agreements.review(actor, identity, body.reason, agrees=body.agrees)
    return answer(found if isinstance(found, No) else Listed(items=found))


@family.get("/suggestions", Listed)
async def suggestions(node: Here, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """Those that stand and nobody has answered."""
    return answer(node.standing.suggestions(after=after, limit=limit))


@family.post("/decisions/{identity}/accept", Verb.RUN, status=202)
async def accept(node: Here, actor: Who, identity: str, body: Reason = NO_REASON) -> Response:
    """Run what was suggested, as one's own act. Every guard is asked: the decision says what came of it."""
    judged = await node.engine.agreements.accept(actor, identity, body.reason)
    if isinstance(judged, No):
        return answer(judged)
    opening, approval = judged.opening, judged.approval
    return answer(
        {
            "decision": decision_view(judged.decision),
            "run": await node.reading.run_view(opening.record) if opening is not None else None,
            "approval": approval_view(approval) if approval is not None else None,
        },
        202,
    )


@family.post("/decisions/{identity}/reject", Verb.REJECT, Decision)
async def reject(node: Here, actor: Who, identity: str, body: Reason) -> Response:
    """Say no to a suggestion."""
    return answer(await node.engine.agreements.reject(actor, identity, body.reason))


@family.post("/decisions/{identity}/feedback", Verb.FEEDBACK, Feedback)
async def feedback(node: Here, actor: Who, identity: str, body: FeedbackBody) -> Response:
    """`helpful`, `false` or `harmful`, once a person and run. Harm demotes at once."""
    return answer(await node.engine.agreements.feedback(actor, identity, body.says, body.text))


@family.post("/runs/{identity}/feedback", Verb.FEEDBACK, Feedback)
async def run_feedback(node: Here, actor: Who, identity: str, body: FeedbackBody) -> Response:
    return answer(await node.engine.agreements.feedback(actor, identity, body.says, body.text))
