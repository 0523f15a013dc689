"""The labelled corpus: whatever the order, one state; and fewer false alarms without losing one real incident."""

import sys
from collections import Counter
from random import Random

import msgspec
import pytest

import labelled_alerts
from labelled_alerts import SOURCES, Labelled, corpus
from watchkeeper import bootstrap
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.correlate.correlation import Correlation
from watchkeeper.engine.facts import facts_of
from watchkeeper.engine.mapping import mapped_of
from watchkeeper.engine.past_alerts import seconds
from watchkeeper.engine.witnesses import Witnesses
from watchkeeper.engine.world import World
from watchkeeper.home.configuration import compile_home
from watchkeeper.packs.rule import Mode
from watchkeeper.values import after_ms

ORDERS = 4
WITHIN_S = 10 * 60  # an act belongs to the happening that began so shortly before it
PRECISION_LEAST = 0.7
LABELLED = corpus()


def configuration():
    found = compile_home(labelled_alerts.home(), CelCompiler())
    assert found.configuration is not None, [str(each) for each in found.errors]
    return found.configuration


HOME = configuration()


def state_of(found: list[Labelled], at) -> bytes:
    """All that decisions rest on: alerts, incidents, and each alert's facts at one time, whoever saw what first."""
    world = World(HOME)
    correlation, witnesses = Correlation(), Witnesses(world)
    for each in found:
        mapped = mapped_of(each.signal, SOURCES[each.signal.source], HOME.catalog)
        for before, after in correlation.apply(each.signal, mapped).alerts:
            witnesses.saw(before, after)
    correlation.tick(at)
    alerts = sorted(correlation.alerts(), key=lambda alert: alert.id)
    facts = [facts_of(alert, correlation, witnesses, at) for alert in alerts]
    said = [witnesses.say(HOME.rules["shop/down"], alert, at) for alert in alerts]
    return msgspec.json.encode([alerts, list(correlation.incidents()), facts, said])


@pytest.mark.parametrize("size", [300, len(LABELLED)], ids=["some", "all"])
def test_any_order_of_the_corpus_leads_to_one_state(size: int) -> None:
    found = LABELLED[:size]
    at = after_ms(found[-1].signal.received_at, 1_000)
    first = state_of(found, at)
    for seed in range(ORDERS):
        shuffled = list(found)
        Random(seed).shuffle(shuffled)
        again = [*shuffled, *shuffled[: size // 4]]  # some of it delivered twice
        assert state_of(again, at) == first, f"order {seed} leads elsewhere"


async def test_precision_rises_and_no_real_incident_is_lost() -> None:
    backtest = bootstrap.backtest(HOME, level=Mode.AUTO, healthy=False, run_ms=60_000)
    await backtest.tell(each.signal for each in LABELLED)
    done = await backtest.finish(after_ms(LABELLED[-1].signal.received_at, 3_600_000))

    began = {}
    for each in LABELLED:
        if each.real and each.signal.standing.value == "firing":
            began.setdefault(each.real, each.signal)
    assert len(began) == labelled_alerts.INCIDENTS + labelled_alerts.OUTAGES

    def real_of(service: str, at) -> str:
        for name, signal in began.items():
            age_s = seconds(at) - seconds(signal.received_at)
            if signal.labels["service"] == service and 0 <= age_s <= WITHIN_S:
                return name
        return ""

    acts: dict[tuple[str, int], str] = {}
    for each in done.listed:  # a target that was acted upon for both groups' alerts was acted upon for one symptom
        for target in each.targets if each.verdict == "act" else ():
            service = target.rpartition("/")[2]
            turn = next(
                (turn for name, turn in acts if name == service and abs(turn - seconds(each.at)) <= WITHIN_S), None
            )
            acts.setdefault((service, seconds(each.at) if turn is None else turn), real_of(service, each.at))
    raw = [each for each in LABELLED if each.signal.standing.value == "firing"]
    # What a rule without correlation would do: act on every firing statement.
    precision_raw = sum(bool(each.real) for each in raw) / len(raw)
    precision = sum(bool(name) for name in acts.values()) / len(acts)
    recall_raw = len({each.real for each in raw if each.real}) / len(began)
    recall = len({name for name in acts.values() if name}) / len(began)
    kinds = Counter(each.kind for each in raw)
    sys.stdout.write(
        f"\ncorpus: {len(LABELLED)} statements ({dict(kinds)}); raw: precision {precision_raw:.3f}, recall {recall_raw:.2f}; "
        f"correlated: {len(acts)} acts, precision {precision:.3f}, recall {recall:.2f}; verdicts {done.verdicts}\n"
    )
    assert recall == recall_raw == 1.0
    assert precision > 4 * precision_raw
    assert precision > PRECISION_LEAST
