"""What the end of a run means for the rest: its targets are free, its alert is judged again, and it is counted."""

from typing import Final

from msgspec.structs import replace

from watchkeeper.approve.approval import State
from watchkeeper.engine.agreements import Agreements
from watchkeeper.engine.breakers import Breakers
from watchkeeper.engine.lapsing import Lapsing
from watchkeeper.engine.limits import Changed
from watchkeeper.engine.outputs import Outputs
from watchkeeper.engine.pipeline import Pipeline
from watchkeeper.engine.records import RunRecord, put
from watchkeeper.engine.runner import Live
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.standing import Standings
from watchkeeper.engine.take_up import TakeUp
from watchkeeper.engine.world import World
from watchkeeper.errors import Conflict
from watchkeeper.execute.run import Status
from watchkeeper.ports import Commit
from watchkeeper.values import ms_between

ENDED_READ_MAX: Final = 1_000  # runs that may have ended just before a start
ENDED_COUNTED_MS: Final = 3_600_000
ROOM_WOKEN: Final = 4  # more than one: the first may be kept out by another limit


class Ending:
    def __init__(
        self,
        scribe: Scribe,
        world: World,
        pipeline: Pipeline,
        outputs: Outputs,
        standings: Standings,
        agreements: Agreements,
        breakers: Breakers,
        lapsing: Lapsing,
        taken: TakeUp,
        changed: Changed,
    ) -> None:
        self._scribe, self._world, self._pipeline, self._outputs = scribe, world, pipeline, outputs
        self._standings, self._agreements, self._breakers = standings, agreements, breakers
        self._lapsing, self._taken, self._changed = lapsing, taken, changed

    async def ended(self, live: Live) -> None:
        """Free what waited for its targets, and judge its alert again: afresh at once when it had no effect."""
        self._outputs.forget(live.run.id)
        decision = live.decision
        unstarted = live.run.started_at is None and live.run.status in {Status.STOPPED, Status.LAPSED}
        before = self._world.decided(decision.episode, decision.rule) if unstarted else None
        if before is not None and before.run == live.run.id:
            self._world.remember(decision.episode, decision.rule, replace(before, unstarted=True))
        await self._end_requests(live)
        await self._standings.ended(live.run.id)
        await self._agreements.ended(live.record, live.run)
        if decision.alert:
            self._lapsing.judge_episode(decision.episode, "its run ended before it started" if unstarted else "")
        for target in decision.targets:
            for alert in self._world.concerned(f"target:{target.ref}"):
                self._pipeline.now(alert, "another run on its target ended")
        for key in self._breakers.turned():
            await self._changed(key)
        self._make_room()

    async def ended_before(self) -> None:
        """After a start: people's runs that ended just before may not have been counted yet. Counting twice is once."""
        now = self._scribe.clock.now()
        async for record in self._taken.all(RunRecord, {"state": "closed"}, most=ENDED_READ_MAX):
            if record.actor == "automation" or ms_between(record.ended_at or now, now) > ENDED_COUNTED_MS:
                continue
            try:
                run = await self._taken.run_of(record)
            except Conflict:  # a journal that does not fit its plan: the record still says how it ended
                run = None
            await self._agreements.ended(record, run)

    def _make_room(self) -> None:
        """The place of a run is free. A few of those that wait for one are judged: the most urgent, or the longest waiting."""
        self._pipeline.room_for(self._world.wait_for_room(ROOM_WOKEN, self._scribe.clock.now()))

    async def _end_requests(self, live: Live) -> None:
        """Requests of its steps that nobody has to answer any more."""
        now = self._scribe.clock.now()
        for each in tuple(self._world.approvals.values()):
            if each.run == live.run.id and each.path:
                self._world.approvals.pop(each.id, None)
                if each.state is State.PENDING:
                    why = f"Its run ended {live.run.status.value}."
                    await self._scribe.commit(
                        Commit(at=now, puts=(put(replace(each, state=State.LAPSED, ended_at=now, why=why)),))
                    )
