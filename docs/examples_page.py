"""The page of examples: for each topic its rules and runbooks as they stand, and what its scenarios come to, played.

Nothing here is written by hand: descriptions come from the packs, verdicts and reasons from the engine.
"""
# ruff: noqa: INP001 (a script, no package)

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import structlog

from watchkeeper import bootstrap
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.topics import TOPICS, own_files, topic_files
from watchkeeper.documents import parse, plain_of
from watchkeeper.engine.scenarios import Played
from watchkeeper.home.configuration import Configuration, compile_home
from watchkeeper.packs.scenario import Scenario

BEFORE: Final = (".yaml", ".ics")
SENT_MAX: Final = 8  # sendings that are listed
QUIET: Final = ("signals", "at", "mode")


@cache
def page() -> str:
    """What the engine would log of made-up nights is no news; whoever logs beside this goes on as before."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        return _page()
    finally:
        structlog.configure(**before)


def _page() -> str:
    contents = "\n".join(f"- [{title}](#{_anchor(title)})" for title in TOPICS.values())
    return "\n".join([contents, "", *(_topic(name, title) for name, title in TOPICS.items())])


def _topic(name: str, title: str) -> str:
    files = topic_files(name)
    compiled = compile_home(files, CelCompiler())
    configuration = compiled.configuration
    assert configuration is not None, [str(problem) for problem in compiled.errors]
    parts = [f"## {title}", "", configuration.rulebook.packs[name].description, ""]
    parts += ["```sh", f"wk init --example {name} {name}-example && cd {name}-example && wk test", "```", ""]
    given = {each.name: plain for each in configuration.scenarios for plain in [_written(files, each)]}
    for path, text in own_files(name).items():
        if path.endswith(BEFORE) and "/scenarios/" not in path and not path.endswith("pack.yaml"):
            parts += [f"`{path}`", "", "```yml" if path.endswith(".yaml") else "```text", _text(text), "```", ""]
    ordered = sorted(configuration.scenarios, key=lambda each: (each.where.partition(":")[0], _line(each)))
    parts += ["| scenario | verdict |", "|---|---|"]
    played = {each.name: bootstrap.play(configuration, each) for each in ordered}
    parts += [f"| [{_title(each)}](#{_anchor(_title(each))}) | {played[each.name].verdict} |" for each in ordered]
    parts.append("")
    for each in ordered:
        parts += _scenario(configuration, each, played[each.name], given[each.name])
    return "\n".join(parts)


def _scenario(
    configuration: Configuration, scenario: Scenario, played: Played, given: Mapping[str, Any]
) -> Iterable[str]:
    assert not played.failures, (scenario.name, played.failures)
    del configuration
    yield f"### {_title(scenario)}"
    yield ""
    yield scenario.description
    yield ""
    yield "- **Given** " + "; ".join(_given(given)) + "."
    yield f"- **Decided** {_decided(played)}"
    for each in played.findings:
        if each.outcome != "pass" and each.reason != played.reason:
            yield f"  - `{each.guard}` says {each.outcome}: {each.reason}"
    yield f"- **Sent** {_sent(played)}"
    yield ""


def _given(given: Mapping[str, Any]) -> Iterable[str]:
    if "at" in given:
        yield f"at `{given['at']}`"
    mode = given.get("mode", "auto")
    yield "nothing granted" if mode == "observe" else f"`{mode}` granted"
    for signal in given["signals"]:
        labels = dict(signal["labels"])
        name, severity = labels.pop("alertname", "an alert"), labels.pop("severity", "")
        on = ", ".join(f"{key}={value}" for key, value in labels.items())
        beside = [f"region {signal['region']}"] if signal.get("region") else []
        beside += [f"after {signal['after']}"] if signal.get("after") else []
        yield f"{severity} `{name}` on `{on}`" + (f" ({', '.join(beside)})" if beside else "")
    for key, value in given.get("situation", {}).items():
        yield f"`{key}: {_flow(value)}`"
    for key in (each for each in given if each not in {*QUIET, "situation"}):
        yield f"`{key}: {_flow(given[key])}`"


def _decided(played: Played) -> str:
    if played.verdict == "none":
        return "**nothing**: no rule matches."
    would = f" (it would have been **{played.would_be}** at auto)" if played.verdict in {"observe", "suggest"} else ""
    return f"**{played.verdict}** by `{played.rule}`{would}: {played.reason}"


def _sent(played: Played) -> str:
    if not played.effects:
        return "nothing."
    listed = [f"`{each['action']}` to {each['target'] or 'nobody'}" for each in played.effects[:SENT_MAX]]
    more = len(played.effects) - len(listed)
    said = ", ".join(listed) + (f" and {more} more" if more else "")
    return f"{said}. The run {played.status}: {played.state}." if played.state else f"{said}. The run {played.status}."


def _flow(value: object) -> str:
    """On one line, as it may be written."""
    match value:
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(_flow(each) for each in value) + "]"
        case str() if "\n" in value:
            return "an .ics file"
        case _:
            return str(value)


def _written(files: Mapping[str, bytes], scenario: Scenario) -> dict[str, Any]:
    path, name = scenario.where.rpartition(":")[0], scenario.name.rpartition("/")[2]
    for node in parse(path, files[path]):
        plain = plain_of(node, [], "")
        if plain["metadata"]["name"] == name:
            found: dict[str, Any] = plain["spec"]["given"]
            return found
    raise KeyError(scenario.name)


def _line(scenario: Scenario) -> int:
    return int(scenario.where.rpartition(":")[2])


def _title(scenario: Scenario) -> str:
    words = scenario.name.rpartition("/")[2].replace("-", " ")
    return words[:1].upper() + words[1:]


def _anchor(title: str) -> str:
    return "".join(each for each in title.lower().replace(" ", "-") if each.isalnum() or each == "-")


def _text(data: bytes) -> str:
    return data.decode().replace("\r\n", "\n").rstrip()
