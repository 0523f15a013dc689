"""Reading what the business needs: its transactions, and which hop of them is protected by a rule that was proven."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Final

from msgspec import Struct

from watchkeeper.catalog.catalog import by_alias, by_ref
from watchkeeper.documents import percent_text
from watchkeeper.engine.answer import No, missing
from watchkeeper.engine.changes import Aside
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.home_reading import plain
from watchkeeper.engine.reading import Listed, View
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.execute.run import Status
from watchkeeper.execute.words import VERIFIED
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.transaction import Transaction, members_of
from watchkeeper.learn.coverage import CoverageReport, Proven, coverage
from watchkeeper.values import Instant, after_ms

RUNS_LOOKED_AT_MAX: Final = 2_000  # of one rule, newest first; an older proof is not found
PAGE: Final = 200


class Covered(Struct, frozen=True, kw_only=True):
    """`looked_short` names rules of which more runs exist in the window than were looked at."""

    report: CoverageReport
    looked_short: tuple[str, ...] = ()


class BusinessReader:
    """`aside` is where the report is worked out: not on the loop."""

    def __init__(self, engine: Engine, aside: Aside = asyncio.to_thread) -> None:
        self._engine, self._aside = engine, aside

    def transactions(self) -> Listed:
        return Listed(items=tuple(self._view(each) for each in self._engine.world.configuration.transactions))

    def transaction(self, name: str) -> View | No:
        found = next((each for each in self._engine.world.configuration.transactions if each.name == name), None)
        return missing("transaction", name) if found is None else self._view(found)

    def _view(self, transaction: Transaction) -> View:
        catalog, failing = self._engine.world.configuration.catalog, self._engine.world.failing
        troubled = [
            ref for ref in transaction.hops if any(failing.get(each) for each in (ref, *members_of(ref, catalog)))
        ]
        return {
            **plain(transaction),
            "objective": percent_text(transaction.objective_ppm) if transaction.objective_ppm is not None else "",
            "members": {ref: list(members_of(ref, catalog)) for ref in transaction.hops},
            "troubled": troubled,
        }

    async def coverage(self, within_ms: int | None = None, transaction: str = "") -> Covered | No:
        """As the active configuration and the runs on record say. Worked out beside the loop."""
        configuration, now = self._engine.world.configuration, self._engine.clock.now()
        wanted = [each for each in configuration.transactions if not transaction or each.name == transaction]
        if transaction and not wanted:
            return missing("transaction", transaction)
        span_ms = configuration.settings.coverage.proven_within_ms if within_ms is None else within_ms
        rules = [rule for rule in configuration.rulebook.rules.values() if rule.enabled]
        proofs, short = await self._proofs((rule.name for rule in rules), after_ms(now, -span_ms))
        named_by = {label for each in configuration.settings.sources.values() for label in each.source.entity_from}
        work = partial(
            coverage,
            *(wanted, rules, configuration.catalog, proofs, named_by, now, span_ms),
            runbooks=configuration.rulebook.runbooks,
            probes=_probes(configuration),
        )
        report = await self._aside(work)
        return Covered(report=report, looked_short=short)

    async def _proofs(self, rules: Iterable[str], since_at: Instant) -> tuple[list[Proven], tuple[str, ...]]:
        found: list[Proven] = []
        short: list[str] = []
        for rule in rules:
            after: str | None = None
            looked = 0
            where = {"rule": rule, "status": Status.SUCCEEDED.value}
            while True:
                page = await self._engine.store.find("run", where, after=after, limit=PAGE)
                records = [read(row, RunRecord) for row in page.items]
                found.extend(proof for record in records if (proof := proof_of(record)) is not None)
                looked, after = looked + len(records), page.next
                if after is None or (records and records[-1].at < since_at):
                    break
                if looked >= RUNS_LOOKED_AT_MAX:
                    short.append(rule)
                    break
        return found, tuple(short)


def _probes(configuration: Configuration) -> dict[str, tuple[str, ...]]:
    """Entity -> what of this node looks at it."""
    found: dict[str, list[str]] = defaultdict(list)
    for poll in configuration.settings.polls:
        if (entity := by_alias(configuration.catalog, poll.entity)) is not None:
            found[entity.ref].append(f"probe {poll.name}")
    for beat in configuration.settings.heartbeats:
        named = by_alias(configuration.catalog, beat.entity) or by_ref(configuration.catalog, beat.entity)
        if named is not None:
            found[named.ref].append(f"heartbeat {beat.name}")
    return {ref: tuple(names) for ref, names in found.items()}


def proof_of(record: RunRecord) -> Proven | None:
    """What a run proves: nothing, unless it succeeded and its last verification was healthy."""
    if record.status != Status.SUCCEEDED or record.ended_at is None or not record.state.endswith(VERIFIED):
        return None
    return Proven(rule=record.rule, run=record.id, at=record.ended_at, targets=record.targets, drill=record.drill)
