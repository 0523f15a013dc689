"""Replaying: a decision of this store, made again from exactly what stood before the guards, and compared.

Decision, situation and proposal are all stored; nothing is worked out again. So the answer says whether the record is
what this engine decides, not what it would decide today.
"""

from msgspec import Struct

from watchkeeper.decide.decision import Decision
from watchkeeper.decide.replay import Differs, Record, Same, replay, stored_digest
from watchkeeper.engine.answer import No
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.records import JudgedRecord, read
from watchkeeper.engine.retention import absent, gone
from watchkeeper.guards.situation import Situation
from watchkeeper.ports import Store


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

    async def replay(self, identity: str) -> Replayed | No:
        store = self._engine.store
        row = await store.get("decision", identity)
        if row is None:
            return await absent(store, "decision", identity)
        decision = read(row, Decision)
        stored = await store.get("situation", decision.situation)
        beside = await store.get("judged", identity)
        if stored is None or beside is None:
            return Replayed(
                decision=identity,
                verdict=decision.verdict.value,
                outcome="cannot judge",
                why=await _no_longer(store, decision, situation=stored is None),
            )
        before = read(beside, JudgedRecord)
        record = Record(
            decision=decision,
            situation=read(stored, Situation),
            proposal=before.proposal,
            untargeted=before.untargeted,
            stored_as=stored_digest(stored.body),
        )
        match replay(record):
            case Same():
                return Replayed(decision=identity, verdict=decision.verdict.value, outcome="same")
            case Differs(differences=differences):
                return Replayed(
                    decision=identity,
                    verdict=decision.verdict.value,
                    outcome="differs",
                    differences=tuple(
                        {"what": each.what, "was": each.was, "now": each.now, "cause": each.cause.value}
                        for each in differences
                    ),
                )


async def _no_longer(store: Store, decision: Decision, *, situation: bool) -> str:
    what = "situation" if situation else "proposal"
    was = await gone(store, "situation", decision.situation) or await gone(store, "decision", decision.id)
    return f"its {what} {f'was {was}' if was else 'is no longer kept'}"
