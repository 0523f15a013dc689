"""`metrics:` of watchkeeper.yaml to `MetricSettings`."""

from typing import Final

from watchkeeper.documents import Fields, suggestion
from watchkeeper.home.metrics import WINDOW_MAX_MS, WINDOW_MIN_MS, MetricSettings, Response
from watchkeeper.packs.metrics import METRICS, SLO
from watchkeeper.values import Severity

AGE_MIN_MS: Final = 10_000  # an answer is repeated for half as long
AGE_MAX_MS: Final = 86_400_000
KNOWN: Final = (*METRICS, SLO)


def load_metrics(fields: Fields) -> MetricSettings:
    child = fields.child("metrics")
    if child is None:
        return MetricSettings()
    usual = MetricSettings()
    words = [each.value for each in Severity]
    down = child.texts("down", default=tuple(usual.down), most=len(words))
    for text in down:
        if text not in words:
            child.wrong("down", f"expected some of {', '.join(words)}, got {text!r}{suggestion(text, words)}")
    response = child.child("response")
    found = MetricSettings(
        window_ms=child.duration("window", default=usual.window_ms, least=WINDOW_MIN_MS, most=WINDOW_MAX_MS),
        max_age_ms=child.duration("max_age", default=usual.max_age_ms, least=AGE_MIN_MS, most=AGE_MAX_MS),
        down=tuple(Severity(text) for text in down if text in words),
        budget_floor_ppm=child.percent("budget_floor", default=usual.budget_floor_ppm),
        response={} if response is None else _stated(response),
        default_response=usual.default_response
        if response is None
        else response.choice("default", Response, default=usual.default_response),
    )
    if response is not None:
        response.done()
    child.done()
    return found


def _stated(fields: Fields) -> dict[str, Response]:
    return {name: word for name in KNOWN if (word := fields.choice(name, Response)) is not None}
