"""The port of a player: what plays scenarios beside the node, and what it says of each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from msgspec import Struct

PLAY_MS_MAX: Final = 600_000  # for all of one go
SCENARIO_MS_MAX: Final = 30_000  # for one scenario


class Result(Struct, frozen=True, kw_only=True):
    """What a player says of one scenario. `broken`: it could not be played to its end, and why."""

    scenario: str
    configuration: str
    failures: tuple[str, ...] = ()
    verdict: str = ""
    reason: str = ""
    rule: str = ""
    status: str = ""
    effects: int = 0
    took_ms: int = 0
    broken: str = ""


Hear = Callable[[Result], None]


class Player(Protocol):
    async def play(self, files: Mapping[str, bytes], names: Sequence[str], hear: Hear) -> str:
        """Each result to `hear` as it comes. The answer is "" when all were played, else why it ended before. Touches
        nothing outside; bounded by PLAY_MS_MAX and SCENARIO_MS_MAX. Raises Unavailable.
        """
