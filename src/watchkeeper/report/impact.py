"""The impact report of a change: what it touches and whom, and what history would have been under it.

In: the active configuration, the folder's, their plan, and what trying the folder against history found. Out: an
`Impact`, and the same as Markdown and as one HTML file that needs nothing else and runs nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

from msgspec import Struct

from watchkeeper.catalog import graph
from watchkeeper.catalog.catalog import Catalog, owner_of
from watchkeeper.catalog.entity import Entity, EntityKind
from watchkeeper.decide.otherwise import Otherwise
from watchkeeper.guards.words import count_of
from watchkeeper.home.configuration import Configuration
from watchkeeper.home.cover import covers, place_of, service_of
from watchkeeper.home.plan import Change, Plan
from watchkeeper.home.reach import led_by
from watchkeeper.home.transaction import members_of
from watchkeeper.packs.load_step import walk
from watchkeeper.packs.rule import Rule
from watchkeeper.packs.runbook import Runbook
from watchkeeper.values import Instant, rfc3339

WHYS_MAX: Final = 5  # reasons named for one service; the rest is counted
ROWS_MAX: Final = 500  # of one table of a document; the JSON has all
RULES_WALKED_MAX: Final = 500  # changed rules whose reach is worked out
TEXT_CHARS_MAX: Final = 600


class Touch(Struct, frozen=True, kw_only=True):
    """A service that the change touches. `through` is what it depends on, when it is touched only by that."""

    ref: str
    owner: str
    why: tuple[str, ...]
    through: str = ""


class TransactionTouch(Struct, frozen=True, kw_only=True):
    name: str
    priority: int
    owner: str
    hops: tuple[str, ...]
    why: str


class Team(Struct, frozen=True, kw_only=True):
    """Somebody who should know. `shared`: the change reaches what is theirs only through something that they share."""

    name: str
    why: tuple[str, ...]
    shared: bool = False


class Touched(Struct, frozen=True, kw_only=True):
    """`everywhere` are changed rules whose target has no bound: they may lead to any entity that an alert names."""

    services: tuple[Touch, ...] = ()
    transactions: tuple[TransactionTouch, ...] = ()
    teams: tuple[Team, ...] = ()
    everywhere: tuple[str, ...] = ()
    not_walked: int = 0


class Tally(Struct, frozen=True, kw_only=True):
    """What trying it against history found. `cut`: there is more history than was looked at."""

    days: int
    looked_at: int
    same: int
    passed_over: int
    alerts: int
    cannot: dict[str, int]
    items: tuple[Otherwise, ...]
    cut: bool = False

    def number(self, kind: str) -> int:
        return sum(each.kind == kind for each in self.items)


class Impact(Struct, frozen=True, kw_only=True):
    """`document` is the report as text, when one was asked for."""

    at: Instant
    plan: Plan
    touched: Touched
    history: Tally
    document: str = ""


# -- what it touches -------------------------------------------------------------------------------


def touched(active: Configuration, folder: Configuration, plan: Plan) -> Touched:
    """Services by what reaches them, those that depend on them, the transactions they serve, the teams of all of them."""
    walk_ = _Walk(active, folder)
    for change in plan.changes:
        walk_.take(change)
    return walk_.found()


class _Walk:
    def __init__(self, active: Configuration, folder: Configuration) -> None:
        self._sides = (active, folder)
        self._catalog = folder.catalog
        self._why: defaultdict[str, dict[str, None]] = defaultdict(dict)  # service -> reasons
        self._owners: defaultdict[str, dict[str, None]] = defaultdict(dict)  # team -> reasons
        self._transactions: dict[str, str] = {}
        self._everywhere: dict[str, None] = {}
        self._rules: set[str] = set()
        self._left = RULES_WALKED_MAX
        self._not_walked = 0

    def take(self, change: Change) -> None:
        why = f"{change.kind} {change.name} {change.did.value}"
        match change.kind:
            case "entity":
                self._entity(change.name, why)
            case "rule":
                for side in self._sides:
                    if change.name in side.rules:
                        self._rule(side, side.rules[change.name], why)
            case "runbook":
                for side in self._sides:
                    self._runbook(side, change.name, why)
            case "action":
                for side in self._sides:
                    for name in _using(side, change.name):
                        self._runbook(side, name, why)
            case "exclusion":
                self._exclusion(change.name, why)
            case "transaction":
                self._transactions[change.name] = why
            case _:
                return

    def found(self) -> Touched:
        direct = set(self._why)
        services = [Touch(ref=ref, owner=self._owner(ref), why=_few(whys)) for ref, whys in sorted(self._why.items())]
        beyond = sorted(graph.dependents(self._catalog, direct) - direct)
        for ref in beyond:
            needs = self._catalog.needs.get(ref, ())
            through = next((each for each in needs if each in direct), next(iter(needs), ""))
            services.append(Touch(ref=ref, owner=self._owner(ref), why=(f"depends on {through}",), through=through))
        for each in services:
            self._concern(each.owner, f"owns {each.ref}", shared=bool(each.through))
        transactions = tuple(self._crossed(direct, set(beyond)))
        for transaction in transactions:
            self._concern(transaction.owner, f"owns transaction {transaction.name}", shared=True)
        return Touched(
            services=tuple(services),
            transactions=transactions,
            teams=tuple(self._teams()),
            everywhere=tuple(self._everywhere),
            not_walked=self._not_walked,
        )

    def _entity(self, ref: str, why: str) -> None:
        for side in self._sides:
            entity = side.catalog.entities.get(ref)
            if entity is not None:
                self._why[service_of(entity, side.catalog)][why] = None
                self._concern(entity.owner, why)

    def _rule(self, side: Configuration, rule: Rule, why: str) -> None:
        self._concern(rule.owner, why)
        if f"{side.digest} {rule.name} {why}" in self._rules:
            return
        self._rules.add(f"{side.digest} {rule.name} {why}")
        if rule.target.value is None and not rule.target.within and not rule.target.kind:
            self._everywhere[rule.name] = None
            return
        if not self._left:
            self._not_walked += 1
            return
        self._left -= 1
        for entity in _servers(side.catalog):
            if led_by(rule.target, entity, side.catalog) is not None:
                self._why[service_of(entity, side.catalog)][why] = None

    def _runbook(self, side: Configuration, name: str, why: str) -> None:
        """By the rules that run it, or a runbook that calls it."""
        runbook = side.rulebook.runbooks.get(name)
        if runbook is not None:
            self._concern(runbook.owner, why)
        above = _callers(side, name)
        for rule in side.rules.values():
            if rule.runbook in above:
                self._rule(side, rule, why)

    def _exclusion(self, identity: str, why: str) -> None:
        for side in self._sides:
            for exclusion in side.exclusions:
                if exclusion.id != identity:
                    continue
                self._concern(exclusion.owner, why)
                for entity in _servers(side.catalog):
                    if covers(exclusion.scope, "", place_of(entity, side.catalog)):
                        self._why[service_of(entity, side.catalog)][why] = None

    def _crossed(self, direct: set[str], beyond: set[str]) -> Iterator[TransactionTouch]:
        known = {each.name: each for side in self._sides for each in side.transactions}
        for each in sorted(known.values(), key=lambda one: (one.priority, one.name)):
            parts = {ref for hop in each.hops for ref in (hop, *members_of(hop, self._catalog))}
            hit = sorted(parts & direct)
            far = sorted(parts & beyond)
            if each.name in self._transactions:
                why = self._transactions[each.name]
            elif hit:
                why = f"crosses {', '.join(hit[:WHYS_MAX])}"
            elif far:
                why = f"crosses {', '.join(far[:WHYS_MAX])}, which depends on what changes"
            else:
                continue
            yield TransactionTouch(name=each.name, priority=each.priority, owner=each.owner, hops=each.hops, why=why)

    def _concern(self, owner: str, why: str, *, shared: bool = False) -> None:
        if owner:
            self._owners[owner][f"{'shared: ' if shared else ''}{why}"] = None

    def _teams(self) -> Iterator[Team]:
        for name, whys in sorted(self._owners.items()):
            own = [why for why in whys if not why.startswith("shared: ")]
            yield Team(name=name, why=_few(own or [why.removeprefix("shared: ") for why in whys]), shared=not own)

    def _owner(self, ref: str) -> str:
        return next((owner for side in reversed(self._sides) if (owner := owner_of(side.catalog, ref))), "")


def _servers(catalog: Catalog) -> Iterator[Entity]:
    """What serves somebody: not the groups, systems and domains around it."""
    return (entity for entity in catalog.entities.values() if entity.kind in _SERVES)


_SERVES: Final = frozenset({EntityKind.COMPONENT, EntityKind.RESOURCE, EntityKind.API})


def _callers(side: Configuration, name: str) -> set[str]:
    """The runbook, and those that call it, however deep."""
    calls = {
        book.name: {step.runbook for step in walk(book.steps) if step.runbook}
        for book in side.rulebook.runbooks.values()
    }
    found, waiting = {name}, [name]
    while waiting:
        current = waiting.pop()
        for caller, called in calls.items():
            if current in called and caller not in found:
                found.add(caller)
                waiting.append(caller)
    return found


def _using(side: Configuration, action: str) -> tuple[str, ...]:
    return tuple(name for name, book in side.rulebook.runbooks.items() if action in set(_actions(book)))


def _actions(runbook: Runbook) -> Iterator[str]:
    for step in walk(runbook.steps):
        for call in (step.call, step.check, step.undo.call if step.undo is not None else None):
            if call is not None:
                yield call.action


def _few(whys: Iterable[str]) -> tuple[str, ...]:
    found = tuple(whys)
    return found if len(found) <= WHYS_MAX else (*found[:WHYS_MAX], f"and {len(found) - WHYS_MAX} more")


# -- the document ----------------------------------------------------------------------------------

KINDS: Final = (
    ("differs", "Would have been decided otherwise"),
    ("lost", "Would not have been decided"),
    ("new", "Would have been decided, and were not"),
    ("engine", "Decided otherwise by this release, whatever the rules"),
)

Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
Part = tuple[str, str | tuple[str, ...] | Table]  # a heading with a sentence, a list, or a table


def _parts(impact: Impact) -> Iterator[Part]:
    plan, found, history = impact.plan, impact.touched, impact.history
    yield "In short", tuple(_short(impact))
    if plan.acts:
        yield "Could do more", plan.acts
    if plan.risks:
        yield "Risk", plan.risks
    yield (
        "What changes",
        (
            ("did", "what", "name", "how"),
            tuple((each.did.value, each.kind, each.name, "; ".join(each.words)) for each in plan.changes),
        ),
    )
    if found.services:
        yield (
            "Services",
            (
                ("service", "owner", "why", "only through"),
                tuple((each.ref, each.owner, "; ".join(each.why), each.through) for each in found.services),
            ),
        )
    if found.everywhere:
        yield (
            "Rules without a bound",
            tuple(f"{name} may lead to any entity that an alert names" for name in found.everywhere),
        )
    if found.transactions:
        yield (
            "Transactions",
            (
                ("transaction", "priority", "owner", "why"),
                tuple((each.name, str(each.priority), each.owner, each.why) for each in found.transactions),
            ),
        )
    if found.teams:
        yield (
            "Teams",
            (
                ("team", "why", ""),
                tuple(
                    (each.name, "; ".join(each.why), "through what is shared" if each.shared else "")
                    for each in found.teams
                ),
            ),
        )
    for kind, title in KINDS:
        rows = tuple(_row(each) for each in history.items if each.kind == kind)
        if rows:
            yield f"{title}: {len(rows)}", (("when", "rule", "on", "was", "would be", "why", "decision"), rows)
    if history.cannot:
        rows = tuple((str(number), why) for why, number in sorted(history.cannot.items(), key=lambda pair: -pair[1]))
        yield f"Cannot be judged: {sum(history.cannot.values())} of {history.looked_at}", (("decisions", "why"), rows)


def _short(impact: Impact) -> Iterator[str]:
    history, found = impact.history, impact.touched
    direct = sum(not each.through for each in found.services)
    plan = impact.plan
    yield (
        f"{count_of(len(plan.files), 'file')} {'differs' if len(plan.files) == 1 else 'differ'} from what is active; "
        f"{count_of(len(plan.acts), 'thing')} could do more afterwards."
    )
    yield (
        f"{count_of(direct, 'service')} touched, {len(found.services) - direct} more through what they depend on; "
        f"{count_of(len(found.transactions), 'transaction')}; {count_of(len(found.teams), 'team')}."
    )
    yield (
        f"Of {count_of(history.looked_at, 'decision')} of the last {count_of(history.days, 'day')} {history.same} would be "
        f"the same, {history.number('differs')} otherwise, {history.number('lost')} not made; {history.number('new')} would "
        f"be new; {sum(history.cannot.values())} cannot be judged."
    )
    if history.cut:
        yield "There is more history than was looked at: the newest part was."
    if found.not_walked:
        yield f"{found.not_walked} changed rules were not followed to what they reach: there are too many."


def _row(each: Otherwise) -> tuple[str, ...]:
    return (
        rfc3339(each.at)[:16],
        each.rule,
        ", ".join(each.targets) or each.name,
        each.was,
        each.now,
        each.why,
        each.decision,
    )


def title_of(impact: Impact) -> str:
    return f"Impact of {impact.plan.folder[:12]} on {impact.plan.active[:12]}"


def markdown(impact: Impact) -> str:
    """The report for a pull request or a ticket. Ends with a newline."""
    lines = [f"# {title_of(impact)}", "", f"Worked out {rfc3339(impact.at)[:16]}Z."]
    for heading, body in _parts(impact):
        lines += ["", f"## {_plain(heading)}", ""]
        if isinstance(body, str):
            lines.append(_plain(body))
        elif _is_table(body):
            columns, rows = body
            lines += [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
            lines += [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows[:ROWS_MAX]]
            if len(rows) > ROWS_MAX:
                lines += ["", f"and {len(rows) - ROWS_MAX} more: the JSON has all of them"]
        else:
            lines += [f"- {_plain(str(line))}" for line in body]
    return "\n".join(lines) + "\n"


_STYLE: Final = """
:root{color-scheme:light dark}
body{font:15px/1.5 Inter,Helvetica,Arial,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #8884}
td{overflow-wrap:anywhere}
"""


def html(impact: Impact) -> str:
    """One file: no script, nothing fetched, every word escaped."""
    title = escape(title_of(impact))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1><p>Worked out {escape(rfc3339(impact.at)[:16])}Z.</p>",
    ]
    for heading, body in _parts(impact):
        parts.append(f"<h2>{_html(heading)}</h2>")
        if isinstance(body, str):
            parts.append(f"<p>{_html(body)}</p>")
        elif _is_table(body):
            columns, rows = body
            parts.append(
                "<table><thead><tr>" + "".join(f"<th>{_html(each)}</th>" for each in columns) + "</tr></thead>"
            )
            parts.append("<tbody>")
            parts += ["<tr>" + "".join(f"<td>{_html(cell)}</td>" for cell in row) + "</tr>" for row in rows[:ROWS_MAX]]
            parts.append("</tbody></table>")
            if len(rows) > ROWS_MAX:
                parts.append(f"<p>and {len(rows) - ROWS_MAX} more: the JSON has all of them</p>")
        else:
            parts.append("<ul>" + "".join(f"<li>{_html(str(line))}</li>" for line in body) + "</ul>")
    parts.append("</body></html>")
    return "\n".join(parts) + "\n"


def _is_table(body: object) -> bool:
    return isinstance(body, tuple) and len(body) == 2 and isinstance(body[0], tuple)


_MARKED: Final = str.maketrans({char: f"\\{char}" for char in "\\`*[]<>|#"} | {"\n": " ", "\r": " "})


def _plain(text: str) -> str:
    """Text from outside as text: nothing in it is markup."""
    return _cut(text).translate(_MARKED)


def _html(text: str) -> str:
    return escape(_cut(text))


def _cut(text: str) -> str:
    clean = "".join(char if char.isprintable() or char in "\n\r" else "�" for char in text)
    return clean if len(clean) <= TEXT_CHARS_MAX else clean[: TEXT_CHARS_MAX - 1] + "…"
