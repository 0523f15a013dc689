"""The packs of a home to a rulebook.

In: the files under `packs/`, the catalogue, a compiler. Out: the rulebook of everything that could be read, the
scenarios, the replay tests, and every problem; whoever activates a configuration refuses it while there is an error among them.

    packs/<name>/pack.yaml
    packs/<name>/{rules,runbooks,actions,scenarios,replays}/*.yaml    one or more documents each
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from watchkeeper import documents
from watchkeeper.catalog.catalog import Catalog
from watchkeeper.documents import (
    Envelope,
    Node,
    Problem,
    ProblemSeverity,
    envelope,
    in_order,
    refuse_credentials,
    wrong,
)
from watchkeeper.documents.envelope import NAME
from watchkeeper.packs.action import PackAction
from watchkeeper.packs.agree import agree
from watchkeeper.packs.clauses import Clauses, canonical_ref, where_of
from watchkeeper.packs.expression import Compiler
from watchkeeper.packs.given import Mention
from watchkeeper.packs.index import build_index
from watchkeeper.packs.load_action import load_action
from watchkeeper.packs.load_rule import load_rule
from watchkeeper.packs.load_runbook import Loaded, load_runbook
from watchkeeper.packs.replay_test import ReplayTest, load_replay_test
from watchkeeper.packs.rule import Per, Rule
from watchkeeper.packs.rulebook import Pack, Rulebook
from watchkeeper.packs.runbook import Runbook
from watchkeeper.packs.scenario import Scenario, load_scenario
from watchkeeper.values import digest

PACKS_MAX: Final = 1_000
DOCUMENTS_MAX: Final = 20_000  # rules, runbooks, actions, scenarios and replay tests of one home

FOLDERS: Final = {
    "rules": "Rule",
    "runbooks": "Runbook",
    "actions": "Action",
    "scenarios": "Scenario",
    "replays": "ReplayTest",
}
_PATH: Final = re.compile(r"packs/([^/]+)/(?:(pack)|(rules|runbooks|actions|scenarios|replays)/[^/]+)\.(?:yaml|yml)")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+][0-9A-Za-z.+-]{1,64})?")


Reader = Callable[[str, bytes, list[Problem]], tuple[Node, ...]]  # path, bytes, problems -> documents


class Packs(Struct, frozen=True, kw_only=True):
    """`nodes` is where each rule and runbook stands, for problems that come up later. Disabled rules are in `rules` only.
    `mentions` are what scenarios name, for whoever knows whether it exists.
    """

    rulebook: Rulebook
    scenarios: tuple[Scenario, ...]
    problems: tuple[Problem, ...]
    rules: dict[str, Rule]
    nodes: dict[str, Node]
    mentions: tuple[Mention, ...] = ()
    replays: tuple[ReplayTest, ...] = ()


def load_packs(
    files: Mapping[str, bytes], catalog: Catalog, compiler: Compiler, read: Reader = documents.read
) -> Packs:
    problems: list[Problem] = []
    reader = _Reader(files, Clauses(compiler, problems), problems, read)
    for path in sorted(path for path in files if path.startswith("packs/")):
        reader.file(path)
    reader.documents()
    runbooks = agree(reader.rules, reader.runbooks, catalog, reader.nodes, reader.owners, problems)
    return Packs(
        rulebook=rulebook_of(reader.packs, reader.rules, runbooks, reader.actions),
        scenarios=tuple(reader.scenarios[name] for name in sorted(reader.scenarios)),
        problems=in_order(problems),
        rules=reader.rules,
        nodes=reader.nodes,
        mentions=tuple(reader.mentions),
        replays=tuple(reader.replays[name] for name in sorted(reader.replays)),
    )


def rulebook_of(
    packs: Mapping[str, Pack],
    rules: Mapping[str, Rule],
    runbooks: Mapping[str, Runbook],
    actions: Mapping[str, PackAction],
) -> Rulebook:
    """Index what is enabled. The digest covers every noun's own and every pack's."""
    enabled = {name: rules[name] for name in sorted(rules) if rules[name].enabled}
    index, labels, unindexed = build_index(enabled)
    nouns: Iterable[Any] = (*packs.values(), *rules.values(), *runbooks.values(), *actions.values())
    return Rulebook(
        digest=digest(sorted([type(noun).__name__, noun.name, noun.digest] for noun in nouns)),
        packs=dict(packs),
        rules=enabled,
        runbooks={name: runbooks[name] for name in sorted(runbooks)},
        index=index,
        labels=labels,
        unindexed=unindexed,
        actions=dict(actions),
        per_incident=any(rule.per is Per.INCIDENT for rule in enabled.values()),
    )


class _Reader:
    """Collects documents by kind first: a runbook's permissions may name a program of another pack."""

    def __init__(self, files: Mapping[str, bytes], clauses: Clauses, problems: list[Problem], read: Reader) -> None:
        self.files = files
        self.read = read
        self.clauses = clauses
        self.problems = problems
        self.packs: dict[str, Pack] = {}
        self.rules: dict[str, Rule] = {}
        self.runbooks: dict[str, Loaded] = {}
        self.actions: dict[str, PackAction] = {}
        self.scenarios: dict[str, Scenario] = {}
        self.replays: dict[str, ReplayTest] = {}
        self.nodes: dict[str, Node] = {}
        self.mentions: list[Mention] = []
        self.owners: list[tuple[str, str, Node]] = []
        self.waiting: dict[str, list[tuple[str, Envelope]]] = {kind: [] for kind in FOLDERS.values()}
        self.seen: dict[tuple[str, str, str], Node] = {}
        self.count = 0

    def file(self, path: str) -> None:
        found = _PATH.fullmatch(path)
        if found is None:
            if path.endswith((".yaml", ".yml")):
                self.say(
                    path,
                    f"is not read: packs hold pack.yaml and the folders {', '.join(FOLDERS)}",
                    ProblemSeverity.WARNING,
                )
            return
        pack, is_pack, folder = found.groups()
        if not NAME.fullmatch(pack):
            self.say(path, f"{pack!r} is not a name for a pack: use lower-case letters, digits, '-', '_' and '.'")
            return
        if not is_pack and not any(f"packs/{pack}/pack.{ending}" in self.files for ending in ("yaml", "yml")):
            self.say(path, f"packs/{pack} has no pack.yaml: who owns it, and which version is it?")
        nodes = self.read(path, self.files[path], self.problems)
        if is_pack:
            self.pack(path, pack, nodes)
            return
        for node in nodes:
            self.count += 1
            if self.count == DOCUMENTS_MAX + 1:
                self.say(path, f"a home holds at most {DOCUMENTS_MAX} documents in its packs")
            if self.count > DOCUMENTS_MAX:
                return
            refuse_credentials(node, self.problems)
            kind = FOLDERS[folder]
            head = envelope(node, self.problems, kinds=(kind,))
            if head is not None and self.first(kind, pack, head):
                self.waiting[kind].append((pack, head))

    def first(self, kind: str, pack: str, head: Envelope) -> bool:
        key = (kind, pack, head.name)
        other = self.seen.get(key)
        if other is None or not head.name:
            self.seen[key] = head.node
            return True
        wrong(
            self.problems,
            head.node,
            "metadata.name",
            f"{kind} {pack}/{head.name} stands twice, first at {where_of(other)}: rename one",
        )
        return False

    def pack(self, path: str, name: str, nodes: Sequence[Node]) -> None:
        if len(nodes) != 1:
            self.say(path, f"holds {len(nodes)} documents: expected one of kind Pack")
        if len(self.packs) >= PACKS_MAX:
            self.say(path, f"a home holds at most {PACKS_MAX} packs")
            return
        for node in nodes[:1]:
            head = envelope(node, self.problems, kinds=("Pack",))
            if head is None:
                continue
            if head.name and head.name != name:
                wrong(
                    self.problems,
                    head.node,
                    "metadata.name",
                    f"is {head.name!r}, and its folder is {name!r}: name both alike",
                )
            version = head.spec.text("version", required=True, pattern=_VERSION, expected="a version such as 1.4.0")
            description = head.spec.text("description")
            head.spec.done()
            self.packs[name] = Pack(
                name=name,
                version=version,
                owner=canonical_ref(head.owner),
                digest=pack_digest(name, self.files),
                description=description,
                where=where_of(head.node),
            )
            self.owners.append((f"pack {name}", canonical_ref(head.owner), head.node))

    def documents(self) -> None:
        for pack, head in self.waiting["Action"]:
            action = load_action(head, pack, f"packs/{pack}", self.files)
            if action is not None:
                self.actions[action.name] = action
        for pack, head in self.waiting["Runbook"]:
            self.own("runbook", pack, head)
            loaded = load_runbook(head, pack, self.clauses, self.actions)
            if loaded is not None:
                self.runbooks[loaded.runbook.name] = loaded
        for pack, head in self.waiting["Rule"]:
            self.own("rule", pack, head)
            rule = load_rule(head, pack, self.clauses)
            if rule is not None:
                self.rules[rule.name] = rule
        for pack, head in self.waiting["Scenario"]:
            scenario = load_scenario(head, pack, self.mentions)
            if scenario is not None:
                self.scenarios[scenario.name] = scenario
        for pack, head in self.waiting["ReplayTest"]:
            test = load_replay_test(head, pack)
            if test is not None:
                self.replays[test.name] = test

    def own(self, kind: str, pack: str, head: Envelope) -> None:
        self.nodes[f"{kind} {pack}/{head.name}"] = head.node
        if head.owner:
            self.owners.append((f"{kind} {pack}/{head.name}", canonical_ref(head.owner), head.node))

    def say(self, path: str, message: str, severity: ProblemSeverity = ProblemSeverity.ERROR) -> None:
        self.problems.append(Problem(file=path, line=0, column=0, field="", message=message, severity=severity))


def pack_digest(name: str, files: Mapping[str, bytes]) -> str:
    """SHA-256 over the paths and contents of everything in the pack's folder."""
    inside = sorted(path for path in files if path.startswith(f"packs/{name}/"))
    return digest([[path, hashlib.sha256(files[path]).hexdigest()] for path in inside])
