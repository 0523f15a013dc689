"""Agreement: what a rule would have done, beside what people did. Episode by episode, in the cell it happened in.

In: `Evidence`, one piece for each thing a person did or said about an episode. Out: `Tally`, how many comparable
episodes there are and in how many of them people agreed. Source: SEMANTICS 4.
"""

from collections import defaultdict
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchkeeper.packs.rule import Mode
from watchkeeper.values import Instant

RUN_WITHIN_MS: Final = 1_800_000  # a person's own run so soon after the decision is what the rule would have done


class Cell(Struct, frozen=True, kw_only=True):
    """Where a level stands: rule x service class (tier) x severity x environment x region. An absent label is ""."""

    rule: str
    tier: str = ""
    severity: str = ""
    environment: str = ""
    region: str = ""

    @property
    def key(self) -> str:
        return f"{self.rule}|{self.tier}|{self.severity}|{self.environment}|{self.region}"


class How(StrEnum):
    """What a piece of evidence is. `report` is feedback that says false or harmful: it never agrees."""

    SUGGESTION = "suggestion"
    RUN = "run"
    REVIEW = "review"
    REPORT = "report"


_WORDS: Final = frozenset({How.REVIEW, How.REPORT})


class Evidence(Struct, frozen=True, kw_only=True):
    """What one person did or said about one episode, in one cell. `basis` is the runbook and its risk class: what was
    agreed to. `ceiling` is the most that the rule's and the risk's ceilings allowed there when it was decided.
    """

    id: str
    cell: Cell
    episode: str
    decision: str
    basis: str
    production: bool
    ceiling: Mode
    decided_at: Instant
    how: How
    agrees: bool
    by: str
    at: Instant
    run: str = ""
    reason: str = ""


class Pool(StrEnum):
    """Whose episodes count, narrowest first. `own` is the cell alone; each next one drops one more distinction.
    `class` keeps to environments of the same class, production or not; `environments` takes all.
    """

    OWN = "own"
    REGIONS = "regions"
    SEVERITIES = "severities"
    CLASS = "class"
    ENVIRONMENTS = "environments"


class Tally(Struct, frozen=True, kw_only=True):
    """People agreed in `agreed` of `of` comparable episodes."""

    agreed: int = 0
    of: int = 0


def pools(level: Mode, *, production: bool) -> tuple[Pool, ...]:
    """The pools that may carry a cell to `level`: nothing outside production ever makes `auto` in production."""
    if production and level is Mode.AUTO:
        return (Pool.OWN, Pool.REGIONS, Pool.SEVERITIES, Pool.CLASS)
    return tuple(Pool)


def inside(pool: Pool, cell: Cell, other: Cell, *, same_class: bool) -> bool:
    """Whether what happened in another cell counts for this one. Rule and service class are never pooled."""
    if (cell.rule, cell.tier) != (other.rule, other.tier):
        return False
    match pool:
        case Pool.OWN:
            return cell == other
        case Pool.REGIONS:
            return (cell.severity, cell.environment) == (other.severity, other.environment)
        case Pool.SEVERITIES:
            return cell.environment == other.environment
        case Pool.CLASS:
            return same_class
        case Pool.ENVIRONMENTS:
            return True


def counted(
    pool: Pool, cell: Cell, evidence: Iterable[Evidence], *, level: Mode, production: bool
) -> tuple[Evidence, ...]:
    """The evidence of a pool that may carry the cell to `level`. For `auto` in production only what was production
    when it was decided, in the cell itself too: an environment may have become one since.
    """
    only_production = production and level is Mode.AUTO
    return tuple(
        each
        for each in evidence
        if inside(pool, cell, each.cell, same_class=each.production == production)
        and (each.production or not only_production)
    )


def tally(evidence: Iterable[Evidence]) -> Tally:
    """Each episode counts once, however many people and cells it has; in any order."""
    episodes: defaultdict[str, list[Evidence]] = defaultdict(list)
    for each in evidence:
        episodes[each.episode].append(each)
    return Tally(agreed=sum(1 for found in episodes.values() if agrees(found)), of=len(episodes))


def agrees(found: Iterable[Evidence]) -> bool:
    """Whether people agreed in one episode: what somebody said of it weighs more than what was done, and one who
    disagrees more than all who agree.
    """
    listed = tuple(found)
    words = [each for each in listed if each.how in _WORDS]
    return all(each.agrees for each in words or listed)


def percent_text(ppm: int) -> str:
    """`80.6 %`: rounded down, so that nothing seems reached that is not."""
    return f"{ppm // 10_000}.{ppm // 1_000 % 10} %"
