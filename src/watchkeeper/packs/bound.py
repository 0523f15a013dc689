"""The static bound of a rule's target query: what the resolver keeps to, and what proofs rest on."""

from typing import Final

from watchkeeper.catalog.catalog import Scope
from watchkeeper.catalog.entity import EntityKind, resolve
from watchkeeper.packs.rule import TargetQuery

_KINDS: Final = {kind.value.lower(): kind for kind in EntityKind}


def bound_of(query: TargetQuery) -> Scope | None:
    """None when the query sets none. The loader has checked its words; a word nobody knows covers nothing."""
    if not query.kind and not query.within:
        return None
    within = query.within
    return Scope(
        kind=_KINDS[query.kind.lower()] if query.kind else None,
        system=resolve(within["system"], kind="system") if "system" in within else "",
        domain=resolve(within["domain"], kind="domain") if "domain" in within else "",
        environment=within.get("environment", ""),
        region=within.get("region", ""),
        tier=within.get("tier", ""),
    )
