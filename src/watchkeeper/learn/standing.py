"""Standing: the level that a cell has earned, when it rises, and what takes it down. Source: SEMANTICS 4.

In: what a cell stands on (`Ground`), the settings and the present. Out: `Outlook`: whether it rises one level now, and if
not, everything that is still missing, in words that come true when they are tried.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.home.settings import Autonomy
from watchkeeper.learn.agreement import Cell, Evidence, Pool, Tally, counted, inside, percent_text, pools, tally
from watchkeeper.learn.wilson import IN_A_ROW_MOST, lower_ppm, reaches
from watchkeeper.packs.rule import MODE_ORDER, Mode
from watchkeeper.values import Instant, after_ms, rfc3339

DAY_MS: Final = 86_400_000


class Standing(Struct, frozen=True, kw_only=True):
    """What a cell has earned, since when, and on what: `agreed` of `of` in `pool`. A cell without one is at observe.

    It holds for one `basis` (runbook and risk class): when the rule comes to run something else, it starts anew.
    """

    id: str
    cell: Cell
    level: Mode
    since_at: Instant
    basis: str
    agreed: int = 0
    of: int = 0
    lower_ppm: int = 0
    pool: Pool = Pool.OWN


class Because(StrEnum):
    """What takes a level away. Harm takes the cell to observe, the others to approve."""

    HARM = "harm"
    UNHEALTHY = "unhealthy"
    ANOMALY = "anomaly"
    BUDGET = "budget"


CAPS: Final = {
    Because.HARM: Mode.OBSERVE,
    Because.UNHEALTHY: Mode.APPROVE,
    Because.ANOMALY: Mode.APPROVE,
    Because.BUDGET: Mode.APPROVE,
}


class Demotion(Struct, frozen=True, kw_only=True):
    """A cell may go no further than `level` until a person lifts this. `cause` names what happened, so that the same
    thing demotes once. `lift_by` asked to lift it where a second person must agree, and `lift_reason` is why.
    """

    id: str
    cell: Cell
    level: Mode
    because: Because
    cause: str
    why: str
    at: Instant
    by: str
    owner: str = ""
    run: str = ""
    decision: str = ""
    lift_by: str = ""
    lift_reason: str = ""
    lifted_at: Instant | None = None
    lifted_by: str = ""

    @property
    def open(self) -> bool:
        return self.lifted_at is None


class Ground(Struct, frozen=True, kw_only=True):
    """What a cell stands on. `level` is its standing now, the higher of earned and granted, since `since_at` (None: no
    episode of its own yet). `evidence` and `demotions` are the rule's, of every cell; `basis` is what the rule runs now.
    `ceiling` is what the newest comparable episode of the cell was allowed at most.
    """

    cell: Cell
    level: Mode
    since_at: Instant | None
    basis: str
    production: bool
    ceiling: Mode
    evidence: tuple[Evidence, ...] = ()
    demotions: tuple[Demotion, ...] = ()


class Outlook(Struct, frozen=True, kw_only=True):
    """`in_a_row` is how many more comparable episodes of its own must agree, one after the other, until agreement is
    enough (0: it is, None: more than anybody would wait for). `not_before_at` is when time no longer stands in the way.
    `blocked` is what neither agreement nor time helps against. `own` is what the cell itself has.
    """

    cell: Cell
    level: Mode
    next: Mode | None
    rises: bool
    tally: Tally
    own: Tally
    pool: Pool
    lower_ppm: int
    in_a_row: int | None
    not_before_at: Instant | None
    blocked: str = ""


def outlook(ground: Ground, autonomy: Autonomy, at: Instant) -> Outlook:
    """Whether the cell rises one level now, and what is missing if it does not."""
    above = _above(ground.level)
    toward = above or ground.level
    mine = tuple(each for each in ground.demotions if each.cell == ground.cell)
    begins_at = _begins_at(ground, mine)
    comparable = tuple(
        each
        for each in ground.evidence
        if each.basis == ground.basis and begins_at is not None and each.decided_at >= begins_at
    )
    tallies = tuple(
        (
            pool,
            tally(counted(pool, ground.cell, comparable, level=toward, production=ground.production)),
        )
        for pool in pools(toward, production=ground.production)
    )
    own = tallies[0][1]
    pool, found = _choose(tallies, autonomy)
    missing = _in_a_row(tallies, autonomy)
    blocked = _blocked(ground, mine, above)
    not_before_at = _not_before(ground, mine, pool, autonomy)
    rises = above is not None and not blocked and missing == 0 and not_before_at is not None and at >= not_before_at
    return Outlook(
        cell=ground.cell,
        level=ground.level,
        next=above,
        rises=rises,
        tally=found,
        own=own,
        pool=pool,
        lower_ppm=lower_ppm(found.agreed, found.of),
        in_a_row=missing,
        not_before_at=not_before_at,
        blocked=blocked,
    )


def _above(level: Mode) -> Mode | None:
    at = MODE_ORDER.index(level)
    return MODE_ORDER[at + 1] if at + 1 < len(MODE_ORDER) else None


def _begins_at(ground: Ground, mine: tuple[Demotion, ...]) -> Instant | None:
    """A level is earned by what happened on the level before it, and after the last demotion."""
    if ground.since_at is None:
        return None
    return max([ground.since_at, *[each.at for each in mine]])


def _choose(tallies: tuple[tuple[Pool, Tally], ...], autonomy: Autonomy) -> tuple[Pool, Tally]:
    """The narrowest pool that is not thin, else the widest."""
    return next((one for one in tallies if one[1].of >= autonomy.episodes_min), tallies[-1])


def _in_a_row(tallies: tuple[tuple[Pool, Tally], ...], autonomy: Autonomy) -> int | None:
    """The fewest more own episodes after which it is enough, if all of them agree. At least one is its own.

    With every own episode each pool grows, and from some number on a narrower one is no longer thin and counts in its
    place: that may be worse. Within one pool more agreement is never less.
    """
    wants, until = [], IN_A_ROW_MOST + 1
    for _, found in tallies:
        begins = max(0, autonomy.episodes_min - found.of)
        if begins < until:
            wants.append((begins, until, found))
            until = begins
    least = 0 if tallies[0][1].of else 1
    for begins, ends, found in reversed(wants):
        low, high = max(begins, least), ends - 1
        if low > high or not _enough(found, high, autonomy):
            continue
        while low < high:
            middle = (low + high) // 2
            if _enough(found, middle, autonomy):
                high = middle
            else:
                low = middle + 1
        return low
    return None


def _enough(found: Tally, more: int, autonomy: Autonomy) -> bool:
    return reaches(found.agreed + more, found.of + more, autonomy.agreement_ppm)


def _blocked(ground: Ground, mine: tuple[Demotion, ...], above: Mode | None) -> str:
    open_ = next((each for each in mine if each.open), None)
    if above is None:
        return "It is at the top."
    if open_ is not None:
        return f"It was demoted to {open_.level.value}: {open_.why}"
    if MODE_ORDER.index(above) > MODE_ORDER.index(ground.ceiling):
        return f"Its ceiling is {ground.ceiling.value}."
    return ""


def _not_before(ground: Ground, mine: tuple[Demotion, ...], pool: Pool, autonomy: Autonomy) -> Instant | None:
    """Days on the level, counted from its last lift too; and days after any demotion of a cell whose episodes count."""
    if ground.since_at is None:
        return None
    lifted = [each.lifted_at for each in mine if each.lifted_at is not None]
    on_level_at = after_ms(max([ground.since_at, *lifted]), autonomy.days_on_level * DAY_MS)
    classes = {each.cell: each.production for each in ground.evidence}
    after = [
        after_ms(each.at, autonomy.days_after_demotion * DAY_MS)
        for each in ground.demotions
        if inside(
            pool, ground.cell, each.cell, same_class=classes.get(each.cell, ground.production) == ground.production
        )
    ]
    return max([on_level_at, *after])


_POOLED: Final = {
    Pool.OWN: "",
    Pool.REGIONS: "over regions",
    Pool.SEVERITIES: "over regions and severities",
    Pool.CLASS: "over environments of its class",
    Pool.ENVIRONMENTS: "over all environments",
}


def counts_text(found: Outlook) -> str:
    """`17 of 20 agreed`, and whose they are when they are not all its own."""
    if not found.tally.of:
        return "no agreement measured yet"
    pooled = _POOLED[found.pool]
    whose = f", pooled {pooled}: {found.own.of} of its own" if pooled and found.own != found.tally else ""
    return f"{found.tally.agreed} of {found.tally.of} agreed{whose}"


def evidence_line(found: Outlook, autonomy: Autonomy, at: Instant) -> str:
    """One line for a tired person: what there is, and what is missing for the next level."""
    counts = counts_text(found)
    head = f"{counts[0].upper()}{counts[1:]}."
    if found.next is None:
        return f"{head} It is at the top."
    if found.blocked:
        return f"{head} {found.blocked}"
    missing = []
    if found.in_a_row is None:
        missing.append(f"More than {IN_A_ROW_MOST:,} in a row to reach {found.next.value}.")
    elif found.in_a_row:
        missing.append(f"{found.in_a_row} more in a row to reach {found.next.value}.")
    if found.not_before_at is None:
        missing.append(f"Not before {autonomy.days_on_level} days after the first.")
    elif at < found.not_before_at:
        when = f"{rfc3339(found.not_before_at)[:16].replace('T', ' ')} UTC"
        missing.append(f"{'Not' if missing else f'Enough for {found.next.value}, not'} before {when}.")
    return " ".join([head, *missing]) if missing else f"{head} It rises to {found.next.value} now."


def sure_text(found: Outlook, autonomy: Autonomy) -> str:
    """What the count is worth: its lower bound beside the one that is asked for."""
    return f"at least {percent_text(found.lower_ppm)} of {percent_text(autonomy.agreement_ppm)} asked for"
