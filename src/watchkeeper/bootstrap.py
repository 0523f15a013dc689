"""Bootstrap: the one place that joins the engine to its adapters. Everything above asks here for an engine or a check."""

import asyncio
import os
import secrets as dice
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit
from zoneinfo import TZPATH

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from watchkeeper import __version__
from watchkeeper.adapters.actions import all_actions
from watchkeeper.adapters.actions.pack import PackPrograms
from watchkeeper.adapters.calendar_fetch import CalendarFetcher
from watchkeeper.adapters.cel import CelCompiler
from watchkeeper.adapters.channels import Email, Webhook
from watchkeeper.adapters.dice import Dice
from watchkeeper.adapters.folder import Folder
from watchkeeper.adapters.http import AddressRule, HttpClient, Request
from watchkeeper.adapters.memory_store import Forgetful, MemoryStore
from watchkeeper.adapters.player import ChildPlayer
from watchkeeper.adapters.prober import NodeProber
from watchkeeper.adapters.process import end_leftover
from watchkeeper.adapters.prometheus import PrometheusHistory
from watchkeeper.adapters.secrets import Secrets, SecretStore
from watchkeeper.adapters.sqlite import SqliteStore, archive, backup_file
from watchkeeper.adapters.sqlite import restore as restoring
from watchkeeper.adapters.sqlite.archive import Manifest
from watchkeeper.adapters.sqlite.place import DATABASE
from watchkeeper.adapters.sqlite.restore import Backed, Marked
from watchkeeper.adapters.sqlite.swap import Finished
from watchkeeper.adapters.ssh import EXTRA as SSH_EXTRA
from watchkeeper.adapters.ssh import SshPool
from watchkeeper.adapters.ssh import installed as ssh_installed
from watchkeeper.adapters.topics import TOPICS, topic_files
from watchkeeper.approve.people import Actor
from watchkeeper.catalog.entity import EntityKind, Reach
from watchkeeper.decide.decision import DECIDE_REV
from watchkeeper.documents import Problem, ProblemSeverity
from watchkeeper.engine import virtual
from watchkeeper.engine.action import Channel, Invocation
from watchkeeper.engine.backtest import Backtest, Hand
from watchkeeper.engine.backup import Archive
from watchkeeper.engine.changes import activation, files_of, newest
from watchkeeper.engine.clock import Clock, LoopClock, SystemClock
from watchkeeper.engine.engine import Engine
from watchkeeper.engine.given_outside import Looking, Read, Remembering, Silent
from watchkeeper.engine.given_world import situated
from watchkeeper.engine.lease import FreeLease, Lease
from watchkeeper.engine.restoring import Lost, Outcome, restored
from watchkeeper.engine.scenarios import Played
from watchkeeper.engine.scenarios import play as play_scenario
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.sequencer import Sequencer, keep_in
from watchkeeper.errors import InDoubt, Rejected, Unavailable, Untrusted
from watchkeeper.home.configuration import Compiled, Configuration, compile_home
from watchkeeper.home.parsed import Parsed
from watchkeeper.home.starter import starter
from watchkeeper.packs.load_step import walk
from watchkeeper.packs.rule import Mode
from watchkeeper.packs.runbook import SecretRef, Via
from watchkeeper.packs.scenario import Scenario
from watchkeeper.ports import Committed, Store
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.report.scrub import Scrubber
from watchkeeper.values import Severity, id_from, severity_of

STATE: Final = ".watchkeeper"
BACKUP: Final = "backup-"
ANSWERED_BYTES_MAX: Final = 16 * 1024 * 1024  # suppressed alerts of one Alertmanager
FETCH_MS: Final = 5_000
FETCHED_BYTES_MAX: Final = 65_536  # a certificate of SNS has 2 KiB
SEED_BYTES: Final = 32
INTERRUPTED: Final = {
    Finished.LEFT: "a restore of this home was interrupted before it decided: this is the store that was there, and "
    "nothing of it is lost. To restore it after all stop this node, and run 'wk restore FILE' again",
    Finished.CARRIED_ON: "a restore of this home was interrupted after it had decided, and has been carried on: this is the "
    "store from the backup. What was there is in .watchkeeper/before-restore-...; look at 'wk runs --status in_doubt', "
    "then 'wk resume --after-restore'",
}
# The writer's thread waits behind a busy loop at each statement: at 5 ms that is its whole time.
SWITCH_S: Final = 0.0001


class Trees:
    """Parsed files kept beside the store, so that `up` reads a large home in the time of a small one."""

    def __init__(self, state: Path) -> None:
        self._path = state / "parsed"
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=dict[str, bytes])
        except (OSError, msgspec.DecodeError):
            kept = {}
        self._kept = kept

    def compile(self, files: Mapping[str, bytes], compiler: CelCompiler) -> Compiled:
        parsed = Parsed(self._kept)
        compiled = compile_home(files, compiler, read=parsed.read)
        now = {key: tree for key, tree in {**self._kept, **parsed.fresh}.items() if key in parsed.used}
        if now != self._kept:
            self._kept = now
            beside = self._path.with_suffix(".new")
            with suppress(OSError):  # it is a memory, nothing depends on it
                beside.write_bytes(msgspec.msgpack.encode(now))
                beside.replace(self._path)
        return compiled


class Node(Struct, kw_only=True):
    """What one process holds: the engine, and what must be closed after it."""

    engine: Engine
    store: Store
    client: HttpClient
    ssh: SshPool
    home: Path
    secrets: Secrets
    problems: tuple[Problem, ...] = ()
    interrupted: str = ""  # what was found of a restore that was interrupted, in words; "": nothing

    async def close(self) -> None:
        await self.engine.stop()
        await self.ssh.close()
        await self.client.close()
        await self.store.close()


def state_of(home: Path) -> Path:
    """Where the state lives: beside what people write, ignored by git, closed to others."""
    return home / STATE


def init(home: Path, files: Mapping[str, bytes] | None = None) -> tuple[str, ...]:
    """Write a home that works at once, the starter unless other files are given; the paths written. Files that exist are
    left as they are.
    """
    home.mkdir(parents=True, exist_ok=True)
    return Folder(home).write(starter() if files is None else files)


def examples() -> tuple[str, ...]:
    """The topics of `example`."""
    return tuple(TOPICS)


def example(topic: str) -> dict[str, bytes]:
    """Path -> content of an example home. Raises KeyError for a topic that does not exist."""
    return topic_files(topic)


def check(home: Path, seen_labels: frozenset[str] = frozenset()) -> Compiled:
    """The folder compiled, with every problem. Raises Rejected when there is no such folder."""
    files, problems = Folder(home).read()
    compiled = compile_home(files, CelCompiler(), seen_labels)
    return replace(compiled, problems=(*problems, *compiled.problems, *_without_extra(compiled)))


def _without_extra(compiled: Compiled) -> tuple[Problem, ...]:
    """A warning a runbook that this node, as it is installed, could not carry out."""
    if compiled.configuration is None or ssh_installed():
        return ()
    reached = any(entity.reach is Reach.SSH for entity in compiled.configuration.catalog.entities.values())
    found = []
    for runbook in compiled.configuration.rulebook.runbooks.values():
        ways = [step.via or (Via.SSH if reached else None) for step in walk(runbook.steps) if step.call is not None]
        if Via.SSH in ways:
            file, _, line = runbook.where.rpartition(":")
            message = f"runbook {runbook.name} is refused on this node: {SSH_EXTRA}"
            found.append(
                Problem(
                    file=file,
                    line=int(line),
                    column=1,
                    field="spec.steps",
                    message=message,
                    severity=ProblemSeverity.WARNING,
                )
            )
    return tuple(found)


def read_home(folder: Path) -> dict[str, bytes]:
    """The files of a folder as a home. Raises Rejected with the first that cannot be read."""
    files, problems = Folder(folder).read()
    if problems:
        raise Rejected(str(problems[0]))
    return files


def names_of(home: Path) -> frozenset[str]:
    """Every word by which a home's catalogue knows an entity, groups as `group:name` too. Raises Rejected for a home with
    errors.
    """
    compiled = check(home)
    if compiled.configuration is None:
        raise Rejected(f"{home} has errors, mend them first ('wk check'): {compiled.errors[0]}")
    catalog = compiled.configuration.catalog
    groups = (f"group:{entity.name}" for entity in catalog.entities.values() if entity.kind is EntityKind.GROUP)
    return frozenset((*catalog.named, *catalog.entities, *groups))


def errors_with(home: Path | None, files: Mapping[str, bytes]) -> tuple[Problem, ...]:
    """What would be wrong with a home that had these files as well; None: with these files alone."""
    there = read_home(home) if home is not None else {}
    return compile_home({**there, **files}, CelCompiler()).errors


def write_new(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Write files that are not there; the paths written. Raises Rejected, and writes nothing, when one of them is."""
    there = sorted(path for path in files if (folder / path).exists())
    if there:
        raise Rejected(
            f"{folder / there[0]} is there already{f', and {len(there) - 1} more' if len(there) > 1 else ''}: nothing was "
            "written; give another folder with --into, or move it away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return Folder(folder).write(files)


def secret_store(home: Path) -> SecretStore:
    return SecretStore(home)


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
        seed, origin = _ledger_key(state, begun=await store.tree_size() > 0)
        scribe = Scribe(store, clock, Dice())
        trees = Trees(state)
        configuration, problems = await _active(scribe, home, trees)
        kept = _checkpoints(home, configuration)
        sequencer = Sequencer(store, origin, seed, keep_in(*kept))
        for path in kept:
            await _not_behind(sequencer, path)
        secrets = Secrets(SecretStore(home))
        client, ssh = HttpClient(), SshPool()
        engine = _engine(home, store, clock, configuration, sequencer, secrets, client, ssh, lease or Lease(), trees)
    except BaseException:
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
    telling = _Telling()
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


async def back_up(node: Node, *, with_key: bool) -> Archive:
    """A consistent copy of the store beside it, described and ready to be streamed; `Archive.close` takes it away."""
    state = state_of(node.home)
    folder = state / f"{BACKUP}{dice.token_hex(4)}"
    folder.mkdir(mode=0o700)
    try:
        assert isinstance(node.store, SqliteStore)
        await node.store.copy(folder / DATABASE)
        frontier, epoch = await asyncio.to_thread(archive.frontier_of, folder / DATABASE)
        note = node.engine.sequencer.signed(frontier)
        (folder / archive.CHECKPOINT).write_text(note, encoding="utf-8")
        if with_key:
            (folder / archive.KEY).touch(mode=0o600)
            (folder / archive.KEY).write_bytes((state / archive.KEY).read_bytes())
        names = [name for name in archive.PARTS if (folder / name).exists()]
        manifest = archive.Manifest(
            format=archive.FORMAT,
            made_at=node.engine.clock.now(),
            node=node.engine.sequencer.key.name,
            watchkeeper=__version__,
            configuration=node.engine.world.configuration.digest,
            epoch=epoch,
            size=frontier.size,
            root=frontier.root().hex(),
            checkpoint=note,
            files={name: await asyncio.to_thread(archive.part_of, folder / name) for name in names},
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Archive(
        name=f"watchkeeper-{manifest.made_at:%Y%m%dT%H%M%SZ}.tar",
        size=frontier.size,
        checkpoint=note,
        pieces=archive.stream(folder, manifest),
        close=lambda: shutil.rmtree(folder, ignore_errors=True),
    )


def check_backup(source: Path, beside: Path) -> Manifest:
    """Unpack a backup beside, look at every byte and entry, and take it away again. Raises Rejected or Untrusted."""
    backup_file.refuse_part(source)
    return backup_file.look(source, beside)


def keep_backup(target: Path, fill: Callable[[BinaryIO], object]) -> Manifest:
    """What `fill` writes, as a backup on this disk: whole, looked at, or not under that name. Raises Unavailable,
    Rejected, Untrusted; OSError.
    """
    return backup_file.write(target, fill)


class Restored(Struct, frozen=True, kw_only=True):
    """`aside` holds the store that was there; None when there was none."""

    outcome: Outcome
    manifest: Manifest
    aside: Path | None


async def restore(
    home: Path, source: Path, *, by: str, reason: str, key: Path | None = None, at: Callable[[str], object] = str
) -> Restored:
    """Put a store back, offline. Raises Unavailable while a node runs; Rejected, Untrusted: nothing was changed."""
    backup_file.refuse_part(source)
    found = check(home).configuration if (home / "watchkeeper.yaml").is_file() else None
    outside = _checkpoints(home, found)[1:] if found is not None else ()
    outcomes: list[Outcome] = []

    async def mark(store: Store, backed: Backed) -> Marked:
        scribe = Scribe(store, SystemClock(), Dice())
        lost = Lost(size=backed.lost_size, checkpoint=backed.lost_checkpoint)
        made_at = backed.manifest.made_at
        done = await restored(scribe, by=by, reason=reason, made_at=made_at, lost=lost, epoch_before=backed.epoch)
        outcomes.append(done)
        sequencer = Sequencer(store, backed.origin, backed.seed)
        await sequencer.step()
        stamp = f"{scribe.clock.now():%Y%m%dT%H%M%SZ}-{done.restore[-6:]}"
        return Marked(name=stamp, checkpoint=sequencer.checkpoint, epoch=done.epoch)

    backed, aside = await restoring.restore(
        state_of(home),
        source,
        key=key,
        outside=str(outside[0].absolute()) if outside else "",  # who carries it on may stand in another folder
        read_key=read_key,
        mark=mark,
        at=at,
    )
    return Restored(outcome=outcomes[0], manifest=backed.manifest, aside=aside)


def compile_files(files: Mapping[str, bytes]) -> Compiled:
    """Files as a configuration, as a node would have it."""
    return compile_home(files, CelCompiler())


def play(configuration: Configuration, scenario: Scenario) -> Played:
    """A scenario, played by the real engine over a store in memory, on virtual time. Nothing leaves this process."""
    return virtual.run(_play(configuration, scenario))


async def _play(home: Configuration, scenario: Scenario) -> Played:
    sent: list[dict[str, Any]] = []
    store, clock, seed = MemoryStore(), LoopClock(scenario.at), bytes(SEED_BYTES)
    client, ssh = HttpClient(), SshPool()
    names = (*all_actions(client, ssh, _Telling()), *home.rulebook.actions)
    await ssh.close()
    await client.close()
    given = scenario.given

    async def no_secret(reference: SecretRef) -> str:
        return f"secret:{reference.path}"

    async def nothing_left(pid: int, ticks: int) -> None:
        del pid, ticks

    async def at_once(work: Callable[..., Any], *words: Any) -> Any:
        return work(*words)

    def engine() -> Engine:
        configuration = situated(home, scenario)
        return Engine(
            store,
            clock,
            Random(scenario.name).randbytes,  # noqa: S311  a scenario is played the same each time; nothing here is secret
            configuration,
            actions={name: Remembering(name, given, sent) for name in names},
            prober=Looking(given, configuration),
            channels={"webhook": Silent(), "email": Silent()},
            leaser=no_secret,
            scrubber=Scrubber(()),
            lease=FreeLease(),
            read_folder=dict,
            compile_files=lambda files: compile_home(files, CelCompiler()),
            end_leftover=nothing_left,
            versions=versions(),
            sequencer=Sequencer(store, "watchkeeper/scenario", seed),
            aside=at_once,
            fetch_calendar=Read(given).fetch,
        )

    return await play_scenario(scenario, home, store, engine, sent)


def backtest(configuration: Configuration, *, level: Mode, healthy: bool, run_ms: int) -> Backtest:
    """A backtest over a store that forgets: versions and claims are all that a decision is admitted by."""
    found = Backtest(
        Forgetful(),
        configuration,
        Hand(),
        Random(configuration.digest).randbytes,  # noqa: S311  the same each time; nothing here is secret
        {**versions(), "decide_rev": str(DECIDE_REV)},
        level=level,
        healthy=healthy,
        run_ms=run_ms,
    )
    if not ssh_installed():
        found.situations.without[Via.SSH] = SSH_EXTRA
    return found


@asynccontextmanager
async def prometheus(
    base: str, *, token: str = "", matchers: str = "", awake: str = "up", labels: Mapping[str, str] | None = None
) -> AsyncIterator[PrometheusHistory]:
    """The history of a Prometheus. Raises Rejected for what is no address."""
    async with HttpClient() as client:
        yield PrometheusHistory(client, base, token=token, matchers=matchers, awake=awake, labels=labels or {})


class _Telling:
    """A runbook's own word to people goes the way of every other notice: stored, then sent by the outbox."""

    engine: Engine

    async def __call__(self, invocation: Invocation, subject: str, text: str, severity: str) -> int:
        engine = self.engine
        notice = Notice(
            id=id_from("ntc", invocation.intent_at, invocation.key),
            at=engine.clock.now(),
            kind=NoticeKind.RUN_ENDED,
            subject=subject,
            text=text,
            severity=Severity(severity_of({"severity": severity})),
            service=invocation.target.service if invocation.target is not None else "",
            ids={"run": invocation.run, "decision": invocation.decision},
        )
        return await engine.tell(notice)


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
    broken = [*problems, *compiled.errors]
    if compiled.configuration is None or problems:
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


async def _not_behind(sequencer: Sequencer, path: Path) -> None:
    """A store that was put back is noticed by the checkpoint kept outside it: automation must not repeat a night."""
    await sequencer.step()
    try:
        text = path.read_text(encoding="utf-8")  # noqa: ASYNC240  before the loop has anything else to do
    except FileNotFoundError:
        return
    compared = await sequencer.against(text)
    if compared.fault is not None:
        raise Untrusted(
            f"the store does not go with the checkpoint kept in {path}: {compared.fault.sentence}. A backup is "
            f"put back with 'wk restore FILE', which records what was lost; nothing is acted upon until then"
        )


def _checkpoints(home: Path, configuration: Configuration) -> tuple[Path, ...]:
    """Where the newest checkpoint is kept outside the database: in the state folder, and where `store.checkpoint` says."""
    elsewhere = configuration.settings.store.checkpoint
    return (state_of(home) / "checkpoint", *([home / elsewhere] if elsewhere else []))


def _ledger_key(state: Path, *, begun: bool = False) -> tuple[bytes, str]:
    """The node's own key and the name of its log, made at the first start: whole or not at all. Mode 0600. A log that
    has `begun` never gets a second one: Raises Rejected.
    """
    path = state / "ledger.key"
    try:
        return read_key(path)
    except FileNotFoundError:
        if begun:
            raise Rejected(
                f"{path}: is missing, and the record has begun: put it back from a copy of the home; without it the "
                f"record cannot go on under its name"
            ) from None
        name, raw = f"watchkeeper/{dice.token_hex(4)}", dice.token_bytes(SEED_BYTES)
        beside = path.with_suffix(".new")  # of a start that was killed, when it is there: nothing was signed with it
        number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(number, "w", encoding="ascii") as file:
            file.write(f"{name}\n{raw.hex()}\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return raw, name


def read_key(path: Path) -> tuple[bytes, str]:
    """The seed and the name in a ledger.key. Raises FileNotFoundError, Rejected for anything else."""
    name, _, seed = path.read_text(encoding="ascii", errors="replace").strip().partition("\n")
    try:
        found = bytes.fromhex(seed)
    except ValueError:
        found = b""
    if len(found) != SEED_BYTES or not name:
        raise Rejected(
            f"{path}: holds no key of this program: put it back from a copy of the home; without it the record goes "
            f"on under no signature that anybody knows"
        )
    return found, name


def versions() -> dict[str, str]:
    """What a decision records of the engine that made it (SEMANTICS 15)."""
    return {"watchkeeper": __version__, "cel": version("cel-expr-python"), "cedar": "none", "tzdata": _tzdata()}


def _tzdata() -> str:
    """Which time zones windows were worked out by: the system's when it has any, else those that are installed beside."""
    if any((Path(path) / "Europe" / "Berlin").is_file() for path in TZPATH):
        return "system"
    return version("tzdata")


def describe(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "field": problem.field,
        "message": problem.message,
        "expected": problem.expected,
        "severity": problem.severity.value,
    }
