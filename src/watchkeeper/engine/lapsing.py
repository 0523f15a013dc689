"""What ends by the clock: requests nobody answered, approvals whose ground moved, holds and freezes that ran out.

Each end is stored before anything is judged by it.
"""

from msgspec.structs import replace

from watchkeeper.approve.approval import Present as Standing
from watchkeeper.approve.approval import State, lapse
from watchkeeper.correlate.alert import AlertState, state_at
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.limits import Changed
from watchkeeper.engine.pipeline import Pipeline
from watchkeeper.engine.records import put
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.telling import Telling
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.words import of_lapse
from watchkeeper.engine.world import World
from watchkeeper.ports import Commit
from watchkeeper.values import Instant


class Lapsing:
    """`changed`: a version was raised, what was held under it is judged afresh."""

    def __init__(
        self,
        scribe: Scribe,
        world: World,
        correlation: Correlation,
        witnesses: Witnesses,
        pipeline: Pipeline,
        telling: Telling,
        changed: Changed,
    ) -> None:
        self._scribe, self._world, self._correlation, self._witnesses = scribe, world, correlation, witnesses
        self._pipeline, self._telling, self._changed = pipeline, telling, changed
        self._lapsed_to = 0

    async def approvals(self, most: int | None = None) -> None:
        """All of them, or the next so many: in a storm of requests each is looked at a little less often."""
        now = self._scribe.clock.now()
        every = tuple(self._world.approvals.values())
        start = self._lapsed_to if most is not None and self._lapsed_to < len(every) else 0
        looked_at = every[start:] if most is None else every[start : start + most]
        self._lapsed_to = start + len(looked_at)
        for approval in looked_at:
            if approval.id in self._world.approvals.answering or self._world.approvals.get(approval.id) is not approval:
                continue  # somebody answers it, or did while another was stored
            present = Standing(configuration=self._world.configuration.digest, epoch=self._world.epoch)
            if approval.path:
                present = replace(present, configuration=approval.configuration)
            elif approval.episode:
                present = self._standing(approval.episode, present, now)
            after = lapse(approval, present, now)
            if after.state is approval.state:
                continue
            self._world.approvals.pop(approval.id, None)
            unanswered = after.state is State.LAPSED and present.firing and now >= approval.expires_at
            stored = self._telling.notices((of_lapse(after, now),)) if unanswered else ()
            await self._scribe.commit(Commit(at=now, puts=(put(after), *stored)))
            self._telling.told(stored)
            if after.state in {State.LAPSED, State.VOID} and after.episode and present.firing:
                self.judge_episode(after.episode, "its approval lapsed")

    def judge_episode(self, episode: str, because: str) -> None:
        """By its alert; that of an incident by the first of its alerts that fires."""
        now = self._scribe.clock.now()
        members = self._correlation.members(episode) if self._correlation.alert(episode) is None else ()
        firing = (alert.id for alert in members if state_at(alert, now) is AlertState.FIRING)
        self._pipeline.now(next(firing, episode), because)

    def _standing(self, episode: str, present: Standing, now: Instant) -> Standing:
        """Whether the episode still fires. One that is not held in memory any more has ended."""
        alert = self._correlation.alert(episode)
        if alert is None:
            members = (
                facts_of(each, self._correlation, self._witnesses, now) for each in self._correlation.members(episode)
            )
            return replace(present, firing=any(each.firing and not each.stale for each in members))
        facts = facts_of(alert, self._correlation, self._witnesses, now)
        return replace(present, firing=facts.firing and not facts.stale, severity=facts.severity)

    async def limits(self) -> None:
        """Holds and freezes that ran out no longer bind; what they held is judged again."""
        now = self._scribe.clock.now()
        for key, found in (("hold", self._world.holds), ("freeze", self._world.freezes)):
            for identity in [identity for identity, each in found.items() if each.until_at <= now]:
                ended = found.pop(identity)
                closed = replace(ended, lifted_at=now, lifted_by="its own end")
                await self._scribe.commit(Commit(at=now, puts=(put(closed),), bumps=(key,)))
                await self._changed(key)
