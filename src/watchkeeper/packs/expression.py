"""What the core knows of an expression: something compiled elsewhere, with three ways to answer.

The core imports no expression language. A compiled expression is a value handed in at load; its answer is
`Known`, `Unknown` (an input with an age is missing or too old) or `Broken` (any other failure).
Source of the three answers: SEMANTICS 8, "Unknown, broken, stale".
"""

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct


class Known(Struct, frozen=True):
    value: Any


class Unknown(Struct, frozen=True):
    why: str


class Broken(Struct, frozen=True):
    why: str


Answer = Known | Unknown | Broken


class Expression(Protocol):
    """One compiled expression. `source` is the text as written; evaluation never raises.

    `references` are the inputs it mentions, each a path: `("alert", "labels", "tier")`.
    """

    @property
    def source(self) -> str: ...

    @property
    def references(self) -> tuple[tuple[str, ...], ...]: ...

    def evaluate(self, bindings: Mapping[str, Any]) -> Answer: ...


class Compiler(Protocol):
    """The door to the expression language.

    `names` are the variables in scope with their types (`map`, `list`, `string`, `int`, `double`, `bool`,
    `timestamp`, `duration`, `dyn`; `labels`: a map where an absent key is ""; `aged`: a map where a missing key is
    unknown; `aged int`, `aged double`, `aged duration`: a value that may be unknown). A name may have dots (`params.grace`): it is looked up level by level in the bindings.
    `expects` is the type of the answer (`bool` for a clause, `dyn` for a template).
    Raises `errors.Malformed` with a sentence that names the expression, what is wrong and what is in scope.
    """

    def compile(self, source: str, names: Mapping[str, str], expects: str) -> Expression: ...


class Template(Struct, frozen=True):
    """Text with `${ }` placeholders, in pieces: literal text, or an expression.

    A template of exactly one expression piece keeps the type of its answer; otherwise the answer is text.
    """

    pieces: tuple[Any, ...]
    source: str
