"""A `verify` of a step or of an undo: one probe, what it must see, how often, for how long."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from watchkeeper.documents import Fields, Kind, path_join, wrong
from watchkeeper.packs.clauses import Clauses
from watchkeeper.packs.runbook import Verification, Via
from watchkeeper.packs.template import expressions_in

PROBES: Final = {"http": "url", "tcp": "address", "command": "argv", "promql": "query"}  # the short form's argument
DIALLED: Final = ("address", "server")  # a URL has its own rules when it is worked out
SUCCESSES_MAX: Final = 1_000
WITHIN_MAX_MS: Final = 86_400_000


def load_verification(
    fields: Fields, clauses: Clauses, scope: Mapping[str, str], secret: Callable[[str], str]
) -> Verification | None:
    """`http: "${target.url}/healthz"`, or the long form `http: {url: .., headers: ..}`."""
    probes = [probe for probe in PROBES if fields.has(probe)]
    expect = {
        key: clauses.tree(node, path_join(fields.at("expect"), key), scope)
        for key, node in fields.mapping("expect", most=32)
    }
    found = Verification(
        probe=probes[0] if probes else "",
        arguments=_arguments(fields, probes[0], clauses, scope, secret) if probes else {},
        expect=expect,
        successes=fields.integer("successes", default=1, least=1, most=SUCCESSES_MAX),
        every_ms=fields.duration("every", default=1_000, least=50, most=WITHIN_MAX_MS),
        within_ms=fields.duration("within", default=60_000, least=50, most=WITHIN_MAX_MS),
        soak_ms=fields.duration("soak", most=WITHIN_MAX_MS),
        timeout_ms=fields.duration("timeout", default=5_000, least=10, most=WITHIN_MAX_MS),
        via=fields.choice("via", Via, default=Via.LOCAL),
    )
    if found.via is not Via.LOCAL and (found.via is not Via.SSH or found.probe != "command"):
        fields.wrong("via", "only a command looks elsewhere than from this node, and only by ssh: write via: ssh")
    if len(probes) != 1:
        fields.wrong(
            probes[1] if probes else "",
            f"has {' and '.join(probes)}: a verification looks in one way"
            if probes
            else f"looks at nothing: expected one of {', '.join(PROBES)}",
        )
        return None
    if found.successes > 1 and (found.successes - 1) * found.every_ms >= found.within_ms:
        fields.wrong(
            "successes",
            f"{found.successes} in a row, one every {found.every_ms} ms, never fit in {found.within_ms} ms: raise `within`",
        )
    fields.done()
    return found


def _arguments(
    fields: Fields, probe: str, clauses: Clauses, scope: Mapping[str, str], secret: Callable[[str], str]
) -> dict[str, Any]:
    node = fields.node_of(probe)
    assert node is not None  # `has` said so
    place, short = fields.at(probe), PROBES[probe]
    if node.kind is Kind.MAPPING:
        arguments = {
            entry.key: clauses.tree(entry.value, path_join(place, entry.key), scope, secret) for entry in node.entries
        }
        if short not in arguments:
            wrong(clauses.problems, node, place, f"a {probe} probe needs {short!r}")
    else:
        arguments = {short: clauses.tree(node, place, scope, secret)}
    for name in DIALLED:
        for expression in expressions_in(arguments.get(name)):
            if any(len(path) != 2 or path[0] != "target" for path in expression.references):
                what = f"'{expression.source}' would decide what is dialled; only an attribute of the target may"
                wrong(clauses.problems, node, place, what, expected='such as "${target.host}:5432"')
    wanted = list if short == "argv" else None
    if wanted is list and not isinstance(arguments.get(short), list):
        wrong(clauses.problems, node, place, "a command is a list of words, such as [systemctl, is-active, web]")
    elif wanted is None and isinstance(arguments.get(short), (list, dict)):
        wrong(clauses.problems, node, place, f"expected text for {short!r}")
    return arguments
