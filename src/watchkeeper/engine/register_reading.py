"""Reading the exclusion register: how each entry stands, what it stopped, the static proof, and the whole for auditors."""

from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from watchkeeper.decide.decision import Decision
from watchkeeper.engine.answer import No, invalid, missing
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.excluded import STOPPED, named_by
from watchkeeper.engine.reading import Listed, View
from watchkeeper.engine.records import Excluded, kind_of, read
from watchkeeper.home.exclusion import Exclusion, state_of
from watchkeeper.home.reach import Witness
from watchkeeper.report.register import REMOVED, Entry, Export, Stopped, reconcile
from watchkeeper.values import Instant

EXPORTED_MAX: Final = 50_000  # decisions in one export; a longer register is taken in periods
PAGE: Final = 1_000

Document = TypeVar("Document", bound=Struct)


class Reach(Struct, frozen=True, kw_only=True):
    """The proof for the active configuration. `holds`: no enabled rule can reach what is excluded."""

    holds: bool
    rules: int
    exclusions: int
    witnesses: tuple[Witness, ...]
    sentences: tuple[str, ...]


class RegisterReader:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def exclusions(self) -> Listed:
        """Those of the active configuration, in the order of the file."""
        return Listed(items=tuple([await self._view(each) for each in self._engine.world.configuration.exclusions]))

    async def exclusion(self, identity: str) -> View | No:
        found = self._named(identity)
        return missing("exclusion", identity) if found is None else await self._view(found)

    def _named(self, identity: str) -> Exclusion | None:
        return next((each for each in self._engine.world.configuration.exclusions if each.id == identity), None)

    async def _view(self, exclusion: Exclusion) -> View:
        where = {"exclusion": exclusion.id}
        stopped = await self._engine.store.count("excluded", {**where, "verdict": STOPPED})
        newest = await self._engine.store.find("excluded", where, limit=1)
        reached = [each for each in self._engine.world.configuration.proof.witnesses if each.exclusion == exclusion.id]
        return {
            **msgspec.to_builtins(exclusion),
            "scope": _scope(exclusion),
            "state": state_of(exclusion, self._engine.clock.now()).value,
            "stopped": stopped,
            "observed": await self._engine.store.count("excluded", where) - stopped,
            "last_at": read(newest.items[0], Excluded).at if newest.items else None,
            "reached_by": [each.rule for each in reached],
        }

    async def decisions(self, identity: str, *, after: str | None, limit: int) -> Listed | No:
        """What it stopped, newest first; of one that was removed, too."""
        page = await self._engine.store.find("excluded", {"exclusion": identity}, after=after, limit=limit)
        if not page.items and self._named(identity) is None:
            return missing("exclusion", identity)
        return Listed(items=tuple(read(row, Excluded) for row in page.items), next=page.next)

    def proof(self) -> Reach:
        found = self._engine.world.configuration.proof
        return Reach(
            holds=not found.witnesses,
            rules=found.rules,
            exclusions=found.exclusions,
            witnesses=found.witnesses,
            sentences=tuple(each.sentence for each in found.witnesses),
        )

    async def export(self, since_at: Instant | None, until_at: Instant | None) -> Export | No:
        """Every exclusion, in force or removed, and every decision that it stopped from `since_at` on, before `until_at`.

        The decisions themselves are read again beside it: an export says whether the two agree.
        """
        now = self._engine.clock.now()
        end_at = until_at or now
        # The decisions first: what is decided meanwhile is then listed and not missing.
        refused = [each.id async for each in self._period(Decision, since_at, end_at) if named_by(each)]
        by_exclusion: dict[str, list[Excluded]] = defaultdict(list)
        count = 0
        async for record in self._period(Excluded, since_at, end_at):
            by_exclusion[record.exclusion.id].append(record)
            count += 1
            if count > EXPORTED_MAX:
                return invalid("since", f"more than {EXPORTED_MAX} decisions: take the register in shorter periods")
        await self._engine.sequencer.step()  # so that the newest entries have their places
        present = {each.id: each for each in self._engine.world.configuration.exclusions}
        for name, records in by_exclusion.items():
            present.setdefault(name, records[0].exclusion)
        active = {each.id for each in self._engine.world.configuration.exclusions}
        entries = []
        for name, exclusion in present.items():
            state = state_of(exclusion, now).value if name in active else REMOVED
            entries.append(await self._entry(exclusion, state, by_exclusion.get(name, [])))
        listed = {one.decision: one for entry in entries for one in entry.decisions}
        reconciled = reconcile(listed, refused)
        return Export(
            at=now,
            since_at=since_at,
            until_at=until_at,
            configuration=self._engine.world.configuration.digest,
            checkpoint=self._engine.sequencer.checkpoint,
            exclusions=tuple(entries),
            stopped=sum(each.stopped for each in entries),
            observed=sum(each.observed for each in entries),
            reconciled=reconciled,
            agrees=reconciled.agrees,
        )

    async def _entry(self, exclusion: Exclusion, state: str, records: list[Excluded]) -> Entry:
        stopped = sum(1 for each in records if each.verdict == STOPPED)
        return Entry(
            id=exclusion.id,
            state=state,
            scope=_scope(exclusion),
            control=exclusion.control,
            criterion=exclusion.criterion,
            reason=exclusion.reason,
            owner=exclusion.owner,
            approver=exclusion.approver,
            from_at=exclusion.from_at,
            review_at=exclusion.review_at,
            until_at=exclusion.until_at,
            compensating=exclusion.compensating,
            stopped=stopped,
            observed=len(records) - stopped,
            decisions=tuple([await self._stopped(each) for each in records]),
        )

    async def _stopped(self, record: Excluded) -> Stopped:
        rows = await self._engine.store.entries_of("decision", record.id)
        return Stopped(
            decision=record.id,
            at=record.at,
            verdict=record.verdict,
            rule=record.rule,
            runbook=record.runbook,
            actor=record.actor,
            target=record.target,
            targets=record.targets,
            sentence=record.reason,
            alert=record.alert,
            incident=record.incident,
            ledger=tuple(row.index for row in rows),
        )

    async def _period(
        self, document: type[Document], since_at: Instant | None, end_at: Instant
    ) -> AsyncIterator[Document]:
        """Newest first. Documents lie in the order in which they were written, which is that of their time."""
        after: str | None = None
        while True:
            page = await self._engine.store.find(kind_of(document), after=after, limit=PAGE)
            for row in page.items:
                found: Any = read(row, document)
                if found.at < end_at and (since_at is None or found.at >= since_at):
                    yield found
            after = page.next
            if after is None or (since_at is not None and page.items and found.at < since_at):
                return


def _scope(exclusion: Exclusion) -> dict[str, str]:
    return {name: value for name, value in msgspec.to_builtins(exclusion.scope).items() if value}
