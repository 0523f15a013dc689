"""A step that asks a person: its card, bound to what it shows, and the notice that brings it to somebody."""

from watchkeeper.approve.approval import request_step
from watchkeeper.engine.records import put
from watchkeeper.engine.runner import Live
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.telling import Telling
from watchkeeper.engine.world import World
from watchkeeper.execute import machine
from watchkeeper.execute.run import Asked, Request
from watchkeeper.ports import Put
from watchkeeper.report.notices import Notice, NoticeKind


class StepRequests:
    def __init__(self, scribe: Scribe, world: World, telling: Telling) -> None:
        self._scribe, self._world, self._telling = scribe, world, telling

    def request(self, live: Live, command: Request) -> tuple[Asked, tuple[Put, ...]]:
        """A step that asks a person: its card, bound to what it shows."""
        step = machine.step_at(live.run, command.path)
        assert step.ask is not None
        now = self._scribe.clock.now()
        approval = request_step(
            live.decision,
            run=live.run.id,
            epoch=self._world.epoch,
            path=command.path,
            by=step.ask.by,
            count=step.ask.count,
            within_ms=step.ask.within_ms,
            shown=command.arguments,
            at=now,
        )
        self._world.approvals[approval.id] = approval
        notice = Notice(
            id=approval.id,
            at=now,
            kind=NoticeKind.ASK,
            subject=f"Approve step {command.path} of {live.plan.runbook.name}?",
            text=approval.findings[0].reason,
            severity=live.decision.severity,
            team=live.decision.owner,
            ids={"approval": approval.id, "run": live.run.id, "decision": live.decision.id},
            commands=(f"wk approve {approval.id}", f"wk reject {approval.id}", f"wk runs show {live.run.id}"),
        )
        stored = self._telling.notices((notice,))
        self._telling.told(stored)
        return Asked(at=now, path=command.path, approval=approval.id, until_at=approval.expires_at), (
            put(approval),
            *stored,
        )
