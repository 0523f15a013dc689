"""The record: its newest checkpoint, whether it is whole, an export that anyone can verify, a proof of one entry."""

import base64
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import as_json, at, count, pairs, safe, say, short, style, wrapped
from watchkeeper.surface.client import Client

if TYPE_CHECKING:
    from watchkeeper.ledger.verify import Row

PAGE: Final = 1_000
VERIFY_TIMEOUT_S: Final = 1_800.0
LOOKED_AT_MAX: Final = 20_000  # newest entries that an id is looked for in
FILE_BYTES_MAX: Final = 64 * 1024 * 1024


def checkpoint(*, json: bool = False) -> int:
    """The newest signed checkpoint. Keep it elsewhere: with it, an alteration shows."""
    found = here().client().get("/ledger/checkpoint")
    if json:
        as_json(found)
        return Exit.DONE
    say(str(found["note"]).rstrip("\n"))
    return Exit.DONE


def verify(
    *, export: Path | None = None, key: tuple[str, ...] = (), against: tuple[Path, ...] = (), json: bool = False
) -> int:
    """Is the record whole? Asks the node; with --export it checks a folder by itself. Exit code 1 when it is not.

    Parameters
    ----------
    export
        A folder that 'wk ledger export' wrote; no node is needed.
    key
        The public key you were given before; without it the one in the export is believed, and it says so.
    against
        A file with a checkpoint from an old notification or ticket.
    """
    texts = [_text(path) for path in against]
    if export is not None:
        return _offline(export, key, texts, json=json)
    if key:
        raise Ends(Exit.USAGE, "--key goes with --export: a node signs with its own key")
    return _node(texts, json=json)


def export(folder: Path, /, *, without_content: bool = False, json: bool = False) -> int:
    """Write the record as a folder that anyone can verify, with this tool or another.

    Parameters
    ----------
    folder
        A new or empty folder.
    without_content
        Entries and hashes only: what was decided and done stays out.
    """
    from watchkeeper.errors import Untrusted
    from watchkeeper.ledger import checkpoint as checkpoints
    from watchkeeper.ledger import note
    from watchkeeper.ledger.export import layout
    from watchkeeper.ledger.verify import Contents
    from watchkeeper.surface.cli.progress import progress

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Ends(Exit.USAGE, f"{folder} is not empty: name a new folder, so that nothing old is mixed in")
    client = here().client()
    newest = client.get("/ledger/checkpoint")
    size = checkpoints.read(newest["note"]).size
    tape = _Tape(client, size)
    files = written = 0
    with progress(lambda: f"exporting: {tape.read:,} of {size:,} entries"):
        for name, data in layout(
            newest["note"],
            keys=(note.read_key(newest["key"]),),
            rows=tape.rows,
            kept=tape.kept,
            contents=Contents.LEFT_OUT if without_content else Contents.SHOWN,
        ):
            path = folder / name
            try:
                if not files:
                    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    folder.chmod(0o700)  # it holds what was said and done: whom it is given to is a decision
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            except OSError as failed:
                raise Ends(
                    Exit.LATER,
                    f"{path}: cannot be written: {failed.strerror}; remove what is there of {folder} and export again",
                ) from failed
            files, written = files + 1, written + len(data)
    if tape.root() != checkpoints.read(newest["note"]).root:
        raise Untrusted(
            f"the entries do not lead to the root that the node signed: keep {folder} as evidence, and run 'wk ledger verify'"
        )
    if json:
        as_json({"folder": str(folder), "entries": size, "files": files, "bytes": written, "key": newest["key"]})
        return Exit.DONE
    wrapped(f"Wrote {count(size, 'entry', 'entries')} in {count(files, 'file')} to {folder}.")
    wrapped(f"Anyone can check it: wk ledger verify --export {folder} --key {newest['key']}")
    return Exit.DONE


def prove(entry: str, /, *, json: bool = False) -> int:
    """Prove that an entry is in the record: its way up to the signed root, worked out again here.

    Parameters
    ----------
    entry
        Its number, or the id of a decision, run or approval: then the newest entry about it.
    """
    from watchkeeper.ledger.tree import verify_inclusion

    client = here().client()
    index = int(entry) if entry.isascii() and entry.isdigit() else _index_of(client, entry)
    found = client.get(f"/ledger/entries/{index}/proof")
    leaf, root = base64.b64decode(found["leaf"]), base64.b64decode(found["root"])
    proof = [base64.b64decode(each) for each in found["proof"]]
    holds = _same_leaf(found["entry"], leaf) and verify_inclusion(leaf, found["index"], found["size"], proof, root)
    if json:
        as_json({**found, "holds": holds})
        return Exit.DONE if holds else Exit.NO
    shown = found["entry"]
    wrapped(
        style(
            f"Entry {index} is one of the {found['size']:,} under the signed root."
            if holds
            else f"Entry {index} is NOT proven: the way up does not lead to the root. Keep this answer as evidence.",
            "bold",
        )
    )
    pairs(
        [
            ("kind", f"{shown['kind']} {shown['verdict']}".strip()),
            ("at", at(shown["at"])),
            ("actor", shown["actor"]),
            ("about", ", ".join(f"{name} {short(value)}" for name, value in shown["ids"].items())),
            ("digest", shown["digest"]),
            ("leaf", leaf.hex()),
            ("root", root.hex()),
            ("way up", count(len(proof), "hash", "hashes")),
        ]
    )
    return Exit.DONE if holds else Exit.NO


# -- verifying -----------------------------------------------------------------------------------------


def _node(texts: list[str], *, json: bool) -> int:
    from watchkeeper.surface.cli.progress import progress

    client = Client(here().where(), timeout_s=VERIFY_TIMEOUT_S)
    with progress(lambda: "the node verifies every entry"):
        found = client.post("/ledger/verify", {"against": texts[0] if texts else ""})
        compared = [found["against"]] if texts else []
        compared += [client.post("/ledger/verify", {"against": text})["against"] for text in texts[1:]]
    holds = bool(found["ok"]) and all(each["ok"] for each in compared)
    if json:
        as_json({**found, "ok": holds, "against": compared})
        return Exit.DONE if holds else Exit.NO
    if found["faults"]:
        wrapped(
            style(
                f"The record does NOT hold: {count(len(found['faults']), 'fault')} in {found['size']:,} entries.",
                "bold",
            )
        )
        for fault in found["faults"]:
            wrapped(safe(fault["sentence"]), "    ", first="  - ")
        wrapped(
            "Keep the store untouched as evidence; verify a backup and the last export before anything is restored."
        )
    else:
        pending = f", {found['pending']} not yet in the tree" if found["pending"] else ""
        wrapped(
            style(f"The record holds: {count(found['size'], 'entry', 'entries')}{pending}, ", "bold")
            + f"{found['contents_matched']:,} contents match, {found['contents_erased']:,} erased on record."
        )
    for each in compared:
        wrapped(f"{'Agrees' if each['ok'] else 'Does NOT agree'}: {safe(each['sentence'])}")
    if not texts:
        wrapped(
            "This is the node's own word. With a checkpoint from an old notification, or on an export, it says more: --against FILE, --export DIR."
        )
    return Exit.DONE if holds else Exit.NO


def _offline(folder: Path, keys: Sequence[str], texts: list[str], *, json: bool) -> int:
    from watchkeeper.ledger import note
    from watchkeeper.ledger.checkpoint import pasted
    from watchkeeper.ledger.export import verify_export
    from watchkeeper.surface.cli.progress import progress

    if not folder.is_dir():
        raise Ends(Exit.USAGE, f"no export at {folder}: name the folder that 'wk ledger export' wrote")
    root = folder.resolve()
    seen = 0

    def read(name: str) -> bytes | None:
        nonlocal seen
        path = (root / name).resolve()
        if not path.is_relative_to(root) or not path.is_file() or path.stat().st_size > FILE_BYTES_MAX:
            return None
        seen += name.startswith("tile/entries/")
        return path.read_bytes()

    with progress(lambda: f"verifying: {seen * 256:,} entries"):
        report = verify_export(
            read,
            now=datetime.now(UTC),
            keys=tuple(note.read_key(text) for text in keys),
            against=tuple(pasted(text) for text in texts),
        )
    if json:
        as_json({"ok": report.ok, "size": report.size, "lines": report.lines()})
        return Exit.DONE if report.ok else Exit.NO
    first, *rest = report.lines()
    wrapped(style(safe(first), "bold"))
    for line in rest:
        wrapped(safe(line), "    ", first="  - ")
    return Exit.DONE if report.ok else Exit.NO


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as failed:
        raise Ends(Exit.USAGE, f"{path}: cannot be read: {failed.strerror}") from failed


# -- exporting and proving -----------------------------------------------------------------------------


class _Tape:
    """The node's entries, read once from the first to the last, and the kept hashes that grow from them."""

    def __init__(self, client: Client, size: int) -> None:
        from watchkeeper.ledger.tree import Frontier, Growing

        self._entries = self._pages(client, size)
        self._waiting: deque[Any] = deque()
        self._growing = Growing(Frontier())
        self._kept: dict[tuple[int, int], bytes] = {}
        self.read = 0

    def rows(self, first: int, number: int) -> list["Row"]:
        assert first == self.read, "an export reads entries in order"
        return [self._row(next(self._entries)) for _ in range(number)]

    def kept(self, level: int, first: int, number: int) -> list[bytes]:
        return [self._kept.get((level, place), b"") for place in range(first, first + number)]

    def root(self) -> bytes:
        return self._growing.root()

    def _row(self, found: dict[str, Any]) -> "Row":
        from watchkeeper.ledger.entry import Content, Erased
        from watchkeeper.ledger.tree import leaf_hash
        from watchkeeper.ledger.verify import Row
        from watchkeeper.values import canonical

        data = _bytes(found)
        leaf = leaf_hash(data)
        self._kept[0, self.read] = base64.b64decode(found["leaf"])
        for each in self._growing.append(leaf):
            self._kept[each.level, each.index] = each.hash
        self.read += 1
        beside: Content | Erased | None = None
        if found["erased"]:
            beside = Erased(order=found["order"])
        elif found["content"] is not None:
            beside = Content(salt=bytes.fromhex(found["salt"]), body=canonical(found["content"]))
        return Row(index=found["index"], data=data, beside=beside)

    @staticmethod
    def _pages(client: Client, size: int) -> Iterator[dict[str, Any]]:
        start = 0
        while start < size:
            page = client.get("/ledger/entries", {"first": str(start), "limit": min(PAGE, size - start)})["items"]
            if not page:
                return
            yield from page
            start = page[-1]["index"] + 1


def _bytes(found: dict[str, Any]) -> bytes:
    """The exact bytes of an entry: they have one spelling."""
    from watchkeeper.ledger import entry as entries

    return entries.encode(
        entries.Entry(**{name: found[name] for name in ("kind", "ids", "at", "actor", "verdict", "digest")})
    )


def _same_leaf(found: dict[str, Any], leaf: bytes) -> bool:
    from watchkeeper.ledger.tree import leaf_hash

    return leaf_hash(_bytes(found)) == leaf


def _index_of(client: Client, text: str) -> int:
    tail = text.rpartition("_")[2].removeprefix("…").removeprefix("~")
    for each in client.items("/ledger/entries", limit=LOOKED_AT_MAX):
        if len(tail) >= 4 and any(str(value).endswith(tail) for value in each["ids"].values()):
            return int(each["index"])
    raise Ends(Exit.NO, f"no entry about {text!r} among the newest {LOOKED_AT_MAX:,}: give its number")
