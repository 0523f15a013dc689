"""Every verb: its words, the function behind it, one line of help, and the group it is listed under."""

from typing import Final

from msgspec import Struct

_CLI: Final = "watchkeeper.surface.cli"
GROUPS: Final = ("Start", "Look", "Decide", "Limit", "Home", "People", "Record")


class Verb(Struct, frozen=True, kw_only=True):
    """`words` as typed. `bare`: it works without any argument, so that alone it needs no parser."""

    words: tuple[str, ...]
    function: str
    help: str
    group: str
    bare: bool = False


def _verb(words: str, function: str, help: str, group: str, *, bare: bool = False) -> Verb:  # noqa: A002
    return Verb(words=tuple(words.split()), function=f"{_CLI}.{function}", help=help, group=group, bare=bare)


VERBS: Final[tuple[Verb, ...]] = (
    _verb("init", "start:init", "Write a home that works at once.", "Start"),
    _verb("up", "start:up", "Run the node in the foreground.", "Start"),
    _verb("console", "people:console", "A link that signs you in to the console.", "Start", bare=True),
    _verb("demo", "start:demo", "See it detect, decide, repair and verify, on this machine.", "Start"),
    _verb("status", "look:status", "What is broken, and does it need me?", "Look", bare=True),
    _verb("alerts", "look:alerts", "Alerts, newest first.", "Look", bare=True),
    _verb("incidents", "incidents:incidents", "Incidents, newest first; 'show ID' for one.", "Look", bare=True),
    _verb("decisions", "look:decisions", "What it decided, newest first.", "Look", bare=True),
    _verb(
        "explain", "explain:explain", "Why a decision was made; a runbook's handbook page; an alert's decision.", "Look"
    ),
    _verb("trail", "incidents:trail", "Everything on record about an incident, in order.", "Look"),
    _verb(
        "metrics",
        "metrics:metrics",
        "Uptime, MTTD, MTTA, MTTR, failovers and error budget of services.",
        "Look",
        bare=True,
    ),
    _verb("slo", "metrics:slo", "Objectives: target, attainment, budget left, burn rates.", "Look", bare=True),
    _verb("sources", "sources:sources", "Who tells this node, when last, and where each posts.", "Look", bare=True),
    _verb("trend", "timing:trend", "By day: how repairs end, MTTD, MTTA, MTTR, uptime.", "Look", bare=True),
    _verb("latency", "timing:latency", "How long the stages of the pipeline take, over time.", "Look", bare=True),
    _verb("traffic", "timing:traffic", "Signals that came, by what they were, over time.", "Look", bare=True),
    _verb("rhythm", "rhythms:rhythm", "How often rules are called for, and how often is usual.", "Look", bare=True),
    _verb("anomalies", "rhythms:anomalies", "When a rule was called for unusually often or seldom.", "Look", bare=True),
    _verb("changes", "changes:changes", "Deploys and other changes, newest first; end one.", "Look", bare=True),
    _verb("replay", "replay:replay", "Decide past decisions again and compare.", "Look", bare=True),
    _verb("approvals", "approvals:approvals", "What waits for a person.", "Decide", bare=True),
    _verb("approve", "approvals:approve", "Say yes to exactly what is shown.", "Decide"),
    _verb("reject", "approvals:reject", "Say no.", "Decide"),
    _verb("suggestions", "review:suggestions", "What rules suggest, for a person to run.", "Decide", bare=True),
    _verb(
        "review",
        "review:review",
        "What rules would have done: list, and say whether it was right.",
        "Decide",
        bare=True,
    ),
    _verb("feedback", "review:feedback", "Helpful, false or harmful: a word on a run or a decision.", "Decide"),
    _verb("run", "runs:run", "Run a runbook yourself; every guard is asked.", "Decide"),
    _verb("runs", "runs:runs", "Runs, newest first; show, pause, resume, cancel, settle, close.", "Decide", bare=True),
    _verb("stop", "limits:stop", "Stop automation, everywhere or in a scope.", "Limit"),
    _verb("resume", "limits:resume", "End a stop.", "Limit"),
    _verb("hold", "limits:holds", "Keep automation's hands off: list, set, extend, lift.", "Limit", bare=True),
    _verb(
        "freeze",
        "limits:freezes",
        "A change freeze: list, set, lift; open or closed, and until when.",
        "Limit",
        bare=True,
    ),
    _verb("calendars", "calendars:calendars", "When what is closed to changes: list, show, read.", "Limit", bare=True),
    _verb(
        "breakers",
        "breakers:breakers",
        "What is left alone because it keeps failing: list, show, close, release.",
        "Limit",
        bare=True,
    ),
    _verb(
        "autonomy",
        "autonomy:cells",
        "How far rules may go by themselves: list, show, grants, grant, second, revoke, demotions, lift.",
        "Limit",
        bare=True,
    ),
    _verb("check", "home:check", "Every problem in the home's files.", "Home", bare=True),
    _verb("plan", "home:plan", "What the folder would change.", "Home", bare=True),
    _verb("apply", "home:apply", "Make the folder the active configuration.", "Home"),
    _verb("test", "home:scenarios", "Run the packs' scenarios and replay tests.", "Home", bare=True),
    _verb("backtest", "backtest:backtest", "Play your own past alerts through your rules, in memory.", "Home"),
    _verb("import", "imported:import_", "Draft rules and stubs from Prometheus's and Alertmanager's files.", "Home"),
    _verb("catalog", "catalog:catalog", "What there is, who owns it, what depends on it.", "Home", bare=True),
    _verb(
        "exclusions",
        "exclusions:exclusions",
        "What automation never touches: list, show, prove, export.",
        "Limit",
        bare=True,
    ),
    _verb("transactions", "business:transactions", "Business transactions and the hops they cross.", "Home", bare=True),
    _verb("coverage", "business:coverage", "Which hop of a transaction is protected by something proven.", "Home"),
    _verb("draft", "draft:draft", "A catalogue entry for an alert that no entity is known for.", "Home"),
    _verb("rules", "catalog:rules", "Rules and how far each may go; 'suggest' what is missing.", "Home", bare=True),
    _verb("runbooks", "catalog:runbooks", "Runbooks and their risk.", "Home", bare=True),
    _verb("secret", "secret:secrets", "Secrets of this home: list, put, delete.", "Home", bare=True),
    _verb("identity", "people:identities", "Who may come in: list, add, remove.", "People", bare=True),
    _verb("token", "people:tokens", "Their tokens: list, create, revoke.", "People", bare=True),
    _verb("whoami", "people:whoami", "Who the node takes you for, and what you may do.", "People", bare=True),
    _verb("notify", "record:messages", "What was told to people: list, test.", "Record", bare=True),
    _verb(
        "dead-letters",
        "record:dead_letters",
        "What could not be understood: list, show, replay, drop.",
        "Record",
        bare=True,
    ),
    _verb("store", "store:size", "What is kept: size, gone, backup, sweep.", "Record", bare=True),
    _verb("backup", "store:backup", "A consistent copy of everything, while the node goes on.", "Record"),
    _verb("erase", "erase:erase", "Erase content by order: shows what would go, and goes with --yes.", "Record"),
    _verb(
        "restore",
        "restore:restore",
        "Put a store back from a backup, or an earlier configuration into force.",
        "Record",
    ),
    _verb("ledger", "ledger:checkpoint", "The record: verify, export, prove.", "Record", bare=True),
    _verb("bench", "bench:bench", "What this machine does, measured and proven.", "Record"),
    _verb("completion", "completion:completion", "Completion for bash, zsh or fish.", "Record"),
    # Sub-verbs, in the order of their verbs.
    _verb("alerts judge", "incidents:judge", "Have an alert judged afresh, now.", "Look"),
    _verb("incidents show", "incidents:show", "One incident: state, times, alerts, decisions, runs.", "Look"),
    _verb("incidents acknowledge", "incidents:acknowledge", "Say that a person looks at it.", "Look"),
    _verb("incidents comment", "incidents:comment", "Add a comment.", "Look"),
    _verb("incidents escalate", "incidents:escalate", "Tell people at once.", "Look"),
    _verb("incidents resolve", "incidents:resolve", "Say that it is over.", "Look"),
    _verb("incidents close", "incidents:close", "Close it.", "Look"),
    _verb("decisions list", "look:decisions", "What it decided, newest first.", "Look"),
    _verb(
        "decisions test",
        "replay_test:write",
        "Of a decision called false or harmful, the test that later rules must pass.",
        "Look",
    ),
    _verb("approvals list", "approvals:approvals", "What waits for a person, one by one.", "Decide"),
    _verb("approvals cards", "cards:cards", "What waits for people, by rule and service.", "Decide"),
    _verb("runs show", "runs:show", "One run: its steps and where it stands.", "Decide"),
    _verb("runs pause", "runs:pause", "Pause at the next safe point.", "Decide"),
    _verb("runs resume", "runs:resume", "Go on.", "Decide"),
    _verb("runs cancel", "runs:cancel", "End it at the next safe point.", "Decide"),
    _verb("runs settle", "runs:settle", "Say what became of a step in doubt.", "Decide"),
    _verb("runs close", "runs:close", "End a run whatever its state.", "Decide"),
    _verb("hold list", "limits:holds", "Holds in force.", "Limit"),
    _verb("hold set", "limits:hold_set", "Set a hold.", "Limit"),
    _verb("hold extend", "limits:hold_extend", "Let a hold last longer.", "Limit"),
    _verb("hold lift", "limits:hold_lift", "End a hold.", "Limit"),
    _verb("freeze list", "limits:freezes", "Freezes in force or to come.", "Limit"),
    _verb("freeze status", "calendars:freeze_status", "Open or closed to changes, why, until when.", "Limit"),
    _verb("freeze agenda", "calendars:agenda", "Freezes, maintenance, holds and stops of a span of time.", "Limit"),
    _verb("calendars list", "calendars:calendars", "Calendars, with age, state and next window.", "Limit"),
    _verb("calendars show", "calendars:show", "One calendar, with its next windows.", "Limit"),
    _verb("calendars read", "calendars:read", "Read a calendar again now.", "Limit"),
    _verb("freeze set", "limits:freeze_set", "Set a freeze.", "Limit"),
    _verb("freeze lift", "limits:freeze_lift", "End a freeze.", "Limit"),
    _verb("breakers list", "breakers:breakers", "Breakers that are not closed, and the brake.", "Limit"),
    _verb("breakers show", "breakers:show", "One breaker, with its failures.", "Limit"),
    _verb("breakers close", "breakers:close", "Close a breaker: what failed was mended.", "Limit"),
    _verb("breakers release", "breakers:release", "Release a brake.", "Limit"),
    _verb("exclusions list", "exclusions:exclusions", "How each stands, and how many decisions it stopped.", "Limit"),
    _verb("exclusions show", "exclusions:show", "One, with the decisions that it stopped.", "Limit"),
    _verb("exclusions prove", "exclusions:prove", "Can an enabled rule reach what is excluded?", "Limit"),
    _verb("exclusions export", "exclusions:export", "Each, and every decision that it stopped, for auditors.", "Limit"),
    _verb("autonomy list", "autonomy:cells", "Every cell: its mode, what binds, what is missing.", "Limit"),
    _verb("autonomy show", "autonomy:show", "One rule in every cell, with what people did and said.", "Limit"),
    _verb("autonomy grants", "autonomy:grants", "Levels given on record.", "Limit"),
    _verb("autonomy grant", "autonomy:grant", "Give a rule a level for a cell, on record.", "Limit"),
    _verb("autonomy second", "autonomy:second", "Give the second pair of eyes, to a level or a lift.", "Limit"),
    _verb("autonomy revoke", "autonomy:revoke", "Take a level back.", "Limit"),
    _verb("rules suggest", "suggest:suggest", "Rules that are missing, from alerts and what people ran.", "Home"),
    _verb("autonomy demotions", "autonomy:demotions", "Levels that were taken away.", "Limit"),
    _verb("autonomy lift", "autonomy:lift", "Lift a demotion, on record.", "Limit"),
    _verb("secret list", "secret:secrets", "Names and versions, never values.", "Home"),
    _verb("secret put", "secret:put", "Put a value, from stdin or a prompt.", "Home"),
    _verb("secret delete", "secret:delete", "Delete a secret.", "Home"),
    _verb("identity list", "people:identities", "People and machines.", "People"),
    _verb("identity add", "people:identity_add", "Add one; --me makes you the first admin.", "People"),
    _verb("identity remove", "people:identity_remove", "Remove one, with its tokens.", "People"),
    _verb("token list", "people:tokens", "Tokens, without their text.", "People"),
    _verb("token create", "people:token_create", "Make a token; its text is shown once.", "People"),
    _verb("token revoke", "people:token_revoke", "End a token.", "People"),
    _verb("notify list", "record:messages", "Messages, newest first.", "Record"),
    _verb("notify test", "record:notify_test", "Send a test over a route.", "Record"),
    _verb("dead-letters list", "record:dead_letters", "Those that wait for somebody.", "Record"),
    _verb("dead-letters show", "record:dead_letter_show", "One, with what was received.", "Record"),
    _verb(
        "dead-letters replay", "record:dead_letter_replay", "Read it again, after what was wrong was mended.", "Record"
    ),
    _verb("dead-letters drop", "record:dead_letter_drop", "Let it go, with a reason.", "Record"),
    _verb("changes list", "changes:changes", "Changes that sources told of.", "Look"),
    _verb("changes end", "changes:end", "Say that a change is over, where its sender never did.", "Look"),
    _verb("store size", "store:size", "How large the store is, by kind, and for how long there is room.", "Record"),
    _verb("store gone", "store:gone", "What went by retention or by order, by kind and day.", "Record"),
    _verb("store backup", "store:backup", "A consistent copy of everything, while the node goes on.", "Record"),
    _verb("store sweep", "store:sweep", "Take out now what retention lets go.", "Record"),
    _verb("ledger checkpoint", "ledger:checkpoint", "The newest signed checkpoint.", "Record"),
    _verb("ledger verify", "ledger:verify", "Is the record whole? Here, or on an export.", "Record"),
    _verb("ledger export", "ledger:export", "Write the record as a folder that anyone can verify.", "Record"),
    _verb("ledger prove", "ledger:prove", "Prove that an entry is in the record.", "Record"),
)


def tops() -> tuple[Verb, ...]:
    """The verbs as `wk --help` lists them."""
    return tuple(each for each in VERBS if len(each.words) == 1)


def subs(verb: str) -> tuple[Verb, ...]:
    return tuple(each for each in VERBS if len(each.words) == 2 and each.words[0] == verb)


def elsewhere(word: str) -> str:
    """The verbs below another one that end in this word: `autonomy demotions` for `demotions`; "" for none."""
    found = [" ".join(each.words) for each in VERBS if len(each.words) == 2 and each.words[1] == word]
    return found[0] if len(found) == 1 else ""


def nearest(word: str, among: tuple[str, ...]) -> str:
    """The known word that is closest to a mistyped one; "" when none is close."""
    from difflib import get_close_matches

    found = get_close_matches(word, among, n=1, cutoff=0.5)
    return found[0] if found else next((each for each in among if len(word) > 2 and each.startswith(word)), "")
