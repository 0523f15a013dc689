"""The annotations under `watchkeeper.dev/`: read once, typed, checked against each other.

Any other name under the prefix is a key of the writer's own for `target.by` (`watchkeeper.dev/instance`).
"""

import difflib
import re
from typing import Any, Final

from watchkeeper.catalog.entity import ATTR, PREFIX, Automation, Honour, Reach, Redundancy
from watchkeeper.catalog.reach import SECRETS, lacking, reference_of
from watchkeeper.documents import Fields, percent_ppm, suggestion

LIST_ITEMS_MAX: Final = 64
REDUNDANCY_MEMBERS_MAX: Final = 64
VALUE_CHARS_MAX: Final = 256

FIXED: Final = (
    "environment",
    "region",
    "tier",
    "sla",
    "automation",
    "reach",
    "alias",
    "address",
    "honours",
    "status-probe",
    "redundancy",
    "active-in",
)
KNOWN: Final = (*FIXED, "instance")
MISSPELT_RATIO_MIN: Final = 0.8  # so near to a known name that it was probably meant

# What a condition sees of a target beside its attributes; an attribute may not stand in front of one.
TARGET_WORDS: Final = frozenset(
    (
        *("ref", "kind", "name", "namespace", "type", "lifecycle", "owner", "system", "env", "environment", "region"),
        *("tier", "service", "zone", "production", "reach", "automation"),
    )
)

_WORD: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_REDUNDANCY: Final = re.compile(r"([0-9]{1,3}) of ([0-9]{1,3})", re.ASCII)


def read_annotations(metadata: Fields) -> dict[str, Any]:
    """The annotation fields of an Entity, by field name. Problems go to the reader's list; bad ones are left out."""
    reader = _Annotations(metadata)
    found: dict[str, Any] = {
        "keys": reader.ours,
        "environment": reader.word("environment"),
        "region": reader.word("region"),
        "tier": reader.word("tier"),
        "sla_ppm": reader.sla(),
        "automation": reader.choice("automation", Automation) or Automation.REALTIME,
        "reach": reader.choice("reach", Reach),
        "aliases": reader.listed("alias"),
        "attrs": reader.attrs(),
        "honours": reader.honours(),
        "status_probe": reader.word("status-probe"),
        "redundancy": reader.redundancy(),
        "active_in": reader.word("active-in"),
    }
    found["address"] = reader.address(found["attrs"])
    reader.agree(found["reach"], found["address"], found["attrs"])
    reader.misspelt()
    return found


class _Annotations:
    def __init__(self, metadata: Fields) -> None:
        self.metadata = metadata
        labels = metadata.labels("annotations")
        self.ours = {key: text for key, text in labels.items() if key.startswith(PREFIX)}
        self.fields = metadata.child("annotations")

    def wrong(self, name: str, message: str, expected: str = "") -> None:
        if self.fields is not None:
            self.fields.wrong(PREFIX + name, message, expected=expected)

    def warn(self, name: str, message: str) -> None:
        if self.fields is not None:
            self.fields.warn(PREFIX + name, message)

    def text(self, name: str) -> str:
        return self.ours.get(PREFIX + name, "").strip()

    def word(self, name: str) -> str:
        text = self.text(name)
        if text and not _WORD.fullmatch(text):
            self.wrong(name, f"expected a name of letters, digits, '-', '_' and '.', got {text!r}")
            return ""
        return text

    def choice(self, name: str, words: Any) -> Any:
        text = self.text(name)
        known = [word.value for word in words]
        if text and text not in known:
            self.wrong(name, f"expected one of {', '.join(known)}, got {text!r}{suggestion(text, known)}")
            return None
        return words(text) if text else None

    def sla(self) -> int | None:
        text = self.text("sla")
        if not text:
            return None
        try:
            ppm = percent_ppm(text)
        except ValueError as wrong:
            self.wrong("sla", f"expected a percentage such as 99.9%: {wrong}")
            return None
        if ppm == 0:
            self.wrong("sla", "expected more than 0%: leave the annotation out when nothing is promised")
            return None
        return ppm

    def listed(self, name: str) -> tuple[str, ...]:
        """A comma list without blanks or repetition, in the order written."""
        items = tuple(dict.fromkeys(item.strip() for item in self.text(name).split(",") if item.strip()))
        if len(items) > LIST_ITEMS_MAX or any(len(item) > VALUE_CHARS_MAX for item in items):
            self.wrong(name, f"expected at most {LIST_ITEMS_MAX} values of at most {VALUE_CHARS_MAX} characters")
            return ()
        return items

    def honours(self) -> tuple[Honour, ...]:
        known = [honour.value for honour in Honour]
        for text in (items := self.listed("honours")):
            if text not in known:
                self.wrong("honours", f"expected {' or '.join(known)}, got {text!r}{suggestion(text, known)}")
        return tuple(honour for honour in Honour if honour.value in items)

    def attrs(self) -> dict[str, str]:
        found = {}
        for key, text in self.ours.items():
            name = key.removeprefix(PREFIX)
            if not name.startswith(ATTR):
                continue
            attribute = name.removeprefix(ATTR)
            if not _ATTRIBUTE.fullmatch(attribute):
                self.wrong(name, "an attribute's name is of letters, digits and '_', as in target.admin_url")
            elif attribute in TARGET_WORDS:
                self.wrong(name, f"target.{attribute} already has a meaning: choose another name for the attribute")
            else:
                found[attribute] = text
        return found

    def address(self, attrs: dict[str, str]) -> tuple[str, ...]:
        items = tuple(item.removeprefix(ATTR) for item in self.listed("address"))
        for item in items:
            if not attrs.get(item):
                has = ", ".join(sorted(attrs)) or "none"
                self.wrong(
                    "address",
                    f"names the attribute {item!r}, which this entity does not have: its attributes are {has}",
                )
        return tuple(item for item in items if attrs.get(item))

    def redundancy(self) -> Redundancy | None:
        text = self.text("redundancy")
        if not text:
            return None
        found = _REDUNDANCY.fullmatch(text)
        needed, members = (int(found[1]), int(found[2])) if found else (0, 0)
        if not 1 <= needed <= members <= REDUNDANCY_MEMBERS_MAX:
            self.wrong(
                "redundancy", f"expected for example '1 of 3', at most {REDUNDANCY_MEMBERS_MAX} members, got {text!r}"
            )
            return None
        return Redundancy(needed=needed, members=members)

    def agree(self, reach: Reach | None, address: tuple[str, ...], attrs: dict[str, str]) -> None:
        """What one annotation promises, another must make possible."""
        if reach in {Reach.SSH, Reach.API} and not address:
            self.wrong(
                "reach",
                f"{reach} needs an address to dial: add {PREFIX}{ATTR}host and {PREFIX}address: host",
            )
        missing = lacking(reach or "", attrs, address)
        if missing is not None and (address or reach is not Reach.SSH):
            name = "address" if missing.attribute in {"host", "kube_server"} else ATTR + missing.attribute
            told = name if PREFIX + name in self.ours else "reach"
            self.warn(told, f"{reach} does not reach it: {missing.why}")
        for kept in SECRETS:
            text = attrs.get(kept, "")
            if text and reference_of(text) is None and not (kept == "kube_ca" and "-BEGIN CERTIFICATE-" in text):
                self.wrong(
                    ATTR + kept,
                    "names where the credential is kept, and never holds it: such as secret:ssh-key (put there by "
                    "'wk secret put ssh-key') or env:SSH_KEY",
                )

    def misspelt(self) -> None:
        for key in self.ours:
            name = key.removeprefix(PREFIX)
            if name in KNOWN or name.startswith(ATTR):
                continue
            near = difflib.get_close_matches(name.split(".")[0], (*KNOWN, "attr"), n=1, cutoff=MISSPELT_RATIO_MIN)
            if near:
                self.warn(name, f"this name has no meaning of its own: did you mean {PREFIX}{near[0]}?")
