"""`limits:` of watchkeeper.yaml: how much at once, how long a queue, how large a body."""

from typing import Final

from msgspec import Struct

SERVICE_RUNS_MAX: Final = 5
REGION_RUNS_MAX: Final = 50
GLOBAL_RUNS_MAX: Final = 200


class LimitSettings(Struct, frozen=True, kw_only=True):
    """Runs at once, from `limits:` in watchkeeper.yaml. One acting run a target is no setting."""

    service_max: int = SERVICE_RUNS_MAX
    region_max: int = REGION_RUNS_MAX
    global_max: int = GLOBAL_RUNS_MAX


class Limits(Struct, frozen=True, kw_only=True):
    """`admission` counts runs at once; the rest are bounds of queues and sizes.

    `cards_per_team`: open approval requests a team, then one page "automation is asking too much".
    `retries_per_target`: the retry budget of one target, attempts per ten minutes.
    """

    admission: LimitSettings = LimitSettings()
    cards_per_team: int = 20
    body_bytes_max: int = 8 * 1024 * 1024
    deliveries_max: int = 100_000
    runs_waiting_max: int = 10_000
    outbox_max: int = 100_000
    retries_per_target: int = 60
    steps_at_once_max: int = 256
    api_requests_per_s: int = 100
