"""What pages say: sentences, short names, and how long ago. Pure; escaping is the template's work."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from watchkeeper.surface.console.instants import spoken
from watchkeeper.values import instant, ms_between

ID_TAIL: Final = 6
TEXT_CHARS_MAX: Final = 400  # of one text from outside on a page that lists many
HIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
TARGETS_SHOWN: Final = 3
REFERENCE: Final = re.compile(r"\b(?:component|resource|api|system|domain|group|user):[\w.-]+/([\w.-]+)", re.IGNORECASE)
IDENTITY: Final = re.compile(r"\b[a-z]{3}_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")

PAST: Final = {
    "act": "Acted",
    "ask": "Asked",
    "suggest": "Suggested",
    "observe": "Observed",
    "hold": "Held",
    "refuse": "Refused",
}
PRESENT: Final = {
    "act": "Act",
    "ask": "Ask",
    "suggest": "Suggest",
    "observe": "Observe",
    "hold": "Hold",
    "refuse": "Refuse",
}
VERDICT_ICON: Final = {
    "act": "play",
    "ask": "hand",
    "suggest": "lightbulb",
    "observe": "eye",
    "hold": "pause",
    "refuse": "ban",
}

# status -> (class, icon, word)
RUN: Final = {
    "waiting": ("waiting", "clock-3", "Waiting"),
    "queued": ("waiting", "clock-3", "Queued"),
    "running": ("running", "loader-circle", "Running"),
    "paused": ("waiting", "circle-pause", "Paused"),
    "in_doubt": ("doubt", "circle-dashed", "In doubt"),
    "succeeded": ("good", "circle-check", "Succeeded"),
    "failed": ("failing", "octagon-x", "Failed"),
    "undone": ("degraded", "undo-2", "Undone"),
    "undo_failed": ("failing", "octagon-x", "Undo failed"),
    "stopped": ("none", "octagon-pause", "Stopped"),
    "lapsed": ("none", "clock-3", "Lapsed"),
    "cancelled": ("none", "x", "Cancelled"),
    "closed": ("none", "x", "Closed"),
}
STEP: Final = {
    "pending": ("none", "clock-3", "Not yet"),
    "due": ("running", "loader-circle", "Due"),
    "intended": ("running", "loader-circle", "Under way"),
    "done": ("good", "check", "Done"),
    "failed": ("failing", "octagon-x", "Failed"),
    "in_doubt": ("doubt", "circle-dashed", "In doubt"),
    "skipped": ("none", "corner-down-left", "Skipped"),
    "undone": ("degraded", "undo-2", "Undone"),
}
HEALTH: Final = {
    "healthy": ("healthy", "circle-check", "healthy"),
    "degraded": ("degraded", "triangle-alert", "degraded"),
    "failing": ("failing", "octagon-x", "failing"),
    "unhealthy": ("failing", "octagon-x", "failing"),
    "unknown": ("unknown", "circle-question-mark", "unknown"),
}
STATE: Final = {
    "firing": ("failing", "octagon-x", "Firing"),
    "pending": ("waiting", "clock-3", "Pending"),
    "stale": ("unknown", "circle-question-mark", "Stale"),
    "resolved": ("good", "circle-check", "Resolved"),
    "suppressed": ("none", "circle-slash", "Suppressed"),
    "open": ("failing", "octagon-x", "Open"),
    "closed": ("none", "check", "Closed"),
}

# what is being done about an incident
STAGE: Final = {
    "in_doubt": ("doubt", "circle-dashed", "In doubt"),
    "repairing": ("running", "loader-circle", "Repairing"),
    "waiting": ("waiting", "hand", "Waits for a person"),
    "held": ("held", "pause", "Held"),
    "refused": ("refused", "ban", "Refused"),
    "suggested": ("running", "lightbulb", "Suggested"),
    "watched": ("none", "eye", "Only watched"),
    "alone": ("failing", "octagon-x", "No rule acts"),
    "mitigated": ("good", "circle-check", "Repaired"),
    "over": ("good", "circle-check", "Over"),
}


def short_ref(ref: str) -> str:
    """`component:default/mailer` -> `mailer`; what is no reference stays."""
    kind, colon, rest = ref.partition(":")
    return rest.rpartition("/")[2] if colon and rest and kind.isalpha() else ref


def tidy(text: str) -> str:
    """A sentence of ours with references as people say them, and ids short: `group:default/web` -> `web`."""
    return IDENTITY.sub(lambda found: short_id(found[0]), REFERENCE.sub(r"\1", text))


def short_id(identity: str) -> str:
    """`dec_01a2…-9fc07f` -> `dec_…9fc07f`."""
    prefix, under, rest = identity.partition("_")
    if not under:
        return f"…{identity[-ID_TAIL:]}" if len(identity) > 2 * ID_TAIL else identity
    return f"{prefix}_…{rest[-ID_TAIL:]}" if len(rest) > ID_TAIL else identity


def pieces(text: str, most: int = TEXT_CHARS_MAX) -> list[tuple[bool, str]]:
    """A text from outside, cut into what may be shown as it is (False) and what stands for a hidden character (True)."""
    found: list[tuple[bool, str]] = []
    for char in text[:most]:
        hidden = unicodedata.category(char) in HIDDEN and char not in "\n\t"
        shown = f"U+{ord(char):04X}" if hidden else char
        if found and found[-1][0] is hidden and not hidden:
            found[-1] = (False, found[-1][1] + shown)
        else:
            found.append((hidden, shown))
    if len(text) > most:
        found.append((True, f"… {len(text) - most} more characters"))
    return found


def span(ms: int) -> str:
    """m:ss under an hour, then hours and minutes, then days."""
    seconds = max(0, ms) // 1_000
    if seconds < 3_600:
        return f"{seconds // 60}:{seconds % 60:02}"
    if seconds < 172_800:
        return f"{seconds // 3_600} h {seconds % 3_600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3_600} h"


def per(every_ms: int) -> str:
    """How long one stretch of a plot is."""
    return {60_000: "a minute", 3_600_000: "an hour", 21_600_000: "6 hours", 86_400_000: "a day"}[every_ms]


def since(text: str, now: str) -> str:
    return span(ms_between(instant(text), instant(now)))


def clock(text: str, now: str, zone: ZoneInfo) -> str:
    """The time of day in the viewer's zone; with its date when that is another day."""
    at, today = instant(text).astimezone(zone), instant(now).astimezone(zone)
    if at.date() == today.date():
        return f"{at:%H:%M:%S}"
    return f"{at.day} {at:%b %H:%M}" if at.year == today.year else f"{at.day} {at:%b %Y}"


def beside(text: str, zone: ZoneInfo) -> str:
    """The same in UTC, with its day where that is another one."""
    at = instant(text)
    other = at.astimezone(zone).date() != at.date()
    return f"{at.day} {at:%b} {at:%H:%M} UTC" if other else f"{at:%H:%M} UTC"


def told_at(text: str, now: str, zone: ZoneInfo) -> str:
    """The same as plain text: `20:06 (19:06 UTC)`, with the day where it is another one."""
    here, beside_it = spoken(instant(text).replace(second=0, microsecond=0), instant(now), zone)
    return f"{here} ({beside_it})" if beside_it else here


def utc(text: str) -> str:
    at: datetime = instant(text)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def listed(targets: Sequence[Any]) -> str:
    """Names of targets, three at most."""
    names = [str(one["name"]) if isinstance(one, dict) else short_ref(str(one)) for one in targets]
    shown = ", ".join(names[:TARGETS_SHOWN])
    if len(names) > TARGETS_SHOWN:
        return f"{shown} and {len(names) - TARGETS_SHOWN} more"
    return joined(names) or "no target"


def verb_of(decision: Mapping[str, Any]) -> str:
    """What the feed says before the targets."""
    book = decision["runbook"].rpartition("/")[2] or decision["rule"]
    return {
        "act": f"Ran {book} on",
        "ask": f"Asked to run {book} on",
        "suggest": f"Suggested {book} on",
        "observe": f"Would have run {book} on" if decision["runbook"] else "Only watched",
        "hold": f"Held {book} on",
        "refuse": f"Refused {book} on",
    }[decision["verdict"]]


def titled(name: str) -> str:
    """A transaction as people say it: `card-payment` -> `Card payment`."""
    said = name.replace("-", " ").replace("_", " ")
    return said[:1].upper() + said[1:]


def joined(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""


def plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def initials(name: str) -> str:
    """`ana` -> `AN`, `mira okafor` -> `MO`, `local:root` -> `RO`."""
    parts = [part for part in name.rpartition(":")[2].replace(".", " ").replace("-", " ").split() if part]
    if len(parts) > 1:
        return (parts[0][0] + parts[-1][0]).upper()
    return parts[0][:2].upper() if parts else "?"


def is_person(actor: str) -> bool:
    return actor not in {"automation", "watchkeeper", ""} and not actor.startswith("source:")
