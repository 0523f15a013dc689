"""The examples as files: they load without an error, editors find no fault in them, and every scenario says what it shows."""

import pytest
from jsonschema import Draft202012Validator

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.topics import TOPICS, own_files, topic_files
from watchkeeper.documents import Kind, Node, parse
from watchkeeper.home.configuration import compile_home
from watchkeeper.home.schema import schemas
from watchkeeper.packs.load_given import SITUATION

SCHEMAS = schemas()
WARNED = {"exclusions", "metrics", "reach"}  # what they show is something that `wk check` warns of
ELSEWHERE = {"stops", "holds", "freezes", "deploys", "attempts", "busy", "dependencies", "budget", "maintenance"}


def plain(node: Node) -> object:
    """As an editor reads it."""
    if node.kind is Kind.MAPPING:
        return {entry.key: plain(entry.value) for entry in node.entries}
    if node.kind is Kind.LIST:
        return [plain(item) for item in node.items]
    return float(node.raw) if node.kind is Kind.FRACTION else node.scalar


@pytest.mark.parametrize("topic", TOPICS)
def test_an_example_loads_and_is_valid_by_the_published_schemas(topic: str) -> None:
    files = topic_files(topic)
    compiled = compile_home(files, CelCompiler())
    assert not compiled.errors, [str(each) for each in compiled.errors]
    assert bool(compiled.problems) is (topic in WARNED), [str(each) for each in compiled.problems]
    for path, data in files.items():
        for node in parse(path, data) if path.endswith(".yaml") else ():
            kind = str(getattr(node.find("kind"), "raw", "")).lower() or path.removesuffix(".yaml")
            schema = SCHEMAS.get(f"{kind}.json")
            assert schema is not None or path.startswith(("catalog/", "calendars/")), path
            if schema is not None:
                assert not [each.message for each in Draft202012Validator(schema).iter_errors(plain(node))], path


@pytest.mark.parametrize("topic", TOPICS)
def test_every_scenario_says_what_it_shows(topic: str) -> None:
    found = compile_home(topic_files(topic), CelCompiler()).configuration
    assert found is not None
    assert set(found.rulebook.packs) == {topic}
    assert len(found.rulebook.packs[topic].description) > 200
    for each in found.scenarios:
        assert len(each.description) > 20, each.name
        assert each.expected.verdict, each.name


def test_what_can_be_given_is_shown_by_some_example() -> None:
    text = b"".join(data for topic in TOPICS for data in own_files(topic).values())
    shown = {key for key in SITUATION if f"{key}: ".encode() in text or f"{key}:\n".encode() in text}
    assert shown | ELSEWHERE == set(SITUATION), set(SITUATION) - shown - ELSEWHERE
