"""`notify:` of watchkeeper.yaml: who is told of what, and by which way.

```yaml
notify:
  tell_after: 2m
  routes:
    - {match: {severity: critical}, webhook: https://chat.example/hooks/ops, secret: "env:CHAT_SECRET"}
    - {email: {to: [ops@example.org], via: smtp://mail.example:25, from: watchkeeper@example.org}}
```
"""

import re
from typing import Final

from watchkeeper.documents import Fields, Kind
from watchkeeper.home.settings import Notify, Route
from watchkeeper.packs.clauses import canonical_ref
from watchkeeper.packs.runbook import SecretRef
from watchkeeper.values import Severity

ROUTES_MAX: Final = 100
RECIPIENTS_MAX: Final = 50
TELL_AFTER_MAX_MS: Final = 3_600_000
WORDS: Final = ("severity", "service", "team", "kind")
# What a notice may be about, in the words of `report.notices.NoticeKind` (a test holds the two together).
KINDS: Final = (
    "ask",
    "held",
    "refused",
    "escalated",
    "in_doubt",
    "run_failed",
    "run_ended",
    "lapsed",
    "broken_rule",
    "stopped",
    "room",
    "restored",
    "exclusion",
    "test",
    "breaker",
    "brake",
    "calendar",
    "promoted",
    "demoted",
    "anomaly",
)
_URL: Final = re.compile(r"https?://[^\s/@]+(?:/\S*)?")
_MAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_VIA: Final = re.compile(r"smtps?://[^\s/@]+")
_SECRET: Final = re.compile(r"(secret|env):([A-Za-z0-9_./-]{1,128})")


def secret_of(fields: Fields, name: str, *, required: bool = False) -> SecretRef | None:
    """`secret:chat` (the encrypted file) or `env:CHAT_SECRET`."""
    text = fields.text(
        name, required=required, pattern=_SECRET, expected="a reference such as secret:chat or env:CHAT_SECRET"
    )
    found = _SECRET.fullmatch(text)
    if found is None:
        return None
    return SecretRef(store="env" if found[1] == "env" else "file", path=found[2])


def load_notify(fields: Fields) -> Notify:
    routes = []
    for position, route in enumerate(fields.many("routes", most=ROUTES_MAX)):
        found = _route(route, position)
        if found is not None:
            routes.append(found)
        route.done()
    notify = Notify(
        routes=tuple(routes), tell_after_ms=fields.duration("tell_after", default=120_000, most=TELL_AFTER_MAX_MS)
    )
    names = [route.name for route in notify.routes]
    for name in {name for name in names if names.count(name) > 1}:
        fields.wrong("routes", f"two routes are called {name!r}: delivery is counted by name")
    fields.done()
    return notify


def _route(fields: Fields, position: int) -> Route | None:
    match = _match(fields)
    name = fields.text("name", default=f"route-{position + 1}")
    also = fields.boolean("also")
    ways = [way for way in ("webhook", "email") if fields.has(way)]
    if len(ways) != 1:
        fields.wrong("", f"goes {'two ways' if ways else 'nowhere'}: give it a webhook or an email")
        return None
    if ways == ["webhook"]:
        node = fields.node_of("webhook")
        url, url_secret = "", None
        if node is not None and node.kind is Kind.TEXT and _SECRET.fullmatch(node.raw):
            url_secret = secret_of(fields, "webhook")
        else:
            url = fields.text(
                "webhook", pattern=_URL, expected="an http(s) URL without user, or a reference such as secret:chat-url"
            )
        return Route(
            name=name,
            channel="webhook",
            match=match,
            url=url,
            url_secret=url_secret,
            secret=secret_of(fields, "secret"),
            also=also,
        )
    email = fields.child("email")
    if email is None:
        return None
    found = Route(
        name=name,
        channel="email",
        match=match,
        to=email.texts(
            "to",
            required=True,
            one_will_do=True,
            pattern=_MAIL,
            expected="an address such as ops@example.org",
            most=RECIPIENTS_MAX,
        ),
        via=email.text("via", required=True, pattern=_VIA, expected="a server such as smtp://mail.example:25"),
        sender=email.text("from", required=True, pattern=_MAIL, expected="an address such as watchkeeper@example.org"),
        user=email.text("user"),
        secret=secret_of(email, "secret"),
        also=also,
    )
    if not found.to and email.has("to"):
        email.wrong("to", "is empty: nobody would be told")
    email.done()
    return found


def _match(route: Fields) -> dict[str, tuple[str, ...]]:
    fields = route.child("match")
    if fields is None:
        return {}
    found = {}
    for name in WORDS:
        if not fields.has(name):
            continue
        words = fields.texts(name, one_will_do=True)
        known = {"severity": tuple(Severity), "kind": KINDS}.get(name)
        for word in words if known else ():
            if known and word not in known:
                fields.wrong(name, f"expected some of {', '.join(known)}, got {word!r}")
        if not words:
            fields.wrong(name, "is empty: it would match nothing; leave it out to match everything")
        found[name] = tuple(canonical_ref(word) for word in words) if name == "team" else words
    fields.done()
    return found
