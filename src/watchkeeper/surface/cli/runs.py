"""Runs: what is under way and how it went, and a person's own run."""

from typing import Any

from watchkeeper.surface.cli.explain import findings
from watchkeeper.surface.cli.find import one, whole
from watchkeeper.surface.cli.look import LISTED, more, nothing, one_of
from watchkeeper.surface.cli.place import Ends, Exit, here
from watchkeeper.surface.cli.words import (
    Column,
    as_json,
    at,
    bare,
    brief,
    count,
    mark,
    moment,
    pairs,
    safe,
    say,
    short,
    span,
    style,
    table,
    wrapped,
)
from watchkeeper.surface.client import segment

OUTPUT_CHARS_SHOWN: int = 200
STATUSES: tuple[str, ...] = (
    *("waiting", "queued", "running", "paused", "in_doubt"),
    *("succeeded", "failed", "undone", "undo_failed", "stopped", "lapsed", "cancelled", "closed"),
)


def runs(
    *, status: str = "", state: str = "", runbook: str = "", incident: str = "", limit: int = LISTED, json: bool = False
) -> int:
    """Runs, newest first.

    Parameters
    ----------
    status
        waiting, queued, running, paused, in_doubt, succeeded, failed, undone, undo_failed, stopped, lapsed,
        cancelled or closed.
    state
        open or closed.
    """
    one_of("status", status, STATUSES)
    one_of("state", state, ("open", "closed"))
    asked = {"status": status, "state": state, "runbook": runbook, "incident": incident}
    found = list(here().client().items("/runs", asked, limit=limit))
    if json:
        as_json(found)
        return Exit.DONE
    if not found:
        return nothing(
            "No runs", asked, "One starts when a decision is to act, when an approval is given, or with 'wk run'."
        )
    table(
        (
            Column(name="run"),
            Column(name="at", right=True),
            Column(name="status", styled=True),
            Column(name="runbook", flex=True),
            Column(name="targets", flex=True),
            Column(name="step", flex=True, spare=True),
            Column(name="took", right=True, spare=True),
            Column(name="why", flex=True),
        ),
        [
            (
                short(each["id"]),
                at(each["at"]),
                each["status"],
                each["runbook"],
                ", ".join(bare(target) for target in each["targets"][:3]) + ("…" if len(each["targets"]) > 3 else ""),
                current(each),
                took(each),
                each.get("why"),
            )
            for each in found
        ],
    )
    more(len(found), limit)
    return Exit.DONE


def show(identity: str, /, *, json: bool = False) -> int:
    """One run: its steps and where it stands."""
    _, full, found = one("/runs", identity, "run")
    if json:
        as_json(found)
        return Exit.DONE
    wrapped(style(headline(found), "bold"))
    say()
    pairs(
        [
            ("run", short(full)),
            ("runbook", found["runbook"]),
            ("rule", found.get("rule")),
            ("targets", ", ".join(bare(target) for target in found["targets"])),
            ("decision", f"{short(found['decision'])}: wk explain {short(found['decision'])}"),
            ("incident", short(found.get("incident"))),
            ("by", found.get("actor")),
            ("change", found.get("change")),
            ("started", at(found["at"])),
            ("ended", at(found.get("ended_at"))),
            ("effects", found.get("effects")),
            ("left as", found.get("state")),
        ]
    )
    say()
    steps = found.get("steps") or []
    if not steps:
        say("No steps yet.")
        return Exit.DONE
    table(
        (
            Column(name="step", flex=True, spare=True),
            Column(name="does"),
            Column(name="status", styled=True),
            Column(name="tries", right=True),
            Column(name="took", right=True, spare=True),
            Column(name="result", flex=True),
        ),
        [
            (
                step["id"],
                step.get("do") or step.get("kind"),
                status_of(step, ended=not found.get("open", True)),
                step["attempts"] or "",
                took({"at": step.get("started_at"), "ended_at": step.get("ended_at")}),
                result(step),
            )
            for step in steps
        ],
    )
    for step in steps:
        if step["status"] == "in_doubt":
            say()
            wrapped(
                f"{mark('in_doubt')}: nobody knows whether step {safe(step['id'])} happened. Look at the target, then say so: "
                f"wk runs settle {short(full)} --step {safe(step['id'])} --happened yes|no --reason ...",
                "  ",
            )
    return Exit.DONE


def pause(identity: str, /, *, reason: str, json: bool = False) -> int:
    """Pause at the next safe point."""
    return _steer(identity, "pause", {"reason": reason}, "It pauses at its next safe point", json=json)


def resume(identity: str, /, *, reason: str, json: bool = False) -> int:
    """Go on where it paused."""
    return _steer(identity, "resume", {"reason": reason}, "It goes on", json=json)


def cancel(identity: str, /, *, reason: str, json: bool = False) -> int:
    """End it at the next safe point; its runbook says whether it is undone."""
    return _steer(identity, "cancel", {"reason": reason}, "It ends at its next safe point", json=json)


def settle(identity: str, /, *, step: str, happened: str, reason: str, json: bool = False) -> int:
    """Say what became of a step in doubt, after you looked at the target.

    Parameters
    ----------
    step
        The step in doubt, as 'wk runs show' names it.
    happened
        yes: the effect took place. no: it did not, and may be sent again.
    """
    if happened not in {"yes", "no"}:
        raise Ends(Exit.USAGE, f"--happened {happened}: say yes or no")
    body = {"step": step, "happened": happened == "yes", "reason": reason}
    return _steer(identity, "settle", body, "It goes on from what you said", json=json)


def close(identity: str, /, *, force: bool = False, reason: str = "", json: bool = False) -> int:
    """End a run whatever its state. What it sent stays as it is, and nobody verifies it.

    Parameters
    ----------
    force
        Must be given: the target is left as it is.
    """
    if not force or not reason.strip():
        raise Ends(
            Exit.USAGE,
            "closing leaves the target as it is: give --force and --reason; 'wk runs cancel' ends it at a safe point",
        )
    return _steer(
        identity, "close", {"reason": reason, "force": True}, "It is closed; the target stays as it was left", json=json
    )


def run(
    runbook: str,
    /,
    *,
    target: tuple[str, ...] = (),
    set: tuple[str, ...] = (),  # noqa: A002
    reason: str = "",
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Run a runbook yourself. Every guard is asked as for automation: excluded stays excluded, a freeze still asks.

    Parameters
    ----------
    runbook
        Its name (pack/name); or the id of a suggestion (dec_...), which is run as it was suggested.
    target
        An entity of the catalogue; give it again for more.
    set
        A parameter, name=value; give it again for more.
    reason
        Why, for the record.
    dry_run
        Say what would be decided; nothing is stored or sent.
    """
    if not reason.strip() and not dry_run:
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    if runbook.startswith("dec_"):
        return _accept(runbook, reason, changes=bool(target or set or dry_run), json=json)
    if not target:
        raise Ends(Exit.USAGE, "name at least one target: --target NAME; wk catalog lists them")
    body = {
        "runbook": runbook,
        "targets": list(target),
        "arguments": arguments(set),
        "reason": reason or "dry run",
        "dry_run": dry_run,
    }
    found = here().client().post("/runs", body)
    if json:
        as_json(found)
        return Exit.DONE if dry_run or _goes(found) else Exit.NO
    return _judged(found, dry_run=dry_run)


def _accept(suggestion: str, reason: str, *, changes: bool, json: bool) -> int:
    """What a rule suggested, exactly. Whoever wants something else runs the runbook itself."""
    if changes:
        raise Ends(Exit.USAGE, "a suggestion is run as it is: without --target, --set and --dry-run")
    client = here().client()
    full = whole(client, "/suggestions", suggestion, "suggestion")
    found = client.post(f"/decisions/{segment(full)}/accept", {"reason": reason})
    if json:
        as_json(found)
        return Exit.DONE if _goes(found) else Exit.NO
    return _judged(found, dry_run=False)


def arguments(given: tuple[str, ...]) -> dict[str, Any]:
    """`k=v` pairs. `true`, `false` and whole numbers are those, everything else is text; `k="5"` stays text."""
    found: dict[str, Any] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise Ends(Exit.USAGE, f"--set {pair}: write name=value")
        if name in found:
            raise Ends(Exit.USAGE, f"--set {name}: given twice")
        if value in {"true", "false"}:
            found[name] = value == "true"
        elif value.removeprefix("-").isascii() and value.removeprefix("-").isdigit():
            found[name] = int(value)
        elif len(value) >= 2 and value[0] == value[-1] == '"':
            found[name] = value[1:-1]
        else:
            found[name] = value
    return found


def _goes(found: dict[str, Any]) -> bool:
    return bool(found.get("run") or found.get("approval"))


def _judged(found: dict[str, Any], *, dry_run: bool) -> int:
    decision = found.get("decision") or {}
    if not isinstance(decision, dict):
        decision = {"id": decision}
    verdict = str(decision.get("verdict", ""))
    identity = str(decision.get("id", ""))
    if dry_run:
        wrapped(style(f"It would {_WOULD.get(verdict, verdict)}: {brief(decision.get('reason', ''))}", "bold"))
        findings("Not clear", [each for each in decision.get("findings", ()) if each["outcome"] != "pass"])
        if found.get("sentence"):
            wrapped(safe(found["sentence"]))
        return Exit.DONE
    run_id, approval = found.get("run"), found.get("approval")
    run_id = run_id.get("id") if isinstance(run_id, dict) else run_id
    approval = approval.get("id") if isinstance(approval, dict) else approval
    if run_id:
        wrapped(f"Started {short(run_id)}: wk runs show {short(run_id)}")
        return Exit.DONE
    if approval:
        wrapped(f"{mark('ask')}: {brief(decision.get('reason', ''))} Approval {short(approval)} waits: wk approvals")
        return Exit.DONE
    wrapped(
        f"Not started. {mark(verdict)}: {brief(decision.get('reason', ''))} wk explain {short(identity)} says what would change it."
    )
    return Exit.NO


_WOULD = {
    "act": "act",
    "ask": "ask first",
    "suggest": "suggest it",
    "observe": "only watch",
    "hold": "hold",
    "refuse": "refuse",
}


def _steer(text: str, verb: str, body: dict[str, Any], told: str, *, json: bool) -> int:
    if not str(body["reason"]).strip():
        raise Ends(Exit.USAGE, "say why, for the record: --reason '...'")
    client, identity, _ = one("/runs", text, "run")
    done = client.post(f"/runs/{segment(identity)}/{verb}", body)
    if json:
        as_json(done)
        return Exit.DONE
    wrapped(f"{told}: wk runs show {short(identity)}")
    return Exit.DONE


# -- words of a run --------------------------------------------------------------------------------


def headline(found: dict[str, Any]) -> str:
    """Where is it, and is it healthy?"""
    status = str(found["status"])
    why = f" {safe(found['why'])}" if found.get("why") else ""
    name = str(found["runbook"]).rpartition("/")[2]
    on = bare(found["targets"][0]) if len(found["targets"]) == 1 else count(len(found["targets"]), "target")
    return f"{mark(status)}: {safe(name)} on {on}.{why}"


def status_of(step: dict[str, Any], *, ended: bool) -> str:
    """A step's status; one that was never due is not waiting for anybody."""
    if step["status"] != "pending":
        return str(step["status"])
    return "not reached" if ended else "to come"


def current(found: dict[str, Any]) -> str:
    """The step it is at, while it is open."""
    if not found.get("open", True):
        return ""
    for step in found.get("steps") or []:
        if step["status"] in {"intended", "due", "in_doubt"}:
            return str(step["id"])
    return ""


def took(found: dict[str, Any]) -> str:
    began, ended = moment(found.get("at")), moment(found.get("ended_at"))
    if began is None or ended is None:
        return ""
    milliseconds = int((ended - began).total_seconds() * 1000)
    return f"{milliseconds / 1000:.1f} s" if milliseconds < 10_000 else span(milliseconds)


def result(step: dict[str, Any]) -> str:
    if step.get("why"):
        return str(step["why"])
    if step.get("error"):
        return str(step["error"])
    output = step.get("output")
    if isinstance(output, dict):
        return ", ".join(f"{name} {value}" for name, value in output.items() if not isinstance(value, dict | list))[
            :OUTPUT_CHARS_SHOWN
        ]
    return str(output or "")[:OUTPUT_CHARS_SHOWN]
