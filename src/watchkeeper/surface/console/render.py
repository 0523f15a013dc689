"""Rendering: one environment of templates, with what every page needs. Everything that is not markup of ours is escaped."""

from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from watchkeeper.surface.console import instants, words
from watchkeeper.surface.console.draw import symptom
from watchkeeper.values import instant, rfc3339

TEMPLATES: Final = Path(__file__).parent / "templates"


@lru_cache(maxsize=1)
def environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "said": said,
        "told": told,
        "at": at,
        "both": both,
        "ago": ago,
        "minute": minute,
        "ref": lambda ref: said(words.short_ref(ref)),
        "id": short,
        "span": words.span,
        "plural": words.plural,
        "titled": lambda name: said(words.titled(str(name)), 60),
        "initials": words.initials,
        "targets": lambda targets: said(words.listed(targets)),
        "percent": percent,
        "bytes": size,
    }
    found.globals |= {
        "span_between": words.since,
        "ladder": ladder,
        "icon": icon,
        "PAST": words.PAST,
        "PRESENT": words.PRESENT,
        "VERDICT_ICON": words.VERDICT_ICON,
        "RUN": words.RUN,
        "STEP": words.STEP,
        "HEALTH": words.HEALTH,
        "STATE": words.STATE,
        "STAGE": words.STAGE,
        "spark": symptom.spark,
        "verb_of": words.verb_of,
        "is_person": words.is_person,
    }
    return found


def render(template: str, **context: Any) -> str:
    return environment().get_template(template).render(**context)


def icon(name: str, kind: str = "i") -> Markup:
    """`kind`: `i` for 16 px, `i i13` inside badges, `i i20` alone."""
    return Markup('<svg class="{}" aria-hidden="true"><use href="/static/sprite.svg#{}"/></svg>').format(kind, name)


def said(text: Any, most: int = words.TEXT_CHARS_MAX) -> Markup:
    """A text from outside: isolated, its hidden characters drawn, clipped."""
    return Markup("<bdi>{}</bdi>").format(_plain(str(text), most))


def _plain(text: str, most: int = words.TEXT_CHARS_MAX) -> Markup:
    return Markup("").join(
        Markup('<span class="mark">{}</span>').format(shown) if hidden else escape(shown)
        for hidden, shown in words.pieces(text, most)
    )


@pass_context
def told(context: Context, text: Any, most: int = words.TEXT_CHARS_MAX, of: Any = (), at: str = "") -> Markup:
    """A sentence of ours. Times in it that `of` (the record it belongs to, or several) or what is in force now vouches for
    are said in the viewer's zone, with UTC beside. `at`: when it was written, where the record does not say.
    """
    line = words.tidy(str(text))
    if not of or "UTC" not in line:  # without a record nobody vouches: what a signal says is no time of ours
        return said(line, most)
    records = list(of) if isinstance(of, list | tuple) else [of]
    said_at = instants.written_at({"at": at}) or next(filter(None, map(instants.written_at, records)), None)
    status = context.get("status") or {}
    in_force = [status.get(kind) for kind in ("stops", "holds", "freezes")]
    inner = Markup("").join(
        _moment(context, part) if isinstance(part, datetime) else _plain(part, most)
        for part in instants.cut(line[:most], said_at, instants.known(*records, *in_force))
    )
    if len(line) > most:
        inner += Markup('<span class="mark">… {} more characters</span>').format(len(line) - most)
    return Markup("<bdi>{}</bdi>").format(inner)


def _moment(context: Context, moment: datetime) -> Markup:
    text = rfc3339(moment)
    here, utc = instants.spoken(moment, instant(context["now"]), context["zone"])
    beside = Markup(' <small class="utc-in">({})</small>').format(utc) if utc else Markup("")
    return Markup('<time datetime="{}" title="{}">{}</time>{}').format(text, words.utc(text), here, beside)


@pass_context
def at(context: Context, text: str | None, form: str = "") -> Markup:
    """An instant in the viewer's zone with UTC beside it; a dash in words where there is none."""
    if not text:
        return Markup('<span class="quiet">not yet</span>') if form == "yet" else Markup('<span class="quiet">—</span>')
    zone: ZoneInfo = context["zone"]
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        text, words.utc(text), words.clock(text, context["now"], zone)
    )


@pass_context
def both(context: Context, text: str) -> Markup:
    """An instant in the viewer's zone, and in UTC where that is not the same."""
    zone: ZoneInfo = context["zone"]
    here = words.clock(text, context["now"], zone)
    beside = "" if zone.key == "UTC" else words.beside(text, zone)
    utc = Markup(' <small class="utc">({})</small>').format(beside) if beside else Markup("")
    return Markup('<time datetime="{}" title="{}">{}</time>{}').format(text, words.utc(text), here, utc)


@pass_context
def minute(context: Context, text: str) -> Markup:
    """An instant to the minute, in the viewer's zone."""
    here, _ = instants.spoken(instant(text).replace(second=0, microsecond=0), instant(context["now"]), context["zone"])
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, words.utc(text), here)


@pass_context
def ago(context: Context, text: str | None) -> Markup:
    if not text:
        return Markup('<span class="quiet">never</span>')
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        text, words.utc(text), words.since(text, context["now"])
    )


RUNGS: Final = ("observe", "suggest", "approve", "auto")


def ladder(now: str, lost: str = "") -> Markup:
    """Four rungs: reached, present, lost."""
    at = RUNGS.index(now) if now in RUNGS else -1
    parts = [
        Markup('<span class="{}">{}</span>').format(
            "now" if place == at else "lost" if name == lost else "r" if place < at else "", name.capitalize()
        )
        for place, name in enumerate(RUNGS)
    ]
    return Markup('<span class="ladder" role="img" aria-label="stands at {}">{}</span>').format(
        now, Markup("").join(parts)
    )


def short(identity: str) -> Markup:
    return Markup('<code class="id" title="{}">{}</code>').format(identity, words.short_id(identity))


def percent(ppm: int | None, digits: int = 2) -> str:
    """Parts per million as per cent; what is not measured is said, never zero."""
    return "not measured" if ppm is None else f"{ppm / 10_000:.{digits}f} %"


def size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


@lru_cache(maxsize=64)
def zone_of(name: str) -> ZoneInfo:
    """The viewer's zone by its IANA name; UTC for anything else."""
    try:
        return ZoneInfo(name) if name and len(name) < 64 else ZoneInfo("UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")
