"""The hand-over: what is urgent and small reaches the pipeline from the intake, in order of rank, and never twice."""

from datetime import UTC, datetime

from watchkeeper.engine.handover import HANDED_MAX, PIECE_BYTES_MAX, Handover
from watchkeeper.engine.pressure import LARGE_BYTES, LESSER_CLASS
from watchkeeper.signals.signal import Delivery
from watchkeeper.signals.turn import rank_of

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
URGENT = rank_of(0, 1)


def delivery(name: str, rank: int = URGENT, size: int = 100) -> Delivery:
    return Delivery(
        id=name,
        source="default",
        format="alertmanager",
        received_at=NOW,
        headers={},
        body=b"x" * size,
        sha256="",
        priority=rank,
    )


def handed(*deliveries: Delivery) -> Handover:
    handover = Handover()
    for each in deliveries:
        handover.comes(each.id)
        handover.add(each)
    return handover


def names(handover: Handover) -> list[str]:
    return [each.id for each in handover.take()]


def test_the_most_urgent_come_first_and_those_of_their_rank_with_them_in_the_order_of_their_arrival():
    handover = handed(delivery("b", rank_of(1, 1)), delivery("c"), delivery("a"), delivery("d", rank_of(0, 2)))
    assert [names(handover) for _ in range(4)] == [["c", "a"], ["d"], ["b"], []]


def test_a_piece_has_its_bound():
    sixth = PIECE_BYTES_MAX // 6
    handover = handed(*(delivery(f"d{number}", size=sixth) for number in range(7)), delivery("more", size=1))
    assert [len(names(handover)) for _ in range(2)] == [6, 2]


def test_what_is_less_urgent_or_large_is_left_to_the_store():
    lesser = delivery("lesser", rank_of(LESSER_CLASS, 1))
    major = delivery("major", rank_of(LESSER_CLASS - 1, 15))
    large, small = delivery("large", size=LARGE_BYTES), delivery("small", size=LARGE_BYTES - 1)
    assert names(handed(lesser, large)) == []
    assert names(handed(major)) == ["major"]
    assert names(handed(small)) == ["small"]


def test_no_more_than_so_many_wait():
    assert len(handed(*(delivery(f"d{number}") for number in range(HANDED_MAX + 1)))) == HANDED_MAX


def test_what_was_found_in_the_store_before_the_sender_was_answered_is_not_handed_over_too():
    handover, found = Handover(), delivery("found")
    handover.comes(found.id)
    handover.discard(found.id)  # the pipeline read it
    handover.add(found)
    assert names(handover) == []


def test_what_was_handed_over_and_then_found_in_the_store_is_taken_there():
    handover = handed(delivery("found"), delivery("other"))
    handover.discard("found")
    assert names(handover) == ["other"]


def test_the_store_is_read_at_a_start_and_whenever_something_was_left_to_it():
    assert Handover().in_store
    for left, said in ((delivery("urgent"), False), (delivery("lesser", rank_of(LESSER_CLASS, 1)), True)):
        handover = Handover()
        handover.in_store = False
        handover.comes(left.id)
        assert not handover.in_store
        handover.add(left)
        assert handover.in_store is said
        handover.unknown(left.id)  # the answer was heard: nothing is unknown
        assert handover.in_store is said


def test_of_what_nobody_waits_for_the_store_is_asked():
    handover = Handover()
    handover.in_store = False
    handover.comes("gone")
    handover.unknown("gone")
    assert handover.in_store


def test_as_urgent_goes_before_only_what_is_heavier():
    handover = handed(delivery("one"))
    assert handover.goes_before(URGENT + 1)
    assert not handover.goes_before(URGENT)
    assert handover.goes_before(URGENT, weighs=2)
    assert not handover.goes_before(URGENT - 1, weighs=2)
    assert not Handover().goes_before(URGENT + 1)
