"""The Wilson lower bound of a share, in whole parts per million: how often people agree, at the least.

In: `agreed` of `of` episodes. Out: integers and yes or no. No float takes part: the same counts give the same answer
on every machine and in every replay.
Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
"""

from typing import Final

PPM: Final = 1_000_000
# z = 1.96 is 49/25: two-sided, 95 %. Its square is 2401/625, so that every comparison is one of integers.
_Z2_ABOVE: Final = 2401
_Z2_BELOW: Final = 625
IN_A_ROW_MOST: Final = 1_000  # beyond it nobody is told a number


def reaches(agreed: int, of: int, bound_ppm: int) -> bool:
    """Whether the lower bound of `agreed` of `of` is at least `bound_ppm`.

    The bound b of a share p over n solves (p - b)^2 = z^2 b (1 - b) / n with b <= p; below it the left side is larger.
    """
    if bound_ppm <= 0:
        return True
    above = agreed * PPM - of * bound_ppm
    if of <= 0 or above < 0 or bound_ppm >= PPM:  # certainty is reached by no count
        return False
    return above * above * _Z2_BELOW >= _Z2_ABOVE * bound_ppm * (PPM - bound_ppm) * of


def lower_ppm(agreed: int, of: int) -> int:
    """The largest whole number of parts per million that is reached; 0 of nothing."""
    low, high = 0, PPM
    while low < high:
        middle = (low + high + 1) // 2
        if reaches(agreed, of, middle):
            low = middle
        else:
            high = middle - 1
    return low
