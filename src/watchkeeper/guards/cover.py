"""What a scope covers: which targets of a proposal a stop, hold, freeze, exclusion or maintenance is about."""

from typing import Final

from watchkeeper.guards.situation import Proposal, Scope, Target

_EVERYTHING: Final = Scope()


def covers(scope: Scope, rule: str, target: Target) -> bool:
    """All given fields agree; an absent attribute equals "" (SEMANTICS 8), so it agrees with no given field.

    `entity` and `service` also cover what belongs to the service: excluding a service excludes its instances.
    """
    if scope == _EVERYTHING:
        return True
    return (
        (not scope.entity or about(scope.entity, target))
        and (not scope.service or about(scope.service, target))
        and (not scope.environment or scope.environment == target.environment)
        and (not scope.system or scope.system in {target.system, bare(target.system)})
        and (not scope.region or scope.region == target.region)
        and (not scope.kind or scope.kind.lower() == target.kind.lower())
        and (not scope.tier or scope.tier == target.tier)
        and (not scope.rule or scope.rule == rule)
    )


def covered(scope: Scope, proposal: Proposal) -> Target | None:
    """The first target that the scope covers; None when it covers none."""
    for target in proposal.targets:
        if covers(scope, proposal.rule, target):
            return target
    return None


def about(name: str, target: Target) -> bool:
    """Whether a reference or bare name is the target, or the service that it belongs to.

    A name without its kind and namespace counts as whatever it names: a limit covers too much rather than too little.
    """
    return name in {target.ref, target.name, target.service} or name == bare(target.service)


def bare(ref: str) -> str:
    """`component:default/payments-api` -> `payments-api`."""
    return ref.rpartition("/")[2].rpartition(":")[2]
