"""The rulebook: every enabled rule and runbook of the active configuration, indexed for matching."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from watchkeeper.packs.action import PackAction
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.runbook import Runbook


class Pack(Struct, frozen=True, kw_only=True):
    name: str
    version: str
    owner: str
    digest: str
    trust: str = "local"
    description: str = ""
    where: str = ""


class Rulebook(Struct, frozen=True, kw_only=True):
    """`index` maps (label, value) to the rules that demand it under the label with the fewest rules; a rule
    stands under one label only, so that matching costs what matches and not what exists.
    """

    digest: str
    packs: dict[str, Pack]
    rules: dict[str, Rule]
    runbooks: dict[str, Runbook]
    index: dict[tuple[str, str], tuple[str, ...]]
    labels: tuple[str, ...]
    unindexed: tuple[str, ...] = ()
    actions: dict[str, PackAction] = {}
    per_incident: bool = False  # whether any rule decides for a whole incident

    def candidates(self, labels: Mapping[str, str]) -> Iterator[Rule]:
        """Rules whose indexed label agrees; `match` in full and `when` are still to be judged."""
        for label in self.labels:
            for name in self.index.get((label, labels.get(label, "")), ()):
                yield self.rules[name]
        for name in self.unindexed:
            yield self.rules[name]
