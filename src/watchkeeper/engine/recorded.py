"""Everything that is stored of one decision: enough to explain it, to repeat it, and to compare it with other rules."""

from watchkeeper.decide.decision import Decision
from watchkeeper.decide.otherwise import CannotJudge
from watchkeeper.decide.replay import Record, stored_digest
from watchkeeper.engine.records import JudgedRecord, read
from watchkeeper.guards.situation import Situation
from watchkeeper.ports import Store


async def record_of(store: Store, decision: Decision) -> Record | CannotJudge:
    """All that is stored of a decision."""
    stored = await store.get("situation", decision.situation)
    if stored is None:
        return CannotJudge(why="Its situation is no longer kept.")
    beside = await store.get("judged", decision.id)
    if beside is None:
        return CannotJudge(why="What it judged is no longer kept.")
    judged = read(beside, JudgedRecord)
    return Record(
        decision=decision,
        situation=read(stored, Situation),
        proposal=judged.proposal,
        untargeted=judged.untargeted,
        stored_as=stored_digest(stored.body),
    )
