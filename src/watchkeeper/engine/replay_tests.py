"""Replay tests: from a decision that somebody called false or harmful to a file that a later version must pass, and back.

In: a decision of this store with all that was recorded of it; or a test, and a configuration. Out: the file; or why that
configuration would do the same again. What cannot be judged does not pass: unknown holds.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
from msgspec import Struct

from watchkeeper.correlate.alert import Alert
from watchkeeper.decide.decision import Decision, Verdict
from watchkeeper.decide.otherwise import CannotJudge, Meant, NotDecided, before_of, otherwise
from watchkeeper.decide.replay_test import FORMAT, ONLY_MEANT, Kept, does_again, pack, unpack, wrong_verdict
from watchkeeper.documents import seen
from watchkeeper.engine.answer import No, changed
from watchkeeper.engine.book import Book, Later, Untargetable
from watchkeeper.engine.recorded import record_of
from watchkeeper.engine.records import Activation, Feedback, read
from watchkeeper.engine.retention import absent
from watchkeeper.errors import Malformed
from watchkeeper.guards.autonomy import is_person
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.replay_test import RECORD_CHARS_MAX, TARGETS_SHOWN_MAX, ReplayTest
from watchkeeper.ports import Store
from watchkeeper.values import Instant, rfc3339

Compiled = Callable[[str], Awaitable[Configuration | None]]

AGAINST: Final = ("false", "harmful")
REPORTS_MAX: Final = 200  # of harm since the last change, that the next one is held against
SAID_CHARS_MAX: Final = 300
NAME_CHARS: Final = 10
FOLLOWED_MAX: Final = 10  # decisions back to what a person's run accepted
AUTOMATION: Final = "automation"


class Failing(Struct, frozen=True, kw_only=True):
    """A test that a configuration does not pass. `where` is its file and line; "" for a report that is in no file yet."""

    test: str
    decision: str
    why: str
    where: str = ""


class Written(Struct, frozen=True, kw_only=True):
    """A test as a file: `path` is where it belongs in the home."""

    name: str
    path: str
    decision: str
    forbids: str
    document: str


class ReplayTests:
    """`compiled` gives a configuration that was active once, None when it is no longer kept."""

    def __init__(self, store: Store, compiled: Compiled) -> None:
        self._store, self._compiled = store, compiled

    async def written(self, identity: str) -> Written | No:
        """The test that a decision makes, as a file. A refusal says why it makes none."""
        test = await self.of(identity)
        if isinstance(test, No):
            return test
        short = test.name.partition("/")[2]
        path = f"packs/{test.pack}/replays/{short}.yaml"
        return Written(name=test.name, path=path, decision=test.decision, forbids=test.forbids, document=document(test))

    async def of(self, identity: str) -> ReplayTest | No:
        row = await self._store.get("decision", identity)
        if row is None:
            return await absent(self._store, "decision", identity)
        decision = await self._of_a_rule(read(row, Decision))
        said = await self._said(identity)
        if not said:
            return changed(
                f"nobody called {identity} false or harmful: 'wk feedback {identity} harmful --text ...' says so first"
            )
        if decision is None:
            return changed(f"{identity} is a person's own act, and no rule's: there are no rules to test")
        forbids = wrong_verdict(decision)
        if forbids is None:
            return changed(
                f"{identity} did nothing, and would have done nothing ({decision.verdict.value}): there is nothing that may not "
                "come again"
            )
        kept = await self._kept(decision)
        if isinstance(kept, No):
            return kept
        record = pack(kept)
        if len(record) > RECORD_CHARS_MAX:
            return changed(
                f"{identity} is too large for a file: what was recorded of it takes {len(record):,} characters"
            )
        home = decision.rule.partition("/")[0]
        return ReplayTest(
            name=f"{home}/{said[0].says}-{decision.id[-NAME_CHARS:]}",
            pack=home,
            owner=decision.owner,
            where="",
            decision=decision.id,
            rule=decision.rule,
            runbook=decision.runbook,
            targets=tuple(each.ref for each in decision.targets[:TARGETS_SHOWN_MAX]),
            forbids=forbids.value,
            record=record,
            at=decision.at,
            description="; ".join(f"{each.by}: {each.says}{_words(each)}" for each in said),
        )

    async def _of_a_rule(self, decision: Decision) -> Decision | None:
        """Itself, or the suggestion that a person's run accepted: that is what the rules made."""
        for _ in range(FOLLOWED_MAX):
            if decision.actor == AUTOMATION or not decision.follows:
                break
            row = await self._store.get("decision", decision.follows)
            if row is None:
                return None
            decision = read(row, Decision)
        return decision if decision.actor == AUTOMATION else None

    async def _said(self, identity: str) -> list[Feedback]:
        """Who called it wrong, harm first."""
        page = await self._store.find("feedback", {"decision": identity}, limit=REPORTS_MAX)
        found = [read(row, Feedback) for row in page.items]
        return sorted(
            (each for each in found if each.says in AGAINST), key=lambda each: (each.says != "harmful", each.at)
        )

    async def _kept(self, decision: Decision) -> Kept | No:
        record = await record_of(self._store, decision)
        if isinstance(record, CannotJudge):
            return changed(f"{decision.id}: {record.why}")
        alert = record.situation.alert
        if record.proposal is None or alert is None or is_person(record.proposal):
            return changed(f"{decision.id} is a person's own act, and no rule's: there are no rules to test")
        configuration = await self._compiled(decision.configuration)
        was = Book(configuration).says(decision.rule, alert, decision.at, record) if configuration is not None else None
        if not isinstance(was, Meant):
            return changed(
                f"{decision.id}: the configuration it was decided under is no longer kept, or no longer compiles"
            )
        row = await self._store.get("alert", alert.id)
        ended = read(row, Alert) if row is not None else None
        ended_at = ended.cleared_at if ended is not None and ended.resolved_at is not None else None
        return Kept(format=FORMAT, record=record, before=before_of(was), ended_at=ended_at)

    async def harms(self) -> tuple[ReplayTest, ...]:
        """What was called harmful since the active configuration came into force: the next one must not do it again."""
        active = await self._store.find("activation", limit=1)
        since = read(active.items[0], Activation).at if active.items else None
        found: dict[str, ReplayTest] = {}
        for decision in await self._called_harmful(since):
            test = await self.of(decision)
            if isinstance(test, ReplayTest):
                found[decision] = test
        return tuple(found.values())

    async def _called_harmful(self, since: Instant | None) -> tuple[str, ...]:
        """Decisions, the newest report first, at most REPORTS_MAX: however much praise came after them."""
        found: dict[str, None] = {}
        after: str | None = None
        while True:
            page = await self._store.find("feedback", {}, after=after, limit=REPORTS_MAX)
            reports = [read(row, Feedback) for row in page.items]
            fresh = [each for each in reports if since is None or each.at > since]
            found.update((each.decision, None) for each in fresh if each.says == "harmful")
            after = page.next
            if after is None or len(fresh) < len(reports) or len(found) >= REPORTS_MAX:
                return tuple(found)[:REPORTS_MAX]


def failing(configuration: Configuration, harms: Iterable[ReplayTest] = ()) -> tuple[Failing, ...]:
    """The tests in the files of a configuration, and the reports that are in no file, that it does not pass."""
    tests = {each.decision: each for each in (*harms, *configuration.replays)}
    if not tests:
        return ()
    book = Book(configuration)
    found = ((each, again(book, each)) for each in tests.values())
    return tuple(
        Failing(test=each.name, decision=each.decision, why=why, where=each.where) for each, why in found if why
    )


def again(book: Book, test: ReplayTest) -> str:
    """Why the rules of a configuration would do it again, or why nobody can say; "" when they would not: it passes."""
    try:
        kept = unpack(test.record)
    except Malformed as broken:
        return str(broken)
    before = kept.record.decision
    alert = kept.record.situation.alert
    if alert is None:
        return "record: holds no alert: write it again with 'wk decisions test'"
    names = dict.fromkeys((before.rule, *book.matching(alert, before.at)))
    for name in names:
        why = _again_by(book, test, kept, name)
        if why:
            return why
    return ""


def _again_by(book: Book, test: ReplayTest, kept: Kept, name: str) -> str:
    before, alert = kept.record.decision, kept.record.situation.alert
    assert alert is not None
    own = name == before.rule
    targets = frozenset(each.ref for each in before.targets)
    match book.says(name, alert, before.at, kept.record if own else None):
        case NotDecided() | Untargetable():
            return ""
        case Later(again_at=at, why=why):
            over = kept.ended_at is not None and kept.ended_at <= at
            return "" if over or not own else f"cannot be judged: {name} would decide later, at {_at(at)}: {why}"
        case CannotJudge(why=why):
            return f"cannot be judged: {why}" if own else ""
        case Meant() as now:
            if now.proposal.runbook != before.runbook or targets.isdisjoint(each.ref for each in now.proposal.targets):
                return ""
            found = otherwise(kept.record, kept.before, now)
            if isinstance(found, CannotJudge):
                return f"cannot be judged: {name}: {found.why}"
            decision, meant = found.decision, before.verdict in ONLY_MEANT
            if not does_again(decision, before.runbook, targets, Verdict(test.forbids), meant=meant):
                return ""
            verdict = decision.would_be if meant else decision.verdict
            return f"{name} would {verdict.value} again: {decision.runbook} on {_named(targets, decision)}"


def _named(targets: frozenset[str], decision: Decision) -> str:
    found = [each.ref for each in decision.targets if each.ref in targets]
    return found[0] if len(found) == 1 else f"{found[0]} and {len(found) - 1} more"


def _at(at: Instant) -> str:
    return f"{rfc3339(at)[:19]}Z"


def _words(said: Feedback) -> str:
    return f" ({said.text[:SAID_CHARS_MAX]})" if said.text.strip() else ""


def document(test: ReplayTest) -> str:
    """The file. Every text is quoted as JSON does it, which YAML reads alike."""

    def quoted(value: object) -> str:
        return msgspec.json.encode(value).decode()

    lines = [
        "apiVersion: watchkeeper.dev/v1",
        "kind: ReplayTest",
        f"metadata: {{name: {quoted(test.name.partition('/')[2])}, owner: {quoted(test.owner)}}}",
        "spec:",
        f"  description: {quoted(seen(test.description))}",
        f"  decision: {quoted(test.decision)}",
        *([f"  at: {quoted(rfc3339(test.at))}"] if test.at is not None else []),
        f"  rule: {quoted(test.rule)}",
        f"  runbook: {quoted(test.runbook)}",
        f"  targets: {quoted(test.targets)}",
        f"  forbids: {test.forbids}",
        f"  record: {test.record}",
    ]
    return "\n".join(lines) + "\n"
