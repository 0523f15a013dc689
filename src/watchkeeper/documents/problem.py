"""A problem in a file that a person wrote: where it is, what is wrong there, and what would be right."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class ProblemSeverity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Problem(Struct, frozen=True, kw_only=True):
    """One finding of a loader. Line and column count from 1; 0 says that the whole file is meant.

    `field` is the dotted path inside the document (`spec.steps[2].timeout`), empty for the document itself.
    `expected` repeats what would be right, for an editor; `message` reads alone.
    """

    file: str
    line: int
    column: int
    field: str
    message: str
    expected: str = ""
    severity: ProblemSeverity = ProblemSeverity.ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        mark = "warning: " if self.severity is ProblemSeverity.WARNING else ""
        return f"{where}: {mark}{self.field}: {self.message}" if self.field else f"{where}: {mark}{self.message}"


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """As a person reads them: by file, then down the file; errors before warnings at one place, nothing twice."""
    return tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.column, p.severity, p.field, p.message)))


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Those that stop a load."""
    return tuple(problem for problem in problems if problem.severity is ProblemSeverity.ERROR)
