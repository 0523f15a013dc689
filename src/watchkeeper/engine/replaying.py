"""Replaying: a decision of this store, made again from what was stored beside it, and compared.

The proposal is worked out from the configuration that was active then, which the store still holds; the situation is
the recorded one. So the answer says whether the record is what this engine decides, not what it would decide today.
"""

from msgspec import Struct

from watchkeeper.decide.decision import Decision
from watchkeeper.decide.replay import CannotJudge, Differs, Record, Same, replay
from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.records import read
from watchkeeper.engine.situations import Situations
from watchkeeper.engine.world import World
from watchkeeper.guards.situation import Proposal, Situation


class Replayed(Struct, frozen=True, kw_only=True):
    """`outcome` is `same`, `differs` or `cannot judge`; `why` says why not. `differences` name what, was, now, cause."""

    decision: str
    verdict: str
    outcome: str
    differences: tuple[dict[str, str], ...] = ()
    why: str = ""


class Replayer:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._situations: dict[str, Situations] = {}

    async def replay(self, identity: str) -> Replayed | No:
        row = await self._engine.store.get("decision", identity)
        if row is None:
            return missing("decision", identity)
        decision = read(row, Decision)
        stored = await self._engine.store.get("situation", decision.situation)
        if stored is None:
            return _cannot(decision, "its situation is no longer kept")
        found = await self._proposal(decision, situation := read(stored, Situation))
        if isinstance(found, CannotJudge):
            return _cannot(decision, found.why)
        match replay(Record(decision=decision, situation=situation, proposal=found)):
            case Same():
                return Replayed(decision=decision.id, verdict=decision.verdict.value, outcome="same")
            case Differs(differences=differences):
                return Replayed(
                    decision=decision.id,
                    verdict=decision.verdict.value,
                    outcome="differs",
                    differences=tuple(
                        {"what": each.what, "was": each.was, "now": each.now, "cause": each.cause.value}
                        for each in differences
                    ),
                )

    async def _proposal(self, decision: Decision, situation: Situation) -> Proposal | CannotJudge:
        if not decision.targets:
            return CannotJudge(why="it was decided before any guard was asked")
        situations = await self._of(decision.configuration)
        if situations is None:
            return CannotJudge(why=f"configuration {decision.configuration[:12]} is not in this store")
        rulebook = situations.configuration.rulebook
        runbook = rulebook.runbooks.get(decision.runbook)
        if runbook is None:
            return CannotJudge(why=f"runbook {decision.runbook} is not in its configuration")
        return situations.proposal(
            rulebook.rules.get(decision.rule),
            runbook,
            decision.targets,
            decision.arguments,
            situation.alert,
            decision.at,
            actor=decision.actor,
        )

    async def _of(self, digest: str) -> Situations | None:
        if digest not in self._situations:
            known = self._engine.world.compiled.get(digest) or await self._engine.changes.compiled(digest)
            if known is None:
                return None
            self._situations[digest] = Situations(World(known))
        return self._situations[digest]


def _cannot(decision: Decision, why: str) -> Replayed:
    return Replayed(decision=decision.id, verdict=decision.verdict.value, outcome="cannot judge", why=why)
