"""What a scope covers of a proposal: the guards' side of `home.cover`."""

from watchkeeper.guards.situation import Proposal, Scope, Target
from watchkeeper.home.cover import about as about  # noqa: PLC0414  the guards' words
from watchkeeper.home.cover import bare as bare  # noqa: PLC0414
from watchkeeper.home.cover import covers as covers  # noqa: PLC0414


def covered(scope: Scope, proposal: Proposal) -> Target | None:
    """The first target that the scope covers; None when it covers none."""
    for target in proposal.targets:
        if covers(scope, proposal.rule, target):
            return target
    return None
