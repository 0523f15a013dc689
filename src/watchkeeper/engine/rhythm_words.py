"""What is said of a rule that was called for unusually often, or unusually seldom."""

from shlex import quote
from zoneinfo import ZoneInfo

from watchkeeper.learn.rhythm import Kind, Span, Unusual
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import Severity, id_from


def span_text(span: Span) -> str:
    """Of the window that is under way, as the end of a sentence: `in this hour`."""
    match span:
        case Span.HOUR:
            return "in this hour"
        case Span.DAY:
            return "today"
        case Span.WEEK:
            return "this week"


def when_text(found: Unusual, zone: str) -> str:
    """`on Tuesday 24 November`, on the wall of the zone that the node compares by."""
    at = found.from_at.astimezone(ZoneInfo(zone))
    day = f"{at:%A} {at.day} {at:%B}"
    match found.span:
        case Span.HOUR:
            return f"from {at:%H:%M} to {found.until_at.astimezone(ZoneInfo(zone)):%H:%M} ({zone}) on {day}"
        case Span.DAY:
            return f"on {day} ({zone})"
        case Span.WEEK:
            return f"in the week of {day} ({zone})"


def mean_text(mean_milli: int) -> str:
    return f"{mean_milli / 1000:.1f}"


def why_of(found: Unusual, service: str, zone: str) -> str:
    """One sentence, to stand in a notice, a demotion and a finding."""
    times = "once" if found.calls == 1 else f"{found.calls:,} times"
    calls = f"called for {times}" if found.calls else "never called for"
    bound = f"more than {found.bound:,}" if found.kind is Kind.SURGE else f"{found.bound:,} or fewer"
    return (
        f"It was {calls} on {service} {when_text(found, zone)}; usual are {mean_text(found.mean_milli)} then, "
        f"by {found.weeks} weeks, and {bound} are unusual"
    )


def of_unusual(found: Unusual, why: str) -> Notice:
    return Notice(
        id=id_from("ntc", found.at, found.id, "unusual"),
        at=found.at,
        kind=NoticeKind.ANOMALY,
        subject=f"{found.rule} is called for unusually {'often' if found.kind is Kind.SURGE else 'seldom'}",
        text=f"{why}. {next_step(found)}",
        severity=Severity.WARNING,
        team=found.owner,
        service=found.service,
        ids={"unusual": found.id},
        commands=(f"wk anomalies --rule {quote(found.rule)}", "wk sources"),
    )


def next_step(found: Unusual) -> str:
    if found.kind is Kind.SURGE:
        return "Look at what it repairs: something under it keeps breaking, or its alert fires for nothing."
    return "Look whether its alert still reaches this node: a source may be silent, or a label may have changed."
