import json

import pytest

from watchkeeper.signals.priority import LOOKED_AT_BYTES_MAX, Ranker
from watchkeeper.signals.turn import RANK_MAX, rank_of

WORDS = {"checkout-web": 1, "browse": 5, "pay\u00e9": 2}
RANKER = Ranker(WORDS, ("service", "job"))
NOT_IN_ONE = 15


def body(*labels):
    return json.dumps({"alerts": [{"labels": each} for each in labels]}, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("labels", "class_", "priority"),
    [
        ([{"severity": "critical", "service": "checkout-web"}], 0, 1),
        ([{"severity": "critical", "service": "checkout-web-2"}], 0, NOT_IN_ONE),
        ([{"severity": "info", "job": "browse"}], 3, 5),
        ([{"severity": "info", "instance": "browse"}], 3, NOT_IN_ONE),  # no label by which an alert names its entity
        ([{"severity": "warning", "service": "pay\u00e9"}], 2, 2),
        ([{"severity": "major", "service": "x"}, {"severity": "info", "service": "browse"}], 1, 5),
        ([{"service": "browse"}, {"service": "checkout-web"}], 2, 1),
        ([], 2, NOT_IN_ONE),
    ],
)
def test_the_rank_is_that_of_the_most_urgent_thing_that_a_delivery_may_hold(labels, class_, priority):
    assert RANKER.rank(body(*labels)) == rank_of(class_, priority)


def test_severity_comes_before_the_transaction():
    assert rank_of(0, NOT_IN_ONE) < rank_of(1, 1)
    assert rank_of(3, 99) == RANK_MAX


def test_spaces_do_not_hide_a_name():
    assert RANKER.rank(b'{"service" :  "browse"}') == rank_of(2, 5)


def test_without_transactions_only_severity_counts():
    assert Ranker({}, ("service",)).rank(body({"severity": "critical", "service": "browse"})) == rank_of(0, NOT_IN_ONE)


def test_what_stands_beyond_the_bound_is_not_looked_at():
    far = b" " * LOOKED_AT_BYTES_MAX + body({"severity": "critical", "service": "browse"})
    assert RANKER.rank(far) == rank_of(2, NOT_IN_ONE)


@pytest.mark.parametrize("text", [b"", b"\xff\x00", b'"service":', b'"service":"'])
def test_it_never_fails(text):
    assert RANKER.rank(text) == rank_of(2, NOT_IN_ONE)
