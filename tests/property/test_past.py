"""Laws of reading other people's past: however it is cut into pieces, it says the same; whatever their files say, drafts load."""

import itertools
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.home.configuration import compile_home, highest
from watchkeeper.packs.rule import Mode
from watchkeeper.report.drafts import drafts
from watchkeeper.report.monitoring import matchers_of, read_monitoring
from watchkeeper.signals.past import Chunk, Past, Series, Told
from watchkeeper.signals.signal import Standing

STEPS = 48
NAMES = ("a", "b")

steps = st.frozensets(st.integers(1, STEPS), max_size=STEPS)
cuts = st.lists(st.integers(1, STEPS - 1), max_size=6)


def told(series: dict[str, frozenset[int]], pending: frozenset[int], awake: frozenset[int], edges: list[int]):
    past = Past(60, 5 * 60_000)
    found: list[Told] = []
    bounds = sorted({0, *edges, STEPS})
    for start, end in itertools.pairwise(bounds):
        inside = [
            Series(labels={"alertname": name}, at_s=tuple(60 * at for at in sorted(times) if start < at <= end))
            for name, times in series.items()
        ]
        inside.append(
            Series(
                labels={"alertname": "a"},
                at_s=tuple(60 * at for at in sorted(pending) if start < at <= end),
                pending=True,
            )
        )
        found += past.feed(
            Chunk(
                from_s=60 * start,
                until_s=60 * end,
                step_s=60,
                series=tuple(each for each in inside if each.at_s),
                awake_s=tuple(60 * at for at in sorted(awake) if start < at <= end),
            )
        )
    return found, (past.episodes, past.unsure, past.pending_only, past.blind_steps, past.standing, past.blind)


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, steps)), steps, steps, cuts)
def test_any_cut_into_pieces_says_the_same(series, pending, awake, edges) -> None:
    seen = awake | frozenset().union(*series.values())  # where an alert stands the monitoring was awake
    whole, counted = told(series, pending - series["a"], seen, [])
    pieces, counted_too = told(series, pending - series["a"], seen, edges)
    assert pieces == whole
    assert counted_too == counted


@given(st.fixed_dictionaries(dict.fromkeys(NAMES, steps)), steps)
def test_each_episode_begins_once_and_ends_at_most_once_and_never_in_a_gap(series, awake) -> None:
    seen = awake | frozenset().union(*series.values())
    found, _ = told(series, frozenset(), seen, [])
    for name in NAMES:
        open_ = False
        for each in (each for each in found if each.labels["alertname"] == name):
            at = int(each.at.timestamp()) // 60
            assert at in seen
            if each.standing is Standing.RESOLVED:
                assert open_
                assert at not in series[name]
                open_ = False
            elif each.again:
                assert open_
            else:
                assert not open_
                assert at in series[name]
                open_ = True


words = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
labels = st.dictionaries(st.sampled_from(["severity", "service", "job", "team", "region", "env"]), words, max_size=4)
rule = st.fixed_dictionaries(
    {"alert": words, "expr": words, "labels": labels, "annotations": st.dictionaries(words, words)}
)


@settings(max_examples=60, deadline=None)
@given(st.lists(rule, max_size=5), words, words, labels)
def test_whatever_their_files_say_the_drafts_load_and_only_watch(rules, group, receiver, matched) -> None:
    files = {
        "rules.json": json.dumps({"groups": [{"name": group, "rules": rules}]}).encode("utf-8", "replace"),
        "am.json": json.dumps(
            {
                "route": {"receiver": "default", "routes": [{"receiver": receiver, "match": matched}]},
                "receivers": [{"name": receiver, "email_configs": [{"to": group}]}],
                "inhibit_rules": [{"source_match": matched, "target_match": matched, "equal": [group]}],
            }
        ).encode("utf-8", "replace"),
    }
    found = drafts(read_monitoring(files), settings=True)
    home = compile_home(found.files, CelCompiler())
    assert home.errors == (), [str(each) for each in home.errors]
    assert {highest(each) for each in home.configuration.rules.values()} <= {Mode.OBSERVE}


@given(words)
def test_no_text_breaks_the_reading_of_matchers(text) -> None:
    assert all(each.label for each in matchers_of(text))
