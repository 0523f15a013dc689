"""Write the parts of the documents that the code already says, and the JSON Schemas.

A page holds `<!-- generated: NAME -->` and `<!-- end -->`; what stands between is replaced by the part of that name.

    python docs/generate.py            writes what differs
    python docs/generate.py --check    writes nothing; exit code 1 when something differs

Importing the command line is left out where its modules do not import; constants are read from the source text, so
that no module has to be imported for its bounds.
"""
# ruff: noqa: INP001 (a script, no package)

import ast
import importlib
import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from watchkeeper.approve import roles
from watchkeeper.approve.people import Actor
from watchkeeper.catalog import annotations
from watchkeeper.guards import order
from watchkeeper.home import schema
from watchkeeper.packs import action, scope
from watchkeeper.packs import metrics as metrics_
from watchkeeper.values import SEVERITY_ORDER, duration_text, severity_of

DOCS: Final = Path(__file__).resolve().parent
ROOT: Final = DOCS.parent
SOURCE: Final = ROOT / "src" / "watchkeeper"

_MARK: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_BOUND: Final = re.compile(
    r"(?:^|_)(MAX|MIN|MS|S|BYTES|CHARS|PPM|HOURS|MOST|MIB|KIB|DEFAULT|EVERY|AT_ONCE|DIGITS|PAGES)(?:_|$)"
)
_WORDS_OF: Final = {
    "text": "text",
    "string": "text",
    "integer": "integer",
    "boolean": "true or false",
    "object": "mapping",
}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def code(text: object) -> str:
    return f"`{text}`" if str(text) else ""


def _first(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


# -- guards, roles, actions, expressions -------------------------------------------------------------


def guards() -> str:
    rows = []
    for number, guard in enumerate(order.ORDER, 1):
        module = inspect.getmodule(guard)
        assert module is not None
        moments = ", ".join(moment.value for moment, asked in order.AT.items() if guard in asked)
        rows.append((number, code(guard.__name__), _first(module.__doc__), ", ".join(_outcomes(module)), moments))
    return table(("", "guard", "what it asks", "outcomes", "asked at"), rows)


def _outcomes(module: Any) -> list[str]:
    """The outcomes a guard's file mentions, in order of strictness; with *unknown* where it can say so."""
    text = inspect.getsource(module)
    if module.__name__.endswith((".budget", ".anomaly")):
        text += inspect.getsource(importlib.import_module("watchkeeper.guards.measured"))
    found = [word for word in ("pass", "ask", "hold", "refuse") if f"Outcome.{word.upper()}" in text]
    return [f"{word} (unknown)" if word == "hold" and "unknown=True" in text else word for word in found]


def role_table() -> str:
    names = [role.value for role in roles.Role]
    rows = []
    for verb in roles.Verb:
        marks = ["yes" if verb in roles.TABLE[name] else "" for name in names]
        persons = "persons only" if verb in roles.HUMANS_ONLY else ""
        rows.append((code(verb.value), *marks, "yes" if verb in roles.BOOTSTRAP else "", persons))
    return table(("verb", *names, "bootstrap token", ""), rows)


def action_table() -> str:
    rows = [
        (
            code(name),
            ", ".join(code(each) for each in facts.needs),
            "by its method" if name == "http.request" else code(facts.effect.value),
            facts.harm.value,
            code(facts.probe),
            "" if not facts.free else "no target, no permission",
        )
        for name, facts in action.ACTIONS.items()
    ]
    return table(("action", "needs", "effect, unless stated", "harm", "probe", ""), rows)


def _scope(names: Mapping[str, str]) -> str:
    return table(("name", "type"), ((code(name), kind) for name, kind in scope.described(names)))


def metric_names() -> str:
    """Every metric that a rule can see, and every field of an SLO."""
    rows = [(code(f"metrics.{name}"), kind, what) for name, (kind, what) in metrics_.METRICS.items()]
    rows += [
        (code(f'slo["NAME"].{name}'), "map of double" if name == "burn" else "double", what)
        for name, what in metrics_.OF_SLO.items()
    ]
    return table(("name", "type", ""), rows)


def annotation_table() -> str:
    return ", ".join(code(f"watchkeeper.dev/{name}") for name in annotations.FIXED) + "\n"


def severities() -> str:
    source = (SOURCE / "values.py").read_text()
    words = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    known: dict[str, list[str]] = {severity.value: [] for severity in SEVERITY_ORDER}
    for word in dict.fromkeys(word for word in words if isinstance(word, str) and re.fullmatch(r"[a-z]+[0-9]?", word)):
        found = severity_of({"severity": word})
        if word in known or found.value != "warning" or word in {"warn", "low", "p4"}:
            known[found.value].append(word)
    return table(
        ("severity", "words that mean it"), ((name, ", ".join(dict.fromkeys(words))) for name, words in known.items())
    )


# -- fields of files ---------------------------------------------------------------------------------


def fields(name: str) -> Callable[[], str]:
    def part() -> str:
        document = schema.schemas()[name]
        start, prefix = document.get("items", document), ""
        if "spec" in document.get("properties", {}):
            start, prefix = document["properties"]["spec"], ""
        return table(("field", "value", ""), _fields(start, prefix, document.get("$defs", {})))

    return part


def steps() -> str:
    definitions = schema.schemas()["runbook.json"]["$defs"]
    common = {"id", "when", "with_previous", "description"}
    rows: list[tuple[str, str, str]] = []
    for kind in definitions["step"]["oneOf"]:
        own = {key: value for key, value in kind["properties"].items() if key not in common}
        needed = [key for key in kind["required"] if key not in common]
        rows += _fields({"properties": own, "required": needed}, "", definitions)
    shared = definitions["step"]["oneOf"][0]["properties"]
    first = {"properties": {key: shared[key] for key in shared if key in common}, "required": ["id"]}
    unique = dict.fromkeys([*_fields(first, "", definitions), *rows])
    return table(("field", "value", ""), unique)


def _fields(part: Mapping[str, Any], prefix: str, definitions: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    required = part.get("required", ())
    for name, value in part.get("properties", {}).items():
        path = f"{prefix}{name}"
        needed = "required" if name in required else ""
        yield code(path), _kind(value), needed
        inner = _inner(value, definitions)
        if inner is None:
            continue
        step, found = inner
        yield from _fields(found, f"{path}{step}.", definitions)


def _inner(value: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """The mapping below a field, and how its place is spelt: `x.y`, `x.NAME.y`, `x[].y`."""
    if "$ref" in value:
        name = str(value["$ref"]).rpartition("/")[2]
        return None if name in {"steps", "step"} else ("", definitions[name])
    if value.get("properties"):
        return "", value
    below = value.get("additionalProperties")
    if isinstance(below, dict) and below.get("properties"):
        return ".NAME", below
    items = value.get("items")
    if isinstance(items, dict) and items.get("properties"):
        return "[]", items
    return None


def _kind(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        return "list of steps" if value["$ref"].endswith("/steps") else "mapping"
    if "const" in value:
        return code(value["const"])
    if "enum" in value:
        return ", ".join(code(word) for word in value["enum"])
    if "anyOf" in value and "type" not in value:
        return " or ".join(dict.fromkeys(_kind(one) for one in value["anyOf"]))
    if value.get("pattern", "").startswith(("^(?=[0-9])", "^[0-9]")) and "500ms" in value.get("description", ""):
        return "duration"
    if value.get("pattern") == "%$" or value.get("pattern", "").endswith("%$"):
        return "share, such as 99.9%"
    if "MiB" in value.get("pattern", ""):
        return "size, such as 512MiB"
    if value.get("pattern", "").startswith("^(secret|env)"):
        return "reference to a secret"
    if value.get("description"):
        return str(value["description"])
    kinds = value.get("type", "anything")
    names = [_WORDS_OF.get(kind, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if names == ["array"]:
        return f"list of {_kind(value['items'])}" if isinstance(value.get("items"), dict) else "list"
    if names == ["mapping"] and isinstance(value.get("additionalProperties"), dict) and "properties" not in value:
        return f"mapping of names to {_kind(value['additionalProperties'])}"
    bounds = ""
    if "minimum" in value:
        bounds = (
            f", {value['minimum']} to {value['maximum']:,}" if "maximum" in value else f", at least {value['minimum']}"
        )
    return " or ".join("list" if name == "array" else name for name in names) + bounds


# -- the command line ----------------------------------------------------------------------------------


def verbs() -> str:
    table_ = importlib.import_module("watchkeeper.surface.cli.verbs")
    lines = []
    for group in table_.GROUPS:
        lines += [f"### {group}", ""]
        for verb in sorted((each for each in table_.VERBS if each.group == group), key=lambda each: each.words[:1]):
            lines += [f"- `{_usage(verb)}`: {verb.help}"]
        lines.append("")
    return "\n".join(lines)


def _usage(verb: Any) -> str:
    words = f"wk {' '.join(verb.words)}"
    function = _function(verb.function)
    if function is None:
        return words
    for parameter in inspect.signature(function).parameters.values():
        name = parameter.name
        kind = str(parameter.annotation)
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            words += f" {name.upper()}" if parameter.default is inspect.Parameter.empty else f" [{name.upper()}]"
            continue
        flag = f"--{name.rstrip('_').replace('_', '-')}" + ("" if "bool" in kind else f" {name.rstrip('_').upper()}")
        words += f" {flag}" if parameter.default is inspect.Parameter.empty else f" [{flag}]"
    return words


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(_module(module), attribute, None)


def exits() -> str:
    place = importlib.import_module("watchkeeper.surface.cli.place")
    said = {
        "DONE": "done, or the answer is yes",
        "NO": "the answer is no",
        "USAGE": "wrong use",
        "LATER": "cannot now",
        "BUG": "internal error",
        "INTERRUPTED": "interrupted",
    }
    return table(("code", "meaning"), ((each.value, said[each.name]) for each in place.Exit))


# -- the HTTP API ------------------------------------------------------------------------------------


def routes() -> str:
    """Every route behind the door, by family, from the routers themselves."""
    parts = []
    for path in sorted((SOURCE / "surface" / "api").glob("*.py")):
        family = getattr(_module(f"watchkeeper.surface.api.{path.stem}"), "family", None)
        if family is None:
            continue
        rows = [_route(route) for route in family.router.routes]
        parts.append(f"### {path.stem.capitalize()}\n\n{table(('request', 'verb', 'query', 'body', ''), rows)}")
    return "\n".join(parts)


def _route(route: Any) -> tuple[str, ...]:
    path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: found[1].upper(), route.path)
    extra = route.openapi_extra or {}
    query = ", ".join(code(each.alias) for each in route.dependant.query_params)
    body = ", ".join(
        code(field.alias or name) if field.is_required() else f"[{code(field.alias or name)}]"
        for each in route.dependant.body_params
        for name, field in getattr(each.field_info.annotation, "model_fields", {}).items()
    )
    verb = extra.get("x-watchkeeper-verb", "")
    return code(f"{min(route.methods)} /api/v1{path}"), code(verb), query, body, _first(route.endpoint.__doc__)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def metrics() -> str:
    """What `/metrics` gives, read from the calls that make each family."""
    rows = []
    for node in ast.walk(ast.parse((SOURCE / "surface" / "api" / "metrics.py").read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or len(node.args) < 2:
            continue
        name, text = _text(node.args[0]), _text(node.args[1])
        if not name or not text:
            continue
        labels = [_text(each) for each in node.args[2:3]] if node.func.id == "_labelled" else []
        for given in (*node.args[2:3], *(each.value for each in node.keywords if each.arg == "labels")):
            if isinstance(given, ast.List):
                labels = [_text(each) for each in given.elts]
        kinds = {"_counter": "counter", "CounterMetricFamily": "counter", "HistogramMetricFamily": "histogram"}
        kind = kinds.get(node.func.id, "gauge")
        full = f"watchkeeper_{name.removeprefix('_')}" + ("_total" if kind == "counter" else "")
        rows.append((code(full), kind, ", ".join(code(each) for each in labels), text))
    return table(("metric", "kind", "labels", ""), sorted(rows))


def _text(node: ast.expr) -> str:
    """A literal text; of an f-string what is literal in it."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str))


# -- bounds -------------------------------------------------------------------------------------------


def bounds() -> str:
    """Every named bound of the source, by folder: name, value, the comment beside it."""
    parts = []
    for folder in sorted({path.relative_to(SOURCE).parts[0] for path in SOURCE.rglob("*.py")}):
        rows = []
        at = SOURCE / folder
        for path in sorted(at.rglob("*.py")) if at.is_dir() else [at]:
            place = path.relative_to(SOURCE).as_posix()
            rows += [(code(name), shown(name, value), comment, code(place)) for name, value, comment in constants(path)]
        if rows:
            parts.append(f"### {folder.removesuffix('.py')}\n\n{table(('name', 'value', 'about', 'in'), rows)}")
    return "\n".join(parts)


def constants(path: Path) -> list[tuple[str, int | float, str]]:
    """Public bounds of one file, in the order written."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    known: dict[str, int | float] = {}
    found: list[tuple[str, int | float, str]] = []
    for node in ast.parse(text).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as given):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=given):
                pass
            case _:
                continue
        value = _number(given, known)
        if value is None:
            continue
        known[name] = value
        if name.isupper() and not name.startswith("_") and _BOUND.search(name):
            _, _, comment = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")
            comment = "" if comment.startswith("noqa") else comment.partition("  # noqa")[0]
            found.append((name, value, comment))
    return found


def _number(node: ast.expr, known: Mapping[str, int | float]) -> int | float | None:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return known.get(name)
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            positive = _number(inner, known)
            return None if positive is None else -positive
        case ast.BinOp(left=left, op=operator, right=right):
            one, two = _number(left, known), _number(right, known)
            if one is None or two is None:
                return None
            power: int | float = one**two if isinstance(operator, ast.Pow) else 0
            match operator:
                case ast.Mult():
                    return one * two
                case ast.Add():
                    return one + two
                case ast.Sub():
                    return one - two
                case ast.Pow():
                    return power
                case ast.LShift():
                    return int(one) << int(two)
                case ast.FloorDiv():
                    return one // two
    return None


def shown(name: str, value: float) -> str:
    """With its unit, as its name states it."""
    if re.search(r"(?:^|_)MS(?:_|$)", name) and isinstance(value, int) and value >= 0:
        return duration_text(value)
    if re.search(r"(?:^|_)S(?:_|$)", name):
        return f"{value:g} s"
    if re.search(r"(?:^|_)BYTES?(?:_|$)", name) and isinstance(value, int):
        for unit, size in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
            if value >= size and value % size == 0:
                return f"{value // size} {unit}"
        return f"{value:,} bytes"
    return f"{value:,}"


# -- the rest -----------------------------------------------------------------------------------------


def ledger_kinds() -> str:
    text = (SOURCE / "ledger" / "entry.py").read_text()
    body = text.partition("class Kind(StrEnum):")[2].partition("\nclass ")[0]
    rows = []
    for line in body.splitlines():
        found = re.match(r'\s+[A-Z_]+ = "([a-z_]+)"(?:\s+# (.*))?', line)
        if found:
            rows.append((code(found[1]), "" if not found[2] or found[2].startswith("noqa") else found[2]))
    return table(("kind", ""), rows)


def bootstrap_may() -> str:
    actor = Actor(name="bootstrap", bootstrap=True, human=False)
    return ", ".join(code(verb.value) for verb in roles.verbs_of(actor)) + "\n"


def dependencies() -> tuple[str, ...]:
    """The run-time dependencies by name, those of extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    return tuple(dict.fromkeys(re.split(r"[<>=!~\[ ;]", line, maxsplit=1)[0] for line in lines))


def examples() -> str:
    """Every example home by topic: its rules and runbooks as they stand, and what its scenarios come to when played."""
    spec = importlib.util.spec_from_file_location("examples_page", DOCS / "examples_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: str = module.page()
    return found


PARTS: Final[dict[str, Callable[[], str]]] = {
    "guards": guards,
    "roles": role_table,
    "bootstrap": bootstrap_may,
    "actions": action_table,
    "annotations": annotation_table,
    "severities": severities,
    "scope-rule": lambda: _scope(scope.RULE),
    "scope-by": lambda: _scope(scope.RULE_TARGET),
    "scope-run": lambda: _scope(
        {**scope.RUN, "intent_at": "timestamp", "params.NAME": "by its type", "steps.ID.output": "map"}
    ),
    "fields-rule": fields("rule.json"),
    "fields-runbook": fields("runbook.json"),
    "fields-step": steps,
    "fields-pack": fields("pack.json"),
    "fields-action": fields("action.json"),
    "fields-scenario": fields("scenario.json"),
    "fields-replay-test": fields("replay-test.json"),
    "fields-exclusions": fields("exclusions.json"),
    "fields-transactions": fields("transactions.json"),
    "fields-watchkeeper": fields("watchkeeper.json"),
    "fields-slo": fields("slo.json"),
    "fields-datasource": fields("datasource.json"),
    "metric-names": metric_names,
    "verbs": verbs,
    "exits": exits,
    "routes": routes,
    "metrics": metrics,
    "bounds": bounds,
    "ledger-kinds": ledger_kinds,
    "examples": examples,
}


def page(text: str) -> str:
    """A page with every generated part made again. Raises KeyError for a part that does not exist."""
    return _MARK.sub(lambda found: f"{found[1]}{PARTS[found[2]]().rstrip()}\n{found[3]}", text)


def generated() -> dict[Path, bytes]:
    """Every file this writes, as it should be."""
    found = {ROOT / name: data for name, data in schema.published().items()}
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        if _MARK.search(text):
            found[path] = page(text).encode()
    return found


def main(words: list[str]) -> int:
    wanted = generated()
    stale = [path for path, data in wanted.items() if not path.exists() or path.read_bytes() != data]
    for path in stale:
        if "--check" not in words:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path])
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
    return 1 if stale and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
