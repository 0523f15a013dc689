"""Ledger: is the record whole?"""

from typing import Final

import msgspec
from starlette.responses import Response

from watchkeeper.surface.console.visit import Visit

PAGE: Final = 100


async def ledger(visit: Visit) -> Response:
    entries, checkpoint = await visit.many(
        visit.api.get("ledger", "entries", after=visit.query.get("after", ""), limit=PAGE),
        visit.api.get("ledger", "checkpoint"),
    )
    return visit.page(
        "ledger.html", at="ledger", title="Ledger", found=entries, checkpoint=checkpoint, verified=None, against=""
    )


async def verify(visit: Visit) -> Response:
    """The whole record, read and hashed again, and against a checkpoint that somebody kept."""
    given = await visit.fields()
    against = given.get("against", "").strip().replace("\r\n", "\n")
    verified, entries, checkpoint = await visit.many(
        visit.api.post("ledger", "verify", against=against),
        visit.api.get("ledger", "entries", limit=PAGE),
        visit.api.get("ledger", "checkpoint"),
    )
    return visit.page(
        "ledger.html",
        at="ledger",
        title="Ledger",
        found=entries,
        checkpoint=checkpoint,
        verified=verified,
        against=against,
    )


async def entry(visit: Visit) -> Response:
    found = await visit.api.get("ledger", "entries", visit.part["index"], "proof")
    content = found["entry"]["content"]
    text = msgspec.json.format(msgspec.json.encode(content), indent=2).decode() if content is not None else ""
    parts = ("index", "size", "leaf", "raw", "proof", "root", "key", "checkpoint")
    kept = msgspec.json.encode({part: found[part] for part in parts}).decode()
    return visit.page(
        "entry.html",
        at="ledger",
        title=f"Entry {found['index']}",
        e=found["entry"],
        proof=found,
        text=text,
        proof_json=kept,
    )


PAGES: Final = (
    ("GET", "/ledger", ledger),
    ("POST", "/ledger/verify", verify),
    ("GET", "/ledger/{index}", entry),
)
