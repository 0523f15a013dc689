"""The proof behind a figure: after the node has ended, its store is read again and every accepted alert is accounted for.

In: the home of a node that is down, and what the outside counted. Out: a `Proof`; a figure without one is not shown.
"""

from pathlib import Path

import msgspec
from msgspec import Struct

from watchkeeper import bootstrap
from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.bench.outside import Outcome
from watchkeeper.decide.decision import Decision
from watchkeeper.engine.planning import plan_of
from watchkeeper.engine.records import RunRecord, read
from watchkeeper.execute.invariants import violations
from watchkeeper.execute.run import JournalEvent
from watchkeeper.ledger import entry as entries
from watchkeeper.ledger.entry import Content
from watchkeeper.ledger.tree import Frontier, Growing, leaf_hash
from watchkeeper.packs.runbook import Runbook
from watchkeeper.ports import EntryRow
from watchkeeper.signals.parse import parse
from watchkeeper.signals.signal import Source

PAGE = 1_000
WRONG_MAX = 20

_event = msgspec.json.Decoder(JournalEvent).decode


class Proof(Struct, frozen=True, kw_only=True):
    """`wrong`: sentences, empty when everything is accounted for once."""

    accepted: int
    signals: int
    acted: int
    runs: int
    events: int
    entries: int
    wrong: tuple[str, ...] = ()


async def prove(home: Path, outcomes: list[Outcome]) -> Proof:
    """`outcomes`: all that was ever sent to this node."""
    wrong: list[str] = []
    configuration = bootstrap.check(home).configuration
    assert configuration is not None, "the node ran on it"
    store = SqliteStore.open(bootstrap.state_of(home))
    try:
        accepted = sum(each.alerts for each in outcomes)
        signals = await store.count("signal")
        waiting = await store.deliveries(1_000)
        source = Source(name="default", kind="alertmanager", group="default")
        later = sum(len(parse(each, source).signals) for each in waiting)
        if len(waiting) == 1_000:
            wrong.append("more than 999 deliveries were left when the node was stopped; let it finish")
        if signals + later != accepted:
            wrong.append(f"{accepted} alerts were accepted, {signals} signals and {later} still to be taken are stored")
        effects = sum(each.effects for each in outcomes)
        wrong += [f"{each.name}: {each.missing} alerts had no effect" for each in outcomes if each.missing]
        wrong += [f"{each.name}: {each.strays} effects that nobody asked for" for each in outcomes if each.strays]
        acted = await store.count("decision", {"verdict": "act"})
        runs, events = await _runs(store, configuration.rulebook.runbooks, wrong)
        if not acted == runs == effects:
            wrong.append(
                f"{acted} decisions to act, {runs} runs, {effects} alerts with their effects: expected the same"
            )
        size = await _ledger(store, wrong)
    finally:
        await store.close()
    return Proof(
        accepted=accepted,
        signals=signals,
        acted=acted,
        runs=runs,
        events=events,
        entries=size,
        wrong=tuple(wrong[:WRONG_MAX]),
    )


async def _runs(store: SqliteStore, runbooks: dict[str, Runbook], wrong: list[str]) -> tuple[int, int]:
    after: str | None = None
    runs = events = 0
    while True:
        page = await store.find("run", {}, after=after, limit=PAGE)
        for row in page.items:
            record = read(row, RunRecord)
            runs += 1
            if record.status != "succeeded":
                wrong.append(f"{record.id} ended {record.status}: {record.why}")
            found = await store.get("decision", record.decision)
            if found is None:
                wrong.append(f"{record.id}: its decision is not stored")
                continue
            journal = [_event(body) for body in await store.journal(record.id)]
            events += len(journal)
            plan = plan_of(read(found, Decision), runbooks, None)
            wrong += [f"{record.id}: {sentence}" for sentence in violations(plan, journal)]
        after = page.next
        if after is None:
            return runs, events


async def _ledger(store: SqliteStore, wrong: list[str]) -> int:
    """Every entry against its hash, every content against its commitment, and the root worked out from the first leaf."""
    await store.integrate(10_000_000)
    frontier = await store.frontier()
    growing = Growing(Frontier())
    at = 0
    while at < frontier.size:
        rows = await store.entries(at, PAGE)
        for row in rows:
            growing.append(leaf_hash(row.body))
            if not _matches(row):
                wrong.append(f"entry {row.index}: its content is not what it commits to")
        at = rows[-1].index + 1
    if growing.root() != frontier.root():
        wrong.append("the entries do not lead to the root of the tree")
    return frontier.size


def _matches(row: EntryRow) -> bool:
    if row.content is None or row.salt is None or leaf_hash(row.body) != row.leaf:
        return False
    return entries.matches(entries.read(row.body), Content(salt=row.salt, body=row.content))
