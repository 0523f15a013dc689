"""One suite over two hosts: Debian's sshd, and a small server that can misbehave. Then what only one can show."""

import asyncio
import re
import sys

import pytest

from ssh_hosts import SSHD, Keys, Server, Sshd, place, private, public
from watchkeeper.adapters.process_spec import Ending, ProcessSpec, Stream
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted

KEYS = Keys()
REAL = pytest.param(
    "sshd",
    marks=[pytest.mark.servers, pytest.mark.skipif(SSHD is None, reason="no sshd here (apt install openssh-server)")],
)
PATIENT_MS = 30_000


@pytest.fixture
async def pool():
    found = SshPool()
    yield found
    await found.close()


@pytest.fixture(params=["server", REAL])
async def host(request, tmp_path):
    found = await Server(KEYS).__aenter__() if request.param == "server" else Sshd(tmp_path / "sshd", KEYS)
    yield found
    await found.close()


@pytest.fixture
async def server():
    async with Server(KEYS) as found:
        yield found


def spec(*argv, timeout_ms=PATIENT_MS, **more):
    return ProcessSpec(argv=argv, timeout_ms=timeout_ms, **more)


def python(code, *words, **more):
    return spec(sys.executable, "-I", "-c", code, *words, **more)


# -- both ------------------------------------------------------------------------------------------


async def test_a_command_answers_with_its_output_and_exit(pool, host):
    code = "import sys; print(sys.stdin.read()); print(sys.argv[1:], file=sys.stderr); sys.exit(3)"
    result = await pool.run(place(host.port, KEYS), python(code, "a b", "c'd", stdin=b"in"))
    assert (result.ending, result.exit, result.stdout, result.stderr) == (
        Ending.EXITED,
        3,
        b"in\n",
        b"""['a b', "c'd"]\n""",
    )


async def test_hostile_words_stay_words(pool, host):
    words = ("; touch /tmp/x", "$(id)", "`id`", "a\\'b", '"', "!!", "|&>", "-rf", "*", "ä\u2028")
    result = await pool.run(
        place(host.port, KEYS), python("import sys; print(sys.argv[1:])", *words, env={"LC_ALL": "C.UTF-8"})
    )
    assert result.stdout.decode() == f"{list(words)}\n"


async def test_environment_and_folder_arrive(pool, host):
    code = "import os; print(os.environ['WATCHKEEPER_RUN'], os.getcwd())"
    result = await pool.run(place(host.port, KEYS), python(code, env={"WATCHKEEPER_RUN": "run $1"}, cwd="/usr"))
    assert result.stdout == b"run $1 /usr\n"


async def test_commands_share_one_connection(pool, host):
    one = place(host.port, KEYS)
    results = await asyncio.gather(*(pool.run(one, python(f"print({n})")) for n in range(12)))
    assert [result.stdout for result in results] == [f"{n}\n".encode() for n in range(12)]
    assert (host.sessions(), pool.connections) == (1, 1)


async def test_output_is_streamed_and_bounded(pool, host):
    seen = []
    code = "import sys; sys.stdout.write('x' * 100_000)"
    result = await pool.run(
        place(host.port, KEYS),
        python(code, output_bytes_max=1000),
        lambda stream, data: seen.append((stream, len(data))),
    )
    assert (result.stdout, result.truncated) == (b"x" * 1000, True)
    assert sum(size for stream, size in seen if stream is Stream.STDOUT) == 100_000


async def test_a_time_out_ends_the_program_over_there(pool, host, tmp_path):
    mark = tmp_path / "pid"
    script = f"echo $$ > {mark}; exec sleep 600"
    result = await pool.run(place(host.port, KEYS), spec("sh", "-c", script, timeout_ms=2_000))
    assert result.ending is Ending.TIMED_OUT
    await gone(mark)


async def test_cancelled_it_is_asked_to_end_over_there(pool, host, tmp_path):
    mark = tmp_path / "pid"
    script = f"echo $$ > {mark}; exec sleep 600"
    # Debian's sshd passes no signal on to a program of root's: there it ends by its own `timeout`.
    task = asyncio.create_task(pool.run(place(host.port, KEYS), spec("sh", "-c", script, timeout_ms=4_000)))
    while not (mark.exists() and mark.read_text()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(mark)
    assert getattr(host, "signals", ["TERM"]) == ["TERM"]


async def test_another_host_than_the_pinned_one_is_refused_with_both_fingerprints(pool, host):
    with pytest.raises(Untrusted) as refused:
        await pool.run(place(host.port, KEYS, pins=public(KEYS.stranger)), spec("true"))
    assert KEYS.host.get_fingerprint() in str(refused.value)
    assert KEYS.stranger.get_fingerprint() in str(refused.value)
    assert (host.sessions(), pool.connections) == (0, 0)


async def test_a_host_that_has_no_key_of_the_pinned_kind_is_refused(pool, host):
    import asyncssh

    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    with pytest.raises(Untrusted, match="the catalogue pins SHA256:"):
        await pool.run(place(host.port, KEYS, pins=public(other)), spec("true"))


async def test_an_unknown_client_is_refused_by_the_host(pool, host):
    with pytest.raises(Rejected, match=r"does not let .* in with key SHA256:.*; nothing was sent"):
        await pool.run(place(host.port, KEYS, key=private(KEYS.stranger)), spec("true"))
    assert pool.connections == 0


async def test_one_of_several_pinned_keys_will_do(pool, host):
    pins = f"{public(KEYS.stranger)}, {public(KEYS.host)} comment"
    assert (await pool.run(place(host.port, KEYS, pins=pins), spec("true"))).exit == 0


async def test_a_lost_lease_is_seen_before_the_command_leaves(pool, host, tmp_path):
    mark = tmp_path / "ran"
    with pytest.raises(Unavailable, match="lost its lease before the command; nothing was sent"):
        await pool.run(place(host.port, KEYS), spec("touch", str(mark)), may_send=lambda: False)
    assert (await pool.run(place(host.port, KEYS), spec("true"))).exit == 0
    assert not mark.exists()


async def test_a_connection_left_alone_is_closed(host):
    pool = SshPool(idle_ms=20)
    assert (await pool.run(place(host.port, KEYS), spec("true"))).exit == 0
    while pool.connections:
        await asyncio.sleep(0.01)
    assert (await pool.run(place(host.port, KEYS), spec("true"))).exit == 0
    assert host.sessions() == 2
    await pool.close()


# -- certificates, by Debian's sshd ------------------------------------------------------------------


@pytest.mark.servers
@pytest.mark.skipif(SSHD is None, reason="no sshd here (apt install openssh-server)")
@pytest.mark.parametrize("ended", [False, True], ids=["valid", "ended"])
class TestCertificates:
    async def test_of_the_host(self, pool, tmp_path, ended):
        host = Sshd(tmp_path / "sshd", KEYS, certified=True, ended=ended)
        one = place(host.port, KEYS, pins=f"cert-authority {public(KEYS.host_ca)}", certificate=KEYS.certificate())
        if ended:
            with pytest.raises(Untrusted, match="expired"):
                await pool.run(one, spec("true"))
            assert host.sessions() == 0
        else:
            assert (await pool.run(one, spec("true"))).exit == 0
        await host.close()

    async def test_of_the_client(self, pool, tmp_path, ended):
        host = Sshd(tmp_path / "sshd", KEYS, certified=True)
        pins = f"cert-authority {public(KEYS.host_ca)}"
        one = place(host.port, KEYS, pins=pins, certificate=KEYS.certificate(ended=ended))
        if ended:
            with pytest.raises(Rejected, match=r"certificate ended at .*: have the SSH CA sign the key again"):
                await pool.run(one, spec("true"))
            assert host.sessions() == 0
        else:
            assert (await pool.run(one, spec("true"))).exit == 0
        await host.close()


@pytest.mark.servers
@pytest.mark.skipif(SSHD is None, reason="no sshd here (apt install openssh-server)")
async def test_a_host_certificate_of_another_authority_is_refused(pool, tmp_path):
    host = Sshd(tmp_path / "sshd", KEYS, certified=True)
    with pytest.raises(Untrusted) as refused:
        await pool.run(place(host.port, KEYS, pins=f"cert-authority {public(KEYS.stranger)}"), spec("true"))
    assert KEYS.host_ca.get_fingerprint() in str(refused.value)
    assert KEYS.stranger.get_fingerprint() in str(refused.value)
    await host.close()


@pytest.mark.servers
@pytest.mark.skipif(SSHD is None, reason="no sshd here (apt install openssh-server)")
async def test_a_certificate_for_another_user_is_refused_by_the_host(pool, tmp_path):
    host = Sshd(tmp_path / "sshd", KEYS, certified=True)
    one = place(
        host.port, KEYS, pins=f"cert-authority {public(KEYS.host_ca)}", certificate=KEYS.certificate("somebody-else")
    )
    with pytest.raises(Rejected, match=r"does not let .* in with certificate and key"):
        await pool.run(one, spec("true"))
    await host.close()


# -- what is known when it breaks --------------------------------------------------------------------


async def test_nobody_listens_so_nothing_was_sent(pool, server):
    await server.close()
    with pytest.raises(Unavailable, match="nothing was sent"):
        await pool.run(place(server.port, KEYS), spec("true"))


async def test_a_host_that_never_answers_is_left_in_time():
    async with await asyncio.start_server(lambda *_: asyncio.sleep(60), "127.0.0.1", 0) as silent:
        pool = SshPool(connect_timeout_ms=100)
        with pytest.raises(Unavailable, match="no connection in 100 ms; nothing was sent"):
            await pool.run(place(silent.sockets[0].getsockname()[1], KEYS), spec("true"))
        await pool.close()


async def test_broken_before_the_command_nothing_was_sent(pool, server):
    server.hang_up = "session"
    with pytest.raises(Unavailable, match="nothing was sent"):
        await pool.run(place(server.port, KEYS), spec("true"))
    assert server.commands == []


async def test_broken_with_the_command_it_is_in_doubt(pool, server):
    server.hang_up = "command"
    with pytest.raises(InDoubt, match="the connection was lost under true; it may have run"):
        await pool.run(place(server.port, KEYS), spec("true"))
    assert len(server.commands) == 1


async def test_broken_while_it_runs_it_is_in_doubt(pool, server):
    task = asyncio.create_task(pool.run(place(server.port, KEYS), spec("sleep", "5")))
    await server.told.wait()
    server.connections[0].abort()
    with pytest.raises(InDoubt, match="the connection was lost under sleep"):
        await task


async def test_a_host_that_runs_nothing_for_this_user_refuses(pool, server):
    server.hang_up = "refuse"
    with pytest.raises(Rejected, match="runs no command for this user"):
        await pool.run(place(server.port, KEYS), spec("true"))


async def test_a_kept_connection_that_died_is_made_anew(pool, server):
    one = place(server.port, KEYS)
    await pool.run(one, spec("true"))
    server.connections[0].abort()
    assert (await pool.run(one, spec("true"))).exit == 0
    assert (server.sessions(), len(server.commands)) == (2, 2)


async def test_the_program_ends_by_itself_when_nobody_is_left_to_end_it(pool, server):
    await pool.run(place(server.port, KEYS), spec("true", timeout_ms=9_900))
    (command,) = server.commands
    assert re.fullmatch(r"exec env timeout -k 1 9\.[0-9]{3} 'true'", command)


# -- bounds ------------------------------------------------------------------------------------------


async def test_no_more_connections_than_allowed_and_an_idle_one_makes_room(server):
    pool = SshPool(connections_max=1)
    other = place(server.port, KEYS, pins=f"{public(KEYS.host)}, {public(KEYS.stranger)}")
    await pool.run(place(server.port, KEYS), spec("true"))
    await pool.run(other, spec("true"))
    assert (server.sessions(), pool.connections) == (2, 1)
    task = asyncio.create_task(pool.run(place(server.port, KEYS), spec("sleep", "30")))
    while len(server.commands) < 3:
        await asyncio.sleep(0.01)
    with pytest.raises(Unavailable, match="no connection in time; nothing was sent"):
        await pool.run(other, spec("true", timeout_ms=200))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await pool.close()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("a=b",), "is no program"),
        (("-x",), "is no program"),
        (("echo", "a\nb"), "a line break or control character"),
        (("echo", "\udc80"), "no form in UTF-8"),
        (("echo", "x" * 70_000), "a command of 7"),
    ],
)
async def test_what_has_no_form_is_refused_before_anybody_is_dialled(pool, argv, words):
    with pytest.raises(Rejected, match=words):
        await pool.run(place(1, KEYS), spec(*argv))


async def test_a_name_that_leads_back_here_is_not_dialled(server):
    from msgspec.structs import replace

    class Turned:
        async def addresses(self, host, port):
            import ipaddress

            return (ipaddress.ip_address("127.0.0.1"),)

    pool = SshPool(resolver=Turned())
    one = place(server.port, KEYS)
    with pytest.raises(Rejected, match="loopback"):
        await pool.run(replace(one, way=replace(one.way, host="web.example")), spec("true"))
    await pool.close()


async def test_a_key_with_a_passphrase_is_refused(pool, server):
    locked = KEYS.client.export_private_key("pkcs8-pem", passphrase="of words").decode()
    with pytest.raises(Rejected, match="has a passphrase"):
        await pool.run(place(server.port, KEYS, key=locked), spec("true"))


async def test_what_is_no_key_is_never_shown(pool, server):
    with pytest.raises(Rejected) as refused:
        await pool.run(place(server.port, KEYS, key="hunter2-hunter2"), spec("true"))
    assert "hunter2" not in str(refused.value)


async def gone(mark):
    """Until the process whose number stands there is no more."""
    from pathlib import Path

    while mark.exists() and Path(f"/proc/{mark.read_text().strip()}").exists():
        await asyncio.sleep(0.02)
