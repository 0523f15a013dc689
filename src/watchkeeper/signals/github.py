"""GitHub's webhooks: deployments, their states, releases and workflow runs become changes; everything else is passed over.

In: a `Delivery` with the header `x-github-event`. Out: `Parsed`.
Source: https://docs.github.com/webhooks/webhook-events-and-payloads
"""

from typing import Any, Final

import msgspec

from watchkeeper.errors import Malformed
from watchkeeper.signals.plain import instant_from
from watchkeeper.signals.said import Change, Stage
from watchkeeper.signals.signal import Delivery, Parsed, Source
from watchkeeper.signals.statement import dead_letter
from watchkeeper.values import id_from

TEXT_CHARS_MAX: Final = 300
UNDER_WAY: Final = frozenset({"in_progress", "queued", "pending", "waiting"})
OVER: Final = frozenset({"success", "failure", "error", "inactive"})
KNOWN: Final = frozenset({"deployment", "deployment_status", "release", "workflow_run"})


def parse_github(delivery: Delivery, source: Source) -> Parsed:
    """Raises Malformed when the body is no JSON object; a field that is missing makes a dead letter."""
    event = delivery.headers.get("x-github-event", "")
    try:
        body: Any = msgspec.json.decode(delivery.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise Malformed("", f"the body is not JSON: {wrong}") from wrong
    if not isinstance(body, dict):
        raise Malformed("", "the body is no object")
    if not event:
        return Parsed(
            signals=(), dead=(dead_letter(delivery, "x-github-event", "the header is missing", delivery.body),)
        )
    if event not in KNOWN:
        return Parsed(signals=())
    try:
        found = _change(event, body, delivery, source)
    except Malformed as wrong:
        return Parsed(signals=(), dead=(dead_letter(delivery, wrong.path, wrong.why, delivery.body),))
    return Parsed(signals=(), changes=(found,) if found is not None else ())


def _change(event: str, body: dict[str, Any], delivery: Delivery, source: Source) -> Change | None:
    repository = _text(body, "repository.full_name", required=True)
    by = _text(body, "sender.login")
    match event:
        case "deployment":
            if _text(body, "action") != "created":
                return None
            return _deploy(body, delivery, source, repository, by, Stage.STARTED, "", "deployment.created_at")
        case "deployment_status":
            state = _text(body, "deployment_status.state", required=True)
            if state not in UNDER_WAY | OVER:
                raise Malformed("deployment_status.state", f"{state[:40]!r} is no state that is known")
            stage = Stage.ENDED if state in OVER else Stage.STARTED
            outcome = state if stage is Stage.ENDED else ""
            return _deploy(body, delivery, source, repository, by, stage, outcome, "deployment_status.created_at")
        case "release":
            if _text(body, "action") != "published":
                return None
            at = instant_from(_at(body, "release.published_at"), "release.published_at")
            tag = _text(body, "release.tag_name", required=True)
            return Change(
                id=id_from("chg", at, source.name, repository, "release", tag),
                source=source.name,
                kind="release",
                stage=Stage.TOLD,
                subject=repository,
                at=at,
                received_at=delivery.received_at,
                outcome="published",
                title=f"release {tag}",
                url=_text(body, "release.html_url"),
                by=by,
            )
        case _:
            return _workflow(body, delivery, source, repository, by)


def _deploy(
    body: dict[str, Any],
    delivery: Delivery,
    source: Source,
    repository: str,
    by: str,
    stage: Stage,
    outcome: str,
    when: str,
) -> Change:
    number = _number(body, "deployment.id")
    made_at = instant_from(_at(body, "deployment.created_at"), "deployment.created_at")
    environment = _text(body, "deployment.environment")
    ref = _text(body, "deployment.ref")
    return Change(
        id=id_from("chg", made_at, source.name, repository, "deployment", number),
        source=source.name,
        kind="deploy",
        stage=stage,
        subject=repository,
        at=instant_from(_at(body, when), when),
        received_at=delivery.received_at,
        outcome=outcome,
        environment=environment,
        title=f"deploy {ref}".strip() + (f" to {environment}" if environment else ""),
        url=_text(body, "deployment_status.log_url") or _text(body, "deployment.url"),
        by=by,
    )


def _workflow(body: dict[str, Any], delivery: Delivery, source: Source, repository: str, by: str) -> Change | None:
    """Workflows build and test as well: which of them deploy is said in the source's settings, by their names."""
    action = _text(body, "action", required=True)
    name = _text(body, "workflow_run.name", required=True)
    if action not in {"requested", "in_progress", "completed"}:
        return None
    made_at = instant_from(_at(body, "workflow_run.created_at"), "workflow_run.created_at")
    over = action == "completed"
    when = "workflow_run.updated_at" if over else "workflow_run.created_at"
    return Change(
        id=id_from("chg", made_at, source.name, repository, "workflow", _number(body, "workflow_run.id")),
        source=source.name,
        kind="workflow",
        stage=Stage.ENDED if over else Stage.STARTED,
        subject=repository,
        at=instant_from(_at(body, when), when),
        received_at=delivery.received_at,
        outcome=_text(body, "workflow_run.conclusion") if over else "",
        title=name,
        url=_text(body, "workflow_run.html_url"),
        by=by,
    )


def _at(body: dict[str, Any], path: str) -> Any:
    found: Any = body
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _text(body: dict[str, Any], path: str, *, required: bool = False) -> str:
    found = _at(body, path)
    if isinstance(found, str) and (found or not required):
        return found[:TEXT_CHARS_MAX]
    if found is None and not required:
        return ""
    raise Malformed(path, "is missing" if found is None else "is no text")


def _number(body: dict[str, Any], path: str) -> str:
    found = _at(body, path)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    raise Malformed(path, "is missing" if found is None else "is no number")
