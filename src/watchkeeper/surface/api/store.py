"""The store itself: what it takes of the disk, what went out of it, and when."""

from typing import Annotated, Final

from pydantic import Field
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.answer import No
from watchkeeper.engine.backup import Archive
from watchkeeper.engine.erasing import IDS_MAX, LABELS_MAX, Wanted
from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.guards.situation import Hold
from watchkeeper.ledger.entry import Kind
from watchkeeper.ports import Commit
from watchkeeper.surface.api.bodies import NOTHING, Body, Nothing, Reason, Text, Word, moment
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import After, Filter, Limit
from watchkeeper.surface.api.problems import HEADERS

family = Family("store")

MEDIA: Final = "application/x-tar"


class Streamed(StreamingResponse):
    """A backup on its way. However that ends, who asked for it being killed included, the copy of the store goes."""

    kept = b"{}"  # a repeated request is not answered with a file again

    def __init__(self, archive: Archive) -> None:
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{archive.name}"'}
        super().__init__(archive.pieces, 200, headers, MEDIA)
        self._archive = archive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._archive.close()


@family.get("/store")
async def size(node: Here) -> Response:
    """By kind: rows, bytes, the oldest, how long it is kept; and the days until `store.disk_max` at the present growth."""
    return answer(await node.kept.size())


@family.get("/store/gone", Listed)
async def gone(node: Here, kind: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT) -> Response:
    """What went, by kind and day, and why."""
    return answer(await node.kept.gone(kind or "", after=after, limit=limit))


class EraseBody(Body):
    """What is to go. Without `digest` nothing goes, and the answer says what would; with it exactly that goes."""

    subject: Text = ""
    ids: Annotated[list[Word], Field(default_factory=list, max_length=IDS_MAX)]
    labels: Annotated[dict[str, Text], Field(default_factory=dict, max_length=LABELS_MAX)]
    kind: Word = ""
    source: Word = ""
    before: Word = ""
    digest: Word = ""
    reason: Text = ""


@family.post("/erase", Verb.ERASE)
async def erase(node: Here, actor: Who, body: EraseBody) -> Response:
    """Erase content by order. The order stays in the ledger, which verifies as before."""
    before = moment("before", body.before, node.engine.clock.now()) if body.before else None
    if isinstance(before, No):
        return answer(before)
    wanted = Wanted(
        subject=body.subject,
        ids=tuple(body.ids),
        kind=body.kind,
        source=body.source,
        before=before,
        labels=body.labels,
    )
    if body.digest:
        return answer(await node.engine.erasing.erase(actor, wanted, body.digest, body.reason))
    found = await node.engine.erasing.find(wanted)
    if isinstance(found, No):
        return answer(found)
    return answer({"digest": found.digest, "counts": found.counts, "stays": found.stays})


class BackupBody(Body):
    """`key`: put the key that signs the ledger into it. Whoever has it can sign another record under this name."""

    key: bool = False


WITHOUT_KEY = BackupBody()


@family.post("/store/backup", Verb.BACKUP, media="application/x-tar")
async def backup(node: Here, actor: Who, body: BackupBody = WITHOUT_KEY) -> Response:
    """A consistent copy of everything durable, as one tar file. The node goes on meanwhile."""
    engine = node.engine
    if engine.archiver is None:
        return answer(No(status=422, title="makes no sense here", detail="this node keeps its store in memory"))
    archive = await engine.archiver(with_key=body.key)
    content = {"size": archive.size, "key": body.key, "checkpoint": archive.checkpoint}
    entry = engine.scribe.entry(Kind.BACKUP, {"backup": archive.name}, actor=actor.name, content=content)
    try:
        await engine.scribe.commit(Commit(at=engine.clock.now(), entries=(entry,)))
    except BaseException:  # also when cancelled: its files go
        archive.close()
        raise
    return Streamed(archive)


@family.post("/store/resume", Verb.RESTORE, Hold)
async def resume(node: Here, actor: Who, body: Reason) -> Response:
    """After a restore: somebody looked at what the backup does not know, and automation goes on."""
    return answer(await node.engine.limits.resume_after_restore(actor, body.reason))


@family.post("/store/sweep", Verb.ERASE)
async def sweep(node: Here, _actor: Who, _body: Nothing = NOTHING) -> Response:
    """Take out now what retention lets go: what happens every hour by itself."""
    return answer({"gone": dict(await node.engine.sweeper.sweep())})
