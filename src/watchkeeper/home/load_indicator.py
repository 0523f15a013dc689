"""What an SLO counts: an OpenSLO indicator and the DataSource behind it, to an `Indicator` and a `Server`."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from watchkeeper.documents import Fields, suggestion
from watchkeeper.home.load_notify import secret_of
from watchkeeper.home.slo import Indicator, Measure, Origin, Server

WINDOW: Final = "{{.window}}"  # where the window stands in a query; Sloth writes it so too
QUERY_CHARS_MAX: Final = 4_000
TIMEOUT_MAX_MS: Final = 60_000
PART_OF: Final = {
    # (part, total) -> whether the part is what was bad
    (Measure.HEALTHY_SAMPLES, Measure.SAMPLES): False,
    (Measure.UNHEALTHY_SAMPLES, Measure.SAMPLES): True,
    (Measure.UP_TIME, Measure.KNOWN_TIME): False,
    (Measure.DOWN_TIME, Measure.KNOWN_TIME): True,
}
_URL: Final = re.compile(r"https?://[^\s/@?#]+(?:/[^\s?#]*)?")
_SELECTOR: Final = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\})?')


class Shelf(Struct, frozen=True):
    """What objectives refer to by name: data sources (None where one has an error of its own), and the specs of SLIs."""

    servers: Mapping[str, Server | None]
    indicators: Mapping[str, Fields]


def server_of(name: str, spec: Fields) -> Server | None:
    """A DataSource of type Prometheus. `connectionDetails`: url, bearer (a reference to a secret), timeout."""
    before = len(spec.problems)
    spec.text("description")
    kind = spec.text("type", required=True)
    if kind and kind.lower() != Origin.PROMETHEUS:
        spec.wrong(
            "type", f"{kind!r} is not supported: expected Prometheus; own checks need no DataSource (type: Watchkeeper)"
        )
    details = spec.child("connectionDetails", required=True)
    spec.done()
    if details is None:
        return None
    found = Server(
        name=name,
        url=details.text("url", required=True, pattern=_URL, expected="an address such as http://prometheus:9090"),
        bearer=secret_of(details, "bearer"),
        timeout_ms=details.duration("timeout", default=10_000, least=100, most=TIMEOUT_MAX_MS),
    )
    details.done()
    return found if len(spec.problems) == before else None


def indicator_of(spec: Fields, shelf: Shelf) -> Indicator | None:
    """The indicator of an SLI's spec; None when it has an error."""
    before = len(spec.problems)
    spec.text("description")
    if spec.has("thresholdMetric"):
        spec.wrong("thresholdMetric", "is not supported: write a ratioMetric of good (or bad) and total")
    ratio = spec.child("ratioMetric", required=not spec.has("thresholdMetric"))
    spec.done()
    if ratio is None:
        return None
    for name in ("raw", "rawType"):
        if ratio.has(name):
            ratio.wrong(name, "is not supported: write good (or bad) and total")
    counter = ratio.boolean("counter", default=False)
    good, bad, total = ratio.child("good"), ratio.child("bad"), ratio.child("total", required=True)
    if (good is None) == (bad is None):
        ratio.wrong("good", "expected either `good` or `bad`, beside `total`")
    ratio.done()
    part = good or bad
    if part is None or total is None:
        return None
    one, whole = _Source(part, shelf, counter=counter), _Source(total, shelf, counter=counter)
    if len(spec.problems) != before:
        return None
    if one.origin is not whole.origin or one.server != whole.server:
        ratio.wrong("total", f"comes from {whole.said}, and its part from {one.said}: both from one source, or neither")
        return None
    if one.origin is Origin.WATCHKEEPER and (
        one.measure is None or whole.measure is None or PART_OF.get((one.measure, whole.measure)) is not (good is None)
    ):
        word = "good" if good is not None else "bad"
        fit = " or ".join(f"{p} of {t}" for (p, t), is_bad in PART_OF.items() if is_bad is (good is None))
        ratio.wrong(word, f"{one.measure} of {whole.measure} is no ratio of what is {word}: expected {fit}")
        return None
    return Indicator(
        origin=one.origin,
        part_is_bad=good is None,
        part_measure=one.measure,
        total_measure=whole.measure,
        part_query=one.query,
        total_query=whole.query,
        server=one.server,
    )


class _Source:
    """One `metricSource`."""

    def __init__(self, fields: Fields, shelf: Shelf, *, counter: bool) -> None:
        self.origin, self.server = Origin.WATCHKEEPER, None
        self.measure: Measure | None = None
        self.query = ""
        source = fields.child("metricSource", required=True)
        fields.done()
        if source is None:
            return
        named, kind = source.text("metricSourceRef"), source.text("type")
        spec = source.child("spec", required=True)
        source.done()
        if named:
            self.origin = Origin.PROMETHEUS
            self.server = shelf.servers.get(named)
            if named not in shelf.servers:
                source.wrong("metricSourceRef", f"there is no DataSource {named}{suggestion(named, shelf.servers)}")
            if kind and kind.lower() != Origin.PROMETHEUS:
                source.wrong("type", f"is {kind!r}, and DataSource {named} is of type Prometheus")
        elif kind.lower() != Origin.WATCHKEEPER:
            source.wrong(
                "metricSourceRef",
                "is missing: name a DataSource of type Prometheus, or say type: Watchkeeper for this node's own checks",
            )
            return
        if spec is None:
            return
        if self.origin is Origin.WATCHKEEPER:
            self.measure = spec.choice("measure", Measure, required=True)
        else:
            self.query = self._query(spec, counter=counter)
        spec.done()

    @property
    def said(self) -> str:
        return f"DataSource {self.server.name}" if self.server is not None else "this node's own checks"

    def _query(self, spec: Fields, *, counter: bool) -> str:
        text = spec.text("query", required=True, most=QUERY_CHARS_MAX).strip()
        if not text or WINDOW in text:
            return text
        if counter and _SELECTOR.fullmatch(text):
            return f"sum(increase({text}[{WINDOW}]))"
        spec.wrong(
            "query",
            f"does not say where the window stands: write for example sum(increase(requests_total[{WINDOW}])); a plain "
            "counter, with counter: true, needs nothing",
        )
        return text
