"""Random bytes drawn many at a time are still each given once."""

from watchkeeper.adapters.dice import POOL_BYTES, POOLED_BYTES_MAX, Dice


def test_every_draw_has_the_length_that_was_asked_for_and_is_given_once():
    dice = Dice()
    drawn = [dice(10 + number % 7) for number in range(3 * POOL_BYTES // 10)]
    assert [len(each) for each in drawn] == [10 + number % 7 for number in range(len(drawn))]
    assert len(set(drawn)) == len(drawn)


def test_what_must_stay_secret_leaves_no_copy_in_the_pool():
    dice = Dice()
    dice(POOLED_BYTES_MAX)
    before = dice._at
    key = dice(POOLED_BYTES_MAX + 1)
    assert key not in dice._pool
    assert dice._at == before
