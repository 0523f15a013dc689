"""What runs: the active configuration, an immutable copy in the store, named by its content.

The folder is where people write; nothing in it acts until `apply`. A plan says what would change, and applying names
the digest of that plan: what was edited in between is not slipped in.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from watchkeeper.approve.people import Actor
from watchkeeper.documents import Problem, ProblemSeverity
from watchkeeper.engine.answer import No, changed, invalid, missing
from watchkeeper.engine.records import Activation, FileBlob, put, read
from watchkeeper.engine.replay_tests import Failing, failing
from watchkeeper.engine.scribe import Scribe
from watchkeeper.engine.world import World
from watchkeeper.errors import Rejected, WatchkeeperError
from watchkeeper.home.configuration import Compiled, Configuration
from watchkeeper.home.plan import Plan, difference
from watchkeeper.ledger.entry import Kind
from watchkeeper.packs.replay_test import ReplayTest
from watchkeeper.ports import Commit, Committed, Put, Store

Files = Mapping[str, bytes]
ReadFolder = Callable[[], Files]
Compile = Callable[[Files], Compiled]
Aside = Callable[..., Awaitable[Any]]  # runs a long computation beside the loop: the lease must be renewed meanwhile

PROBLEMS_SHOWN_MAX: Final = 50
ACTIVATIONS_READ: Final = 100  # at once
DIGEST_LEAST: Final = 6  # characters that name a configuration


class Planned(Struct, frozen=True, kw_only=True):
    """What the folder would change. `digest` is what `apply` must name; "" when the folder has errors. `replays` are the
    replay tests that it does not pass: what was called false or harmful would be done again.
    """

    digest: str
    active: str
    plan: Plan | None
    problems: tuple[Problem, ...]
    files: tuple[str, ...]
    replays: tuple[Failing, ...] = ()


class Changes:
    def __init__(
        self,
        scribe: Scribe,
        world: World,
        activated: Callable[[Configuration], Awaitable[None]],
        read_folder: ReadFolder,
        compile_files: Compile,
        aside: Aside,
    ) -> None:
        self.aside = aside
        self.harms: Callable[[], Awaitable[tuple[ReplayTest, ...]]] = _no_harms
        self._scribe, self._world, self._activated = scribe, world, activated
        self._read_folder, self._compile = read_folder, compile_files

    def differing(self) -> tuple[str, ...]:
        """Paths in the folder that are not as in the active configuration: `wk status` names them."""
        try:
            files = self._read_folder()
        except (WatchkeeperError, OSError):
            return ("(the folder cannot be read)",)
        active = self._world.configuration.files
        now = {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}
        return tuple(sorted(path for path in {*active, *now} if active.get(path) != now.get(path)))

    def plan(self, given: Files | None = None, harms: tuple[ReplayTest, ...] = ()) -> Planned:
        """Compiles the folder, or the files that are given, and says what they would change. Changes nothing. `harms` are
        reports of harm that are in no file yet.
        """
        try:
            files = self._read_folder() if given is None else given
        except OSError as unreadable:
            raise Rejected(f"the home folder cannot be read: {unreadable}") from unreadable
        compiled = self._compile(files)
        active = self._world.configuration
        if compiled.configuration is None:
            return Planned(
                digest="", active=active.digest, plan=None, problems=compiled.problems, files=self.differing()
            )
        return Planned(
            digest=compiled.configuration.digest,
            active=active.digest,
            plan=difference(active, compiled.configuration),
            problems=compiled.problems,
            files=self.differing(),
            replays=failing(compiled.configuration, harms),
        )

    async def apply(self, actor: Actor, digest: str, reason: str, *, despite: bool = False) -> Activation | No:
        """Make the planned configuration the active one. Nothing is half-applied: one commit, or none. `despite`: also where
        it does not pass the replay tests; the entry names them.
        """
        files = await self.aside(self._read_folder)
        compiled: Compiled = await self.aside(self._compile, files)
        if compiled.configuration is None:
            errors = [str(problem) for problem in compiled.problems if problem.severity is ProblemSeverity.ERROR]
            return No(
                status=422,
                title="invalid",
                detail=f"{len(errors)} errors; the active configuration stays. First: {errors[0]}",
                more={"errors": errors[:PROBLEMS_SHOWN_MAX]},
            )
        configuration = compiled.configuration
        if configuration.digest != digest:
            return changed(
                "The files changed since they were planned: run 'wk plan' again.", digest=configuration.digest
            )
        unbuilt = sorted(
            f"{each.name}: {what}" for each in configuration.rulebook.runbooks.values() for what in each.unbuilt
        )
        if unbuilt:
            return No(
                status=422,
                title="not yet built",
                detail=f"{unbuilt[0]} is not yet built; the active configuration stays.",
                more={"unbuilt": unbuilt},
            )
        if configuration.digest == self._world.configuration.digest:
            return changed("The folder is what is active already: nothing to apply.")
        again: tuple[Failing, ...] = await self.aside(failing, configuration, await self.harms())
        if again and not despite:
            return _would_again(again)
        found, commit = activation(
            self._scribe,
            configuration,
            files,
            actor,
            reason,
            self._world.configuration.digest,
            despite=tuple(each.test for each in again),
        )
        outcome = await self._scribe.commit(commit)
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        await self._activated(configuration)
        return found

    async def folder(self) -> Files:
        """The files of the node's own folder, as they are now."""
        found: Files = await self.aside(self._read_folder)
        return found

    async def compile(self, files: Files) -> Compiled:
        """Beside the loop. Changes nothing."""
        found: Compiled = await self.aside(self._compile, files)
        return found

    async def activations(self, *, after: str | None, limit: int) -> tuple[tuple[Activation, ...], str | None]:
        """Every configuration that was made active, newest first. Nothing of them is ever taken out."""
        page = await self._scribe.store.find("activation", after=after, limit=limit)
        return tuple(read(row, Activation) for row in page.items), page.next

    async def kept(self, digest: str) -> tuple[Activation, dict[str, bytes]] | No:
        """A configuration that was active once, with its files as they were, checked against their names. `digest` may be
        cut short where only one begins so. Raises Rejected when a stored copy is missing or altered.
        """
        found: dict[str, Activation] = {}
        after: str | None = None
        while True:
            page, after = await self.activations(after=after, limit=ACTIVATIONS_READ)
            for each in page:
                if each.digest.startswith(digest):
                    found.setdefault(each.digest, each)
            if after is None:
                break
        if len(digest) < DIGEST_LEAST or not found:
            return missing("configuration", digest)
        if len(found) > 1:
            return invalid("digest", f"{digest} begins {len(found)} of them: give more of it")
        one = next(iter(found.values()))
        return one, await files_of(self._scribe.store, one)

    async def restore(self, actor: Actor, digest: str, reason: str) -> Activation | No:
        """An earlier configuration in force again: a change like any other, on record, and its bytes are what they were."""
        if not reason.strip():
            return invalid("reason", "say why, for the record")
        found = await self.kept(digest)
        if isinstance(found, No):
            return found
        before, files = found
        if before.digest == self._world.configuration.digest:
            return changed(f"{before.digest[:12]} is active already")
        compiled: Compiled = await self.aside(self._compile, files)
        configuration = compiled.configuration
        if configuration is None:
            return changed(f"{before.digest[:12]} has errors in this release: {compiled.errors[0]}")
        if configuration.digest != before.digest:
            raise Rejected(f"configuration {before.digest[:12]}: its stored files make another one")
        done, commit = activation(
            self._scribe, configuration, files, actor, reason, self._world.configuration.digest, verdict="restored"
        )
        outcome = await self._scribe.commit(commit)
        if not isinstance(outcome, Committed):
            return changed(outcome.why)
        await self._activated(configuration)
        return done

    async def compiled(self, digest: str) -> Configuration | None:
        """A configuration that was active once, for the runs it started."""
        return await stored(self._scribe.store, self._compile, digest, self.aside)


async def _no_harms() -> tuple[ReplayTest, ...]:
    return ()


def _would_again(found: tuple[Failing, ...]) -> No:
    more = f"; and {len(found) - 1} more" if len(found) > 1 else ""
    return No(
        status=409,
        title="would do it again",
        detail=f"{found[0].test}: {found[0].why}{more}. The active configuration stays. Change the rules until they pass "
        "('wk test'), or apply it all the same, on record: wk apply --despite-replays",
        more={"replays": [{"test": each.test, "decision": each.decision, "why": each.why} for each in found]},
    )


def activation(
    scribe: Scribe,
    configuration: Configuration,
    files: Files,
    actor: Actor,
    reason: str,
    previous: str,
    *,
    verdict: str = "applied",
    despite: tuple[str, ...] = (),
) -> tuple[Activation, Commit]:
    """The commit that makes a configuration active: its files by content, its name, its entry."""
    now = scribe.clock.now()
    blobs = {hashlib.sha256(body).hexdigest(): body for body in files.values()}
    found = Activation(
        id=scribe.new_id("act", now),
        at=now,
        by=actor.name,
        digest=configuration.digest,
        reason=reason,
        files={path: hashlib.sha256(body).hexdigest() for path, body in files.items()},
        previous=previous,
    )
    puts: tuple[Put, ...] = (put(found), *(put(FileBlob(sha256=name, body=body)) for name, body in blobs.items()))
    entry = scribe.entry(
        Kind.APPLY,
        {"configuration": configuration.digest, "activation": found.id},
        actor=actor.name,
        verdict=verdict,
        content={
            "reason": reason,
            "files": found.files,
            "previous": previous,
            **({"despite_replays": list(despite)} if despite else {}),
        },
    )
    return found, Commit(at=now, puts=puts, bumps=("configuration", "exclusion"), entries=(entry,))


async def newest(store: Store) -> Activation | None:
    page = await store.find("activation", limit=1)
    return read(page.items[0], Activation) if page.items else None


async def stored(store: Store, compile_files: Compile, digest: str, aside: Aside) -> Configuration | None:
    """Compile a configuration from the store. None when it was never active here."""
    after: str | None = None
    while True:
        page = await store.find("activation", after=after, limit=100)
        for row in page.items:
            found = read(row, Activation)
            if found.digest == digest:
                compiled: Compiled = await aside(compile_files, await files_of(store, found))
                return compiled.configuration
        after = page.next
        if after is None:
            return None


async def files_of(store: Store, found: Activation) -> dict[str, bytes]:
    """The files of an activation, checked against their names. Raises Rejected when one is missing or altered."""
    files: dict[str, bytes] = {}
    for path, sha256 in found.files.items():
        row = await store.get("file", sha256)
        body = read(row, FileBlob).body if row is not None else b""
        if row is None or hashlib.sha256(body).hexdigest() != sha256:
            raise Rejected(f"configuration {found.digest[:12]}: the stored copy of {path} is missing or altered")
        files[path] = body
    return files
