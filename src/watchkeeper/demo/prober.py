"""Looks at the services of the demo and tells Watchkeeper, in the very format that Alertmanager sends (webhook v4).

Like a pair of Alertmanagers it sends everything twice, and again and again while an alert fires: one episode all the
same. Alerts that were sent together come together, so that a cause and its symptoms resolve in one message.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from msgspec import Struct

from watchkeeper.demo.loopback import call

EVERY_S: Final = 0.25
TIMEOUT_S: Final = 1.0
SLOW_AFTER_S: Final = 0.25
REPEAT_S: Final = 1.0
SEND_TIMEOUT_S: Final = 2.0
SENDERS: Final = ("am-0", "am-1")
DOWN: Final = "InstanceDown"
SLOW: Final = "InstanceSlow"
NEVER: Final = "0001-01-01T00:00:00Z"


class Check(Struct, frozen=True, kw_only=True):
    """What is looked at. `failures` and `successes` in a row fire and resolve."""

    instance: str
    url: str
    labels: dict[str, str]
    failures: int = 2
    successes: int = 2


class _Alert:
    """One alert of one check: fires after enough bad looks, resolves after enough good ones."""

    def __init__(self, check: Check, name: str) -> None:
        self.check = check
        self.labels = {"alertname": name, "instance": check.instance, **check.labels}
        text = "\n".join(f"{key}={value}" for key, value in sorted(self.labels.items()))
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.bad = self.good = 0
        self.starts_at = self.ends_at = ""
        self.summary = ""

    @property
    def firing(self) -> bool:
        return bool(self.starts_at) and not self.ends_at

    def saw(self, why: str) -> bool:
        """True when the alert turned by it."""
        self.bad, self.good = (self.bad + 1, 0) if why else (0, self.good + 1)
        if not self.firing and self.bad >= self.check.failures:
            self.starts_at, self.ends_at, self.summary = _now(), "", why
            return True
        if self.firing and self.good >= self.check.successes:
            self.ends_at = _now()
            return True
        return False

    def shown(self) -> dict[str, Any]:
        return {
            "status": "firing" if self.firing else "resolved",
            "labels": self.labels,
            "annotations": {"summary": f"{self.check.instance}: {self.summary}"},
            "startsAt": self.starts_at,
            "endsAt": self.ends_at or NEVER,
            "generatorURL": self.check.url,
            "fingerprint": self.fingerprint,
        }


class Prober:
    """`hook` and `token` are of the node; without a hook it looks and tells nobody."""

    def __init__(self, checks: Sequence[Check], hook: str = "", token: str = "") -> None:
        self.hook, self.token = hook, token
        self._checks = tuple(checks)
        self._alerts = {(check.instance, name): _Alert(check, name) for check in checks for name in (DOWN, SLOW)}
        self._sent_s = 0.0
        self.posted = self.lost = 0
        self.why = ""

    def firing(self) -> tuple[str, ...]:
        return tuple(sorted(f"{name} {instance}" for (instance, name), one in self._alerts.items() if one.firing))

    async def work(self) -> None:
        while True:
            began_s = monotonic()
            await self.look()
            await asyncio.sleep(max(0.0, EVERY_S - (monotonic() - began_s)))

    async def look(self) -> None:
        """One round: look at everything at once, then tell what turned, and from time to time what still fires."""
        seen = await asyncio.gather(*(self._one(check) for check in self._checks))
        turned = [alert for alerts in seen for alert in alerts]
        again = monotonic() - self._sent_s >= REPEAT_S
        firing = [alert for alert in self._alerts.values() if alert.firing and again and alert not in turned]
        if turned or firing:
            self._sent_s = monotonic() if again else self._sent_s
            await self._tell([*turned, *firing])

    async def _one(self, check: Check) -> list[_Alert]:
        began_s = monotonic()
        why, slow = "", ""
        try:
            found = await call("GET", check.url, timeout_s=TIMEOUT_S)
            if found.status != 200:
                why = f"answers {found.status}: {found.json().get('why', '')}"
        except TimeoutError:
            why = f"no answer within {TIMEOUT_S:.0f} s"
        except OSError as refused:
            why = f"nobody listens ({type(refused).__name__})"
        took_s = monotonic() - began_s
        if not why and took_s > SLOW_AFTER_S:
            slow = f"answers after {took_s * 1000:.0f} ms"
        found_turned = []
        for name, said in ((DOWN, why), (SLOW, slow)):
            alert = self._alerts[check.instance, name]
            if alert.saw(said):
                found_turned.append(alert)
        return found_turned

    async def _tell(self, alerts: Iterable[_Alert]) -> None:
        """A message a status, as Alertmanager groups them, from each of the pair. What was not taken is sent again."""
        shown = [alert.shown() for alert in alerts]
        for status in ("firing", "resolved"):
            some = [one for one in shown if one["status"] == status]
            if not some or not self.hook:
                continue
            await asyncio.gather(*(self._post(sender, status, some) for sender in SENDERS))

    async def _post(self, sender: str, status: str, alerts: list[dict[str, Any]]) -> None:
        content = {
            "version": "4",
            "groupKey": '{}:{system="shop"}',
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "watchkeeper",
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": f"http://{sender}.shop.example",
            "alerts": alerts,
        }
        headers = {"Authorization": f"Bearer {self.token}"}
        for _ in range(3):
            with suppress(OSError):
                found = await call("POST", self.hook, content=content, headers=headers, timeout_s=SEND_TIMEOUT_S)
                if found.status < 300:
                    self.posted += 1
                    return
                self.why = f"{self.hook} answered {found.status}: {found.body[:200]!r}"
                if found.status < 500:
                    break
            await asyncio.sleep(0.2)
        self.lost += 1


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
