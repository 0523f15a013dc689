"""The documents are true: links lead somewhere, files load, commands exist, and every word of the code is explained."""

import importlib
import importlib.util
import inspect
import re
import shlex
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.approve.approval import State
from watchkeeper.approve.roles import Role, Verb
from watchkeeper.catalog.annotations import FIXED
from watchkeeper.correlate.alert import AlertState
from watchkeeper.correlate.timeline import Phase
from watchkeeper.decide.decision import Verdict
from watchkeeper.documents import Kind, parse, plain_of
from watchkeeper.execute.run import ENDED, Status, StepStatus
from watchkeeper.guards.finding import Moment, Outcome
from watchkeeper.guards.order import NAMES
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.exclusion import State as Exclusion
from watchkeeper.home.limits import Limits
from watchkeeper.home.schema import schemas
from watchkeeper.home.settings import Autonomy, Coverage, EngineSettings, Retention, Roles, Server, StoreSettings
from watchkeeper.home.starter import starter
from watchkeeper.learn.coverage import HopState
from watchkeeper.ledger.entry import Kind as EntryKind
from watchkeeper.packs.action import ACTIONS
from watchkeeper.packs.rule import Mode, Risk
from watchkeeper.packs.runbook import Effect, OnFailure, OnStop, StepKind, Via
from watchkeeper.packs.scope import RULE
from watchkeeper.surface.cli.place import Exit
from watchkeeper.surface.cli.verbs import VERBS
from watchkeeper.verify.sample import Result

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HOME_FILE = re.compile(r"(?:catalog|packs|slos)/.+\.yaml|watchkeeper\.yaml|exclusions\.yaml|transactions\.yaml")
EVERYWHERE = {"--home", "--url", "--utc", "--no-color", "--help", "--version"}


def load_generate():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generate()
GENERATED = generate.generated()


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def text_of(path):
    return (DOCS / path).read_text(encoding="utf-8")


def blocks(page, language):
    """The fenced blocks of a page, without the indentation of the list they stand in."""
    for indent, found, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        if found == language:
            yield "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))


# -- what is generated ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GENERATED), ids=name_of)
def test_generated_parts_are_what_the_code_says(path):
    assert path.read_bytes() == GENERATED[path], f"{name_of(path)} is stale: run 'make docs'"


def test_every_part_has_its_place():
    used = {
        found[1]
        for page in DOCS.rglob("*.md")
        for found in re.findall(r"(<!-- generated: ([a-z-]+) -->)", page.read_text())
    }
    assert used == set(generate.PARTS)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SETTLE_MS", 300_000, "5m"),
        ("LEASE_MS", 6_500, "6s500ms"),
        ("KEEP_EVERY_S", 0.2, "0.2 s"),
        ("BODY_BYTES_MAX", 4 * 1024 * 1024, "4 MiB"),
        ("ENTRY_BYTES_MAX", 65_535, "65,535 bytes"),
        ("LIST_LIMIT_MAX", 1_000, "1,000"),
    ],
)
def test_a_bound_is_told_with_the_unit_in_its_name(name, value, said):
    assert generate.shown(name, value) == said


def test_a_bound_is_found_with_its_arithmetic_and_its_comment(tmp_path):
    source = tmp_path / "noun.py"
    source.write_text(
        "DAY_MS: Final = 24 * 3_600_000\n"
        "KEPT_MS: Final = 7 * DAY_MS  # a week\n"
        "SIZE_BYTES_MAX = 1 << 20\n"
        "NAME: Final = 'x'\n"
        "_OWN_MAX: Final = 3\n"
        "COUNT: Final = 3\n"
    )
    assert generate.constants(source) == [
        ("DAY_MS", 86_400_000, ""),
        ("KEPT_MS", 604_800_000, "a week"),
        ("SIZE_BYTES_MAX", 1_048_576, ""),
    ]


# -- links ---------------------------------------------------------------------------------------------


def anchors(page):
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)}: {target} leads nowhere"
        assert not anchor or anchor in anchors(found), f"{name_of(page)}: {target} names no heading"


def test_the_index_names_every_page():
    index = text_of("README.md")
    for page in [
        *(DOCS / "how-to").glob("*.md"),
        *(DOCS / "reference").glob("*.md"),
        *(DOCS / "explanation").glob("*.md"),
    ]:
        assert f"({page.relative_to(DOCS).as_posix()})" in index


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_path_of_one_machine_and_no_index_address(page):
    text = page.read_text(encoding="utf-8")
    found = re.search(r"/(?:work|root|home/(?!you/)\w+|Users)/|/tmp/|pypi\.org|/simple\b|registry\.", text)
    assert found is None, f"{name_of(page)}: {found[0]}"


# -- words of the code ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("reference/guards.md", [*NAMES, *Verdict, *Moment]),
        ("reference/states.md", [*Status, *StepStatus, *Effect, *State, *AlertState, *Phase, *Result]),
        ("reference/states.md", [*HopState, *Exclusion]),
        ("reference/states.md", [*Mode, *Risk, *Via, *OnStop, *OnFailure, *StepKind]),
        ("reference/roles.md", list(Verb)),
        ("reference/files.md", [*ACTIONS, *[f"watchkeeper.dev/{name}" for name in FIXED]]),
        ("reference/expressions.md", list(RULE)),
        ("reference/ledger.md", list(EntryKind)),
    ],
)
def test_every_word_is_explained(page, words):
    text = text_of(page)
    for word in words:
        assert f"`{word}`" in text, f"{page} does not mention {word}"


def test_every_outcome_role_and_exit_code_is_there():
    assert all(outcome.value in text_of("reference/guards.md") for outcome in Outcome)
    assert all(f" {role.value} " in text_of("reference/roles.md") for role in Role)
    assert all(f"| {code.value} |" in text_of("reference/cli.md") for code in Exit)


def test_ended_states_are_marked_as_ended():
    rows = dict(
        re.findall(
            r"^\| `(\w+)` \| (.+) \|$",
            text_of("reference/states.md").partition("## Run")[2].partition("## Step")[0],
            re.MULTILINE,
        )
    )
    assert {status for status, meaning in rows.items() if meaning.startswith("ended:")} == {
        status.value for status in ENDED
    }


def test_every_verb_is_listed_as_it_is_typed():
    text = text_of("reference/cli.md")
    for verb in VERBS:
        assert re.search(rf"`wk {re.escape(' '.join(verb.words))}[` ]", text), verb.words


def test_every_bound_is_listed():
    text = text_of("reference/limits.md")
    for path in (ROOT / "src").rglob("*.py"):
        for name, value, _ in generate.constants(path):
            assert f"| `{name}` | {generate.shown(name, value)} |" in text, f"{path.name}: {name}"


def test_every_dependency_is_justified():
    text = text_of("dependencies.md")
    for name in generate.dependencies():
        section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert "Alternatives:" in section, name
        assert "Kept by" in section, name
    assert len(re.findall(r"^## ", text, re.MULTILINE)) == len(generate.dependencies())


def test_every_decision_record_admits_its_cost():
    index = text_of("adr/README.md")
    for page in sorted((DOCS / "adr").glob("[0-9]*.md")):
        text = page.read_text(encoding="utf-8")
        assert len(text.partition("## Negative consequences\n")[2].strip()) > 100, page.name
        assert f"({page.name})" in index


# -- files -----------------------------------------------------------------------------------------------


def programs(page):
    """The programs of packs that a page shows: the first line names the interpreter, the second the file."""
    found = {}
    for body in blocks(page, "python"):
        if named := re.match(r"#!.*\n# (packs/\S+)\n", body):
            found[named[1]] = body.encode()
    return found


def homes(page):
    """Every home a page describes: the starter with its files. A path that stands twice makes two homes."""
    found = [(body.partition("\n")[0].removeprefix("# "), body) for body in blocks(page, "yaml")]
    ours = [(path, body.encode()) for path, body in found if HOME_FILE.fullmatch(path)]
    programs = {
        named[1]: body.encode()
        for language in ("python", "sh")
        for body in blocks(page, language)
        if (named := re.match(r"(?:#!.*\n)?# (packs/\S+)\n", body))
    }
    whole = {**starter(), **programs, **dict(ours)}
    return [{**whole, path: body} for path, body in ours]


@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks(page, "yaml"))], ids=name_of)
def test_yaml_blocks_load_with_the_real_loaders(page):
    for body in blocks(page, "yaml"):
        first = body.partition("\n")[0]
        named = re.fullmatch(r"# \S+\.ya?ml", first)
        assert named or page.parent == ROOT, f"{name_of(page)}: a block does not name its file: {first}"
        parse("block.yaml", body.encode())
    for files in homes(page):
        compiled = compile_home(files, CelCompiler())
        assert not compiled.errors, [str(problem) for problem in compiled.errors]


def as_json(node):
    """As an editor reads it: OpenSLO's shares are numbers, which nothing of our own may be."""
    if node.kind is Kind.MAPPING:
        return {entry.key: as_json(entry.value) for entry in node.entries}
    if node.kind is Kind.LIST:
        return [as_json(item) for item in node.items]
    return float(node.scalar) if node.kind is Kind.FRACTION else node.scalar


@pytest.mark.parametrize("page", [page for page in PAGES if list(blocks(page, "yaml"))], ids=name_of)
def test_yaml_blocks_are_valid_by_the_published_schemas(page):
    for body in blocks(page, "yaml"):
        path = body.partition("\n")[0].removeprefix("# ")
        for node in parse(path, body.encode()):
            plain = as_json(node) if path.startswith("slos/") else plain_of(node, [], "")
            name = (
                path.removesuffix(".yaml")
                if path in {"watchkeeper.yaml", "exclusions.yaml", "transactions.yaml"}
                else str(plain.get("kind", "")).lower()
                if isinstance(plain, dict)
                else ""
            )
            schema = schemas().get(f"{name}.json")
            if path.startswith(("packs/", "slos/")):
                assert schema is not None, path
            if schema is not None:
                assert not [error.message for error in Draft202012Validator(schema).iter_errors(plain)], path


SECTIONS = {
    "retention": Retention,
    "store": StoreSettings,
    "engine": EngineSettings,
    "server": Server,
    "autonomy": Autonomy,
    "coverage": Coverage,
    "limits": Limits,
    "roles": Roles,
}
SPELT = {
    "body_bytes_max": "body_max",
    "deliveries_max": "deliveries",
    "runs_waiting_max": "runs_waiting",
    "outbox_max": "outbox",
    "steps_at_once_max": "steps_at_once",
    "episodes_min": "episodes",
    "agreement_ppm": "agreement",
    "days_on_level": "days",
}


def test_what_is_said_to_be_missing_is_missing():
    verbs = {verb.words[0] for verb in VERBS}
    assert ("`wk replay` decides" in text_of("explanation/decisions-are-records.md")) == ("replay" in verbs)
    assert ("`wk test` runs them" in text_of("reference/files.md")) == ("test" in verbs)


def test_settings_that_nothing_reads_are_named_and_no_others():
    """A setting that comes to be used must leave the list, and one that is not used must be on it."""
    text = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py") if "/home/" not in path.as_posix())
    unused = {
        f"{section}.{SPELT.get(name, name.removesuffix('_ms'))}"
        for section, shape in SECTIONS.items()
        for name in shape.__struct_fields__
        if not re.search(rf"\b{section}\.{name}\b", text)
    }
    said = (
        text_of("reference/files.md")
        .partition("### Read and checked, and not used by this release\n")[2]
        .partition("\n## ")[0]
    )
    assert set(re.findall(r"`([a-z_.]+)`", said)) == unused


# -- commands --------------------------------------------------------------------------------------------


def typed(page):
    """Every `wk` command of a page: lines of shell blocks, and whole inline code."""
    text = page.read_text(encoding="utf-8")
    lines = [line for body in blocks(page, "sh") for line in body.replace("\\\n", " ").splitlines()]
    lines += [" ".join(code.split()) for code in re.findall(r"`(wk [^`]+)`", BLOCK.sub("", text))]
    return [line.strip() for line in lines if re.match(r"(?:wk|watchkeeper) ", line.strip())]


def flags(verb):
    module, _, attribute = verb.function.partition(":")
    function = getattr(importlib.import_module(module), attribute)
    return {f"--{name.rstrip('_').replace('_', '-')}" for name in inspect.signature(function).parameters}


KNOWN = {verb.words: verb for verb in VERBS}


def exists(line, where):
    """The verb of a line, and each of its flags."""
    words = shlex.split(line.partition(" > ")[0].partition(" | ")[0].partition(" && ")[0], comments=True)[1:]
    if words[0].startswith("--") and words[0] in EVERYWHERE:
        return
    verb = KNOWN.get(tuple(words[:2])) or KNOWN.get(tuple(words[:1]))
    assert verb is not None, f"{where}: {line}: no such verb"
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in EVERYWHERE:
            assert flag in flags(verb), f"{where}: {line}: no flag {flag}"


@pytest.mark.parametrize("page", [page for page in PAGES if typed(page)], ids=name_of)
def test_commands_exist_with_their_flags(page):
    for line in typed(page):
        if page != DOCS / "reference" / "cli.md":  # that one is written from the table of verbs itself
            exists(line, name_of(page))


def test_commands_that_the_console_offers_exist_with_their_flags():
    console = ROOT / "src" / "watchkeeper" / "surface" / "console"
    found = [
        (line, path.name)
        for path in [*console.rglob("*.html"), console / "pages" / "palette.py"]
        for line in re.findall(r'"(wk [^"{]+)"', path.read_text())
    ]
    assert len(found) > 20
    for line, name in found:
        exists(line.strip(), name)


def test_the_generator_says_what_it_would_write(capsys):
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().out == ""
    assert "generate" not in sys.modules
