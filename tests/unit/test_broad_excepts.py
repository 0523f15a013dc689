"""A broad except is at an edge, and says at which; one that catches everything lets it go on."""

import ast
from collections.abc import Iterator
from pathlib import Path

import watchkeeper

ROOT = Path(watchkeeper.__file__).parent
ENDS_IN_A_WORD = {"engine/engine.py"}  # a task of the engine: the process ends by what is kept of it


def broad() -> Iterator[tuple[str, str, ast.ExceptHandler]]:
    """Place, its line, and the handler."""
    for path in sorted(ROOT.rglob("*.py")):
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and _is_broad(node.type):
                yield path.relative_to(ROOT).as_posix(), lines[node.lineno - 1], node


def _is_broad(kind: ast.expr | None) -> bool:
    names = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(
        each is None or (isinstance(each, ast.Name) and each.id in {"BaseException", "Exception"}) for each in names
    )


def test_each_says_why() -> None:
    silent = [f"{where}: {line.strip()}" for where, line, _ in broad() if "  # " not in line]
    assert not silent, silent


def test_what_catches_everything_lets_it_go_on() -> None:
    kept = [
        f"{where}:{node.lineno}"
        for where, line, node in broad()
        if "BaseException" in line and where not in ENDS_IN_A_WORD
        if not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    ]
    assert not kept, kept
