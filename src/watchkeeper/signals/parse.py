"""Bytes to signals.

In: a stored `Delivery` and the `Source` it came from. Out: `Parsed`. Pure: taking it apart again gives the same.
"""

from watchkeeper.errors import Malformed
from watchkeeper.signals.alertmanager import parse_alertmanager
from watchkeeper.signals.alertmanager_events import parse_alertmanager_events
from watchkeeper.signals.beat import parse_beat
from watchkeeper.signals.cloudevents import parse_cloudevents
from watchkeeper.signals.generic import Mapping, parse_generic
from watchkeeper.signals.github import parse_github
from watchkeeper.signals.pagerduty import parse_pagerduty
from watchkeeper.signals.sample import parse_sample
from watchkeeper.signals.signal import Delivery, Parsed, Source
from watchkeeper.signals.sns import parse_sns


def parse(delivery: Delivery, source: Source, mapping: Mapping | None = None) -> Parsed:
    """Raises Malformed only if nothing can be read; a bad element of a good batch is a dead letter."""
    match delivery.format:
        case "alertmanager" | "grafana":
            return parse_alertmanager(delivery, source)
        case "alertmanager-events":
            return parse_alertmanager_events(delivery, source)
        case "cloudevents":
            return parse_cloudevents(delivery, source)
        case "generic":
            if mapping is None:
                raise Malformed("mapping", f"source {source.name}: is generic and has no mapping in watchkeeper.yaml")
            return parse_generic(delivery, source, mapping)
        case "sns":
            return parse_sns(delivery, source, mapping)
        case "pagerduty":
            return parse_pagerduty(delivery, source)
        case "github":
            return parse_github(delivery, source)
        case "beat":
            return parse_beat(delivery, source)
        case "sample":
            return parse_sample(delivery, source)
        case other:
            raise Malformed("format", f"{other!r} has no parser")
