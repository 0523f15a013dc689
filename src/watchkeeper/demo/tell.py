"""How the story is told: in colour on a terminal, in plain lines elsewhere; the same words in both."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from watchkeeper.values import ms_between

WIDTH_PLAIN: Final = 120
_COLOURS: Final = {
    "broke": "red",
    "decided": "cyan",
    "did": "yellow",
    "well": "green",
    "told": "magenta",
    "who": "blue",
}
_WORDS: Final = {
    "broke": "breaks",
    "decided": "decides",
    "did": "does",
    "well": "ends",
    "told": "told",
    "who": "person",
}


class Told(Struct, frozen=True, kw_only=True):
    """What became of a scene. Instants are None where nothing of the kind happened."""

    scene: str
    outcome: str
    broke_at: datetime
    detected_at: datetime | None = None
    decided_at: datetime | None = None
    acted_at: datetime | None = None
    verified_at: datetime | None = None
    decision: str = ""


class Teller:
    """`Teller()` tells on stdout."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(file=self._console.file, highlight=False, width=WIDTH_PLAIN, no_color=True)

    @property
    def terminal(self) -> bool:
        return self._console.is_terminal

    def say(self, text: str = "") -> None:
        self._console.print(escape(text), soft_wrap=True)

    def scene(self, number: int, title: str) -> None:
        self._console.print(f"\n[bold]{number}  {escape(title)}[/bold]", soft_wrap=True)

    def line(self, kind: str, text: str) -> None:
        """One thing that happened: `breaks`, `decides`, `does`, `ends`, `told` or `person`."""
        self._console.print(f"   [{_COLOURS[kind]}]{_WORDS[kind]:<8}[/] {escape(text)}", soft_wrap=True)

    def table(self, told: Sequence[Told]) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for name, right in (
            ("scene", ""),
            ("outcome", ""),
            ("detected", "r"),
            ("decided", "r"),
            ("acted", "r"),
            ("verified", "r"),
        ):
            table.add_column(name, justify="right" if right else "left", no_wrap=bool(right))
        for one in told:
            times = [
                _after(one.broke_at, at) for at in (one.detected_at, one.decided_at, one.acted_at, one.verified_at)
            ]
            table.add_row(escape(one.scene), escape(one.outcome), *times)
        self._console.print()
        self._console.print(table)

    def failed(self, why: str, lines: Iterable[str]) -> None:
        self._console.print(f"\n[bold red]demo: failed[/]: {escape(why)}", soft_wrap=True)
        for line in lines:
            self.say(f"  {line}")


def _after(broke_at: datetime, at: datetime | None) -> str:
    """Seconds after it broke: `1.9 s`; empty when it never came."""
    return f"{ms_between(broke_at, at) / 1000:.1f} s" if at is not None else ""
