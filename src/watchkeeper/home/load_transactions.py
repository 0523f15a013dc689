"""transactions.yaml: business transactions, each with the hops it crosses. A hop that the catalogue lacks is an error."""

from collections.abc import Sequence
from typing import Final

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import NAME as ENTITY_NAME
from watchkeeper.catalog.entity import EntityKind, resolve
from watchkeeper.documents import Fields, Kind, Node, Problem, suggestion, text_of, wrong
from watchkeeper.home.transaction import PRIORITY_FIRST, PRIORITY_MAX, Transaction
from watchkeeper.packs.clauses import canonical_ref, where_of

NAME: Final = "transactions.yaml"
TRANSACTIONS_MAX: Final = 1_000
HOPS_MAX: Final = 200  # of one transaction
CROSSED: Final = (EntityKind.COMPONENT, EntityKind.RESOURCE, EntityKind.API, EntityKind.SYSTEM)


def load_transactions(documents: Sequence[Node], catalog: Catalog, problems: list[Problem]) -> tuple[Transaction, ...]:
    """Those that could be read, most important first. The file is one list."""
    found: list[Transaction] = []
    seen: dict[str, Node] = {}
    for extra in documents[1:]:
        wrong(problems, extra, "", f"a second document: {NAME} holds one list")
    for root in documents[:1]:
        if root.kind is Kind.NULL:
            continue
        if root.kind is not Kind.LIST:
            wrong(problems, root, "", f"expected a list of transactions, got {root}", expected="a list")
            continue
        if len(root.items) > TRANSACTIONS_MAX:
            wrong(problems, root, "", f"holds {len(root.items)} transactions, more than {TRANSACTIONS_MAX}")
        for position, item in enumerate(root.items[:TRANSACTIONS_MAX]):
            transaction = _transaction(Fields(item, problems, f"[{position}]"), catalog)
            if transaction is None:
                continue
            if transaction.name in seen:
                wrong(
                    problems,
                    item,
                    f"[{position}].name",
                    f"the name {transaction.name!r} stands twice, first in line {seen[transaction.name].line}",
                )
            seen.setdefault(transaction.name, item)
            found.append(transaction)
    return tuple(sorted(found, key=lambda each: (each.priority, each.name)))


def _transaction(fields: Fields, catalog: Catalog) -> Transaction | None:
    if fields.node.kind is not Kind.MAPPING:
        return None
    owner = canonical_ref(fields.text("owner", required=True))
    if fields.has("owner") and owner not in catalog.entities:
        fields.wrong("owner", f"{owner} is not in the catalogue{suggestion(owner, catalog.entities)}")
    found = Transaction(
        name=fields.text("name", required=True, pattern=ENTITY_NAME, expected="a name such as checkout"),
        priority=fields.integer("priority", required=True, least=PRIORITY_FIRST, most=PRIORITY_MAX),
        owner=owner,
        hops=_hops(fields, catalog),
        objective_ppm=fields.percent("objective", default=None),
        description=fields.text("description"),
        where=where_of(fields.node),
    )
    fields.done()
    return found


def _hops(fields: Fields, catalog: Catalog) -> tuple[str, ...]:
    """References in the order of crossing; a bare name is a component's."""
    node = fields.node_of("hops")
    if node is None:
        fields.wrong("hops", "is missing: name the services that the transaction crosses, such as [component:web]")
        return ()
    found: dict[str, None] = {}
    for position, item in enumerate(fields.items("hops", most=HOPS_MAX)):
        place = f"{fields.at('hops')}[{position}]"
        text = text_of(item, fields.problems, place, expected="a reference such as component:cart")
        if text is None:
            continue
        try:
            ref = resolve(text, kind=EntityKind.COMPONENT.value)
        except ValueError as why:
            wrong(fields.problems, item, place, str(why))
            continue
        entity = catalog.entities.get(ref)
        if entity is None:
            hint = suggestion(ref, catalog.entities)
            wrong(fields.problems, item, place, f"{ref} is not in the catalogue: nothing could protect this hop{hint}")
        elif entity.kind not in CROSSED:
            kinds = ", ".join(CROSSED)
            wrong(fields.problems, item, place, f"{ref} is a {entity.kind.value}; a hop is one of {kinds}")
        elif ref in found:
            wrong(fields.problems, item, place, f"{ref} stands twice in these hops")
        found[ref] = None
    if not found and node.kind is Kind.LIST and not node.items:
        fields.wrong("hops", "is empty: a transaction that crosses nothing needs no protection")
    return tuple(found)
