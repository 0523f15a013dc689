"""A node: an engine over the store of its home."""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from watchkeeper.adapters.actions import all_actions
from watchkeeper.adapters.actions.pack import PackPrograms
from watchkeeper.adapters.calendar_fetch import CalendarFetcher
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.channels import Email, Webhook
from watchkeeper.adapters.dice import Dice
from watchkeeper.adapters.folder import Folder
from watchkeeper.adapters.http import AddressRule, HttpClient, Request
from watchkeeper.adapters.player import ChildPlayer
from watchkeeper.adapters.prober import NodeProber
from watchkeeper.adapters.process import end_leftover
from watchkeeper.adapters.secrets import Secrets, SecretStore
from watchkeeper.adapters.sqlite import SqliteStore
from watchkeeper.adapters.sqlite.swap import Finished
from watchkeeper.adapters.ssh import EXTRA as SSH_EXTRA
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.adapters.ssh import installed as ssh_installed
from watchkeeper.approve.people import Actor
from watchkeeper.bootstrap.backup import BACKUP, back_up
from watchkeeper.bootstrap.held import Node
from watchkeeper.bootstrap.home import Trees, read_home, state_of
from watchkeeper.bootstrap.record import checkpoints, ledger_key, not_behind
from watchkeeper.bootstrap.telling import Telling
from watchkeeper.bootstrap.versions import versions
from watchkeeper.documents import Problem, errors
from watchkeeper.engine.action import Channel
from watchkeeper.engine.changes import activation, files_of, newest
from watchkeeper.engine.clock import Clock, SystemClock
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.lease import Lease
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer, keep_in
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.home.configuration import Configuration
from watchkeeper.packs.runbook import SecretRef, Via
from watchkeeper.ports import Committed, Store
from watchkeeper.report.scrub import Scrubber

ANSWERED_BYTES_MAX: Final = 16 * 1024 * 1024  # suppressed alerts of one Alertmanager
FETCH_MS: Final = 5_000
FETCHED_BYTES_MAX: Final = 65_536  # a certificate of SNS has 2 KiB
INTERRUPTED: Final = {
    Finished.LEFT: "a restore of this home was interrupted before it decided: this is the store that was there, and "
    "nothing of it is lost. To restore it after all stop this node, and run 'wk restore FILE' again",
    Finished.CARRIED_ON: "a restore of this home was interrupted after it had decided, and has been carried on: this is the "
    "store from the backup. What was there is in .watchkeeper/before-restore-...; look at 'wk runs --status in_doubt', "
    "then 'wk resume --after-restore'",
}


# The writer's thread waits behind a busy loop at each statement: at 5 ms that is its whole time.
SWITCH_S: Final = 0.0001


async def open_node(home: Path, *, clock: Clock | None = None, lease: Lease | None = None) -> Node:
    """An engine over the home's own store, not yet started. Activates the folder when nothing is active.

    Raises Rejected (the folder has errors, with the first of them), Unavailable (another process owns the store),
    Untrusted (the store is behind a checkpoint that was kept outside it).
    """
    state = state_of(home)
    sys.setswitchinterval(SWITCH_S)
    store = SqliteStore.open(state)
    clock = clock or SystemClock()
    try:
        seed, origin = ledger_key(state, begun=await store.tree_size() > 0)
        scribe = Scribe(store, clock, Dice())
        trees = Trees(state)
        configuration, problems = await _active(scribe, home, trees)
        kept = checkpoints(home, configuration)
        sequencer = Sequencer(store, origin, seed, keep_in(*kept))
        for path in kept:
            await not_behind(sequencer, path)
        secrets = Secrets(SecretStore(home))
        client, ssh = HttpClient(), SshPool()
        engine = _engine(home, store, clock, configuration, sequencer, secrets, client, ssh, lease or Lease(), trees)
    except BaseException:  # also when cancelled: the store is one process's
        await store.close()
        raise
    node = Node(engine=engine, store=store, client=client, ssh=ssh, home=home, secrets=secrets, problems=problems)
    node.interrupted = INTERRUPTED.get(store.finished, "")
    engine.playing.player = ChildPlayer(state)
    engine.archiver = lambda *, with_key: back_up(node, with_key=with_key)
    for left in state.glob(f"{BACKUP}*"):  # of a backup that was interrupted
        shutil.rmtree(left, ignore_errors=True)
    return node


def _engine(
    home: Path,
    store: Store,
    clock: Clock,
    configuration: Configuration,
    sequencer: Sequencer,
    secrets: Secrets,
    client: HttpClient,
    ssh: SshPool,
    lease: Lease,
    trees: Trees,
) -> Engine:
    compiler = CelCompiler()

    async def reveal(kind: str, path: str) -> str:
        return (await secrets.lease(f"{kind}:{path}")).value.reveal()

    async def lease_of(reference: SecretRef) -> str:
        if reference.store not in {"file", "env"}:
            raise Rejected(f"secret store {reference.store!r} is not built yet")
        return await reveal(reference.store, reference.path)

    def folder() -> Mapping[str, bytes]:
        return read_home(home)

    channels: dict[str, Channel] = {"webhook": Webhook(client, reveal), "email": Email(reveal)}
    telling = Telling()
    engine = Engine(
        store,
        clock,
        Dice(),
        configuration,
        actions=all_actions(client, ssh, telling),
        prober=NodeProber(client),
        channels=channels,
        leaser=lease_of,
        scrubber=Scrubber(secret.reveal() for secret in secrets.live()),
        lease=lease,
        read_folder=folder,
        compile_files=lambda files: trees.compile(files, compiler),
        end_leftover=end_leftover,
        versions=versions(),
        sequencer=sequencer,
        programs=PackPrograms(state_of(home)),
        fetch_calendar=CalendarFetcher(client, reveal),
    )
    telling.engine = engine
    if not ssh_installed():
        engine.situations.without[Via.SSH] = SSH_EXTRA
    engine.fetch = lambda url: _fetched(client, url)

    async def ask(url: str) -> bytes:
        """Of an address that the settings declare: it may be one of this network."""
        parts = urlsplit(url)
        place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        return await _fetched(client, url, declared=frozenset({place}), most=ANSWERED_BYTES_MAX)

    engine.silences.ask = ask
    return engine


async def _fetched(
    client: HttpClient, url: str, *, declared: frozenset[str] = frozenset(), most: int = FETCHED_BYTES_MAX
) -> bytes:
    """A small document over https, from where it says and nowhere else. Raises Unavailable or Rejected."""
    asked = Request(
        method="GET", url=url, timeout_ms=FETCH_MS, response_bytes_max=most, allow=AddressRule(declared=declared)
    )
    try:
        found = await client.request(asked)
    except (InDoubt, Untrusted) as failed:
        raise Unavailable(str(failed)) from failed
    if found.status != 200 or found.truncated:
        raise Unavailable(f"{url.partition('?')[0]}: answered {found.status}")
    return found.body


async def _active(scribe: Scribe, home: Path, trees: Trees) -> tuple[Configuration, tuple[Problem, ...]]:
    """The active configuration; the folder's, made active, when there is none."""
    found = await newest(scribe.store)
    compiler = CelCompiler()
    if found is not None:
        compiled = trees.compile(await files_of(scribe.store, found), compiler)
        if compiled.configuration is None:
            raise Rejected(f"the active configuration no longer compiles with this release: {compiled.errors[0]}")
        return compiled.configuration, ()
    files, problems = Folder(home).read()
    compiled = trees.compile(files, compiler)
    broken = [*errors(problems), *compiled.errors]
    if compiled.configuration is None or broken:
        raise Rejected(f"{len(broken)} errors in {home}; the first: {broken[0]}. Run 'wk check' for all of them")
    configuration = compiled.configuration
    unbuilt = [f"{each.name}: {what}" for each in configuration.rulebook.runbooks.values() for what in each.unbuilt]
    if unbuilt:
        raise Rejected(f"{unbuilt[0]} is not yet built: take it out of the home, or keep it for a later release")
    actor = Actor(name="watchkeeper", human=False)
    _, commit = activation(scribe, configuration, files, actor, "the first start", "")
    outcome = await scribe.commit(commit)
    assert isinstance(outcome, Committed)
    return configuration, compiled.problems
