"""Every pair of colours that carries text or an edge keeps its contrast, in both themes. Source: WCAG 2.2, 1.4.3 and 1.4.11."""

import re
from pathlib import Path

import pytest

from watchkeeper.surface.console.app import STATIC

CSS = Path(STATIC / "console.css").read_text()
TEXT = [
    *[(ink, ground) for ink in ("ink", "ink-2", "ink-3") for ground in ("bg", "surface", "inset", "hover")],
    *[(name, ground) for name in ("accent", "bad", "warn", "ok") for ground in ("surface", "bg", "{}-tint")],
    ("on-accent", "accent-fill"),
    ("on-bad", "bad-fill"),
    ("on-refuse", "refuse"),
    ("on-invert", "invert"),
    ("ink-2", "warn-tint"),
    ("ink-2", "ok-tint"),
    ("ink-2", "bad-tint"),
    ("ink-3", "accent-tint"),
    ("ink-3", "warn-tint"),
]
EDGES = [("control", "surface"), ("accent-fill", "surface"), ("accent", "bg"), ("accent", "surface")]


def themes():
    found = {}
    for selector, body in re.findall(r"(:root|\[data-theme=dark\]|:root:not\(\[data-theme\]\))\{([^}]*)\}", CSS):
        found[selector] = dict(re.findall(r"--([\w-]+):(#[0-9A-F]{6})", body))
    return found


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_two_dark_blocks_are_the_same_and_both_themes_have_every_token():
    found = themes()
    assert found["[data-theme=dark]"] == found[":root:not([data-theme])"]
    assert set(found[":root"]) == set(found["[data-theme=dark]"])


@pytest.mark.parametrize("theme", [":root", "[data-theme=dark]"])
@pytest.mark.parametrize(("pair", "least"), [*[(one, 4.5) for one in TEXT], *[(one, 3.0) for one in EDGES]])
def test_a_pair_keeps_its_contrast(theme, pair, least):
    tokens = themes()[theme]
    one, other = pair[0], pair[1].format(pair[0])
    assert contrast(tokens[one], tokens[other]) >= least, f"{one} on {other} in {theme}"


def test_every_icon_that_a_page_names_is_in_the_sprite():
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "sprite.svg").read_text()))
    console = STATIC.parent
    named = set()
    for path in [*console.rglob("*.html"), *console.rglob("*.py"), STATIC / "console.js"]:
        named |= set(re.findall(r'icon\("([\w-]+)"', path.read_text()))
    from watchkeeper.surface.console import words
    from watchkeeper.surface.console.draw.graph import LOOK
    from watchkeeper.surface.console.pages.palette import PLACES

    named |= {found[1] for table in (words.RUN, words.STEP, words.HEALTH, words.STATE) for found in table.values()}
    named |= {*words.VERDICT_ICON.values(), *[found[2] for found in LOOK.values()], *[found[2] for found in PLACES]}
    assert named - sprite == set()


def test_nothing_is_fetched_from_elsewhere():
    for path in STATIC.parent.rglob("*.html"):
        assert not re.search(r'(?:src|href)="(?:https?:)?//', path.read_text()), path.name
    assert "@import" not in CSS
    assert not re.search(r"url\((?!/static/)", CSS)
