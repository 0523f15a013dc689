"""A business transaction: what customers do (checkout, login, pay-out), and the hops that it crosses."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import PREFIX, EntityKind
from watchkeeper.catalog.graph import instances

PRIORITY_FIRST: Final = 1
PRIORITY_MAX: Final = 9  # the least important that may be written; what lies in no transaction comes after it
UNRANKED: Final = PRIORITY_MAX + 1
INSTANCE: Final = f"{PREFIX}instance"


class Transaction(Struct, frozen=True, kw_only=True):
    """`priority` 1 is the most important. `hops` are references, in the order in which they are crossed.
    `where` is `file:line`.
    """

    name: str
    priority: int
    owner: str
    hops: tuple[str, ...]
    objective_ppm: int | None = None
    description: str = ""
    where: str = ""


def members_of(ref: str, catalog: Catalog) -> tuple[str, ...]:
    """What serves a hop: the instances of a service; what belongs to a system, with its instances. Not the hop itself."""
    entity = catalog.entities.get(ref)
    if entity is None:
        return ()
    if entity.kind is not EntityKind.SYSTEM:
        return instances(catalog, ref)
    parts = catalog.parts.get(ref, ())
    return tuple(dict.fromkeys((*parts, *(inner for part in parts for inner in instances(catalog, part)))))


def ranks(transactions: Iterable[Transaction], catalog: Catalog) -> dict[str, int]:
    """Entity -> the priority of its most important transaction. Entities of no transaction are not in it."""
    found: dict[str, int] = {}
    for each in transactions:
        for hop in each.hops:
            for ref in (hop, *members_of(hop, catalog)):
                found[ref] = min(each.priority, found.get(ref, UNRANKED))
    return found


def words(by_entity: dict[str, int], catalog: Catalog) -> dict[str, int]:
    """Label value -> priority: every word by which an alert can name an entity of a transaction, an instance's too."""
    found: dict[str, int] = {}
    for ref, priority in by_entity.items():
        entity = catalog.entities[ref]
        for word in (entity.name, ref, *entity.aliases, entity.keys.get(INSTANCE, "")):
            if word:
                found[word] = min(priority, found.get(word, UNRANKED))
    return found
