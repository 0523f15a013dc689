"""`slos/*.yaml` to `Slo`s: OpenSLO v1 objects over this node's own checks and over PromQL.

What is read: SLO, SLI, Service and DataSource; one objective an SLO, a ratio metric of good (or bad) and total, one
rolling window, budgeting by occurrences. Whatever else OpenSLO knows is an error that says so: nothing is passed over.
Source: OpenSLO specification, v1.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from watchkeeper.catalog.catalog import Catalog, by_alias, by_ref
from watchkeeper.documents import Fields, Kind, Node, Problem, percent_ppm, refuse_credentials, suggestion, wrong
from watchkeeper.documents.envelope import NAME, NAME_EXPECTED
from watchkeeper.home.load_indicator import Shelf, indicator_of, server_of
from watchkeeper.home.load_metrics import AGE_MAX_MS, AGE_MIN_MS
from watchkeeper.home.metrics import DAY_MS, WINDOW_MAX_MS, WINDOW_MIN_MS, MetricSettings, Response
from watchkeeper.home.slo import EVERY_MS, Slo
from watchkeeper.packs.clauses import normal, where_of
from watchkeeper.packs.metrics import SLO
from watchkeeper.values import digest, duration_ms, duration_text

VERSION: Final = "openslo/v1"
FOLDER: Final = re.compile(r"slos/(?:[^/]+/)*[^/]+\.ya?ml")
SLOS_MAX: Final = 1_000
EVERY_MIN_MS: Final = 10_000
EVERY_MAX_MS: Final = 3_600_000
PPM: Final = 1_000_000
KINDS: Final = ("SLO", "SLI", "Service", "DataSource")
OTHER_KINDS: Final = ("AlertPolicy", "AlertCondition", "AlertNotificationTarget")
OURS: Final = "watchkeeper.dev/"
ANNOTATIONS: Final[dict[str, tuple[str, ...]]] = {
    "SLO": ("response", "max-age", "budget-floor", "every"),
    "Service": ("entity",),
    "SLI": (),
    "DataSource": (),
}
_WINDOW: Final = re.compile(r"([1-9][0-9]{0,3})(m|h|d|w)")
_UNITS: Final = {"m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_UNSUPPORTED: Final = {
    "op": "is for threshold metrics, which are not supported: write a ratioMetric",
    "value": "is for threshold metrics, which are not supported: write a ratioMetric",
    "timeSliceTarget": "is for budgeting by time slices, which is not supported: use Occurrences",
    "timeSliceWindow": "is for budgeting by time slices, which is not supported: use Occurrences",
    "indicator": "composite objectives are not supported: write one SLO each, with its own indicator",
    "indicatorRef": "composite objectives are not supported: write one SLO each, with its own indicator",
    "compositeWeight": "composite objectives are not supported: write one SLO each",
}


def load_slos(
    documents: Iterable[Node], catalog: Catalog, settings: MetricSettings, problems: list[Problem]
) -> dict[str, Slo]:
    """The objectives that could be read, by name. Problems are added."""
    heads = [head for node in documents if (head := _head(node, problems)) is not None]
    seen: dict[tuple[str, str], Node] = {}
    for head in heads:
        first = seen.setdefault((head.kind, head.name), head.node)
        if first is not head.node:
            wrong(
                problems,
                head.node,
                "metadata.name",
                f"{head.kind} {head.name} stands twice, first at {where_of(first)}: rename one",
            )
    servers = {head.name: server_of(head.name, head.spec) for head in heads if head.kind == "DataSource"}
    services = {head.name: _service(head, catalog) for head in heads if head.kind == "Service"}
    indicators = {head.name: head for head in heads if head.kind == "SLI"}
    shelf = Shelf(servers=servers, indicators={name: head.spec for name, head in indicators.items()})
    found: dict[str, Slo] = {}
    used: set[str] = set()
    for head in heads:
        if head.kind != "SLO":
            continue
        if len(found) >= SLOS_MAX:
            wrong(problems, head.node, "", f"a home holds at most {SLOS_MAX} SLOs")
            break
        slo = _slo(head, shelf, services, catalog, settings, used)
        if slo is not None:
            found.setdefault(slo.name, slo)
    for name, head in indicators.items():
        if name not in used:  # one that is used was read where it is used
            indicator_of(head.spec, shelf)
    return found


class _Head:
    """What every OpenSLO object begins with."""

    def __init__(self, kind: str, name: str, title: str, annotations: Mapping[str, str], fields: Fields) -> None:
        self.kind, self.name, self.title, self.annotations = kind, name, title, annotations
        self.fields = fields
        child = fields.child("spec", required=True)
        self.spec = child if child is not None else Fields(_nothing(fields.node), [], "spec")

    @property
    def node(self) -> Node:
        return self.fields.node


def _nothing(node: Node) -> Node:
    return Node(file=node.file, kind=Kind.MAPPING, line=node.line, column=node.column)


def _head(node: Node, problems: list[Problem]) -> _Head | None:
    fields = Fields(node, problems)
    refuse_credentials(node, problems)
    version, kind = fields.text("apiVersion", required=True), fields.text("kind", required=True)
    if version and version != VERSION:
        fields.wrong("apiVersion", f"expected {VERSION}, got {version!r}")
    if kind in OTHER_KINDS:
        fields.wrong(
            "kind",
            f"{kind} is not supported: alerts on burn rates come from your alerting, or from a rule on slo[...].burn",
        )
    elif kind and kind not in KINDS:
        fields.wrong("kind", f"expected one of {', '.join(KINDS)}, got {kind!r}{suggestion(kind, KINDS)}")
    metadata = fields.child("metadata", required=True)
    if metadata is None or kind not in KINDS or version != VERSION:
        return None
    name = metadata.text("name", required=True, pattern=NAME, expected=NAME_EXPECTED)
    annotations = metadata.labels("annotations")
    for key in annotations:
        short = key.removeprefix(OURS)
        if key.startswith(OURS) and short not in ANNOTATIONS[kind]:
            known = ", ".join(OURS + each for each in ANNOTATIONS[kind]) or "none"
            metadata.wrong("annotations", f"{key} means nothing on a {kind}; known here: {known}")
    metadata.known.add("labels")
    title = metadata.text("displayName")
    metadata.done()
    head = _Head(kind, name, title, annotations, fields)
    fields.done()
    return head


def _service(head: _Head, catalog: Catalog) -> str:
    """The entity that an OpenSLO Service stands for: its annotation's, or the one of its own name."""
    head.spec.text("description")
    head.spec.done()
    stated = head.annotations.get(f"{OURS}entity", head.name)
    entity = by_ref(catalog, stated) or by_alias(catalog, stated)
    if entity is None:
        wrong(
            head.fields.problems,
            head.node,
            "metadata",
            f"Service {head.name} stands for {stated}, which is not in the catalogue: "
            f"name its entity in the annotation {OURS}entity",
        )
        return ""
    return entity.ref


def _slo(
    head: _Head,
    shelf: Shelf,
    services: Mapping[str, str],
    catalog: Catalog,
    settings: MetricSettings,
    used: set[str],
) -> Slo | None:
    spec = head.spec
    before = len(spec.problems)
    entity = _entity(spec, services, catalog)
    window_ms = _window(spec)
    method = spec.text("budgetingMethod", required=True)
    if method and method != "Occurrences":
        spec.wrong("budgetingMethod", f"{method!r} is not supported: this release budgets by Occurrences")
    target_ppm = _target(spec)
    inline, named = spec.child("indicator"), spec.text("indicatorRef")
    if (inline is None) == (not named):
        spec.wrong("indicator", "expected either `indicator` or `indicatorRef`")
    indicator, indicator_node = None, spec.node
    if inline is not None:
        indicator_node = inline.node
        indicator = indicator_of(_inline(inline), shelf)
    elif named:
        if named in shelf.indicators:
            used.add(named)
            indicator_node = shelf.indicators[named].node
            indicator = indicator_of(shelf.indicators[named], shelf)
        else:
            spec.wrong("indicatorRef", f"there is no SLI {named}{suggestion(named, shelf.indicators)}")
    policies = spec.items("alertPolicies")
    if policies:
        spec.wrong("alertPolicies", "are not supported: leave them out, and write a rule on slo[...].burn")
    annotated = _Annotated(head, settings)
    description = spec.text("description")
    spec.done()
    if any(problem.severity == "error" for problem in spec.problems[before:]) or indicator is None:
        return None
    return Slo(
        name=head.name,
        entity=entity,
        target_ppm=target_ppm,
        window_ms=window_ms,
        indicator=indicator,
        response=annotated.response,
        max_age_ms=annotated.max_age_ms,
        floor_ppm=annotated.floor_ppm,
        every_ms=annotated.every_ms,
        digest=digest([normal(spec.node), normal(indicator_node), entity, _server_text(indicator.server)]),
        title=head.title,
        description=description,
        where=where_of(head.node),
    )


def _server_text(server: object) -> str:
    return "" if server is None else str(getattr(server, "url", ""))


def _inline(indicator: Fields) -> Fields:
    """The spec of an inline SLI; its metadata may name it, and nothing else."""
    metadata = indicator.child("metadata")
    if metadata is not None:
        metadata.text("name")
        metadata.text("displayName")
        metadata.known |= {"labels", "annotations"}
        metadata.done()
    spec = indicator.child("spec", required=True)
    indicator.done()
    return spec if spec is not None else Fields(_nothing(indicator.node), [], indicator.at("spec"))


def _entity(spec: Fields, services: Mapping[str, str], catalog: Catalog) -> str:
    name = spec.text("service", required=True)
    if not name or name in services:
        return services.get(name, "")
    entity = by_ref(catalog, name) or by_alias(catalog, name)
    if entity is None:
        known = (*services, *catalog.named)
        spec.wrong("service", f"{name} is neither a Service of slos/ nor in the catalogue{suggestion(name, known)}")
        return ""
    return entity.ref


def _window(spec: Fields) -> int:
    rows = spec.many("timeWindow", required=True, most=1)
    if spec.has("timeWindow") and len(rows) != 1:
        spec.wrong("timeWindow", "expected one window, such as [{duration: 30d, isRolling: true}]")
    found = 0
    for row in rows:
        text = row.text("duration", required=True, pattern=_WINDOW, expected="a duration such as 30d, 4w or 12h")
        stated = _WINDOW.fullmatch(text)
        found = int(stated[1]) * _UNITS[stated[2]] if stated is not None else WINDOW_MIN_MS
        if not WINDOW_MIN_MS <= found <= WINDOW_MAX_MS:
            row.wrong("duration", f"lies outside {duration_text(WINDOW_MIN_MS)} to {duration_text(WINDOW_MAX_MS)}")
        if row.has("calendar") or not row.boolean("isRolling", default=False):
            row.wrong("isRolling", "calendar windows are not supported: write isRolling: true")
            row.known.add("calendar")
        row.done()
    return found


def _target(spec: Fields) -> int:
    """Of the one objective, in parts per million."""
    rows = spec.many("objectives", required=True)
    if len(rows) > 1:
        spec.wrong("objectives", f"holds {len(rows)} objectives, and one an SLO is supported: write one SLO each")
    found = 0
    for row in rows[:1]:
        row.text("displayName")
        for name, why in _UNSUPPORTED.items():
            if row.has(name):
                row.wrong(name, why)
        share, percent = _number(row, "target"), _number(row, "targetPercent")
        if (share is None) == (percent is None):
            row.wrong("target", "expected either `target`, such as 0.999, or `targetPercent`, such as 99.9")
            row.done()
            continue
        exact = share * PPM if share is not None else (percent or Decimal(0)) * 10_000
        name = "target" if share is not None else "targetPercent"
        found = int(exact)
        if exact != found or not 0 < found < PPM:
            row.wrong(
                name, "lies not between 0 and 1 (0 % and 100 %), both excluded, or is finer than one in a million"
            )
        row.done()
    return found


def _number(fields: Fields, name: str) -> Decimal | None:
    node = fields.node_of(name)
    if node is None:
        return None
    if node.kind not in {Kind.FRACTION, Kind.INTEGER}:
        fields.wrong(name, f"expected a number such as 0.999, got {node}")
        return Decimal(0)
    return Decimal(node.raw)


class _Annotated:
    """What stands in the annotations of an SLO under our own prefix; without them the home's `metrics:` counts."""

    def __init__(self, head: _Head, settings: MetricSettings) -> None:
        self._head = head
        known = [each.value for each in Response]
        text = self._text("response")
        if text and text not in known:
            self._wrong("response", f"expected one of {', '.join(known)}, got {text!r}{suggestion(text, known)}")
        self.response = Response(text) if text in known else settings.response_of(SLO)
        self.max_age_ms = self._duration("max-age", settings.max_age_ms, AGE_MIN_MS, AGE_MAX_MS)
        self.every_ms = self._duration("every", EVERY_MS, EVERY_MIN_MS, EVERY_MAX_MS)
        self.floor_ppm = settings.budget_floor_ppm
        text = self._text("budget-floor")
        if text:
            try:
                self.floor_ppm = percent_ppm(text)
            except ValueError as why:
                self._wrong("budget-floor", str(why))

    def _text(self, name: str) -> str:
        return self._head.annotations.get(OURS + name, "").strip()

    def _duration(self, name: str, default: int, least: int, most: int) -> int:
        text = self._text(name)
        if not text:
            return default
        try:
            found = duration_ms(text)
        except ValueError as why:
            self._wrong(name, str(why))
            return default
        if not least <= found <= most:
            self._wrong(name, f"lies outside {duration_text(least)} to {duration_text(most)}")
        return found

    def _wrong(self, name: str, why: str) -> None:
        metadata = self._head.node.find("metadata") or self._head.node
        node = (metadata.find("annotations") or metadata).find(OURS + name) or metadata
        wrong(self._head.fields.problems, node, f'metadata.annotations["{OURS}{name}"]', why)
