"""A runbook's own word to people."""

from watchkeeper.engine.action import Invocation
from watchkeeper.engine.engine import Engine
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import Severity, id_from, severity_of


class Telling:
    """A runbook's own word to people goes the way of every other notice: stored, then sent by the outbox."""

    engine: Engine

    async def __call__(self, invocation: Invocation, subject: str, text: str, severity: str) -> int:
        engine = self.engine
        notice = Notice(
            id=id_from("ntc", invocation.intent_at, invocation.key),
            at=engine.clock.now(),
            kind=NoticeKind.RUN_ENDED,
            subject=subject,
            text=text,
            severity=Severity(severity_of({"severity": severity})),
            service=invocation.target.service if invocation.target is not None else "",
            ids={"run": invocation.run, "decision": invocation.decision},
        )
        return await engine.tell(notice)
