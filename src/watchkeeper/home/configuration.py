"""The files of a home to one configuration: everything a decision may depend on that people write.

In: paths and bytes. Out: a `Configuration`, named by the digest of its files, or None; and every problem.
Pure: the same files give the same configuration on every node, so its digest is what nodes compare.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchkeeper import documents
from watchkeeper.catalog.catalog import Catalog
from watchkeeper.catalog.load import load
from watchkeeper.documents import Problem, ProblemSeverity, errors, in_order, wrong
from watchkeeper.home.calendar import Calendar
from watchkeeper.home.exclusion import Exclusion
from watchkeeper.home.load_calendars import NAME as CALENDARS
from watchkeeper.home.load_calendars import load_calendars
from watchkeeper.home.load_exclusions import NAME as EXCLUSIONS
from watchkeeper.home.load_exclusions import load_exclusions
from watchkeeper.home.load_settings import NAME as SETTINGS
from watchkeeper.home.load_settings import load_settings
from watchkeeper.home.load_slos import FOLDER as SLOS
from watchkeeper.home.load_slos import load_slos
from watchkeeper.home.load_transactions import NAME as TRANSACTIONS
from watchkeeper.home.load_transactions import load_transactions
from watchkeeper.home.measured_rules import Rests, measured_rules
from watchkeeper.home.named import named
from watchkeeper.home.reach import Proof, prove, reached
from watchkeeper.home.settings import Settings
from watchkeeper.home.slo import Slo
from watchkeeper.home.transaction import Transaction, ranks, words
from watchkeeper.packs.expression import Compiler
from watchkeeper.packs.load import Packs, Reader, load_packs
from watchkeeper.packs.mentioned import unseen_labels
from watchkeeper.packs.replay_test import ReplayTest
from watchkeeper.packs.rule import Mode, Rule
from watchkeeper.packs.rulebook import Rulebook
from watchkeeper.packs.scenario import Scenario
from watchkeeper.values import digest

FILES_MAX: Final = 20_000
BYTES_MAX: Final = 256 * 1024 * 1024
PROBLEMS_MAX: Final = 2_000  # that are told; a person mends the first ones and looks again
_CATALOG: Final = re.compile(r"catalog/(?:[^/]+/)*[^/]+\.ya?ml")


class Configuration(Struct, frozen=True, kw_only=True):
    """Immutable and content-addressed: `digest` covers every path and the SHA-256 of what stands there.

    `rules` holds the disabled ones too; the rulebook only what is enabled. `transactions` stand most important first;
    `ranks` maps the entities they cross to their priority, `words` the label values that name one. `proof` says which
    enabled rule can reach what is excluded. `measured` are the enabled rules that rest on metrics.
    """

    digest: str
    settings: Settings
    catalog: Catalog
    rulebook: Rulebook
    exclusions: tuple[Exclusion, ...]
    files: dict[str, str]
    packs: dict[str, str]
    rules: dict[str, Rule]
    scenarios: tuple[Scenario, ...] = ()
    transactions: tuple[Transaction, ...] = ()
    ranks: dict[str, int] = {}
    words: dict[str, int] = {}
    proof: Proof = Proof(rules=0, exclusions=0, witnesses=())
    slos: dict[str, Slo] = {}
    measured: dict[str, Rests] = {}
    calendars: tuple[Calendar, ...] = ()
    replays: tuple[ReplayTest, ...] = ()


class Compiled(Struct, frozen=True, kw_only=True):
    """`configuration` is None when a problem is an error. Warnings never stop."""

    configuration: Configuration | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return errors(self.problems)


def file_digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)}


def home_digest(digests: Mapping[str, str]) -> str:
    """The name of a set of files: SHA-256 over the sorted pairs of path and digest."""
    return digest([[path, digests[path]] for path in sorted(digests)])


def compile_home(
    files: Mapping[str, bytes],
    compiler: Compiler,
    seen_labels: frozenset[str] = frozenset(),
    read: Reader = documents.read,
) -> Compiled:
    """`seen_labels` are the label names of past signals, for a warning about names that never came. `read` may
    remember (`home.parsed`): it answers the same trees, sooner.
    """
    problems: list[Problem] = []
    if not _admitted(files, problems):
        return Compiled(configuration=None, problems=tuple(problems))
    settings = load_settings(read(SETTINGS, files.get(SETTINGS, b""), problems), problems)
    unsettled = bool(errors(problems))  # what the settings lack is then not known: nothing is said of it
    catalog, found = load(
        [node for path in sorted(files) if _CATALOG.fullmatch(path) for node in read(path, files[path], problems)]
    )
    problems += found
    packs = load_packs(files, catalog, compiler, read)
    problems += packs.problems
    calendars = load_calendars(
        read(CALENDARS, files.get(CALENDARS, b""), problems), files, catalog, packs.rules, problems
    )
    exclusions = load_exclusions(read(EXCLUSIONS, files.get(EXCLUSIONS, b""), problems), catalog, problems)
    transactions = load_transactions(read(TRANSACTIONS, files.get(TRANSACTIONS, b""), problems), catalog, problems)
    enabled = packs.rulebook.rules
    proof = prove(enabled.values(), exclusions, catalog)
    problems += reached(proof, packs.nodes)
    problems += unseen_labels(enabled.values(), seen_labels, packs.nodes)
    slos = load_slos(
        [node for path in sorted(files) if SLOS.fullmatch(path) for node in read(path, files[path], problems)],
        catalog,
        settings.metrics,
        problems,
    )
    named(packs.mentions, catalog, settings, packs.rulebook, slos, calendars, problems)
    measured = measured_rules(enabled, slos, settings.metrics, packs.nodes, problems)
    if not unsettled:
        _routed(settings, packs, problems)
        _environments(settings, catalog, problems)
    _unbuilt(packs, problems)
    _unread(files, problems)
    ordered = in_order(problems)
    told = (
        ordered if len(ordered) <= PROBLEMS_MAX else (*(errors(ordered) or ordered)[:PROBLEMS_MAX], _more(len(ordered)))
    )
    if errors(ordered):
        return Compiled(configuration=None, problems=told)
    digests = file_digests(files)
    by_entity = ranks(transactions, catalog)
    configuration = Configuration(
        digest=home_digest(digests),
        settings=settings,
        catalog=catalog,
        rulebook=packs.rulebook,
        exclusions=exclusions,
        calendars=calendars,
        files=digests,
        packs={name: pack.digest for name, pack in packs.rulebook.packs.items()},
        rules=packs.rules,
        scenarios=packs.scenarios,
        replays=packs.replays,
        transactions=transactions,
        ranks=by_entity,
        words=words(by_entity, catalog),
        proof=proof,
        slos=slos,
        measured=measured,
    )
    return Compiled(configuration=configuration, problems=told)


def _admitted(files: Mapping[str, bytes], problems: list[Problem]) -> bool:
    if SETTINGS not in files:
        problems.append(
            _whole(
                SETTINGS,
                "is missing, so this folder is no home: run 'wk init', or write the file; an empty one will do",
            )
        )
    if len(files) > FILES_MAX:
        problems.append(_whole("", f"the home holds {len(files)} files, more than {FILES_MAX}"))
    size = sum(len(data) for data in files.values())
    if size > BYTES_MAX:
        problems.append(_whole("", f"the home holds {size} bytes, more than {BYTES_MAX}"))
    return not problems


def _routed(settings: Settings, packs: Packs, problems: list[Problem]) -> None:
    """Whoever is above observe asks people or acts on their behalf, so somebody must be told. Source: SEMANTICS 14."""
    for rule in packs.rulebook.rules.values():
        if highest(rule) is Mode.OBSERVE or any(_takes(route.match, rule) for route in settings.notify.routes):
            continue
        node = packs.nodes[f"rule {rule.name}"]
        wrong(
            problems,
            node.find("autonomy") or node,
            "spec.autonomy",
            f"may go as far as {highest(rule).value}, and no route of `notify` in {SETTINGS} would tell {rule.owner}: "
            "add one, or leave the ceiling at observe",
        )


def highest(rule: Rule) -> Mode:
    """The highest mode a rule's own ceilings allow."""
    order = tuple(Mode)
    return max((rule.ceiling, *(case.ceiling for case in rule.ceilings)), key=order.index)


def _takes(match: Mapping[str, tuple[str, ...]], rule: Rule) -> bool:
    """Whether a route can take what this rule says: it is for its team, and for a severity it matches."""
    if "team" in match and rule.owner not in match["team"]:
        return False
    stated = rule.match.get("severity")
    return "severity" not in match or stated is None or bool(set(match["severity"]) & set(stated))


def _environments(settings: Settings, catalog: Catalog, problems: list[Problem]) -> None:
    told: set[str] = set()
    for entity in catalog.entities.values():
        name = entity.environment
        if name and name not in settings.environments and name not in told:
            told.add(name)
            problems.append(
                Problem(
                    file=entity.file,
                    line=entity.line,
                    column=1,
                    field='metadata.annotations["watchkeeper.dev/environment"]',
                    message=f"the environment {name!r} is not declared in {SETTINGS}, so it counts as production",
                    severity=ProblemSeverity.WARNING,
                )
            )


def _unbuilt(packs: Packs, problems: list[Problem]) -> None:
    for runbook in packs.rulebook.runbooks.values():
        if runbook.unbuilt:
            wrong(
                problems,
                packs.nodes[f"runbook {runbook.name}"],
                "spec",
                f"uses what is not yet built: {', '.join(runbook.unbuilt)}; it can be checked, not applied",
                severity=ProblemSeverity.WARNING,
            )


def _unread(files: Mapping[str, bytes], problems: list[Problem]) -> None:
    """What stands in a folder of a home and does nothing there."""
    for path in files:
        if path.startswith("policy/"):
            message = "is not read: policies are not built in this release, so it forbids nothing; roles and limits do"
            problems.append(replace(_whole(path, message), severity=ProblemSeverity.WARNING))
        elif path.startswith("catalog/") and not _CATALOG.fullmatch(path) and not path.endswith(".md"):
            message = "is not read: the catalogue is in files that end in .yaml"
            problems.append(replace(_whole(path, message), severity=ProblemSeverity.WARNING))


def unbuilt(configuration: Configuration) -> tuple[str, ...]:
    """What `apply` refuses, a sentence each: runbooks that use what this release cannot do."""
    return tuple(
        f"{runbook.where}: runbook {runbook.name} uses what is not yet built: {', '.join(runbook.unbuilt)}"
        for runbook in configuration.rulebook.runbooks.values()
        if runbook.unbuilt
    )


def _whole(file: str, message: str) -> Problem:
    return Problem(file=file, line=0, column=0, field="", message=message)


def _more(count: int) -> Problem:
    return Problem(
        file="",
        line=0,
        column=0,
        field="",
        message=f"{count - PROBLEMS_MAX} more problems",
        severity=ProblemSeverity.WARNING,
    )
