"""The console in a real Chromium, over a real node that watches the demo's fleet: a person approves, stops, and reads."""

import asyncio
import base64
import hashlib
import json
import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import async_playwright, expect

from watchkeeper.demo.desk import ANA, BEN, Desk
from watchkeeper.demo.fleet import Fleet
from watchkeeper.demo.home import write
from watchkeeper.demo.node import Node
from watchkeeper.demo.story import GROUPS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
    pytest.mark.timeout(300),
]
ARTEFACTS = Path(__file__).parents[2] / "test-artefacts" / "console"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
SIZES = {
    "desktop": {"width": 1440, "height": 900},
    "tablet": {"width": 900, "height": 1100},
    "phone": {"width": 390, "height": 844},
    "zoomed": {"width": 320, "height": 256},  # 1280 x 1024 at 400 %: WCAG 2.2, 1.4.10
}
# What a narrow screen cuts off: a table that scrolls sideways where it should fold. Drawings and what is folded shut may.
CUT = """[...document.querySelectorAll("main .scroll:not(.figure)")]
  .filter((one) => !one.closest("details") && one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent.trim().slice(0, 60))"""
SERIOUS = {"serious", "critical"}
WITHIN_MS = 30_000
PAYMENTS = "payments/instance-down"
HOSTILE = 'web"><img src=x onerror=window.owned=1><script>window.owned=1</script>\u202e' + "long " * 120


ABOVE_THE_BARS = """(() => { const on = document.activeElement, bar = document.querySelector(".pin") || document.querySelector(".tabs");
  return on === document.body || on.closest(".pin,.tabs,.top") !== null || on.getBoundingClientRect().top < bar.getBoundingClientRect().top - 8; })()"""


@asynccontextmanager
async def demo(folder: Path, seed: bytes = b"", away: int = 1):
    """Fleet, node and two people; the prober reports what breaks. `seed` is that of the ledger's key; `away` how many
    instances of a service the rule may take out of work at once.
    """
    async with Fleet() as fleet:
        write(folder, fleet)
        rule = folder / "packs" / "payments" / "rules" / "instance-down.yaml"
        text = rule.read_text().replace("{max: 1, of: service}", f"{{max: {away}, of: service}}")
        rule.write_text(text.replace("approve_within: 5m", "approve_within: 1h"))  # nothing lapses while pages are read
        if seed:
            (folder / ".watchkeeper").mkdir(mode=0o700)
            (folder / ".watchkeeper" / "ledger.key").write_text(f"watchkeeper/browser\n{seed.hex()}\n")
        async with Node(folder, fleet.environment()) as node:
            desk = Desk(node.url, folder)
            hook = await desk.enter(GROUPS)
            fleet.report_to(f"{node.url}/hooks/alertmanager", hook)
            yield fleet, node, desk


class Reader:
    """A person at a browser. What a page must never do is collected: errors, and requests that leave the node."""

    def __init__(self, page, url: str) -> None:
        self.page, self.url = page, url
        self.wrong: list[str] = []
        self.elsewhere: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self.wrong.append(f"{page.url}: {said.text}") if said.type == "error" else None)
        page.on("request", lambda asked: self._asked(asked.url))

    def _asked(self, url: str) -> None:
        if urlsplit(url).netloc != urlsplit(self.url).netloc:
            self.elsewhere.append(url)

    async def enter(self, token: str) -> None:
        await self.page.goto(f"{self.url}/sign-in#{token}")
        await self.page.wait_for_url(f"{self.url}/")
        assert token not in self.page.url

    async def see(self, path: str) -> None:
        await self.page.goto(self.url + path)


@asynccontextmanager
async def browser():
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield found
        finally:
            await found.close()


@asynccontextmanager
async def reader(chromium, url: str, size: str = "desktop", theme: str = "light", **more):
    context = await chromium.new_context(viewport=SIZES[size], color_scheme=theme, timezone_id="Europe/Berlin", **more)
    context.set_default_timeout(WITHIN_MS)
    try:
        yield Reader(await context.new_page(), url)
    finally:
        await context.close()


async def first(desk: Desk, what: str, **query: str) -> str:
    return (await desk.get(f"/{what}", limit="1", **query))["items"][0]["id"]


async def test_a_person_watches_approves_and_stops_from_the_page(tmp_path):
    async with demo(tmp_path / "home") as (fleet, node, desk), browser() as chromium:
        await desk.grant(PAYMENTS, "approve")
        async with reader(chromium, node.url) as ben:
            await ben.enter(desk.token(BEN))
            page = ben.page
            await expect(page.locator("h1")).to_have_text("Nothing is broken. Nothing waits for you.")
            await expect(page.locator(".live")).to_have_attribute("data-live", "on")

            # Something breaks. Nobody reloads: the page says what, and that a person is asked.
            await fleet.break_("payments-api-2", "hang")
            await expect(page.locator("h1")).to_contain_text("One approval waits for a person.", timeout=WITHIN_MS)
            await expect(page.locator("h1")).to_contain_text("Card payment is degraded.")
            await page.get_by_role("link", name="Review", exact=True).click()
            await expect(page.get_by_text("Bound to what you see.")).to_be_visible()
            await page.get_by_placeholder("Comment for the timeline").fill("the others serve")
            await page.get_by_role("button", name="Approve 1 instance").click()
            await expect(page.get_by_text("Your yes is recorded.")).to_be_visible()

            # The repair happens, and its page follows it to the verified end.
            run = await desk.until("a run", lambda: _any(desk, "runs"))
            await ben.see(f"/runs/{run}")
            await expect(page.locator(".answer .s.good")).to_have_text("Succeeded", timeout=WITHIN_MS)
            await expect(page.locator(".card .s.good", has_text="Healthy")).to_be_visible()
            assert await fleet.healthy("payments-api-2")

            # Stop from the page, by keyboard: the focus starts on the safe choice.
            await ben.see("/")
            await page.keyboard.press("Shift+S")
            await expect(page.get_by_role("link", name="Keep running")).to_be_focused()
            await page.get_by_label("Reason").fill("smoke in the room")
            await page.locator("dialog").get_by_role("button", name=re.compile("^Stop 0 runs and")).click()
            await expect(page.locator(".stopped")).to_contain_text("ben stopped everything")
            before = await fleet.effects("payments-api-3")
            await fleet.break_("payments-api-3", "sick")
            held = await desk.until("a decision under the stop", lambda: _withheld(desk))
            await ben.see(f"/decisions/{held}")
            await expect(page.locator("h1")).to_contain_text("stopped automation")
            assert await fleet.effects("payments-api-3") == before
            assert ben.wrong == []
            assert ben.elsewhere == []


async def test_a_card_that_grows_under_the_finger_is_not_replaced_and_is_answered_for_what_was_seen(tmp_path):
    async with (
        demo(tmp_path / "home", away=3) as (fleet, node, desk),
        browser() as chromium,
        reader(chromium, node.url) as ben,
    ):
        await desk.grant(PAYMENTS, "approve")
        for name in ("payments-api-1", "payments-api-2"):
            await fleet.break_(name, "crash")
        card = await desk.until("two requests on one card", lambda: _card(desk, 2))
        await ben.enter(desk.token(BEN))
        page = ben.page
        await ben.see("/approvals")
        await page.get_by_text("2 requests on one card").click()
        await page.get_by_role("textbox", name="Comment").fill("both at once")
        await page.get_by_role(
            "heading", name="What it does"
        ).click()  # the focus is elsewhere, the comment is not lost

        # A third joins: the page says so and stays as it was read.
        await fleet.break_("payments-api-3", "crash")
        await desk.until("three requests on one card", lambda: _card(desk, 3))
        await expect(page.get_by_role("button", name=re.compile("new: show$"))).to_be_visible()
        await expect(page.get_by_role("textbox", name="Comment")).to_have_value("both at once")
        await page.get_by_role("button", name="Approve 2 instances").click()
        await expect(page.locator("#moved")).to_contain_text("Changed since you looked.")
        await expect(page.locator("#moved")).to_contain_text("payments-api-3 joined")
        await expect(page.get_by_role("button", name="Approve 3 instances")).to_be_visible()
        assert page.url == f"{node.url}/cards/{card['id']}"
        assert (await desk.get("/runs"))["items"] == []
        await page.get_by_role("button", name="Approve the 2 that stand as you saw them").click()
        await expect(page.locator("h1")).to_have_text("Approved 2 of 2 requests shown")
        await expect(page.locator(".rows li", has_text="It was not shown, and waits.")).to_contain_text(
            "payments-api-3"
        )
        await desk.until("both to be repaired", lambda: _repaired(desk, 2))
        assert not await fleet.healthy("payments-api-3")
        assert [each for each in ben.wrong if "409" not in each] == []
        assert ben.elsewhere == []


async def test_now_says_what_it_costs_and_grows_under_no_finger(tmp_path):
    async with (
        demo(tmp_path / "home", away=3) as (fleet, node, desk),
        browser() as chromium,
        reader(chromium, node.url) as ben,
    ):
        await desk.grant(PAYMENTS, "approve")
        await desk.post("/freezes", {"scope": {"environment": "prod"}, "for": "2h", "reason": "month-end close"})
        await ben.enter(desk.token(BEN))
        page = ben.page
        await expect(page.locator(".live")).to_have_attribute("data-live", "on")
        await fleet.break_("payments-api-1", "crash")
        head = page.locator("h1")
        await expect(head).to_have_text("Card payment is degraded. One approval waits for a person.", timeout=WITHIN_MS)
        card, feed = page.locator(".wait"), page.locator("section", has=page.locator("#feed"))
        await expect(card).to_contain_text("restart-instance on payments-api-1")
        # The viewer is in Berlin: the sentence says that hour, and UTC beside it.
        await expect(card).to_contain_text(re.compile(r"until (\d+ \w+ )?\d\d:\d\d \((\d+ \w+ )?\d\d:\d\d UTC\)"))
        row = page.locator("li", has=page.locator("a[href^='/incidents/']"))
        await expect(row).to_contain_text("1 of 3 instances failing")
        await expect(row).to_contain_text("Card payment")
        await expect(feed.get_by_role("link", name=re.compile("^Asked [1-9]"))).to_be_visible()

        # While the pointer is on the card nothing grows; then it is one card of two requests.
        await card.hover()
        await fleet.break_("payments-api-2", "crash")
        await desk.until("two requests on one card", lambda: _card(desk, 2))
        await expect(page.get_by_role("button", name=re.compile("new: show$"))).to_be_visible()
        await expect(card.get_by_role("link", name="Review", exact=True)).to_be_visible()
        await page.mouse.move(5, 5)
        await desk.post("/holds", {"scope": {"entity": "component:default/mailer"}, "for": "1h", "reason": "its queue"})
        await expect(card.get_by_role("link", name="Review 2")).to_be_visible()
        await expect(card).to_have_count(1)
        await expect(feed.get_by_role("link", name=re.compile("^Asked [2-9]"))).to_be_visible()

        # Into the incident by keyboard; its timeline by whose part it is, with the state in the address.
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/incidents/*")
        await expect(page.locator(".overview svg").first).to_be_visible()
        await page.get_by_role("link", name=re.compile("^People")).click()
        await page.wait_for_url("**?who=people")
        await expect(page.locator(".tl")).to_contain_text("Nothing here yet")
        await desk.post(f"{urlsplit(page.url).path}/comment", {"comment": "looking at the pool"})
        await expect(page.locator(".tl")).to_contain_text("looking at the pool")
        await page.get_by_text("Show as table").click()
        await expect(page.locator(".overview table")).to_contain_text("1 alert at once")
        assert ben.wrong == []
        assert ben.elsewhere == []


async def _repaired(desk: Desk, count: int) -> bool:
    return len((await desk.get("/runs", status="succeeded"))["items"]) == count


async def _any(desk: Desk, what: str) -> str | None:
    found = (await desk.get(f"/{what}", limit="1"))["items"]
    return found[0]["id"] if found else None


async def _succeeded(desk: Desk) -> bool:
    found = (await desk.get("/runs", limit="1"))["items"]
    return bool(found) and found[0]["status"] == "succeeded"


async def _withheld(desk: Desk) -> str | None:
    for verdict in ("hold", "refuse"):
        for one in (await desk.get("/decisions", verdict=verdict))["items"]:
            if any(each["guard"] == "stop" and each["outcome"] != "pass" for each in one["findings"]):
                return one["id"]
    return None


async def told(desk: Desk, fleet: Fleet) -> None:
    """A night's worth of everything, small: a repair, a request that waits, a hold, hostile text, a dead letter."""
    await desk.grant(PAYMENTS, "auto")
    await fleet.break_("payments-api-1", "crash")
    await desk.until("the run to succeed", lambda: _succeeded(desk))
    await desk.post("/holds", {"scope": {"entity": "component:default/search"}, "for": "1h", "reason": HOSTILE[:280]})
    await desk.post("/freezes", {"scope": {"environment": "prod"}, "for": "2h", "reason": "sale"})
    incident = await first(desk, "incidents")
    await desk.post(f"/incidents/{incident}/comment", {"comment": HOSTILE})
    await desk.post("/scenarios/play", {})
    for name in ("payments-api-2", "payments-api-3"):
        await fleet.break_(name, "crash")  # in the freeze: both ask, on one card
    await desk.until("two requests on one card", lambda: _card(desk, 2))
    wrong = await first(desk, "decisions", verdict="act")
    await desk.post(f"/decisions/{wrong}/feedback", {"says": "false", "text": HOSTILE[:280]})


async def _card(desk: Desk, count: int) -> dict | None:
    return next((one for one in (await desk.get("/cards"))["items"] if one["count"] == count), None)


async def places(desk: Desk) -> dict[str, str]:
    decision, run = await first(desk, "decisions", verdict="act"), await first(desk, "runs")
    incident, alert = await first(desk, "incidents"), await first(desk, "alerts")
    card = await _card(desk, 2)
    assert card is not None
    return {
        "now": "/",
        "incidents": "/incidents",
        "incident": f"/incidents/{incident}",
        "incident-people": f"/incidents/{incident}?who=people",
        "trail": f"/incidents/{incident}/trail",
        "alerts": "/alerts",
        "alert": f"/alerts/{alert}",
        "decisions": "/decisions",
        "decision": f"/decisions/{decision}",
        "situation": f"/decisions/{decision}/situation",
        "replay": f"/decisions/{decision}/replay",
        "replay-test": f"/decisions/{decision}/test",
        "approvals": "/approvals",
        "approvals-all": "/approvals?state=all",
        "card": f"/cards/{card['id']}",
        "approval": f"/approvals/{next(iter(card['shown']))}",
        "runs": "/runs",
        "run": f"/runs/{run}",
        "services": "/services",
        "graph": "/services?focus=component:default/config-store&hops=2",
        "graph-list": "/services?focus=component:default/payments-api&paint=owners&show=list",
        "services-list": "/services?view=list",
        "rules": "/rules",
        "rule": f"/rules/{PAYMENTS}",
        "runbook": "/runbooks/payments/restart-instance",
        "scenarios": "/scenarios",
        "limits": "/limits",
        "calendar": "/limits/calendar",
        "reviews": "/reviews",
        "ledger": "/ledger",
        "entry": "/ledger/3",
        "dead-letters": "/dead-letters",
        "sources": "/sources",
        "metrics": "/measures",
        "settings": "/settings",
        "stop": "/stop",
        "more": "/more",
    }


async def test_on_a_phone_only_the_answers_are_pinned_and_what_they_need_is_asked_in_a_sheet(tmp_path):
    async with demo(tmp_path / "home", away=3) as (fleet, node, desk), browser() as chromium:
        await desk.grant(PAYMENTS, "approve")
        for name in ("payments-api-1", "payments-api-2"):
            await fleet.break_(name, "crash")
        card = await desk.until("two requests on one card", lambda: _card(desk, 2))
        async with reader(chromium, node.url, "phone", has_touch=True) as ben:
            await ben.enter(desk.token(BEN))
            page, sheet = ben.page, ben.page.locator("dialog[open]")
            await ben.see(f"/cards/{card['id']}")
            pinned = await page.locator(".pin").bounding_box()
            assert pinned["height"] < SIZES["phone"]["height"] / 8
            await expect(page.locator("#comment")).to_be_hidden()

            # What has the focus is never under the bars at the foot (WCAG 2.2, 2.4.11).
            for _ in range(30):
                await page.keyboard.press("Tab")
                assert await page.evaluate(ABOVE_THE_BARS), await page.evaluate("document.activeElement.outerHTML")

            # A yes is confirmed; the safe choice has the focus, Tab stays within, and Escape leads back to where it began.
            await page.get_by_role("button", name="Approve 2").tap()
            await expect(sheet.get_by_role("heading")).to_have_text("Approve 2 instances?")
            await expect(sheet.get_by_role("button", name="Not yet")).to_be_focused()
            for _ in range(8):
                await page.keyboard.press("Tab")
                assert await page.evaluate(
                    "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
                )
            await sheet.get_by_label("Comment").fill("the third one serves")
            await page.keyboard.press("Escape")
            await expect(sheet).to_have_count(0)
            await expect(page.get_by_role("button", name="Approve 2")).to_be_focused()

            # A no asks why first, and nothing that was typed is lost.
            await page.get_by_role("button", name="Reject 2").tap()
            await expect(sheet.get_by_label("Comment")).to_be_focused()
            await expect(sheet.get_by_label("Comment")).to_have_value("the third one serves")
            await sheet.get_by_label("Comment").fill("")
            await sheet.get_by_role("button", name="Reject 2").tap()
            await expect(sheet).to_have_count(1)
            await sheet.get_by_role("button", name="Not yet").tap()

            await page.get_by_role("button", name="Approve 2").tap()
            await sheet.get_by_label("Comment").fill("both")
            await sheet.get_by_role("button", name="Approve 2").tap()
            await expect(page.get_by_text("Approved 2 requests.")).to_be_visible()
            assert ben.wrong == []
        answered = await desk.get("/approvals", state="approved")
        assert {answer["comment"] for one in answered["items"] for answer in one["answers"]} == {"both"}


@pytest.mark.timeout(900)
async def test_every_page_is_sound_in_both_themes_and_all_sizes(tmp_path):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    axe = Path(AXE_FILE_PATH).read_text()
    faults: list[str] = []
    async with demo(tmp_path / "home", away=3) as (fleet, node, desk), browser() as chromium:
        await told(desk, fleet)
        pages = await places(desk)
        for size, theme in (
            ("desktop", "light"),
            ("desktop", "dark"),
            ("tablet", "light"),
            ("phone", "light"),
            ("phone", "dark"),
            ("zoomed", "light"),
        ):
            async with reader(chromium, node.url, size, theme, bypass_csp=False) as ana:
                await ana.enter(desk.token(ANA))
                for name, path in pages.items():
                    await ana.see(path)
                    if size in {"phone", "zoomed"}:
                        faults += [f"{name} {size}: cut off: {cut}" for cut in await ana.page.evaluate(CUT)]
                    if size not in {"tablet", "zoomed"}:
                        await ana.page.screenshot(path=ARTEFACTS / f"{name}-{theme}-{size}.png", full_page=True)
                    if await ana.page.evaluate(
                        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                    ):
                        faults.append(f"{name} {theme} {size}: scrolls sideways")
                    assert await ana.page.evaluate("window.owned") is None
                    if (size, theme) in {("desktop", "light"), ("phone", "dark")}:
                        await ana.page.evaluate(axe)
                        found = await ana.page.evaluate(
                            "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})"
                        )
                        faults += [
                            f"{name} {theme} {size}: {one['id']}: {one['nodes'][0]['html'][:160]}"
                            for one in found["violations"]
                            if one["impact"] in SERIOUS
                        ]
                assert ana.elsewhere == []
                assert ana.wrong == []
    assert faults == [], "\n".join(faults)


async def test_without_scripts_every_page_reads_and_forms_work(tmp_path):
    async with demo(tmp_path / "home", away=3) as (fleet, node, desk), browser() as chromium:
        await told(desk, fleet)
        pages = await places(desk)
        async with reader(chromium, node.url, java_script_enabled=False) as ana:
            await ana.see("/sign-in")
            await ana.page.get_by_label("Token").fill(desk.token(ANA))
            await ana.page.get_by_role("button", name="Sign in").click()
            for name, path in pages.items():
                await ana.see(path)
                assert await ana.page.locator("h1").count() == 1, name
                assert len(await ana.page.locator("main").inner_text()) > 30, name
            await ana.see("/limits/calendar?month=2028-12")
            await ana.page.get_by_role("link", name="Sunday 24 December 2028").click()
            await expect(ana.page.locator("h1")).to_have_text("It is open to changes on 24 December at 12:00.")
            await ana.see("/")
            await ana.page.locator("#stop").click()
            await ana.page.get_by_role("button", name=re.compile("^Stop 0 runs and")).click()
            await expect(ana.page.locator(".stopped")).to_contain_text("ana stopped everything")
            stops = await desk.get("/stops", state="open")
            assert [one["by"] for one in stops["items"]] == ["ana"]


async def test_the_palette_finds_by_name_and_leads_there_by_keyboard(tmp_path):
    async with (
        demo(tmp_path / "home") as (_fleet, node, desk),
        browser() as chromium,
        reader(chromium, node.url) as ana,
    ):
        await ana.enter(desk.token(ANA))
        page = ana.page
        await page.keyboard.press("Control+k")
        await expect(page.get_by_role("combobox")).to_be_focused()
        await page.keyboard.type("config-store")
        await expect(page.get_by_role("option").first).to_be_visible()
        for _ in range(await page.get_by_role("option").count() - 1):
            await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile(r"/services\?focus="))
        await page.keyboard.press("g")
        await page.keyboard.press("l")
        await page.wait_for_url("**/ledger")
        await page.keyboard.press("/")
        await page.keyboard.type("stop automation")
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog[open]")).to_contain_text("Stop automation?")
        assert json.dumps((await desk.get("/stops"))["items"]) == "[]"
        assert ana.wrong == []


async def test_services_opens_with_what_fails_and_leads_to_what_it_needs_without_a_mouse(tmp_path):
    async with (
        demo(tmp_path / "home") as (fleet, node, desk),
        browser() as chromium,
        reader(chromium, node.url) as ana,
    ):
        await ana.enter(desk.token(ANA))
        page = ana.page
        await ana.see("/services")
        await expect(page.locator("main")).to_contain_text("Shown: checkout-web, where card-payment begins.")
        for number in (1, 2, 3):
            await fleet.break_(f"payments-api-{number}", "crash")
        await expect(page.locator("h1")).to_have_text(
            "payments-api is failing and degrades checkout-web.", timeout=WITHIN_MS
        )
        await expect(page.locator(".facts-of dd").first).to_have_text("0 of 3")
        await expect(page.locator('.wide-only path[stroke="var(--bad)"]')).to_have_count(1)

        # By keyboard: to the caller that it degrades, and by whose it is.
        await page.locator(".wide-only svg a").first.press("Enter")
        await expect(page.locator("#one")).to_have_text("checkout-web")
        await expect(page.locator(".facts-of p.why")).to_contain_text(
            "needs payments-api, which is failing", ignore_case=True
        )
        await page.get_by_role("link", name="Owners").press("Enter")
        await page.wait_for_url("**paint=owners**")
        await expect(page.locator(".wide-only svg.draw")).to_contain_text("payments-sre")
        await page.locator("summary", has_text="What card-payment lacks").click()
        await expect(page.locator(".lacks").first).to_contain_text("Declared, not proven")
        await page.get_by_role("link", name="List", exact=True).first.click()
        await page.get_by_role("link", name=re.compile("^Failing 4$")).click()
        await page.wait_for_url("**is=failing**")
        await expect(page.locator("table.fold tbody tr")).to_have_count(4)
        await page.get_by_role("searchbox").fill("payments-api-2")
        await page.get_by_role("searchbox").press("Enter")
        await expect(page.locator("table.fold tbody tr")).to_have_count(1)
        assert ana.wrong == []
        assert ana.elsewhere == []


async def _entries(desk: Desk, incident: str) -> bool:
    trail = (await desk.get(f"/incidents/{incident}/trail"))["items"]
    return any(one["index"] is not None for one in trail)


def seed_of(*, plus: bool) -> bytes:
    """A seed whose public key has, or has not, a '+' in its base64: the key's text is cut at that sign."""
    for number in range(1_000):
        seed = hashlib.sha256(f"seed {number}".encode()).digest()
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
        if (b"+" in base64.b64encode(b"\x01" + public)) is plus:
            return seed
    raise AssertionError


@pytest.mark.parametrize("plus", [True, False])
async def test_a_browser_proves_an_entry_itself_and_sees_an_altered_one(tmp_path, plus):
    async with (
        demo(tmp_path / "home", seed_of(plus=plus)) as (fleet, node, desk),
        browser() as chromium,
        reader(chromium, node.url) as ana,
    ):
        await desk.grant(PAYMENTS, "approve")
        await fleet.break_("payments-api-1", "crash")
        await desk.until("a request", lambda: _any(desk, "approvals"))
        incident = await first(desk, "incidents")
        await desk.until("its entries", lambda: _entries(desk, incident))
        await ana.enter(desk.token(ANA))
        page = ana.page
        await ana.see(f"/incidents/{incident}")
        # Once the node says "too often": that is no proof that failed.
        await page.route("**/proof", lambda route: route.fulfill(status=429, headers={"Retry-After": "1"}), times=1)
        # And the page was about to be drawn anew when the button was pressed: its answer comes too late.
        late = asyncio.Event()

        async def waits(route):
            await late.wait()
            await route.continue_()

        await page.route(f"**/incidents/{incident}", waits)
        async with page.expect_request(f"**/incidents/{incident}"):
            scope = {"entity": "component:default/mailer"}
            await desk.post("/holds", {"scope": scope, "for": "1h", "reason": "its queue moves"})
        await page.get_by_role("button", name=re.compile("^Prove [1-9][0-9]* entr(y|ies) in this browser$")).click()
        proven = re.compile("^([1-9][0-9]*) of \\1 ledger entr(y|ies) proven by this browser")
        await expect(page.locator("#proven")).to_have_text(proven)
        late.set()
        await expect(page.locator(".newer button")).to_be_visible()
        await expect(page.locator("#proven")).to_have_text(proven)
        await expect(page.locator("#unproven li")).to_have_count(0)
        for index in ("0", "3"):
            await ana.see(f"/ledger/{index}")
            await page.get_by_role("button", name="Verify here").click()
            await expect(page.locator("#checked li.good")).to_have_count(4)
        for part in ("raw", "root", "checkpoint"):
            await ana.see("/ledger/3")
            await page.evaluate(
                """([part]) => {
                  const card = document.getElementById("here"), found = JSON.parse(card.dataset.proof);
                  const text = found[part], at = part === "checkpoint" ? text.indexOf("\\n") + 1 : 4;
                  found[part] = text.slice(0, at) + (text[at] === "1" ? "2" : "1") + text.slice(at + 1);
                  card.dataset.proof = JSON.stringify(found);
                }""",
                [part],
            )
            await page.get_by_role("button", name="Verify here").click()
            await expect(page.locator("#checked li.failing").first).to_be_visible()
