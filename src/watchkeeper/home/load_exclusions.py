"""exclusions.yaml: the register of what automation never touches. Which rules could still reach it: `home.reach`.

An expired entry binds until it is renewed or removed on record, so no time is asked for here. Source: SEMANTICS 16.
"""

import re
from collections.abc import Sequence
from typing import Final

from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.entity import EntityKind, resolve
from watchkeeper.documents import Fields, Kind, Node, Problem, suggestion, wrong
from watchkeeper.home.exclusion import Exclusion, Scope
from watchkeeper.packs.clauses import canonical_ref
from watchkeeper.values import EPOCH

NAME: Final = "exclusions.yaml"
EXCLUSIONS_MAX: Final = 10_000
SCOPE: Final = ("kind", "system", "environment", "entity", "region", "tier", "service")
REFERENCES: Final = {"system": "system", "entity": "component", "service": "component"}
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def load_exclusions(documents: Sequence[Node], catalog: Catalog, problems: list[Problem]) -> tuple[Exclusion, ...]:
    """The entries that could be read. The file is one list."""
    found: list[Exclusion] = []
    seen: dict[str, Node] = {}
    for extra in documents[1:]:
        wrong(problems, extra, "", "a second document: exclusions.yaml holds one list")
    for root in documents[:1]:
        if root.kind is not Kind.LIST:
            wrong(problems, root, "", f"expected a list of exclusions, got {root}", expected="a list")
            continue
        if len(root.items) > EXCLUSIONS_MAX:
            wrong(problems, root, "", f"holds {len(root.items)} exclusions, more than {EXCLUSIONS_MAX}")
        for position, item in enumerate(root.items[:EXCLUSIONS_MAX]):
            exclusion = _exclusion(Fields(item, problems, f"[{position}]"), catalog)
            if exclusion is None:
                continue
            if exclusion.id in seen:
                wrong(
                    problems,
                    item,
                    f"[{position}].id",
                    f"the id {exclusion.id!r} stands twice, first in line {seen[exclusion.id].line}",
                )
            seen.setdefault(exclusion.id, item)
            found.append(exclusion)
    return tuple(found)


def _exclusion(fields: Fields, catalog: Catalog) -> Exclusion | None:
    if fields.node.kind is not Kind.MAPPING:
        return None
    identity = fields.text("id", required=True, pattern=_ID, expected="an id such as X-12")
    scope = _scope(fields, catalog)
    owner = canonical_ref(fields.text("owner", required=True))
    if fields.has("owner") and owner not in catalog.entities:
        fields.wrong("owner", f"{owner} is not in the catalogue{suggestion(owner, catalog.entities)}")
    from_at, until_at = fields.instant("from", required=True), fields.instant("until", required=True)
    if from_at is not None and until_at is not None and until_at <= from_at:
        fields.wrong("until", "is not after `from`")
    review_at = fields.instant("review")
    if review_at is not None and from_at is not None and review_at < from_at:
        fields.wrong("review", "is before `from`")
    if review_at is not None and until_at is not None and review_at > until_at:
        fields.wrong("review", "is after `until`: it would have expired before anybody looked at it")
    found = Exclusion(
        id=identity,
        scope=scope,
        control=fields.text("control", required=True),
        reason=fields.text("reason", required=True),
        owner=owner,
        approver=fields.text("approver", required=True),
        from_at=from_at or EPOCH,
        until_at=until_at or EPOCH,
        compensating=fields.text("compensating"),
        criterion=fields.text("criterion"),
        review_at=review_at,
    )
    fields.done()
    return found


def _scope(exclusion: Fields, catalog: Catalog) -> Scope:
    fields = exclusion.child("scope", required=True)
    if fields is None:
        return Scope()
    found = {}
    for name in SCOPE:
        text = fields.text(name)
        if text and name in REFERENCES:
            try:
                text = resolve(text, kind=REFERENCES[name])
            except ValueError as why:
                fields.wrong(name, str(why))
            if text not in catalog.entities:
                fields.wrong(
                    name,
                    f"{text} is not in the catalogue: this exclusion would bind nothing{suggestion(text, catalog.entities)}",
                )
        if text and name == "kind" and text not in tuple(EntityKind):
            fields.wrong(
                name, f"expected one of {', '.join(EntityKind)}, got {text!r}{suggestion(text, tuple(EntityKind))}"
            )
        if text:
            found[name] = text
    fields.done()
    if not fields.node.entries:
        exclusion.wrong("scope", "is empty, and would keep automation out of everything: use `wk stop` for that")
    return Scope(**found)
