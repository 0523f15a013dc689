"""Rights, asked of the table of routes itself: a route that names no permission is found, and every role is tried on
every route.
"""

import asyncio
import re
from collections.abc import Iterable
from typing import Any

import httpx2
import pytest
from fastapi.routing import APIRoute

from served import Served, served
from watchkeeper.approve.people import Actor
from watchkeeper.approve.roles import BOOTSTRAP, HUMANS_ONLY, TABLE, Role, Verb
from watchkeeper.engine.answer import No
from watchkeeper.guards.situation import Hold, Scope
from watchkeeper.surface.api.app import create_app
from watchkeeper.surface.api.asgi import Front
from watchkeeper.surface.api.door import VERB, Guarded
from watchkeeper.surface.api.events import watched
from watchkeeper.surface.api.hooks import Hooks
from watchkeeper.surface.console.app import Console
from watchkeeper.values import after_ms

API = "/api/v1"
ADMIN = Actor(name="root", roles=frozenset({"admin"}))
MACHINE = Actor(name="pipeline", roles=frozenset({"admin"}), human=False)
# What anybody may ask who has come in, and what is open to all (SEMANTICS 15). Whoever adds to these says why.
OF_ANYBODY_SIGNED_IN = {f"GET {API}/whoami"}
READING = {None, Verb.READ, Verb.EXPORT}
OPEN = {"GET /healthz", "GET /readyz", "GET /metrics"}  # /metrics: on loopback, else by its scope


def routes(found: Iterable[Any], prefix: str = "") -> list[tuple[str, APIRoute]]:
    """(name, route) of all that is mounted, at any depth. A route of another kind has no door, and fails here."""
    named: list[tuple[str, APIRoute]] = []
    for each in found:
        within = getattr(each, "original_router", None)
        if within is not None:
            named += routes(within.routes, prefix + each.include_context.prefix)
            continue
        assert isinstance(each, APIRoute), each
        named += [(f"{method} {prefix}{each.path}", each) for method in sorted(each.methods)]
    return named


def verb_of(route: APIRoute) -> str | None:
    return (route.openapi_extra or {}).get(VERB)


async def test_every_route_stands_behind_the_door_with_a_permission_or_is_named_here():
    async with served() as node:
        found = routes(create_app(node.node).routes)
    assert len(found) > 100
    assert {name for name, route in found if verb_of(route) is None} == OF_ANYBODY_SIGNED_IN | OPEN
    assert {name for name, route in found if not isinstance(route, Guarded)} == OPEN


async def test_nothing_is_changed_by_get_and_nothing_read_by_a_permission_to_change():
    async with served() as node:
        found = routes(create_app(node.node).routes)
    assert {verb_of(route) for name, route in found if name.startswith("GET ")} == READING


async def _tried(node: Served, client: httpx2.AsyncClient) -> dict[str, tuple[str, int]]:
    """Each guarded route asked with a made-up name and an empty body: (its verb, the status)."""
    found = {}
    for name, route in routes(create_app(node.node).routes):
        verb = verb_of(route)
        method, path = name.split(" ")
        if verb is not None and not path.endswith("/events"):
            answer = await client.request(
                method, re.sub(r"{[^}]+}", "none", path), json={} if method == "POST" else None
            )
            found[name] = (verb, answer.status_code)
    assert len(found) > 100
    return found


@pytest.mark.parametrize("role", [*Role, "bootstrap", "hook", "nobody"])
async def test_every_role_is_refused_every_route_that_the_table_does_not_give_it(role):
    async with served() as node:
        if role == "bootstrap":
            token, given = await node.engine.identities.bootstrap() or "", BOOTSTRAP
        elif role == "hook":
            token, given = await node.hook_token("default"), frozenset()
        elif role == "nobody":
            token, given = "", frozenset()
        else:
            token, given = await node.person("somebody", role), TABLE[role]
        refusing = 401 if role == "nobody" else 403
        async with node.client(token) as client:
            for name, (verb, status) in (await _tried(node, client)).items():
                if verb not in given:
                    assert status == refusing, (name, verb)
                elif name.startswith("GET "):
                    assert status not in {401, 403}, (name, verb)


async def test_what_is_for_people_only_is_refused_to_a_machine_with_every_role():
    async with served() as node:
        token = await node.person("pipeline", *Role, human=False)
        async with node.client(token) as client:
            tried = await _tried(node, client)
    people_only = {name: status for name, (verb, status) in tried.items() if verb in HUMANS_ONLY}
    assert len(people_only) > 8
    assert set(people_only.values()) == {403}


# -- nobody gets more than was given -----------------------------------------------------------------------


async def test_a_machine_makes_no_person_and_no_token_of_one():
    async with served() as node:
        await node.person("alice", "admin")
        people = node.engine.identities
        no = await people.add(MACHINE, "eve", ("approver",))
        assert isinstance(no, No)
        assert no.detail == "pipeline is no person, and only a person adds people: --machine adds a machine"
        no = await people.issue(MACHINE, "alice", "x", ("admin",))
        assert isinstance(no, No)
        assert no.detail == "pipeline is no person, and only a person makes a token of alice"
        assert not isinstance(await people.add(MACHINE, "probe", ("viewer",), human=False), No)
        assert not isinstance(await people.issue(MACHINE, "probe", "x", ("viewer",)), No)


async def test_a_token_that_makes_one_for_the_console_ends_it_with_itself():
    async with served() as node:
        await node.person("alice", "admin")
        people = node.engine.identities
        parent, text = await people.issue(ADMIN, "alice", "laptop", ("viewer",), for_ms=60_000)
        async with node.client(text) as client:
            made = (await client.post(f"{API}/whoami/token", json={"for": "12h"})).json()
            assert made["expires_at"] == (await client.get(f"{API}/tokens")).json()["items"][1]["expires_at"]
        async with node.client(made["text"]) as client:
            assert (await client.get(f"{API}/status")).status_code == 200
            again = await client.post(f"{API}/whoami/token", json={})
            assert again.status_code == 403
            assert again.json()["detail"].startswith("a token that was made for the console makes no other one")
            begun = await node.engine.sessions.begin(made["text"])
            assert not isinstance(begun, No)
            await people.revoke(ADMIN, parent.id, "lost")
            assert (await client.get(f"{API}/status")).status_code == 401
        assert node.engine.sessions.actor(begun[1], node.clock.now()) is None


async def test_links_to_the_console_are_bounded_for_each_person(monkeypatch):
    monkeypatch.setattr("watchkeeper.engine.identities.OWN_TOKENS_MAX", 2)
    async with served() as node:
        async with node.client(await node.person("vera", "viewer")) as client:
            codes = [(await client.post(f"{API}/whoami/token", json={})).status_code for _ in range(3)]
        assert codes == [201, 201, 403]
        async with node.client(await node.person("alice", "admin")) as client:
            assert (await client.post(f"{API}/whoami/token", json={})).status_code == 201


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"identity": "alice", "name": "x"}, "roles: say what it may do"),
        ({"identity": "alice", "name": "x", "roles": ["viewer"], "for": "0s"}, "for: must be longer than nothing"),
    ],
)
async def test_a_token_that_is_good_for_nothing_is_not_made(body, said):
    async with served() as node, node.client(await node.person("alice", "admin")) as client:
        refused = await client.post(f"{API}/tokens", json=body)
        assert refused.status_code == 400
        assert refused.json()["detail"].startswith(said)


def _asking(token: str) -> dict[str, object]:
    return {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}


@pytest.mark.parametrize("end", ["revoked", "removed"])
async def test_who_watches_and_loses_the_right_to_sees_nothing_more(end):
    async with served() as node:
        alice, vera = await node.person("alice", "admin"), await node.person("vera", "viewer")
        people, streams = node.engine.identities, [watched(node.node, _asking(one), None) for one in (alice, vera)]
        for each in streams:
            assert (await anext(each)).startswith(b"retry:")
        if end == "revoked":
            await people.revoke(ADMIN, vera.split("_")[1], "lost")
        else:
            await people.remove(ADMIN, "vera", "left")
        held = await node.engine.limits.hold(ADMIN, Scope(), after_ms(node.clock.now(), 60_000), "seen")
        assert isinstance(held, Hold), held
        assert held.id.encode() in await anext(streams[0])
        assert [each async for each in streams[1]] == []
        await streams[0].aclose()


# -- nobody keeps a place --------------------------------------------------------------------------------------


async def _never_ending(app: Any, path: str) -> int:
    """The status for a form whose end does not come."""
    status: list[int] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "headers": [(b"host", b"localhost"), (b"content-length", b"100")],
    }  # fmt: skip
    begun = [{"type": "http.request", "body": b"token=", "more_body": True}]

    async def receive() -> Any:
        return begun.pop() if begun else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    await app(scope, receive, send)
    return status[0]


async def test_a_form_whose_end_does_not_come_is_let_go_also_of_who_is_not_signed_in(monkeypatch):
    monkeypatch.setattr("watchkeeper.surface.console.visit.FORM_WITHIN_S", 0.01)
    async with served() as node:
        api = create_app(node.node)
        front = Front(Hooks(node.node), api, lambda: (), Console(node.node, api))
        assert await _never_ending(front, "/sign-in") == 403
