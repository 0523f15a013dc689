"""The alerts of the past, read from Prometheus's own series `ALERTS`, a bounded piece at a time.

Each step asks for the samples of one step (`count_over_time(ALERTS[59999ms])`), so that an alert ends where its samples end
and not five minutes later, and a step without evaluation is not taken for calm where it can be told: the series `awake`
(default `up`) says when Prometheus itself had data.

Source: Prometheus HTTP API, `GET /api/v1/query_range` (at most 11,000 points a series) and `GET /api/v1/rules`.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct
from yarl import URL

from watchkeeper.adapters.address import AddressRule, endpoint
from watchkeeper.adapters.http import HttpClient
from watchkeeper.adapters.http_request import Request
from watchkeeper.errors import Rejected, Unavailable, WatchkeeperError
from watchkeeper.signals.past import Chunk, Series
from watchkeeper.values import EPOCH, after_ms, rfc3339

POINTS_MAX: Final = 11_000  # of one series in one answer; Prometheus refuses more
PIECE_S: Final = 21_600  # asked for at once, halved where the answer would be too large
LOOKS: Final = 200  # at whether a series is there at all
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
QUERY_TIMEOUT_MS: Final = 120_000
QUERY_SHOWN_MAX: Final = 200
ERROR_SHOWN_MAX: Final = 300
_TOO_MUCH: Final = ("maximum resolution", "too many samples", "timed out", "timeout", "exceeded")

Answer = TypeVar("Answer")


class Evaluation(Struct, frozen=True, kw_only=True):
    """What the rule groups say: the longest interval of those with alerts, and the names of all alerts. `why`: why it
    could not be read; "" when it could.
    """

    interval_s: int = 0
    alerts: frozenset[str] = frozenset()
    why: str = ""


class _TooMuch(Exception):
    """The answer to this piece is larger than may be held; a smaller piece will do."""


class PrometheusHistory:
    """`base` is the server's address as the operator gave it: whatever it leads to is meant. `token` is a bearer token,
    `matchers` narrow the alerts down (`severity="critical"`), `labels` are those that it adds when it sends an alert.
    """

    def __init__(
        self,
        client: HttpClient,
        base: str,
        *,
        token: str = "",
        matchers: str = "",
        awake: str = "up",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._client, self._base = client, base.rstrip("/")
        self._token, self._matchers, self._awake = token, matchers, awake
        self._labels = dict(labels or {})
        try:
            where = URL(self._base)
        except ValueError as wrong:
            raise Rejected(f"{base}: not an address: {wrong}") from wrong
        if where.scheme not in {"http", "https"} or not where.raw_host:
            raise Rejected(f"{base}: not an address of a Prometheus; write for example http://127.0.0.1:9090")
        if where.user or where.password:
            raise Rejected("the address holds a user or a password: give a bearer token in a file instead")
        self._allow = AddressRule(declared=frozenset({endpoint(where.raw_host, where.port or 0)}))
        self.queries = 0
        self.awake_known = True

    async def evaluation(self) -> Evaluation:
        """How often alerts are evaluated. A server without that page (or one that hides it) is no reason to stop."""
        try:
            found = await self._get("/api/v1/rules", {"type": "alert"}, _Rules)
        except (WatchkeeperError, _TooMuch) as hidden:
            return Evaluation(why=str(hidden) or "the list of rules is too large")
        groups = [group for group in found.groups if any(rule.type == "alerting" for rule in group.rules)]
        return Evaluation(
            interval_s=max((int(group.interval) for group in groups), default=0),
            alerts=frozenset(rule.name for group in groups for rule in group.rules if rule.type == "alerting"),
        )

    async def look(self, from_s: int, until_s: int) -> None:
        """Whether the series `awake` is there at all: without it gaps in the data cannot be told from calm."""
        step_s = max(1, (until_s - from_s) // LOOKS)
        self.awake_known = bool(await self._range(f"count({self._awake})", from_s, until_s, step_s))

    async def chunks(self, from_s: int, until_s: int, step_s: int) -> AsyncIterator[Chunk]:
        """Everything in (from, until], in order. Raises Rejected or Unavailable, naming the query and the time."""
        at_s, piece_s = from_s, min(PIECE_S, POINTS_MAX * step_s) // step_s * step_s or step_s
        while at_s < until_s:
            end_s = min(at_s + piece_s, until_s)
            try:
                chunk = await self._chunk(at_s, end_s, step_s)
            except _TooMuch as large:
                if piece_s <= step_s:
                    raise Rejected(f"{large}: even one step is too large: narrow the alerts with --match") from large
                piece_s = max(step_s, piece_s // 2 // step_s * step_s)
                continue
            yield chunk
            at_s = end_s
            piece_s = min(PIECE_S, POINTS_MAX * step_s, piece_s * 2) // step_s * step_s or step_s

    async def _chunk(self, from_s: int, until_s: int, step_s: int) -> Chunk:
        found = await self._range(
            f"count_over_time(ALERTS{{{self._matchers}}}[{_window(step_s)}])", from_s, until_s, step_s
        )
        series = tuple(
            Series(
                labels=self._labels | {name: value for name, value in row.metric.items() if name not in _OWN},
                at_s=tuple(int(at) for at, _ in row.values),
                pending=row.metric.get("alertstate") == "pending",
            )
            for row in found
        )
        awake: tuple[int, ...] | None = None
        if self.awake_known:
            rows = await self._range(
                f"count(count_over_time({self._awake}[{_window(step_s)}]))", from_s, until_s, step_s
            )
            awake = tuple(int(at) for row in rows for at, _ in row.values)
        return Chunk(from_s=from_s, until_s=until_s, step_s=step_s, series=series, awake_s=awake)

    async def _range(self, query: str, from_s: int, until_s: int, step_s: int) -> list["_Row"]:
        given = {"query": query, "start": str(from_s + step_s), "end": str(until_s), "step": str(step_s)}
        try:
            return (await self._get("/api/v1/query_range", given, _Matrix)).result
        except _TooMuch as large:
            raise _TooMuch(_place(query, from_s, until_s)) from large
        except WatchkeeperError as failed:
            raise type(failed)(f"{_place(query, from_s, until_s)}: {failed}") from failed

    async def _get(self, path: str, query: dict[str, str], shape: type[Answer]) -> Answer:
        self.queries += 1
        response = await self._client.request(
            Request(
                method="GET",
                url=f"{self._base}{path}?{urlencode(query)}",
                timeout_ms=QUERY_TIMEOUT_MS,
                headers={"Authorization": f"Bearer {self._token}"} if self._token else {},
                allow=self._allow,
                response_bytes_max=ANSWER_BYTES_MAX,
            )
        )
        if response.truncated:
            raise _TooMuch
        if response.status in {401, 403}:
            raise Rejected(f"it refuses us (status {response.status}): give its bearer token with --token-file")
        try:
            head = msgspec.json.decode(response.body, type=_Head)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as unread:
            raise Unavailable(
                f"the answer (status {response.status}) is not Prometheus's: is that its address?"
            ) from unread
        if head.status != "success":
            error = head.error[:ERROR_SHOWN_MAX]
            if any(word in error for word in _TOO_MUCH):
                raise _TooMuch(error)
            raise Rejected(f"it says {head.errorType or response.status}: {error}")
        try:
            return msgspec.json.decode(head.data, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as unread:
            raise Unavailable(f"the answer is of another shape than Prometheus's: {unread}") from unread


def _window(step_s: int) -> str:
    """One step, less a millisecond: before version 3 a range includes both of its ends, and a sample on the border
    would count for two steps.
    """
    return f"{step_s * 1000 - 1}ms"


def _place(query: str, from_s: int, until_s: int) -> str:
    span = " to ".join(rfc3339(after_ms(EPOCH, at_s * 1000))[:16] for at_s in (from_s, until_s))
    return f"{query[:QUERY_SHOWN_MAX]} from {span}"


_OWN: Final = frozenset({"__name__", "alertstate"})


class _Head(Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""
    errorType: str = ""  # noqa: N815  the field of the wire format


class _Row(Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Matrix(Struct):
    result: list[_Row]


class _RuleLine(Struct):
    name: str = ""
    type: str = ""


class _Group(Struct):
    interval: float = 0.0
    rules: list[_RuleLine] = []


class _Rules(Struct):
    groups: list[_Group]


__all__ = ["Evaluation", "PrometheusHistory"]
