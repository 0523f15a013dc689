"""Coverage: which hop of a business transaction is protected, and whether the protection was ever proven.

In: transactions, rules, the catalogue, and the runs that prove rules. Out: one row a hop, with the rules that reach it.

A rule *protects* a hop when it is enabled, may go beyond observe, and its target query can lead to the hop itself, or to
everything that serves it. It is *proven* for that hop by a run of its own (a drill's counts, and is called one) that
acted on the hop or on a member of it, succeeded, and ended with a healthy verification, within `within_ms`. Nothing
else is a proof: not a scenario, not a suggestion, not a person's own run of the same runbook, not a run that nobody
verified.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.home.configuration import highest
from watchkeeper.home.reach import led_by
from watchkeeper.home.transaction import Transaction, members_of
from watchkeeper.learn.assurance import Answer, Extent, Mark, Question, Watchers, marks, undo, verify, watched
from watchkeeper.packs.rule import Mode, Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.values import EPOCH, Instant, after_ms

PPM: Final = 1_000_000
NO_RUNBOOKS: Final[Mapping[str, Runbook]] = {}
NO_PROBES: Final[Mapping[str, tuple[str, ...]]] = {}


class Proven(Struct, frozen=True, kw_only=True):
    """A run that proves its rule for its targets: it succeeded, and its last verification was healthy."""

    rule: str
    run: str
    at: Instant
    targets: tuple[str, ...]
    drill: bool = False


class HopState(StrEnum):
    """`declared`: rules reach it, and none of them was proven there in time."""

    PROVEN = "proven"
    DECLARED = "declared"
    UNCOVERED = "uncovered"


class Protection(Struct, frozen=True, kw_only=True):
    """One rule at one hop. `reaches` are the hop and its members that the rule can be led to; `run` is the newest proof,
    "" without one; `by` says what kind of proof: `run` or `drill`.
    """

    rule: str
    mode: Mode
    reaches: tuple[str, ...]
    run: str = ""
    proven_at: Instant | None = None
    by: str = ""


class Hop(Struct, frozen=True, kw_only=True):
    """`gaps` are members that no rule reaches, while other members are reached. `answers` are those to the four questions,
    of the rules that were proven here, or of all that reach it where none was.
    """

    ref: str
    state: HopState
    why: str
    rules: tuple[Protection, ...] = ()
    gaps: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


class CoverageRow(Struct, frozen=True, kw_only=True):
    """One transaction. `unprotected` are the hops that are not proven; `marks` what its hops have of each question."""

    name: str
    priority: int
    owner: str
    hops: tuple[Hop, ...]
    unprotected: tuple[str, ...]
    objective_ppm: int | None = None
    marks: tuple[Mark, ...] = ()


class CoverageReport(Struct, frozen=True, kw_only=True):
    """Hops are counted once for each transaction that crosses them. `covered_ppm` is the share that is proven; all of
    nothing is all.
    """

    at: Instant
    since_at: Instant
    within_ms: int
    transactions: tuple[CoverageRow, ...]
    hops: int
    proven: int
    declared: int
    uncovered: int
    covered_ppm: int


def coverage(
    transactions: Iterable[Transaction],
    rules: Iterable[Rule],
    catalog: Catalog,
    proofs: Iterable[Proven],
    named_by: Iterable[str],
    now: Instant,
    within_ms: int,
    *,
    runbooks: Mapping[str, Runbook] = NO_RUNBOOKS,
    probes: Mapping[str, tuple[str, ...]] = NO_PROBES,
) -> CoverageReport:
    """`named_by` are the labels by which alerts name their entity: a rule that demands one of them reaches only that.
    `probes`: entity -> what looks at it, probes and heartbeats of this node.
    """
    rules = tuple(rules)
    since_at = after_ms(now, -within_ms)
    acting = [rule for rule in rules if rule.enabled and highest(rule) is not Mode.OBSERVE]
    by_rule: dict[str, list[Proven]] = defaultdict(list)
    for each in proofs:
        if each.at >= since_at:
            by_rule[each.rule].append(each)
    labels = frozenset(named_by)
    listening = [rule for rule in rules if rule.enabled]
    known: dict[str, Hop] = {}
    rows: list[CoverageRow] = []
    for transaction in transactions:
        for ref in transaction.hops:
            if ref not in known:
                hop = _hop(ref, acting, catalog, by_rule, labels)
                by = _watchers(ref, listening, catalog, labels, probes)
                known[ref] = replace(hop, answers=_answers(hop, members_of(ref, catalog), by, rules, runbooks))
        hops = tuple(known[ref] for ref in transaction.hops)
        rows.append(
            CoverageRow(
                name=transaction.name,
                priority=transaction.priority,
                owner=transaction.owner,
                hops=hops,
                unprotected=tuple(hop.ref for hop in hops if hop.state is not HopState.PROVEN),
                objective_ppm=transaction.objective_ppm,
                marks=marks([(hop.ref, hop.answers) for hop in hops]),
            )
        )
    states = [hop.state for row in rows for hop in row.hops]
    proven = states.count(HopState.PROVEN)
    return CoverageReport(
        at=now,
        since_at=since_at,
        within_ms=within_ms,
        transactions=tuple(rows),
        hops=len(states),
        proven=proven,
        declared=states.count(HopState.DECLARED),
        uncovered=states.count(HopState.UNCOVERED),
        covered_ppm=proven * PPM // len(states) if states else PPM,
    )


def _hop(
    ref: str, rules: Iterable[Rule], catalog: Catalog, proofs: Mapping[str, list[Proven]], labels: frozenset[str]
) -> Hop:
    members = members_of(ref, catalog)
    whole = (ref, *members)
    found = [
        _protection(rule, reaches, whole, proofs.get(rule.name, ()))
        for rule in rules
        if (reaches := tuple(each for each in whole if leads_to(rule, each, catalog, labels)))
    ]
    reached = {each for protection in found for each in protection.reaches}
    gaps = () if ref in reached else tuple(each for each in members if each not in reached)
    if not found:
        return Hop(ref=ref, state=HopState.UNCOVERED, why="No enabled rule above observe can reach it.")
    if gaps:
        why = f"{len(gaps)} of its {len(members)} members are reached by no rule: {', '.join(gaps[:3])}."
        return Hop(ref=ref, state=HopState.UNCOVERED, why=why, rules=tuple(found), gaps=gaps)
    proven = [each for each in found if each.run]
    if not proven:
        why = f"Declared, not proven: no run of {', '.join(each.rule for each in found[:3])} repaired it in time."
        return Hop(ref=ref, state=HopState.DECLARED, why=why, rules=tuple(found))
    newest = max(proven, key=lambda each: (each.proven_at or EPOCH, each.rule))
    return Hop(
        ref=ref, state=HopState.PROVEN, why=f"{newest.rule} was proven by {newest.by} {newest.run}.", rules=tuple(found)
    )


def _watchers(
    ref: str,
    rules: Iterable[Rule],
    catalog: Catalog,
    labels: frozenset[str],
    probes: Mapping[str, tuple[str, ...]],
) -> Watchers:
    """A rule listens whatever it may do: one that only observes opens incidents and is told of."""
    whole = (ref, *members_of(ref, catalog))
    listen = {
        each: names
        for each in whole
        if (names := tuple(rule.name for rule in rules if leads_to(rule, each, catalog, labels)))
    }
    return Watchers(probes={each: probes[each] for each in whole if each in probes}, rules=listen)


def _answers(
    hop: Hop, members: tuple[str, ...], by: Watchers, rules: Iterable[Rule], runbooks: Mapping[str, Runbook]
) -> tuple[Answer, ...]:
    counted = [each.rule for each in hop.rules if each.run] or [each.rule for each in hop.rules]
    wanted = dict.fromkeys(rule.runbook for rule in rules if rule.name in counted)
    books = [runbooks[name] for name in wanted if name in runbooks]
    extent = {HopState.PROVEN: Extent.ALL, HopState.DECLARED: Extent.SOME, HopState.UNCOVERED: Extent.NONE}[hop.state]
    return (
        watched(hop.ref, members, by),
        Answer(question=Question.REPAIR, extent=extent, why=hop.why),
        undo(books, runbooks),
        verify(books, runbooks),
    )


def _protection(rule: Rule, reaches: tuple[str, ...], whole: tuple[str, ...], proofs: Iterable[Proven]) -> Protection:
    here = [each for each in proofs if not set(whole).isdisjoint(each.targets)]
    newest = max(here, key=lambda each: (each.at, each.run), default=None)
    return Protection(
        rule=rule.name,
        mode=highest(rule),
        reaches=reaches,
        run=newest.run if newest is not None else "",
        proven_at=newest.at if newest is not None else None,
        by="" if newest is None else "drill" if newest.drill else "run",
    )


def leads_to(rule: Rule, ref: str, catalog: Catalog, labels: frozenset[str]) -> bool:
    """What the exclusion proof leaves open is closed here: a rule that demands `service: cart` protects only the cart."""
    entity = catalog.entities[ref]
    value = led_by(rule.target, entity, catalog)
    if value is None:
        return False
    query = rule.target
    if query.value is None:
        named = [value for label in rule.match if label in labels for value in rule.match[label]]
        return not named or any(catalog.named.get(word) == ref for word in named)
    label = query.value.source.removeprefix("alert.labels.")
    return label not in rule.match or value in rule.match[label]
