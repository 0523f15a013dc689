"""The HTTP client against real sockets on loopback: servers that hang, break off, flood, and send elsewhere."""

import asyncio
import gzip
import ipaddress
import ssl
import zlib
from contextlib import asynccontextmanager

import pytest

from watchkeeper.adapters.address import AddressRule, SystemResolver, canonical, guarded
from watchkeeper.adapters.http import HttpClient, Request, Tls
from watchkeeper.adapters.http_wire import CONNECTIONS_PER_ADDRESS_MAX
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Names:
    """A resolver whose answers are scripted: each look-up of a name takes the next one."""

    def __init__(self, **answers):
        self.answers = {name.replace("_", "."): list(turns) for name, turns in answers.items()}
        self.asked = []

    async def addresses(self, host, port):
        self.asked.append(host)
        turns = self.answers[host]
        answer = turns.pop(0) if len(turns) > 1 else turns[0]
        return tuple(ipaddress.ip_address(one) for one in answer.split())


class Server:
    """Answers every request of every connection with `answer(request_bytes, writer)`."""

    def __init__(self, answer, host="127.0.0.1", tls=None):
        self.answer, self.host, self.tls = answer, host, tls
        self.seen, self.connections, self.port = [], 0, 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, self.host, 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.seen.append(head + await reader.readexactly(length))
                if isinstance(self.answer, bytes):
                    writer.write(self.answer)
                    await writer.drain()
                elif await self.answer(self.seen[-1], writer) == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    @property
    def at(self):
        return f"{self.host}:{self.port}"


def call(server, path="/", **more):
    more.setdefault("allow", AddressRule(declared=frozenset({server.at})))
    more.setdefault("method", "GET")
    more.setdefault("timeout_ms", 5_000)
    more.setdefault("url", f"http://{server.at}{path}")
    return Request(**more)


@asynccontextmanager
async def client(**names):
    async with HttpClient(resolver=Names(**names)) as http:
        yield http


async def test_an_answer_has_status_headers_body_and_time():
    async with (
        Server(b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nX-A: 1\r\nX-A: 2\r\nContent-Length: 2\r\n\r\nno") as server,
        client() as http,
    ):
        got = await http.request(call(server, method="POST", body=b"{}", headers={"Idempotency-Key": "k1"}))
    assert (got.status, got.body, got.truncated, got.expected) == (503, b"no", False, False)
    assert got.headers["retry-after"] == "3"
    assert got.headers["x-a"] == "1, 2"
    assert 0 <= got.ms < 5_000
    assert b"\r\nIdempotency-Key: k1\r\n" in server.seen[0]
    assert server.seen[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    ("status", "expect", "met"), [(204, (), True), (300, (), False), (404, (404,), True), (200, (404,), False)]
)
async def test_what_was_expected_is_a_value_not_an_error(status, expect, met):
    async with Server(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()) as server, client() as http:
        got = await http.request(call(server, expect=frozenset(expect)))
    assert got.expected is met


async def test_a_connection_is_kept_and_used_again():
    async with Server(OK) as server, client() as http:
        for _ in range(5):
            assert (await http.request(call(server))).body == b"ok"
    assert server.connections == 1


async def test_a_head_has_no_body_whatever_its_length_says():
    async with Server(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n") as server, client() as http:
        got = await http.request(call(server, method="HEAD"))
    assert (got.status, got.body, got.truncated) == (200, b"", False)


async def test_an_answer_that_only_announces_another_is_passed_over():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nok"
    async with Server(early) as server, client() as http:
        got = await http.request(call(server))
    assert (got.status, got.body, got.headers) == (200, b"ok", {"x-a": "1", "content-length": "2"})


async def test_a_body_without_length_ends_with_the_connection():
    async def until_end(_request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        await writer.drain()
        writer.write_eof()

    async with Server(until_end) as server, client() as http:
        got = await http.request(call(server))
    assert (got.body, got.truncated) == (b"all of it", False)


async def test_chunks_are_one_body():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n4\r\n of \r\n2\r\nit\r\n0\r\n\r\n"
    async with Server(chunked) as server, client() as http:
        for _ in range(2):
            assert (await http.request(call(server))).body == b"all of it"
    assert server.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
        OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    ],
    ids=["closing", "old", "two answers to one request"],
)
async def test_a_connection_that_cannot_be_trusted_with_the_next_call_is_not_kept(answer):
    async with Server(answer) as server, client() as http:
        for _ in range(2):
            assert (await http.request(call(server))).body == b"ok"
    assert server.connections == 2


async def test_what_a_server_says_unasked_is_no_answer_to_the_next_call():
    async def talkative(_request, writer):
        writer.write(OK)
        await writer.drain()
        await said.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        await writer.drain()
        told.set()

    said, told = asyncio.Event(), asyncio.Event()
    async with Server(talkative) as server, client() as http:
        assert (await http.request(call(server))).body == b"ok"
        said.set()
        await told.wait()
        while http._connections._idle and all(each.open for kept in http._connections._idle.values() for each in kept):
            await asyncio.sleep(0)
        assert (await http.request(call(server))).body == b"ok"
    assert server.connections == 2


async def test_another_protocol_is_in_doubt():
    switched = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    async with Server(switched) as server, client() as http:
        with pytest.raises(InDoubt, match="another protocol"):
            await http.request(call(server, method="POST"))


async def test_so_many_calls_at_once_share_so_many_connections():
    async with Server(OK) as server, client() as http:
        await asyncio.gather(*(http.request(call(server)) for _ in range(3 * CONNECTIONS_PER_ADDRESS_MAX)))
    assert server.connections <= CONNECTIONS_PER_ADDRESS_MAX


# -- where a call may go ---------------------------------------------------------------------------

GUARDED = [
    ("127.0.0.1", "loopback"),
    ("127.8.8.8", "loopback"),
    ("::1", "loopback"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::127.0.0.1", "loopback"),
    ("::ffff:0:127.0.0.1", "loopback"),
    ("64:ff9b::127.0.0.1", "loopback"),
    ("2002:7f00:1::1", "loopback"),
    ("fe81::5efe:7f00:1", "link-local"),
    ("2a00::200:5efe:7f00:1", "loopback"),
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("::", "unspecified"),
    ("169.254.1.1", "link-local"),
    ("fe80::1", "link-local"),
    ("fec0::1", "link-local"),
    ("169.254.169.254", "metadata"),
    ("::ffff:169.254.169.254", "metadata"),
    ("64:ff9b::a9fe:a9fe", "metadata"),
    ("64:ff9b:1::a9fe:a9fe", "NAT64"),
    ("fd00:ec2::254", "metadata"),
    ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"),
    ("224.0.0.1", "multicast"),
    ("ff02::1", "multicast"),
    ("255.255.255.255", "reserved"),
]


@pytest.mark.parametrize(("address", "kind"), GUARDED)
async def test_a_guarded_address_is_refused_as_literal_and_behind_a_name(address, kind):
    assert kind in guarded(ipaddress.ip_address(address))
    literal = f"[{address}]" if ":" in address else address
    names = Names(rebound_example=[address])
    async with HttpClient(resolver=names) as http:
        with pytest.raises(Rejected, match=kind):
            await http.request(Request(method="GET", url=f"http://{literal}:9/", timeout_ms=1_000))
        with pytest.raises(Rejected, match=r"rebound.example leads there"):
            await http.request(Request(method="GET", url="http://rebound.example:9/", timeout_ms=1_000))


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.0.1", "8.8.8.8", "2a00::1", "fd12::1", "64:ff9b::8.8.8.8", "2002:808:808::1"]
)
def test_an_ordinary_address_is_not_guarded(address):
    assert guarded(ipaddress.ip_address(address)) is None


async def test_the_refusal_says_what_to_declare():
    async with client(app_example=["127.0.0.1"]) as http:
        with pytest.raises(Rejected) as refused:
            await http.request(Request(method="GET", url="http://app.example:8081/x?token=1", timeout_ms=1_000))
    assert str(refused.value) == (
        "GET http://app.example:8081: 127.0.0.1:8081 is a loopback address (app.example leads there); "
        "if the call is meant, declare 127.0.0.1:8081 as an address of the entity"
    )


async def test_a_declared_address_is_open_at_its_port_only():
    async with Server(OK) as server, client() as http:
        assert (await http.request(call(server))).status == 200
        with pytest.raises(Rejected, match="loopback"):
            await http.request(call(server, allow=AddressRule(declared=frozenset({f"127.0.0.1:{server.port + 1}"}))))
    assert len(server.seen) == 1


async def test_a_declared_name_opens_no_loopback_unless_it_is_localhost():
    async with Server(OK) as server, client(app_example=["127.0.0.1"], localhost=["127.0.0.1"]) as http:
        with pytest.raises(Rejected, match="loopback"):
            await http.request(
                call(
                    server,
                    url=f"http://app.example:{server.port}/",
                    allow=AddressRule(declared=frozenset({f"app.example:{server.port}"})),
                )
            )
        rule = AddressRule(declared=frozenset({f"LOCALHOST.:{server.port}"}))
        assert (await http.request(call(server, url=f"http://localhost:{server.port}/", allow=rule))).status == 200


@pytest.mark.parametrize("odd", ["2130706433", "0x7f.1", "017700000001", "127.1"])
async def test_an_address_in_an_odd_spelling_is_judged_by_where_it_leads(odd):
    async with HttpClient(resolver=SystemResolver()) as http:
        with pytest.raises(Rejected):
            await http.request(Request(method="GET", url=f"http://{odd}:9/", timeout_ms=2_000))


async def test_a_name_that_changes_its_mind_is_resolved_once_and_dialled_as_checked():
    async with Server(OK, host="127.0.0.2") as checked, client(turn_example=["127.0.0.2", "127.0.0.1"]) as http:
        rule = AddressRule(declared=frozenset({checked.at}))
        got = await http.request(call(checked, url=f"http://turn.example:{checked.port}/", allow=rule))
        assert got.status == 200
        assert http._resolver.asked == ["turn.example"]
        assert f"Host: turn.example:{checked.port}\r\n".encode() in checked.seen[0]
        with pytest.raises(Rejected, match=r"127\.0\.0\.1"):
            await http.request(call(checked, url=f"http://turn.example:{checked.port}/", allow=rule))
    assert len(checked.seen) == 1


async def test_a_connection_opened_under_one_rule_is_no_way_round_another():
    async with Server(OK) as server, client(app_example=["127.0.0.1"]) as http:
        url = f"http://app.example:{server.port}/"
        assert (await http.request(call(server, url=url))).status == 200
        with pytest.raises(Rejected, match="loopback"):
            await http.request(call(server, url=url, allow=AddressRule()))
    assert len(server.seen) == 1


async def test_one_guarded_answer_among_good_ones_refuses_the_name():
    async with client(mixed_example=["192.0.2.1 127.0.0.1"]) as http:
        with pytest.raises(Rejected, match="loopback"):
            await http.request(Request(method="GET", url="http://mixed.example/", timeout_ms=1_000))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://h/", "not http or https"),
        ("file:///etc/passwd", "not http or https"),
        ("//h/", "not http or https"),
        ("http://u:p@h/", "user or password"),
        ("http://u@h/", "user or password"),
        ("http://@h/", "user or password"),
        ("http://h\\@evil/", "backslash"),
        ("http://h/a b", "space"),
        ("http://h/\r\nX: 1", "control"),
        ("http:///x", "no host|cannot be read"),
        ("http://h:0/", "no host or port"),
        ("http://h:99999/", "cannot be read"),
        ("http://[fe80::1%25eth0]/", "no host|cannot be read"),
        ("http://h/" + "a" * 8192, "longer than"),
    ],
)
async def test_a_url_that_is_not_plain_is_refused_before_any_look_up(url, why):
    names = Names()
    async with HttpClient(resolver=names) as http:
        with pytest.raises(Rejected, match=why):
            await http.request(Request(method="GET", url=url, timeout_ms=1_000))
    assert names.asked == []


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("X-A", "1\r\nX-B: 2", "line break"),
        ("X-A", "1\n", "line break"),
        ("X-A\r\nX-B", "1", "not a header name"),
        ("X A", "1", "not a header name"),
        ("Host", "other", "set by the client"),
        ("transfer-encoding", "chunked", "set by the client"),
        ("Proxy-Authorization", "x", "set by the client"),
        ("X-A", "a" * 8193, "longer than"),
    ],
)
async def test_a_header_that_would_be_two_or_ours_is_refused(name, value, why):
    async with client() as http:
        with pytest.raises(Rejected, match=why):
            await http.request(Request(method="GET", url="http://h/", timeout_ms=1_000, headers={name: value}))


async def test_only_methods_of_the_list_are_sent():
    async with client() as http:
        for method in ("CONNECT", "TRACE", "GET / HTTP/1.1\r\nX:", ""):
            with pytest.raises(Rejected, match="not a method"):
                await http.request(Request(method=method, url="http://h/", timeout_ms=1_000))


async def test_what_was_percent_encoded_arrives_as_it_was():
    async with Server(OK) as server, client() as http:
        await http.request(call(server, "/a%2Fb/%25?q=1%262%3D3%2B4+5&r=%C3%A9#gone"))
    assert server.seen[0].startswith(b"GET /a%2Fb/%25?q=1%262%3D3%2B4+5&r=%C3%A9 HTTP/1.1\r\n")


# -- what a failure means --------------------------------------------------------------------------


async def test_a_refused_connection_is_unavailable():
    async with Server(OK) as server:
        pass
    async with client() as http:
        with pytest.raises(Unavailable, match=r"Connect call failed|nothing was sent"):
            await http.request(call(server, method="POST"))


async def test_the_next_address_of_a_name_is_tried_while_nothing_was_sent():
    async with Server(OK, host="127.0.0.3") as server, client(app_example=["127.0.0.4 127.0.0.3"]) as http:
        rule = AddressRule(declared=frozenset({server.at, f"127.0.0.4:{server.port}"}))
        assert (await http.request(call(server, url=f"http://app.example:{server.port}/", allow=rule))).status == 200


async def test_a_name_that_does_not_exist_is_rejected_and_one_not_known_now_is_unavailable(monkeypatch):
    import socket

    def fails(number):
        def look_up(*_, **__):
            raise socket.gaierror(number, "scripted")

        return look_up

    resolver = SystemResolver()
    monkeypatch.setattr("watchkeeper.adapters.address.socket.getaddrinfo", fails(socket.EAI_AGAIN))
    with pytest.raises(Unavailable, match="cannot be looked up now"):
        await resolver.addresses("a.example", 80)
    monkeypatch.setattr("watchkeeper.adapters.address.socket.getaddrinfo", fails(socket.EAI_NONAME))
    with pytest.raises(Rejected, match="no such name"):
        await resolver.addresses("a.example", 80)
    resolver.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
async def test_silence_after_the_request_left_is_in_doubt(method):
    async def hang(_request, _writer):
        await asyncio.Event().wait()

    async with Server(hang) as server, client() as http:
        with pytest.raises(InDoubt, match="no whole answer in 200 ms; it may have arrived"):
            await http.request(call(server, method=method, timeout_ms=200))
    assert len(server.seen) == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
async def test_a_reset_on_a_kept_connection_is_in_doubt_and_nothing_is_sent_twice(method):
    async def once(_request, writer):
        if len(server.seen) == 1:
            writer.write(OK)
            return None
        return "close"

    async with Server(once) as server, client() as http:
        await http.request(call(server, method=method))
        with pytest.raises(InDoubt, match="connection was lost; it may have arrived"):
            await http.request(call(server, method=method))
    assert len(server.seen) == 2


async def test_a_reset_in_the_middle_of_the_body_is_in_doubt():
    async def half(_request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        return "close"

    async with Server(half) as server, client() as http:
        with pytest.raises(InDoubt, match="may have arrived"):
            await http.request(call(server, method="POST"))


async def test_an_answer_that_is_no_http_is_in_doubt():
    async with Server(b"SSH-2.0-OpenSSH_9.2\r\n\r\n") as server, client() as http:
        with pytest.raises(InDoubt, match="cannot be read"):
            await http.request(call(server))


async def test_a_body_dripped_for_ever_ends_at_the_time_out():
    async def drip(_request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with Server(drip) as server, client() as http:
        with pytest.raises(InDoubt, match="no whole answer in 150 ms"):
            await http.request(call(server, timeout_ms=150))


async def test_a_connection_that_is_never_made_is_unavailable_in_time():
    held = asyncio.Event()

    class Slow:
        async def addresses(self, host, port):
            await held.wait()
            return ()

    async with HttpClient(resolver=Slow()) as http:
        with pytest.raises(Unavailable, match="nothing was sent"):
            await http.request(Request(method="POST", url="http://slow.example/", timeout_ms=100))


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "cut"), [(2**20, False), (2**20 + 1, True), (2**21, True)])
async def test_a_response_is_cut_at_a_mebibyte(size, cut):
    async with (
        Server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size) as server,
        client() as http,
    ):
        got = await http.request(call(server))
        assert (len(got.body), got.truncated) == (min(size, 2**20), cut)
        assert (await http.request(call(server))).status == 200  # what was left over does not reach the next answer


def packed(body, encoding):
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (encoding, len(body)) + body


@pytest.mark.parametrize(("encoding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
async def test_a_packed_answer_is_unpacked_within_the_bound(encoding, pack):
    async with Server(packed(pack(b"hello" * 100), encoding)) as server, client() as http:
        got = await http.request(call(server))
        assert (got.body, got.truncated) == (b"hello" * 100, False)
        assert "content-encoding" not in got.headers
        cut = await http.request(call(server, response_bytes_max=499))
        assert (len(cut.body), cut.truncated) == (499, True)


async def test_a_gzip_bomb_unpacks_no_further_than_the_bound():
    layer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(layer.compress(bytes(2**20)) for _ in range(200)) + layer.flush()
    async with Server(packed(bomb, b"gzip")) as server, client() as http:
        got = await http.request(call(server))
    assert (len(got.body), got.truncated) == (2**20, True)


async def test_a_body_that_is_not_what_its_encoding_says_is_marked_truncated():
    async with Server(packed(b"not gzip at all", b"gzip")) as server, client() as http:
        got = await http.request(call(server, method="POST"))
    assert (got.status, got.body, got.truncated) == (200, b"", True)


async def test_headers_without_end_are_in_doubt_not_memory():
    async def flood(_request, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-Flood: " + b"x" * 4000 + b"\r\n")
            await writer.drain()

    async with Server(flood) as server, client() as http:
        with pytest.raises(InDoubt):
            await http.request(call(server, timeout_ms=3_000))


# -- redirects -------------------------------------------------------------------------------------


def redirect(status, location):
    return f"HTTP/1.1 {status} Elsewhere\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


async def test_a_redirect_is_an_answer_unless_following_is_declared():
    async with Server(OK) as last, Server(redirect(302, f"http://{last.at}/there")) as first, client() as http:
        rule = AddressRule(declared=frozenset({first.at, last.at}))
        stayed = await http.request(call(first, allow=rule))
        assert (stayed.status, stayed.headers["location"]) == (302, f"http://{last.at}/there")
        followed = await http.request(call(first, allow=rule, redirects=1))
        assert (followed.status, followed.url) == (200, f"http://{last.at}/there")


async def test_a_redirect_chain_ends_where_the_declared_hops_end():
    async with Server(redirect(302, "/again")) as server, client() as http:
        assert (await http.request(call(server, redirects=3))).status == 302
    assert len(server.seen) == 4


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/latest/meta-data", "http://[::ffff:127.0.0.1]:1/", "//127.0.0.1:1/"]
)
async def test_each_hop_is_judged_afresh(location):
    async with Server(redirect(302, location)) as server, client() as http:
        with pytest.raises(Rejected, match=r"metadata|loopback"):
            await http.request(call(server, redirects=5))


@pytest.mark.parametrize(("status", "error"), [(303, InDoubt), (302, InDoubt), (307, Rejected), (308, Rejected)])
async def test_after_an_accepted_post_a_hop_that_fails_is_in_doubt(status, error):
    async with Server(redirect(status, "http://169.254.169.254/")) as server, client() as http:
        with pytest.raises(error):
            await http.request(call(server, method="POST", redirects=1))


@pytest.mark.parametrize("location", ["ftp://h/", "http://u:p@h/", "javascript:alert(1)", "http://h:99999/"])
async def test_a_location_that_is_no_plain_url_is_refused(location):
    async with Server(redirect(302, location)) as server, client() as http:
        with pytest.raises(Rejected):
            await http.request(call(server, redirects=1))


async def test_credentials_stay_with_the_host_they_were_declared_for():
    async with Server(OK) as last, Server(redirect(302, f"http://{last.at}/")) as first, client() as http:
        rule = AddressRule(declared=frozenset({first.at, last.at}))
        headers = {
            "Authorization": "Bearer x",
            "Cookie": "c=1",
            "X-Api-Key": "k",
            "Accept": "text/plain",
            "traceparent": "00-1",
        }
        await http.request(call(first, allow=rule, redirects=1, headers=headers))
    assert b"Bearer x" in first.seen[0]
    sent = last.seen[0].lower()
    assert b"accept: text/plain" in sent
    assert b"traceparent: 00-1" in sent
    for gone in (b"authorization", b"cookie", b"x-api-key"):
        assert gone not in sent


async def test_credentials_go_along_to_another_page_of_the_same_host():
    async def once(request, writer):
        writer.write(redirect(302, "/there") if b"GET / " in request else OK)

    async with Server(once) as server, client() as http:
        assert (await http.request(call(server, redirects=1, headers={"Authorization": "Bearer x"}))).status == 200
    assert b"Bearer x" in server.seen[1]


@pytest.mark.parametrize(
    ("status", "method", "body"), [(303, b"GET", b""), (302, b"GET", b""), (307, b"POST", b"{}"), (308, b"POST", b"{}")]
)
async def test_the_method_after_a_redirect_is_the_standards(status, method, body):
    async def once(request, writer):
        writer.write(redirect(status, "/there") if b" / HTTP" in request else OK)

    async with Server(once) as server, client() as http:
        await http.request(call(server, method="POST", body=b"{}", redirects=1))
    head, _, sent = server.seen[1].partition(b"\r\n\r\n")
    assert head.startswith(method + b" /there")
    assert sent == body


async def test_a_body_is_not_carried_to_another_host():
    async with Server(OK) as last, Server(redirect(307, f"http://{last.at}/")) as first, client() as http:
        rule = AddressRule(declared=frozenset({first.at, last.at}))
        with pytest.raises(Rejected, match="redirected with its body to another host"):
            await http.request(call(first, allow=rule, redirects=1, method="POST", body=b"secret"))
    assert last.seen == []


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return made_authority(tmp_path_factory.mktemp("tls"))


def made_authority(folder):
    """A private authority and a certificate for app.example, in PEM files."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.now(UTC)

    def certificate(subject, key, issuer, signer, extension):
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(extension, critical=False)
            .sign(signer, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (folder / "ca.pem").write_bytes(
        certificate("test root", root, "test root", root, x509.BasicConstraints(ca=True, path_length=None))
    )
    (folder / "app.pem").write_bytes(
        certificate("app.example", leaf, "test root", root, x509.SubjectAlternativeName([x509.DNSName("app.example")]))
        + leaf.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return folder


def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "app.pem")
    return Server(OK, tls=context)


async def test_tls_is_checked_against_the_name_though_an_address_is_dialled(authority):
    tls = Tls(ca_file=str(authority / "ca.pem"))
    async with tls_server(authority) as server, client(app_example=["127.0.0.1"], other_example=["127.0.0.1"]) as http:
        assert (await http.request(call(server, url=f"https://app.example:{server.port}/", tls=tls))).status == 200
        # Same address, same authority, another name: the connection that is already open does not serve it.
        with pytest.raises(Untrusted, match="certificate does not hold"):
            await http.request(call(server, url=f"https://other.example:{server.port}/", tls=tls))
        with pytest.raises(Untrusted, match="certificate does not hold"):
            await http.request(call(server, url=f"https://app.example:{server.port}/"))
    assert len(server.seen) == 1


async def test_plain_http_behind_https_is_rejected_and_a_missing_file_is_named():
    async with Server(b"HTTP/1.1 400 Bad\r\n\r\n") as server, client() as http:
        with pytest.raises((Rejected, Unavailable)):
            await http.request(call(server, url=f"https://{server.at}/", timeout_ms=500))
        with pytest.raises(Rejected, match=r"/nowhere/ca\.pem"):
            await http.request(call(server, url=f"https://{server.at}/", tls=Tls(ca_file="/nowhere/ca.pem")))


async def test_https_is_not_left_for_plain_http(authority):
    tls = Tls(ca_file=str(authority / "ca.pem"))
    async with tls_server(authority) as server, client(app_example=["127.0.0.1"]) as http:
        server.answer = redirect(302, "http://app.example/")
        with pytest.raises(Rejected, match="from https to plain http"):
            await http.request(call(server, url=f"https://app.example:{server.port}/", tls=tls, redirects=1))


def test_a_request_shows_neither_url_nor_credentials():
    shown = repr(Request(method="POST", url="https://h/hook/s3cret", timeout_ms=1, headers={"Authorization": "s3cret"}))
    assert "s3cret" not in shown


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("LocalHost.:80", "localhost:80"),
        ("[0:0::1]:8080", "[::1]:8080"),
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("nonsense", "nonsense"),
    ],
)
def test_declared_addresses_are_compared_in_one_spelling(written, compared):
    assert canonical(written) == compared
