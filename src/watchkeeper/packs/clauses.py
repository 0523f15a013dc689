"""Located expressions: what stands in a file becomes compiled, and what does not compile a problem at its place."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from watchkeeper.catalog.entity import resolve
from watchkeeper.documents import Fields, Kind, Node, Problem, path_join, plain_of, text_of, wrong
from watchkeeper.errors import Malformed
from watchkeeper.packs.expression import Compiler, Expression
from watchkeeper.packs.template import SecretUse, compile_template
from watchkeeper.values import digest

CLAUSES_MAX: Final = 32
ITEMS_MAX: Final = 256  # of one list or mapping under `with`
SECRET: Final = "secret"  # noqa: S105  the word of the reference, no value


class Clauses:
    """Compiles for one file: the compiler, and the list that problems go to."""

    def __init__(self, compiler: Compiler, problems: list[Problem]) -> None:
        self.compiler = compiler
        self.problems = problems

    def clause(self, node: Node, field: str, names: Mapping[str, str], expects: str = "bool") -> Expression | None:
        """One bare expression. None, with a problem, when it is no text or does not compile."""
        if expects == "bool" and node.kind is Kind.BOOLEAN:
            return self._compiled(node, field, node.raw, names, expects)
        text = text_of(node, self.problems, field, expected="an expression (CEL)")
        return None if text is None else self._compiled(node, field, text, names, expects)

    def clauses(
        self, fields: Fields, name: str, names: Mapping[str, str], expects: str = "bool"
    ) -> tuple[Expression, ...]:
        """A list of expressions, or one."""
        node = fields.node_of(name)
        if node is None:
            return ()
        if node.kind is Kind.LIST:
            nodes = fields.items(name, most=CLAUSES_MAX)
            places = [f"{fields.at(name)}[{position}]" for position in range(len(nodes))]
        else:
            nodes, places = (node,), [fields.at(name)]
        found = (self.clause(item, place, names, expects) for item, place in zip(nodes, places, strict=True))
        return tuple(expression for expression in found if expression is not None)

    def tree(
        self, node: Node, field: str, names: Mapping[str, str], secrets: Callable[[str], str] | None = None
    ) -> Any:
        """A value under `with`: texts with `${ }` compiled, `{secret: name}` a reference, the rest as it stands.

        `secrets` answers what is wrong with the name of a secret; without it no secret may stand here.
        """
        match node.kind:
            case Kind.TEXT:
                try:
                    return compile_template(node.raw, self.compiler, names)
                except Malformed as malformed:
                    wrong(
                        self.problems, node, field, malformed.why, expected="text, with ${expression} where it varies"
                    )
                    return node.raw
            case Kind.LIST | Kind.MAPPING if len(node.items) > ITEMS_MAX or len(node.entries) > ITEMS_MAX:
                wrong(self.problems, node, field, f"holds more than {ITEMS_MAX} items")
                return None
            case Kind.LIST:
                return [self.tree(item, f"{field}[{at}]", names, secrets) for at, item in enumerate(node.items)]
            case Kind.MAPPING if any(entry.key == SECRET for entry in node.entries):
                return self._secret(node, field, secrets)
            case Kind.MAPPING:
                return {
                    entry.key: self.tree(entry.value, path_join(field, entry.key), names, secrets)
                    for entry in node.entries
                }
            case _:
                return plain_of(node, self.problems, field)

    def _secret(self, node: Node, field: str, secrets: Callable[[str], str] | None) -> SecretUse | None:
        if len(node.entries) != 1:
            wrong(self.problems, node, field, "a reference to a secret stands alone, such as {secret: admin}")
            return None
        name = text_of(node.entries[0].value, self.problems, path_join(field, SECRET), expected="the name of a secret")
        if name is None:
            return None
        why = "no secret may be used here" if secrets is None else secrets(name)
        if why:
            wrong(self.problems, node.entries[0].value, path_join(field, SECRET), why)
        return SecretUse(name)

    def _compiled(self, node: Node, field: str, text: str, names: Mapping[str, str], expects: str) -> Expression | None:
        try:
            return self.compiler.compile(text, names, expects)
        except Malformed as malformed:
            wrong(self.problems, node, field, malformed.why, expected=f"an expression that answers {expects}")
            return None


def normal(node: Node) -> Any:
    """The normal form of what was written: without places, comments and order of keys. It is hashed, so no floats."""
    match node.kind:
        case Kind.MAPPING:
            return {entry.key: normal(entry.value) for entry in node.entries}
        case Kind.LIST:
            return [normal(item) for item in node.items]
        case Kind.BOOLEAN | Kind.NULL:
            return node.scalar
        case Kind.INTEGER:
            return {"number": node.raw}
        case Kind.FRACTION:
            return {"fraction": node.raw}
        case Kind.TEXT:
            return node.raw


def normal_digest(kind: str, name: str, owner: str, spec: Node) -> str:
    return digest({"kind": kind, "name": name, "owner": owner, "spec": normal(spec)})


def where_of(node: Node) -> str:
    return f"{node.file}:{node.line}"


def canonical_ref(text: str, kind: str = "group") -> str:
    """The catalogue's own spelling of a reference; the text itself when it is none (the check of references says so)."""
    try:
        return resolve(text, kind=kind)
    except ValueError:
        return text
