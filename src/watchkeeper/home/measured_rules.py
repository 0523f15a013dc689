"""Which rules rest on metrics, whether what they name exists, and what its response class makes of them.

A rule on a metric for manual review asks at most, whatever its ceiling: `check` says so, and so does every decision.
"""

from collections.abc import Mapping

from msgspec import Struct

from watchkeeper.documents import Node, Problem, ProblemSeverity, suggestion, wrong
from watchkeeper.home.metrics import MetricSettings, Response
from watchkeeper.home.slo import BURN_WINDOWS, Slo
from watchkeeper.packs.metrics import OF_SLO, SLO, measured_paths
from watchkeeper.packs.rule import MODE_ORDER, Mode, Rule


class Rests(Struct, frozen=True, kw_only=True):
    """What a rule's conditions look at: metrics as they are written (`metrics.mttr`), and those for manual review."""

    on: tuple[str, ...]
    review: tuple[str, ...] = ()


def measured_rules(
    rules: Mapping[str, Rule],
    slos: Mapping[str, Slo],
    settings: MetricSettings,
    nodes: Mapping[str, Node],
    problems: list[Problem],
) -> dict[str, Rests]:
    """Only the rules that look at a metric. Problems are added."""
    found = {}
    for name, rule in rules.items():
        paths = measured_paths((*rule.when, *(case.when for case in rule.ceilings)))
        if not paths:
            continue
        node = nodes[f"rule {name}"]
        where = node.find("when") or node
        for path in paths:
            why = _wrong(path, slos)
            if why:
                wrong(problems, where, "spec.when", why)
        review = tuple(dict.fromkeys(_shown(path) for path in paths if _class(path, slos, settings) is not _AUTOMATED))
        found[name] = Rests(on=tuple(dict.fromkeys(_shown(path) for path in paths)), review=review)
        ceiling = max((rule.ceiling, *(case.ceiling for case in rule.ceilings)), key=MODE_ORDER.index)
        if review and ceiling is Mode.AUTO:
            one = "its response class is" if len(review) == 1 else "their response class is"
            wrong(
                problems,
                node.find("autonomy") or where,
                "spec.autonomy",
                f"rests on {', '.join(review)}, and {one} {Response.MANUAL_REVIEW.value}: this rule asks at most; declare "
                "it automated under metrics.response in watchkeeper.yaml, or in the SLO's annotation, to let it act",
                severity=ProblemSeverity.WARNING,
            )
    return found


_AUTOMATED = Response.AUTOMATED


def _class(path: tuple[str, ...], slos: Mapping[str, Slo], settings: MetricSettings) -> Response:
    if path[0] != SLO:
        return settings.response_of(path[1]) if len(path) > 1 else settings.default_response
    slo = slos.get(path[1]) if len(path) > 1 else None
    return slo.response if slo is not None else settings.response_of(SLO)


def _wrong(path: tuple[str, ...], slos: Mapping[str, Slo]) -> str:
    if path[0] != SLO:
        return ""
    if len(path) < 2:
        return 'names no SLO in writing: expected for example slo["checkout"].budget_left'
    name = path[1]
    if name not in slos:
        return f"there is no SLO {name} in slos/{suggestion(name, slos)}"
    if len(path) < 3 or path[2] not in OF_SLO:
        word = path[2] if len(path) > 2 else ""
        return f'slo["{name}"] has {", ".join(OF_SLO)}, not {word!r}{suggestion(word, OF_SLO)}'
    if path[2] == "burn" and (len(path) < 4 or path[3] not in BURN_WINDOWS):
        return f'slo["{name}"].burn has the windows {", ".join(BURN_WINDOWS)}: write for example burn["1h"]'
    return ""


def _shown(path: tuple[str, ...]) -> str:
    if path[0] != SLO or len(path) < 2:
        return ".".join(path)
    tail = "".join(f".{part}" if part.isidentifier() else f'["{part}"]' for part in path[2:])
    return f'slo["{path[1]}"]{tail}'
