"""The console over a real engine: who comes in, what a form may do, what a page says, and that hostile text stays text."""

import json
import re
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx2
import pytest

from served import HOME, RULE, RUNBOOK, Served, alerts, configuration
from watchkeeper.adapters.player import ChildPlayer
from watchkeeper.approve.people import Actor, Grant
from watchkeeper.engine.answer import No
from watchkeeper.engine.player import Result
from watchkeeper.engine.records import ChangeRecord, put
from watchkeeper.engine.sessions import SESSION_MS
from watchkeeper.ports import Commit
from watchkeeper.surface.api.app import create_app
from watchkeeper.surface.api.asgi import Front
from watchkeeper.surface.api.hooks import Hooks
from watchkeeper.surface.api.node import COOKIE
from watchkeeper.surface.console.app import PAGES, Console
from watchkeeper.values import after_ms

ADMIN = Actor(name="root", roles=frozenset({"admin"}))

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "javascript:alert(1)",
    "</title><svg onload=alert(1)>",
    "\u202egnp.exe",
    "a\u0000b\u200bc",
    "&lt;b&gt;",
    "--><!--",
    "x" * 3_000,
)
PLACES = (
    "/",
    "/more",
    "/incidents",
    "/incidents?state=open",
    "/alerts",
    "/alerts?unmapped=true",
    "/decisions",
    "/decisions?verdict=ask",
    "/approvals",
    "/approvals?state=all",
    "/runs",
    "/runs?status=in_doubt",
    "/services",
    "/services?focus=component:default/web&hops=2",
    "/services?focus=component:default/web&hops=3&fold=systems",
    "/services?q=web",
    "/services?view=list",
    "/services?view=list&is=unknown&environment=staging",
    "/services?focus=component:default/web&hops=all&paint=autonomy",
    "/services?focus=system:default/shop&paint=owners",
    "/services/hold?focus=component:default/web",
    "/rules",
    "/rules/shop/down",
    "/runbooks/shop/mend",
    "/scenarios",
    "/limits",
    "/limits/calendar",
    "/limits/calendar?week=2026-W53&at=99:99&service=nothing",
    "/reviews",
    "/ledger",
    "/ledger/0",
    "/dead-letters",
    "/sources",
    "/measures",
    "/settings",
    "/stop",
    "/palette.json",
)


class Browser:
    """A browser without scripts: cookies, redirects, and forms with what stands in them."""

    def __init__(self, node: Served) -> None:
        api = create_app(node.node)
        hosts = lambda: node.node.settings.server.hosts  # noqa: E731
        front = Front(Hooks(node.node), api, hosts, Console(node.node, api))
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(front, raise_app_exceptions=True), base_url="http://localhost"
        )
        self.node = node

    async def enter(self, name: str = "ana", *roles: str) -> None:
        token = await self.node.person(name, *(roles or ("admin",)))
        answer = await self.client.post("/sign-in", data={"token": token, "next": "/"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text

    async def see(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2_000])
        return answer.text

    async def word(self) -> str:
        return re.search(r'name="word" value="([0-9a-f]{64})"', await self.see("/settings")).group(1)

    async def send(self, path: str, **fields: str) -> httpx2.Response:
        return await self.client.post(path, data={"word": await self.word(), **fields})


@asynccontextmanager
async def browser(*roles, files=HOME):
    node = Served(files)
    await node.start()
    found = Browser(node)
    try:
        await found.enter("ana", *roles)
        for rule in node.engine.world.configuration.rulebook.rules:
            if rule != "shop/seen":
                await grant(node, rule)
        yield found
    finally:
        await found.client.aclose()
        await node.engine.stop()


async def grant(node: Served, rule: str) -> None:
    at = node.clock.now()
    wanted = Grant(
        id="grt_test", rule=rule, level="approve", at=at, until_at=after_ms(at, 3_600_000), by="", reason="test",
        environment="staging",
    )  # fmt: skip
    made = await node.engine.limits.grant(ADMIN, wanted)
    assert isinstance(made, Grant), made


async def fired(found: Browser, *names: str, service: str = "web", **labels: str) -> None:
    """An alert through the hook, decided."""
    body = alerts(*names, service=service)
    for one in body["alerts"]:
        one["labels"] |= labels
    token = await found.node.hook_token("default")
    async with found.node.client(token) as sender:
        assert (await sender.post("/hooks/alertmanager", json=body)).status_code == 202


async def waiting(found: Browser) -> str:
    """The id of the first approval that waits."""

    async def pending():
        page = await found.node.store.find("approval", {"state": "pending"})
        name = page.items[0].id if page.items else ""
        return name if name in found.node.engine.world.approvals else None

    return await found.node.until(pending)


# Coming in.


async def test_without_a_session_every_page_leads_to_the_sign_in():
    async with browser() as found:
        await found.client.post("/sign-out", data={"word": await found.word()})
        for method, path, _ in PAGES:
            answer = await found.client.request(method, path.replace("{", "").replace("}", "").replace(":path", ""))
            assert answer.status_code == 303, path
            assert answer.headers["location"].startswith("/sign-in"), path


async def test_who_asked_for_a_page_is_led_back_there_and_nowhere_else():
    async with browser() as found:
        await found.client.post("/sign-out", data={"word": await found.word()})
        answer = await found.client.get("/decisions?verdict=ask")
        assert answer.headers["location"] == "/sign-in?next=%2Fdecisions%3Fverdict%3Dask"
        token = found.node.tokens["ana"]
        for where, led in (
            ("/decisions?verdict=ask", "/decisions?verdict=ask"),
            ("https://elsewhere.example/", "/"),
            ("//elsewhere.example/", "/"),
            ("/\\elsewhere.example", "/"),
            ("", "/"),
        ):
            answer = await found.client.post("/sign-in", data={"token": token, "next": where})
            assert answer.headers["location"] == led


@pytest.mark.parametrize("text", ["", "wk_nobody_knows", "x" * 5_000, "wk_" + "0" * 24 + "_wrong"])
async def test_a_wrong_token_is_refused_in_words(text):
    async with browser() as found:
        await found.client.post("/sign-out", data={"word": await found.word()})
        answer = await found.client.post("/sign-in", data={"token": text})
        assert answer.status_code == 403
        assert "the token is unknown, expired or revoked" in answer.text
        assert "set-cookie" not in answer.headers


async def test_a_hook_token_opens_no_session():
    async with browser() as found:
        token = await found.node.hook_token("default")
        answer = await found.client.post("/sign-in", data={"token": token})
        assert answer.status_code == 403
        assert "can only post to its hook" in answer.text


async def test_the_cookie_is_kept_from_scripts_and_other_sites_and_ends_with_its_token():
    async with browser() as found:
        answer = await found.client.post("/sign-in", data={"token": found.node.tokens["ana"]})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert f"max-age={SESSION_MS // 1000}" in cookie
        stored = (await found.node.store.find("session")).items
        text = cookie.partition("=")[2].partition(";")[0]
        assert stored
        assert all(text.partition(".")[2] not in row.body.decode().lower() for row in stored)
        identities = found.node.engine.identities
        for token in list(identities.tokens.values()):
            await identities.revoke(ADMIN, token.id, "lost")
        assert (await found.client.get("/")).headers["location"] == "/sign-in"


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("https, http", True), ("http", False), ("", False)])
async def test_behind_a_proxy_that_speaks_tls_the_cookie_is_for_tls_alone(proto, secure):
    async with browser() as found:
        answer = await found.client.post(
            "/sign-in", data={"token": found.node.tokens["ana"]}, headers={"X-Forwarded-Proto": proto}
        )
        assert ("secure" in answer.headers["set-cookie"].lower().split("; ")) is secure


async def test_one_token_takes_not_all_places_of_sessions(monkeypatch):
    monkeypatch.setattr("watchkeeper.engine.sessions.SESSIONS_OF_ONE_MAX", 2)
    async with browser() as found:
        sessions, now = found.node.engine.sessions, found.node.clock.now
        other = await found.node.person("ben", "viewer")
        begun = [await sessions.begin(found.node.tokens["ana"]) for _ in range(3)]
        kept = await sessions.begin(other)
        texts = [each[1] for each in (*begun, kept)]
        assert [sessions.actor(text, now()) is not None for text in texts] == [False, True, True, True]
        stored = {row.id for row in (await found.node.store.find("session")).items}
        assert stored == {text.partition(".")[0] for text in texts[1:]}


async def test_a_person_whom_something_else_vouched_for_is_signed_in_without_a_token_and_out_with_their_identity():
    """What an identity provider needs: the session stands for the person, with the roles that they have at each request."""
    async with browser() as found:
        identities, sessions = found.node.engine.identities, found.node.engine.sessions
        added = await identities.add(ADMIN, "oidc:eve", ("operator",))
        machine = await identities.add(ADMIN, "pipeline", ("operator",), human=False)
        assert not isinstance(added, No)
        assert not isinstance(machine, No)
        refused = await sessions.begin_as(machine.id, "the provider")
        assert isinstance(refused, No)
        assert refused.detail.startswith("the provider vouches for somebody who is no person of this node")

        begun = await sessions.begin_as(added.id, "the provider")
        assert not isinstance(begun, No)
        found.client.cookies = {COOKIE: begun[1]}
        whoami = (await found.client.get("/api/v1/whoami")).json()
        assert (whoami["name"], whoami["channel"]) == ("oidc:eve", "session")
        assert "operator" in whoami["roles"]
        assert "admin" not in whoami["roles"]
        assert (begun[0].token, begun[0].identity, begun[0].way) == ("", added.id, "the provider")

        assert not isinstance(await identities.remove(ADMIN, added.id, "left"), No)
        assert (await found.client.get("/")).headers["location"] == "/sign-in"


async def test_a_restart_signs_nobody_out_and_signing_out_ends_the_session():
    async with browser() as found:
        again = Served(found.node.files, found.node.store)
        await found.node.engine.stop()
        await again.engine.start()
        other = Browser(again)
        try:
            other.client.cookies = found.client.cookies
            assert "Signed in on" in await other.see("/settings")
            kept = dict(other.client.cookies)
            await other.client.post("/sign-out", data={"word": await other.word()})
            other.client.cookies.update(kept)
            assert (await other.client.get("/")).status_code == 303
        finally:
            await other.client.aclose()
            await again.engine.stop()


# What a form may do.


@pytest.mark.parametrize(("method", "path", "_page"), [one for one in PAGES if one[0] == "POST"])
async def test_no_form_is_taken_without_the_word_of_our_own_page(method, path, _page):
    async with browser() as found:
        where = path.replace("{kind}", "holds").replace("{identity}", "x").replace("{act}", "pause")
        for data in ({}, {"word": "0" * 64}):
            answer = await found.client.request(method, where, data=data)
            assert answer.status_code == 403, where
            assert "Reload the page and try again" in answer.text
        assert not found.node.engine.world.stops


async def test_a_form_that_a_page_elsewhere_sends_is_refused_even_with_the_word():
    async with browser() as found:
        data = {"word": await found.word(), "scope": "everything"}
        answer = await found.client.post("/stop", data=data, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert not found.node.engine.world.stops


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:9999", "http://localhost.evil.example"]
)
async def test_a_form_is_known_by_its_origin_where_a_browser_says_no_more(origin):
    """Over plain HTTP beyond loopback browsers send no Sec-Fetch-Site."""
    async with browser() as found:
        data = {"word": await found.word(), "scope": "everything"}
        assert (await found.client.post("/stop", data=data, headers={"Origin": origin})).status_code == 403
        sign_in = {"token": found.node.tokens["ana"]}
        refused = await found.client.post("/sign-in", data=sign_in, headers={"Origin": origin})
        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers
        assert not found.node.engine.world.stops
        # A proxy in front may name another host; then what the browser says of the site counts.
        said = {"Origin": "https://wk.bank.example", "Sec-Fetch-Site": "same-origin"}
        assert (await found.client.post("/sign-in", data=sign_in, headers=said)).status_code == 303
        again = {**data, "word": await found.word()}
        assert (await found.client.post("/stop", data=again, headers={"Origin": "http://localhost"})).status_code == 303


async def test_the_api_takes_a_session_for_looking_and_for_acts_only_with_the_word():
    async with browser() as found:
        assert (await found.client.get("/api/v1/whoami")).json()["channel"] == "session"
        answer = await found.client.post("/api/v1/stops", json={})
        assert (answer.status_code, answer.json()["title"]) == (403, "not from our page")
        headers = {"X-Watchkeeper-Form": await found.word()}
        assert (await found.client.post("/api/v1/stops", json={}, headers=headers)).status_code in {200, 201}
        assert (await found.client.post("/api/v1/whoami/token", json={}, headers=headers)).status_code == 403


async def test_stopping_from_the_page_withholds_and_says_so_on_every_page():
    async with browser() as found:
        shown = await found.see("/stop")
        assert "Stop 0 runs and 1 rule" in shown
        answer = await found.send("/stop", scope="everything", reason="smoke in the room")
        assert answer.status_code == 303
        stop = next(iter(found.node.engine.world.stops.values()))
        assert (stop.by, stop.reason) == ("ana", "smoke in the room")
        for path in ("/", "/incidents", "/ledger"):
            page = await found.see(path)
            assert "stopped everything" in page
            assert "smoke in the room" in page
        assert "smoke in the room" in await found.see(f"/limits/stops/{stop.id}/lift")
        assert (await found.send(f"/limits/stops/{stop.id}/lift", reason="")).status_code == 400
        assert found.node.engine.world.stops
        await found.send(f"/limits/stops/{stop.id}/lift", reason="only toast")
        assert not found.node.engine.world.stops
        assert "stopped everything" not in await found.see("/")


async def test_a_part_is_stopped_by_name_and_nothing_without_one():
    async with browser() as found:
        await found.send("/stop", scope="choose", by="system", value=" ")
        assert not found.node.engine.world.stops
        await found.send("/stop", scope="choose", by="system", value="system:default/shop")
        assert next(iter(found.node.engine.world.stops.values())).scope.system == "system:default/shop"


async def test_a_hold_and_a_freeze_are_set_and_lifted_from_the_page():
    async with browser() as found:
        await found.send(
            "/limits", **{"for": "1h"}, kind="hold", by="entity", value="component:default/web", reason="me"
        )
        await found.send("/limits", **{"for": "1h"}, kind="freeze", by="environment", value="staging", reason="sale")
        page = await found.see("/limits")
        assert "2 limits are in force" in page
        hold, freeze = next(iter(found.node.engine.world.holds)), next(iter(found.node.engine.world.freezes))
        for path in (f"/limits/holds/{hold}/lift", f"/limits/freezes/{freeze}/lift"):
            await found.see(path)
            await found.send(path, reason="over")
        assert "Nothing is held back." in await found.see("/limits")


async def test_an_approval_is_given_for_what_was_shown_and_a_changed_one_says_so():
    async with browser() as found:
        await fired(found, "Down")
        name = await waiting(found)
        page = await found.see(f"/approvals/{name}")
        assert "Approve 1 service" in page
        assert "Bound to what you see." in page
        digest = re.search(r'name="digest" value="([0-9a-f]+)"', page).group(1)
        answer = await found.send(f"/approvals/{name}/approve", digest="0" * len(digest))
        assert answer.status_code == 409
        assert "it changed since you looked" in answer.text
        assert found.node.action.sent == []
        answer = await found.send(f"/approvals/{name}/approve", digest=digest, comment="go")
        assert answer.status_code == 303
        await found.node.until(lambda: len(found.node.action.sent) == 2)
        ended = await found.see(f"/approvals/{name}")
        assert "Approved" in ended
        assert "go" in ended


# Requests of one rule for one service, on one card.

PAIR = RULE.format(name="pair", alert="[One, Two, Three]", ceiling="approve")
GROUPED = {**HOME, "packs/shop/rules/pair.yaml": PAIR.encode()}


async def grouped(found: Browser, count: int = 2) -> dict:
    """The card that `count` requests lie on."""
    await fired(found, *("One", "Two", "Three")[:count])

    async def full():
        items = (await found.client.get("/api/v1/cards")).json()["items"]
        return next((one for one in items if one["count"] == count), None)

    return await found.node.until(full)


def field_of(page: str, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', page).group(1)


async def test_requests_of_one_rule_for_one_service_stand_on_one_card_and_are_answered_at_once():
    async with browser(files=GROUPED) as found:
        card = await grouped(found)
        listed = await found.see("/approvals")
        assert "2 requests on one card" in listed
        assert listed.count('href="/cards/') == 1
        page = await found.see(f"/cards/{card['id']}")
        assert "Approve 1 service" in page
        assert "http://127.0.0.1:9000/drain" in page
        assert "Bound to what you see." in page
        for name in card["shown"]:
            assert f'href="/approvals/{name}"' in page
            assert f"/cards/{card['id']}" in await found.see(f"/approvals/{name}")
        given = {"digest": field_of(page, "digest"), "shown": field_of(page, "shown")}
        answer = await found.send(f"/cards/{card['id']}/approve", **given, comment="both")
        assert (answer.status_code, answer.headers["location"]) == (303, "/approvals")
        assert "Approved 2 requests." in await found.see("/approvals")
        approvals = [(await found.client.get(f"/api/v1/approvals/{name}")).json() for name in card["shown"]]
        assert [(one["state"], one["answers"][0]["comment"]) for one in approvals] == [("approved", "both")] * 2
        over = await found.see(f"/cards/{card['id']}", 404)
        assert "No request of this card waits any more" in over


async def test_a_card_that_moved_answers_nothing_says_what_moved_and_lets_what_still_stands_be_answered():
    async with browser(files=GROUPED) as found:
        card = await grouped(found)
        page = await found.see(f"/cards/{card['id']}")
        given = {"digest": field_of(page, "digest"), "shown": field_of(page, "shown")}
        first, second = card["shown"]
        await found.send(f"/approvals/{first}/reject", digest=card["shown"][first], comment="not this one")
        await fired(found, "Three")

        async def moved():
            items = (await found.client.get("/api/v1/cards")).json()["items"]
            return items and set(items[0]["shown"]) != {second} and items[0]["count"] == 2 and items[0]

        now = await found.node.until(moved)
        joined = next(name for name in now["shown"] if name != second)
        answer = await found.send(f"/cards/{card['id']}/approve", **given, comment="go")
        assert answer.status_code == 409
        assert "Changed since you looked. " in answer.text
        assert "1 request joined, 1 request went" in answer.text
        assert f'<a href="/approvals/{joined}">look</a>' in answer.text
        assert "ana rejected it." in answer.text
        assert "new to you" in answer.text
        assert ">go</textarea>" in answer.text
        assert f'data-at="/cards/{card["id"]}"' in answer.text
        assert found.node.action.sent == []
        assert "Approve the 1 that stand as you saw them" in answer.text
        seen = re.search(r'name="shown" value="([^"]*)"><input type="hidden" name="comment"', answer.text).group(1)
        assert seen == f"{second}={card['shown'][second]}"
        part = await found.send(f"/cards/{card['id']}/approve", shown=seen, comment="go")
        assert part.status_code == 200
        assert "Approved 1 of 1 request shown" in part.text
        assert "1 request waits in the card that was not shown: nobody touched it." in part.text
        states = {
            name: (await found.client.get(f"/api/v1/approvals/{name}")).json()["state"] for name in (second, joined)
        }
        assert states == {second: "approved", joined: "pending"}
        late = await found.send(f"/cards/{card['id']}/approve", shown=given["shown"])
        assert "Approved 0 of 2 requests shown" in late.text
        assert "It does not wait in this card any more" in late.text


MACHINE = """---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: m{number}
  annotations:
    watchkeeper.dev/environment: staging
    watchkeeper.dev/reach: api
    watchkeeper.dev/group: machines
    watchkeeper.dev/attr.url: http://127.0.0.1:9000
    watchkeeper.dev/address: url
    watchkeeper.dev/honours: idempotency-key
spec: {{type: host, owner: group:ops, system: shop}}
"""
FLEET = {
    **HOME,
    "watchkeeper.yaml": HOME["watchkeeper.yaml"].replace(b"api_requests_per_s: 1000", b"api_requests_per_s: 60"),
    "catalog/machines.yaml": "".join(MACHINE.format(number=number) for number in range(200)).encode(),
    "packs/shop/rules/renew.yaml": RULE.format(name="renew", alert="Ends", ceiling="approve")
    .replace("{within", "{kind: Resource, by: {watchkeeper.dev/group: alert.labels.group}, max: 500, within")
    .replace("shop/mend", "shop/renew")
    .encode(),
    "packs/shop/runbooks/renew.yaml": b"""
apiVersion: watchkeeper.dev/v1
kind: Runbook
metadata: {name: renew, owner: group:ops}
spec:
  permissions: [{do: http.request, methods: [POST], to: target.url}]
  timeout: 1h
  on_failure: stay
  steps:
    - id: fleet
      foreach: {in: targets, waves: ["1", "100%"], max: 8}
      steps:
        - {id: renew, do: http.request, with: {method: POST, url: "${target.url}/renew"}, effect: keyed, timeout: 30s}
""",
}


async def test_who_is_asked_about_a_fleet_sees_what_its_machines_are_now():
    async with browser(files=FLEET) as found:
        await fired(found, "Odd", service="m99")
        await fired(found, "Ends", service="web", group="machines")
        name = await waiting(found)
        page = await found.see(f"/approvals/{name}")
        assert page.count('href="/services?focus=resource%3Adefault/m') >= 200
        row = next(row for row in page.split("<tr>") if ">m99<" in row)
        assert "failing" in row
        assert "Blast radius" in page
        (card,) = (await found.client.get("/api/v1/cards")).json()["items"]
        assert "Health now" in await found.see(f"/cards/{card['id']}")
        more = [("ref", f"resource:default/m{number}") for number in range(201)]
        assert (await found.client.get("/api/v1/services", params=more)).status_code == 422
        listed = (
            await found.client.get("/api/v1/services", params=[*more[98:100], ("ref", "resource:default/none")])
        ).json()
        assert [(one["name"], one["type"], one["health"]["is"]) for one in listed["items"]] == [
            ("m98", "host", "unknown"),
            ("m99", "host", "unhealthy"),
        ]


async def test_a_no_needs_its_reason_and_nothing_is_lost_by_forgetting_it():
    async with browser(files=GROUPED) as found:
        card = await grouped(found)
        page = await found.see(f"/cards/{card['id']}")
        given = {"digest": field_of(page, "digest"), "shown": field_of(page, "shown")}
        first = next(iter(card["shown"]))
        for path, more in ((f"/cards/{card['id']}", given), (f"/approvals/{first}", {"digest": card["shown"][first]})):
            answer = await found.send(f"{path}/reject", **more, comment="  ")
            assert answer.status_code == 400
            assert "A no needs its reason" in answer.text
        assert (await found.client.get("/api/v1/cards")).json()["items"][0]["count"] == 2
        answer = await found.send(f"/cards/{card['id']}/reject", **given, comment="the deploy did it")
        assert answer.status_code == 303
        assert (await found.client.get("/api/v1/cards")).json()["items"] == []
        assert "ana rejected it." in await found.see("/approvals?state=rejected")


async def test_cards_beyond_the_limit_of_a_team_are_counted_and_shown_when_asked_for():
    other = RULE.format(name="other", alert="Other", ceiling="approve")
    settings = HOME["watchkeeper.yaml"].replace(b"limits: {", b"limits: {cards_per_team: 1, ")
    files = {**GROUPED, "packs/shop/rules/other.yaml": other.encode(), "watchkeeper.yaml": settings}
    async with browser(files=files) as found:
        await grouped(found)
        await fired(found, "Other")

        async def both():
            return len((await found.client.get("/api/v1/cards")).json()["items"]) == 2

        await found.node.until(both)
        page = await found.see("/approvals")
        assert "Automation is asking too much: 1 more card of" in page
        assert "other on" not in page
        assert "beyond the team's limit" in await found.see("/approvals?withheld=shown")
        now = await found.see("/")
        assert now.count('aria-label="Waits for a person"') == 1
        assert 'href="/approvals">and 1 more ' in now


async def test_a_viewer_sees_a_card_and_may_answer_none_of_it():
    async with browser("viewer", files=GROUPED) as found:
        card = await grouped(found)
        page = await found.see(f"/cards/{card['id']}")
        assert "You may look" in page
        assert "<textarea" not in page
        shown = " ".join(f"{name}={digest}" for name, digest in card["shown"].items())
        for verb in ("approve", "reject"):
            answer = await found.send(f"/cards/{card['id']}/{verb}", shown=shown, comment="x")
            assert answer.status_code == 403
        assert (await found.send(f"/cards/{card['id']}/drop", shown=shown)).status_code == 404
        assert (await found.client.get("/api/v1/cards")).json()["items"][0]["count"] == 2


async def test_a_viewer_sees_no_button_and_may_press_none():
    async with browser("viewer") as found:
        await fired(found, "Down")
        name = await waiting(found)
        page = await found.see(f"/approvals/{name}")
        assert "Approve 1 service" not in page
        assert "you need the role approver" in page
        digest = found.node.engine.world.approvals[name].binding
        answer = await found.send(f"/approvals/{name}/approve", digest=digest)
        assert answer.status_code == 403
        assert "needs the role" in answer.text
        assert (await found.send("/stop", scope="everything")).status_code == 403
        assert not found.node.engine.world.stops


async def test_an_incident_takes_a_comment_and_a_hold():
    async with browser() as found:
        await fired(found, "Down")
        await waiting(found)
        incident = (await found.node.store.find("incident")).items[0].id
        await found.send(f"/incidents/{incident}/comment", comment="looking at the pool size")
        await found.send(
            f"/incidents/{incident}/hold", entity="component:default/web", **{"for": "30m"}, comment="mine"
        )
        page = await found.see(f"/incidents/{incident}")
        assert "looking at the pool size" in page
        assert [hold.reason for hold in found.node.engine.world.holds.values()] == ["mine"]


async def test_an_incident_is_escalated_from_the_page_and_names_its_entries_to_be_proven():
    async with browser() as found:
        await fired(found, "Down")
        await waiting(found)
        incident = (await found.node.store.find("incident")).items[0].id
        assert "What people should know" in await found.see(f"/incidents/{incident}/escalate")
        answer = await found.send(f"/incidents/{incident}/escalate", comment="the pool is empty")
        assert answer.status_code == 303
        await found.node.until(lambda: any("ana asks for help" in each.subject for each in found.node.told.notices))
        await found.node.engine.sequencer.step()
        page = await found.see(f"/incidents/{incident}")
        assert "the pool is empty" in page
        trail = (await found.client.get(f"/api/v1/incidents/{incident}/trail")).json()["items"]
        indexes = [str(one["index"]) for one in trail if one["index"] is not None]
        assert indexes
        assert f'data-entries="{",".join(indexes)}"' in page


# Now, incidents and decisions: whom it hits, who acts, how often, and until when.

TRANSACTIONS = {
    **HOME,
    "transactions.yaml": b"- {name: card-payment, priority: 1, owner: group:ops, hops: [component:web]}",
}


def read(page: str) -> str:
    """What a person reads: without tags, one space between words."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


async def test_now_names_the_transaction_the_team_and_who_is_waited_for():
    async with browser(files=TRANSACTIONS) as found:
        await fired(found, "Down", "Nowhere")
        name = await waiting(found)
        page = await found.see("/")
        assert "Card payment is degraded. One approval waits for a person.</h1>" in page
        row = read(page.partition('id="open-incidents"')[2].partition("</section>")[0])
        assert "Card payment · ops · inc_…" in row
        assert "Waits for a person 2 alerts firing" in row
        assert 'aria-label="Alerts firing at once: at most 2, 2 firing at the end' in page
        digest = found.node.engine.world.approvals[name].binding
        found.node.action.open.clear()
        await found.send(f"/approvals/{name}/approve", digest=digest)

        async def repairing():
            return "Repairing: drain" in await found.see("/incidents")

        await found.node.until(repairing)
        incident = (await found.node.store.find("incident")).items[0].id
        page = read(await found.see(f"/incidents/{incident}"))
        assert "Repairing: drain Card payment ops 2 alerts firing" in page
        found.node.action.open.set()


async def test_requests_of_one_rule_for_one_service_are_one_card_on_now_the_most_urgent_first():
    other = {
        f"packs/shop/rules/other{n}.yaml": RULE.format(name=f"other{n}", alert=f"Other{n}", ceiling="approve").encode()
        for n in range(3)
    }
    async with browser(files={**GROUPED, **other}) as found:
        card = await grouped(found)
        page = await found.see("/")
        assert page.count('aria-label="Waits for a person"') == 1
        assert f'href="/cards/{card["id"]}">Review 2</a>' in page
        assert "2 requests." in read(page)
        assert 'class="more"' not in page
        await fired(found, "Other0", "Other1", "Other2")

        async def four():
            return len((await found.client.get("/api/v1/cards")).json()["items"]) == 4

        await found.node.until(four)
        page = await found.see("/")
        assert page.count('aria-label="Waits for a person"') == 3
        assert f'id="{card["id"]}"' in page, "it ends first"
        assert 'href="/approvals">and 1 more ' in page


async def test_decisions_are_counted_on_their_filters_and_reach_as_far_back_as_asked():
    async with browser() as found:
        await fired(found, "Down", "Seen")
        await waiting(found)

        async def two():
            return (await found.client.get("/api/v1/decisions/counts")).json()["total"] == 2

        await found.node.until(two)
        for path, chips in (
            ("/", ["All 2", "Asked 1", "Observed 1"]),
            ("/decisions", ["All 2", "Acted 0", "Asked 1", "Held 0", "Refused 0", "Suggested 0", "Observed 1"]),
            ("/decisions?rule=shop/seen&verdict=ask&window=24h",
             ["All 1", "Acted 0", "Asked 0", "Held 0", "Refused 0", "Suggested 0", "Observed 1"]),
        ):  # fmt: skip
            page = await found.see(path)
            assert [read(each) for each in re.findall(r'<a class="chip" .*?</a>', page)] == chips
        assert "No decision fits in the last 24 h." in page
        assert 'href="/decisions?verdict=ask&amp;rule=shop%2Fseen"' in page, "30 days are as usual"
        assert 'href="/decisions?verdict=ask&amp;rule=shop%2Fseen&amp;window=all"' in page
        assert "2 decisions in the last 24 h, 0 of them acted." in await found.see("/")
        await found.see("/decisions?window=yesterday", 400)


async def test_until_when_is_said_in_the_viewers_zone_wherever_a_sentence_says_it():
    async with browser() as found:
        await found.send(
            "/limits", **{"for": "1h"}, kind="hold", by="entity", value="component:default/web", reason="me"
        )
        await fired(found, "Down")

        async def held():
            return (await found.node.store.find("decision", {"verdict": "hold"})).items

        (decision,) = [row.id for row in await found.node.until(held)]
        incident = (await found.node.store.find("incident")).items[0].id
        until = next(iter(found.node.engine.world.holds.values())).until_at
        utc = f"{until:%H:%M} UTC"
        there = until.astimezone(ZoneInfo("Asia/Kolkata"))
        for path in ("/", "/decisions", f"/decisions/{decision}", f"/incidents/{incident}", "/limits"):
            text = re.sub("<[^>]*>", "", await found.see(path))
            assert re.search(rf"ana leads here until (\d+ \w+ )?{utc}", text), path
        found.client.cookies.set("wk_zone", "Asia/Kolkata")
        for path in (
            "/", "/decisions", f"/decisions/{decision}", f"/incidents/{incident}", f"/incidents/{incident}/trail", "/limits"
        ):  # fmt: skip
            text = re.sub("<[^>]*>", "", await found.see(path))
            assert re.search(rf"ana leads here until (\d+ \w+ )?{there:%H:%M} \((\d+ \w+ )?{utc}\)", text), path
        answer = await found.send(
            "/limits", **{"for": "1h"}, kind="hold", by="entity", value="component:default/pay", reason="x"
        )
        assert re.search(r"Held until .*\d\d:\d\d \(.*\d\d:\d\d UTC\)", answer.headers["set-cookie"])


async def test_a_timeline_shows_whose_part_was_asked_for():
    async with browser() as found:
        await fired(found, "Down")
        await waiting(found)
        incident = (await found.node.store.find("incident")).items[0].id
        await found.send(f"/incidents/{incident}/comment", comment="the pool is small")
        place = f"/incidents/{incident}"

        def rows(page):
            return re.findall(r'<li id="e\d+">', page)

        page = await found.see(place)
        assert [read(each) for each in re.findall(r'<a class="chip" .*?</a>', page)] == [
            "Everyone 3",
            "Watchkeeper 1",
            "People 1",
        ]
        assert len(rows(page)) == 3
        people = await found.see(f"{place}?who=people")
        assert len(rows(people)) == 1
        assert "the pool is small" in people.partition('id="tl"')[2]
        machine = await found.see(f"{place}?who=watchkeeper")
        assert "the pool is small" not in machine.partition('class="tl"')[2].partition("</ol>")[0]
        assert "It asked first:" in machine.partition('class="tl"')[2]
        assert len(rows(await found.see(f"{place}?who=nobody"))) == 0
        table = read(page.partition("Show as table")[2].partition("</table>")[0])
        assert "Firing 1 alert at once" in table
        assert "People ana: the pool is small" in table


async def test_a_wrong_decision_is_made_a_test_from_its_page():
    async with browser() as found:
        await fired(found, "Down")
        await waiting(found)
        decision = (await found.node.store.find("decision")).items[0].id
        place = f"/decisions/{decision}"
        assert "Make it a test" not in await found.see(place)
        refused = await found.see(f"{place}/test", 409)
        assert "It makes no test" in refused
        assert "nobody called" in refused
        await found.see(f"{place}/test.yaml", 409)
        await found.send(f"{place}/feedback", says="helpful")
        assert "Make it a test" not in await found.see(place)
        await found.send(f"{place}/feedback", says="harmful", text="it took <b>all</b> down")
        page = await found.see(place)
        assert "ana said harmful: it took &lt;b&gt;all&lt;/b&gt; down" in " ".join(
            re.sub(r"</?(span|bdi)[^>]*>", "", page).split()
        )
        assert f'href="{place}/test"' in page
        made = await found.see(f"{place}/test")
        path = f"packs/shop/replays/harmful-{decision[-10:]}.yaml"
        assert path in made
        assert f"wk decisions test {decision} --out ." in made
        assert f"wk test shop/harmful-{decision[-10:]}" in made
        file = await found.client.get(f"{place}/test.yaml")
        assert file.headers["content-disposition"] == f"attachment; filename*=UTF-8''harmful-{decision[-10:]}.yaml"
        assert file.text == (await found.client.get(f"/api/v1/decisions/{decision}/test")).json()["document"]
        assert file.text.startswith("apiVersion: watchkeeper.dev/v1\nkind: ReplayTest\n")


# Runs: followed, steered, and asked about.


async def running(found: Browser) -> str:
    """A run that was approved, and whose first step is under way."""
    await fired(found, "Down")
    name = await waiting(found)
    digest = found.node.engine.world.approvals[name].binding
    assert (await found.send(f"/approvals/{name}/approve", digest=digest)).status_code == 303
    return await found.node.until(lambda: next(iter(found.node.engine.runner.live), ""))


async def status_of(found: Browser, run: str) -> str:
    return (await found.client.get(f"/api/v1/runs/{run}")).json()["status"]


async def test_a_run_is_paused_goes_on_and_is_cancelled_from_its_page():
    async with browser() as found:
        found.node.action.open.clear()
        run = await running(found)
        page = await found.see(f"/runs/{run}")
        assert 'data-every="2000"' in page
        assert f'action="/runs/{run}/pause"' in page
        await found.send(f"/runs/{run}/pause")
        found.node.action.open.set()

        async def paused():
            return await status_of(found, run) == "paused"

        await found.node.until(paused)
        page = await found.see(f"/runs/{run}")
        assert f'action="/runs/{run}/resume"' in page
        assert len(found.node.action.sent) == 1
        await found.see(f"/runs/{run}/cancel")
        assert (await found.send(f"/runs/{run}/cancel", reason="the deploy goes on")).status_code == 303

        async def over():
            return await status_of(found, run) not in {"running", "paused"}

        await found.node.until(over)
        page = await found.see(f"/runs/{run}")
        assert "data-every" not in page
        assert f'action="/runs/{run}/pause"' not in page
        assert len(found.node.action.sent) == 1


ONCE = RUNBOOK.replace(
    'url: "${target.url}/restart"}\n      effect: idempotent', 'url: "${target.url}/restart"}\n      effect: once'
)
assert ONCE != RUNBOOK


@pytest.mark.parametrize(("happened", "status"), [("yes", "succeeded"), ("no", "failed")])
async def test_a_step_in_doubt_asks_its_question_and_goes_by_the_answer(happened, status):
    async with browser(files={**HOME, "packs/shop/runbooks/mend.yaml": ONCE.encode()}) as found:
        found.node.action.open.clear()
        run = await running(found)
        found.node.action.lost = True
        found.node.action.open.set()

        async def doubted():
            return await status_of(found, run) == "in_doubt"

        await found.node.until(doubted)
        page = await found.see(f"/runs/{run}")
        assert "In doubt: nobody knows whether a step took effect. A person decides." in page
        asked = re.search(r"Did <bdi>(\w+)</bdi> take effect\?", page).group(0)
        assert "the answer was lost" in page
        assert "1 run" in await found.see("/runs?status=in_doubt")
        found.node.action.lost = False
        step = re.search(r'name="step" value="([^"]+)"', page).group(1)
        assert (await found.send(f"/runs/{run}/settle", step=step, happened=happened)).status_code == 303

        async def over():
            return await status_of(found, run) not in {"in_doubt", "running"}

        await found.node.until(over)
        assert await status_of(found, run) == status
        assert asked not in await found.see(f"/runs/{run}")


async def test_a_suggestion_is_taken_or_refused_and_an_episode_gets_its_verdict():
    rule = RULE.format(name="hint", alert="[Hint, Other]", ceiling="suggest")
    async with browser(files={**HOME, "packs/shop/rules/hint.yaml": rule.encode()}) as found:

        async def suggested():
            return [each.id for each in found.node.engine.agreements.suggestions()]

        await fired(found, "Hint")
        (name,) = await found.node.until(suggested)
        page = await found.see("/reviews")
        assert "1 suggestion stands" in page
        assert (await found.send(f"/decisions/{name}/reject", reason="")).status_code == 400
        assert (await found.send(f"/decisions/{name}/reject", reason="not now")).status_code == 303
        assert await suggested() == []
        await fired(found, "Other")
        (name,) = await found.node.until(suggested)
        answer = await found.send(f"/decisions/{name}/accept", reason="as it says")
        assert answer.headers["location"].startswith("/runs/run_")
        await found.node.until(lambda: len(found.node.action.sent) == 2)
        await fired(found, "Seen")

        async def watched():
            return (await found.node.store.find("decision", {"verdict": "observe"})).items

        (row,) = await found.node.until(watched)
        assert "Would it have been right?" in await found.see("/reviews")
        assert (await found.send(f"/decisions/{row.id}/review", says="agree", reason="")).status_code == 400
        assert (
            await found.send(f"/decisions/{row.id}/review", says="agree", reason="it was wedged")
        ).status_code == 303
        assert f"/decisions/{row.id}/review" not in await found.see("/reviews")


async def test_feedback_on_a_decision_is_recorded_once():
    async with browser() as found:
        await fired(found, "Down")
        await waiting(found)
        decision = (await found.node.store.find("decision")).items[0].id
        assert (await found.send(f"/decisions/{decision}/feedback", says="helpful")).status_code == 303
        assert len((await found.node.store.find("feedback")).items) == 1


async def test_the_ledger_is_verified_from_the_page_and_against_what_was_kept():
    async with browser() as found:
        await fired(found, "Down")
        await waiting(found)
        note = (await found.client.get("/api/v1/ledger/checkpoint")).json()["note"]
        answer = await found.send("/ledger/verify", against=note)
        assert "The record is whole." in answer.text
        assert "the ledger goes on from" in answer.text
        answer = await found.send("/ledger/verify", against=note.replace("watchkeeper/test", "watchkeeper/else"))
        assert "The record is not whole." in answer.text


# Scenarios beside rules.

SCENARIO = """
apiVersion: watchkeeper.dev/v1
kind: Scenario
metadata: {name: NAME, owner: group:ops}
spec:
  description: WORDS
  given:
    mode: approve
    signals: [{labels: {alertname: Down, service: web, severity: critical}}]
  expect: {verdict: VERDICT, rule: shop/down}
"""


def told_in(name: str, verdict: str, words: str = "Text") -> dict[str, bytes]:
    text = SCENARIO.replace("NAME", name).replace("VERDICT", verdict).replace("WORDS", words)
    return {f"packs/shop/scenarios/{name}.yaml": text.encode()}


async def played(found: Browser, tmp_path) -> None:
    found.node.engine.playing.player = ChildPlayer(tmp_path)
    answer = await found.send("/scenarios/play", rule="shop/down", back="/rules/shop/down")
    assert (answer.status_code, answer.headers["location"]) == (303, "/rules/shop/down")

    async def over():
        return (await found.client.get("/api/v1/scenarios")).json()["playing"] is None

    await found.node.until(over)


async def test_results_of_scenarios_stand_beside_the_rule_and_are_of_the_configuration_that_they_were_played_under(
    tmp_path,
):
    async with browser(files={**HOME, **told_in("asks", "ask"), **told_in("acts", "act")}) as found:
        page = await found.see("/rules/shop/down")
        assert "Run 2 scenarios" in page
        assert "It was never played on this node." in page
        assert "None of 2 scenarios was played under this configuration." in await found.see("/scenarios")
        assert "No scenario exercises it." in await found.see("/rules/shop/seen")
        await played(found, tmp_path)
        page = await found.see("/rules/shop/down")
        assert "1 of 2 passed, 1 failed" in page
        assert "verdict: expected act, it was ask: " in page
        assert "for <bdi>ana</bdi> in" in page
        assert "nothing would have been sent" in page
        for path in ("/runbooks/shop/mend", "/scenarios"):
            assert "verdict: expected act, it was ask: " in await found.see(path)
        assert "1 scenario of 2 did not go as expected." in await found.see("/scenarios")
        assert "1 of 2 failed" in await found.see("/rules")
        assert found.node.action.sent == []
        digest = found.node.engine.world.configuration.digest
        found.node.files |= told_in("more", "hold")
        planned = (await found.client.post("/api/v1/configuration/plan", headers=await form(found), json={})).json()
        body = {"digest": planned["digest"], "reason": "more"}
        assert (await found.client.post("/api/v1/configuration/apply", headers=await form(found), json=body)).is_success
        page = await found.see("/rules/shop/down")
        assert "0 of 3 passed, 3 not run under this configuration" in page
        assert f"Under an older configuration (<code>{digest[:12]}</code>) it passed" in page


async def form(found: Browser) -> dict[str, str]:
    return {"X-Watchkeeper-Form": await found.word()}


async def test_a_viewer_sees_results_and_runs_none_and_a_node_without_a_player_says_so():
    async with browser("viewer", files={**HOME, **told_in("asks", "ask")}) as found:
        assert "To run them you need the role operator." in await found.see("/rules/shop/down")
        assert (await found.send("/scenarios/play", rule="shop/down")).status_code == 403
    async with browser(files={**HOME, **told_in("asks", "ask")}) as found:
        answer = await found.send("/scenarios/play", rule="shop/down", back="//elsewhere.example")
        assert answer.status_code == 503
        assert "This node plays no scenarios." in answer.text
        answer = await found.send("/scenarios/play", rule="shop/none", back="//elsewhere.example")
        assert answer.status_code == 503


async def test_a_rule_whose_file_was_edited_says_that_what_stands_here_is_what_decides():
    async with browser() as found:
        found.node.files["packs/shop/rules/down.yaml"] += b"# later\n"
        found.node.files["packs/shop/rules/new.yaml"] = RULE.format(name="new", alert="New", ceiling="auto").encode()
        assert "is not this one any more" in await found.see("/rules/shop/down")
        assert "is not this one any more" not in await found.see("/rules/shop/seen")
        page = await found.see("/rules")
        assert "2 files in the folder differ" in page
        assert "down.yaml</bdi></code> differs" in page
        assert "new.yaml</bdi></code> is new" in page


@pytest.mark.parametrize("text", HOSTILE[:8])
async def test_hostile_words_of_a_scenario_stay_text(text):
    words = json.dumps(text.replace("\u202e", ""))  # a file with characters that cannot be seen is refused
    async with browser(files={**HOME, **told_in("asks", "ask", words)}) as found:
        found.node.engine.playing.player = Says(text)
        await found.send("/scenarios/play")

        async def over():
            return (await found.client.get("/api/v1/scenarios")).json()["playing"] is None

        await found.node.until(over)
        for path in ("/scenarios", "/rules", "/rules/shop/down", "/runbooks/shop/mend"):
            page = await found.see(path)
            harmless(path, page)
            assert "\u202e" not in page


class Says:
    """A player whose results carry what a label may carry."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def play(self, files, names, hear):
        for name in names:
            hear(
                Result(
                    scenario=name, configuration=configuration(files).digest, failures=(self.text,), reason=self.text
                )
            )
        return ""


# What a page says.


@pytest.mark.parametrize("path", PLACES)
async def test_every_page_reads_on_an_empty_node_and_after_a_repair(path):
    async with browser() as found:
        await found.see(path)
        await fired(found, "Down")
        name = await waiting(found)
        digest = found.node.engine.world.approvals[name].binding
        await found.send(f"/approvals/{name}/approve", digest=digest)
        await found.node.until(lambda: len(found.node.action.sent) == 2)
        page = await found.see(path)
        if path != "/palette.json":
            assert page.count("<h1") == 1
            assert "style=" not in page
            assert not re.search(r"<script(?! src=)", page)


MANY = "".join(
    f"""---
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {{name: s{number}, annotations: {{watchkeeper.dev/environment: staging}}}}
spec: {{type: service, lifecycle: production, owner: group:ops, system: part-{number % 4}, dependsOn: [component:web]}}
"""
    for number in range(1_000)
)
PARTS = "".join(
    f"""---
apiVersion: backstage.io/v1alpha1
kind: System
metadata: {{name: part-{number}}}
spec: {{owner: group:ops}}
"""
    for number in range(4)
)


async def test_a_thousand_services_are_found_by_name_focused_and_folded():
    async with browser(files={**HOME, "catalog/many.yaml": (PARTS + MANY).encode()}) as found:
        page = await found.see("/services")
        assert "1,003 services in 5 systems: 1,003 unknown." in page
        assert "No transaction is declared to begin with: shown is the list." in page
        assert page.count('<tr class="link">') == 100
        assert "908 more" in page
        last = await found.see("/services?view=list&page=11")
        assert last.count('<tr class="link">') == 8
        page = await found.see("/services?q=s77")
        assert 'href="/services?focus=component%3Adefault/s77"' in page
        assert '<h2 id="one"><bdi>s77</bdi></h2>' in page, "what is called so is focused"
        page = await found.see("/services?q=s77&view=list")
        assert page.count('<tr class="link">') == 11
        page = await found.see("/services?q=part")
        assert 'aria-current="true">List</a>' in page, "what fits many is a list"
        page = await found.see("/services?focus=component:default/web")
        assert re.search(r"\+ \d+ more callers", page)
        assert 'href="/services?focus=component%3Adefault%2Fweb&amp;show=list#as-list"' in page
        assert page.count("<rect ") <= 2 * 62, "the picture is bounded, wide and upright"
        assert '<details class="twin" id="as-list" open>' in await found.see(
            "/services?focus=component:default/web&show=list"
        )
        page = await found.see("/services?focus=component:default/web&fold=systems")
        assert "more callers" not in page.partition('class="phone-only"><svg')[0]
        assert re.search(r"More stand around it than the \d+ that were read: focus nearer\.", page)
        for number in range(4):
            assert f"part-{number}: " in page


INSTANCES = "".join(
    f"""---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata: {{name: pay-{number}, annotations: {{watchkeeper.dev/instance: pay-{number}, watchkeeper.dev/environment: staging}}}}
spec: {{type: instance, owner: group:ops, system: shop, dependencyOf: [component:pay]}}
"""
    for number in (1, 2, 3)
)
BUSY = b"- {name: checkout, priority: 1, owner: group:ops, hops: [cart, pay]}\n"
ESTATE = {**HOME, "catalog/instances.yaml": INSTANCES.encode(), "transactions.yaml": BUSY}


async def failing(found: Browser, *services: str) -> None:
    for service in services:
        await fired(found, "Odd", service=service)
    refs = [f"resource:default/{service}" for service in services]
    await found.node.until(lambda: all(found.node.engine.world.failing.get(ref) for ref in refs))


def drawing(page: str) -> str:
    return page.partition('class="wide-only"><svg')[2].partition('class="phone-only"')[0]


async def test_services_open_where_the_business_begins_while_nothing_fails_and_with_what_fails_once_it_does():
    async with browser(files=ESTATE) as found:
        page = await found.see("/services")
        assert '<h1 class="head">Nobody watches the health of any service.</h1>' in page
        assert "Shown: cart, where checkout begins." in page
        assert '<h2 id="one"><bdi>cart</bdi></h2>' in page
        assert "pay-1" not in drawing(page), "an instance counts within its service"

        await failing(found, "pay-2", "pay-3")
        page = await found.see("/services")
        assert '<h1 class="head">pay is degraded: 0 of 3 healthy, 2 failing, 1 unknown.</h1>' in page
        assert '<h2 id="one"><bdi>pay</bdi></h2>' in page

        await failing(found, "pay-1")
        page = await found.see("/services")
        assert '<h1 class="head">pay is failing and degrades cart.</h1>' in page
        assert "3 services in 1 system: 1 degraded, 1 failing, 1 unknown." in page
        assert "<dt>Healthy</dt><dd>0 of 3</dd>" in page
        assert drawing(page).count('stroke="var(--bad)" stroke-width="2"') == 1
        assert "Made of 3 parts" in page
        plain = await found.see("/services?focus=component:default/pay&paint=owners")
        assert 'stroke="var(--bad)"' not in drawing(plain), "paths are painted where they are asked for"
        part = await found.see("/services?focus=resource:default/pay-1")
        assert 'Part of <a class="u" href="/services?focus=component%3Adefault/pay">' in part


async def test_what_keeps_automation_off_is_drawn_and_said():
    async with browser(files=ESTATE) as found:
        await found.send(
            "/limits", **{"for": "1h"}, kind="hold", by="entity", value="component:default/pay", reason="me"
        )
        page = await found.see("/services?focus=component:default/cart")
        assert "held to " in drawing(page)
        assert "#pause" in drawing(page)
        await failing(found, "pay-1", "pay-2", "pay-3")
        page = await found.see("/services?focus=component:default/cart")
        assert "0 of 3 healthy" in drawing(page), "what is broken looks broken"
        assert "#pause" in drawing(page), "and still says that it is held"
        page = await found.see("/services?focus=component:default/pay")
        assert "Held until" in page
        await found.send("/limits", **{"for": "1h"}, kind="freeze", by="environment", value="staging", reason="sale")
        page = await found.see("/services?focus=component:default/cart")
        assert "All of these: frozen by <bdi>ana</bdi> until" in page, "what holds for all is said once"
        assert "#snowflake" not in drawing(page)
        listed = await found.see("/services?view=list&limited=yes")
        assert listed.count('<tr class="link">') == 6
        assert "Held by ana" in listed


async def test_a_person_takes_the_lead_from_the_page_of_a_service_and_hands_it_back():
    async with browser(files=ESTATE) as found:
        page = await found.see("/services?focus=component:default/pay")
        assert 'data-dialog href="/services/hold?focus=component%3Adefault%2Fpay"' in page
        asked = await found.see("/services/hold?focus=component%3Adefault%2Fpay")
        assert "no rule acts on it or its 3 parts" in asked
        assert (await found.send("/services/hold", entity="")).headers["location"] == "/services"
        assert (await found.client.get("/services/hold")).headers["location"] == "/services"
        assert not found.node.engine.world.holds, "a hold without a scope would cover everything"
        done = await found.send("/services/hold", entity="component:default/pay", reason="I look", **{"for": "30m"})
        assert done.headers["location"] == "/services?focus=component%3Adefault%2Fpay"
        (hold,) = found.node.engine.world.holds.values()
        assert (hold.scope.entity, hold.reason, hold.by) == ("component:default/pay", "I look", "ana")
        page = await found.see("/services?focus=component:default/pay")
        assert "Automation keeps its hands off pay until" in page
        assert "/services/hold" not in page, "it is held"
        assert f'data-dialog href="/limits/holds/{hold.id}/lift"' in page
    async with browser("viewer", files=ESTATE) as found:
        assert "/services/hold" not in await found.see("/services?focus=component:default/pay")


async def test_an_open_incident_stands_first_with_what_it_concerns():
    async with browser(files=ESTATE) as found:
        await failing(found, "pay-2")
        incident = (await found.node.store.find("incident")).items[0].id
        page = await found.see("/services?focus=component:default/pay")
        assert f'href="/incidents/{incident}"' in page.partition("facts-of")[2]
        assert "Open incident" in page
        assert "Open incident" not in await found.see("/services?focus=component:default/web")


async def test_a_deploy_of_a_service_stands_with_it():
    async with browser(files=ESTATE) as found:
        change = ChangeRecord(
            id="chg_1", source="ci", kind="deploy", subject="web", service="component:default/web", environment="staging",
            title="release 2026.11.23-1", url="", by="mira", at=found.node.clock.now(),
        )  # fmt: skip
        await found.node.engine.scribe.commit(Commit(at=change.at, puts=(put(change),)))
        page = await found.see("/services?focus=web")
        assert "release 2026.11.23-1" in page.partition("facts-of")[2]
        assert "deploy by <bdi>mira</bdi>, under way" in page
        assert "release 2026" not in await found.see("/services?focus=pay")


async def test_coverage_is_a_matrix_that_opens_to_the_hops_that_lack_something():
    async with browser(files=ESTATE) as found:
        page = await found.see("/services")
        row = page.partition('<th scope="row">')[2].partition("</tbody>")[0]
        assert re.findall(r"<small>(all|some|none|partly|unproven|\d of \d)</small>", row) == [
            "all", "unproven", "none", "none",
        ]  # fmt: skip
        assert "What <bdi>checkout</bdi> lacks" in row
        assert "No undo for drain of shop/mend, restart of shop/mend." in row


async def test_a_ladder_stands_at_what_was_granted_and_never_at_a_ceiling():
    async with browser(files=ESTATE) as found:
        page = await found.see("/services?focus=component:default/web")
        assert 'aria-label="stands at approve"' in page
        assert "Granted by people. Nothing was decided here yet" in page
        for grant in list(found.node.engine.world.grants):
            await found.node.engine.limits.revoke(ADMIN, grant, "over")
        page = await found.see("/services?focus=component:default/web")
        assert 'aria-label="stands at approve"' not in page
        assert "Nothing was decided here yet; it may never go beyond approve." in page
        painted = await found.see("/services?focus=component:default/web&paint=autonomy")
        assert "#eye" in drawing(painted)


async def test_a_list_is_filtered_by_how_things_are_and_keeps_its_address():
    async with browser(files=ESTATE) as found:
        await failing(found, "pay-1")
        page = await found.see("/services?view=list&is=failing")
        assert page.count('<tr class="link">') == 1
        assert 'href="/services?view=list&amp;is=degraded"' in page
        assert "No service fits." in await found.see("/services?view=list&is=failing&q=web")
        for odd in ("page=0", "page=99", "page=x", "is=odd", "limited=maybe", "environment=nowhere"):
            await found.see(f"/services?view=list&{odd}")
        for odd in ("web", "group:default/ops", "system:default/shop"):
            assert odd.rpartition("/")[2].rpartition(":")[2] in await found.see(f"/services?focus={odd}")
        for odd in ("hops=99", "hops=x", "paint=odd", "fold=all", "show=1"):
            await found.see(f"/services?focus=component:default/web&{odd}")
        assert (await found.client.get("/services?focus=component:default/none")).status_code == 404


async def test_each_thing_has_its_page():
    async with browser() as found:
        await fired(found, "Down", "Nowhere")
        name = await waiting(found)
        digest = found.node.engine.world.approvals[name].binding
        await found.send(f"/approvals/{name}/approve", digest=digest)
        await found.node.until(lambda: len(found.node.action.sent) == 2)
        for kind, place, more in (
            ("incident", "incidents", ("/trail", "/comment", "/hold", "/escalate")),
            ("alert", "alerts", ()),
            ("decision", "decisions", ("/situation", "/replay", "?only=decided")),
            ("run", "runs", ("/cancel", "/close")),
            ("approval", "approvals", ()),
        ):
            for row in (await found.node.store.find(kind)).items:
                for end in ("", *more):
                    await found.see(f"/{place}/{row.id}{end}")


async def test_what_is_not_there_is_a_page_that_says_so():
    async with browser() as found:
        for path in ("/nowhere", "/runs/run_none", "/decisions/x", "/incidents/x", "/rules/shop/none", "/ledger/99999"):
            answer = await found.client.get(path)
            assert answer.status_code in {400, 404}, (path, answer.status_code)
            assert "To Now" in answer.text


async def test_a_page_that_fails_says_so_on_a_page(monkeypatch):
    async with browser() as found:
        monkeypatch.setattr("watchkeeper.surface.console.pages.metrics.answer", lambda *_: 1 / 0)
        page = await found.see("/measures", 500)
        assert "This page failed" in page
        assert "ZeroDivisionError; the log of this node has the whole of it." in page
        assert "Metrics" in page
        assert "Traceback" not in page
        assert "Nothing is broken" in await found.see("/")


async def test_every_answer_carries_the_policy_and_no_page_is_stored():
    async with browser() as found:
        for path in ("/", "/sign-in", "/static/console.css", "/nowhere", "/palette.json"):
            headers = (await found.client.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "script-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
        assert (await found.client.get("/")).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", ".hidden", "none.css", "a/b"])
async def test_only_our_own_files_are_given_out(name):
    async with browser() as found:
        assert (await found.client.get(f"/static/{name}")).status_code in {303, 404}


class Reads(HTMLParser):
    """What a browser would make of a page: tags with their attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def harmless(path: str, text: str) -> None:
    page = Reads()
    page.feed(text)
    for tag, attributes in page.tags:
        assert tag not in {"img", "iframe", "object", "embed", "b0"}, path
        assert not any(each.startswith("on") for each in attributes), (path, tag, attributes)
        assert not (attributes.get("href") or "").lower().startswith("javascript"), path
        if tag == "script":
            assert attributes["src"].startswith("/static/"), path


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_stays_text_everywhere(text):
    rule = RULE.format(name="any", alert="[Down, Hostile, Worse]", ceiling="approve").replace(
        "runbook: shop/mend", "runbook: shop/mend\n  with: {note: '${alert.labels.pod}'}"
    )
    steps = RUNBOOK.replace(
        'method: POST, url: "${target.url}/restart"',
        'method: POST, url: "${target.url}/restart", body: "${alert.annotations.summary} ${params.note}"',
    )
    files = {**HOME, "packs/shop/rules/any.yaml": rule.encode(), "packs/shop/runbooks/mend.yaml": steps.encode()}
    async with browser(files=files) as found:
        await fired(found, "Hostile", "Worse", pod=text, severity="critical")
        name = await waiting(found)
        card = (await found.client.get("/api/v1/cards")).json()["items"][0]["id"]
        for path in (f"/cards/{card}", "/approvals", "/approvals?state=all"):
            harmless(path, await found.see(path))
        await found.send(f"/approvals/{name}/approve", digest=found.node.engine.world.approvals[name].binding)
        await found.node.until(lambda: len(found.node.action.sent) == 2)
        run = (await found.node.store.find("run")).items[0].id
        await found.node.engine.sequencer.step()
        incident = (await found.node.store.find("incident")).items[0].id
        alert = (await found.node.store.find("alert")).items[0].id
        decision = (await found.node.store.find("decision")).items[0].id
        comment = text.replace("\x00", "") or "x"
        await found.send(f"/incidents/{incident}/comment", comment=comment[:1_900])
        await found.send(
            "/limits", **{"for": "1h"}, kind="hold", by="entity", value="component:default/web", reason=comment[:280]
        )
        await found.send("/stop", scope="everything", reason=comment[:280])
        for path in (
            *PLACES[:-1],
            f"/incidents/{incident}",
            f"/incidents/{incident}/trail",
            f"/alerts/{alert}",
            f"/decisions/{decision}",
            f"/decisions/{decision}/situation",
            f"/approvals/{name}",
            f"/runs/{run}",
            f"/runs/{run}?step={quote(text[:300])}",
            *(f"/ledger/{index}" for index in range(await found.node.store.tree_size())),
            f"/limits/holds/{next(iter(found.node.engine.world.holds))}/lift",
            f"/incidents/{incident}/escalate",
            f"/services?q={quote(text[:300])}",
            f"/services?focus={quote('component:default/web')}&hops=3",
        ):
            harmless(path, await found.see(path))
        page = await found.see(f"/alerts/{alert}")
        assert "\u202e" not in page
        assert "49" not in re.findall(r"<code><bdi>(.*?)</bdi></code>", page)
