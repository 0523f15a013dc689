"""The scenes: in each something real breaks, and Watchkeeper must do the one right thing about it, or the story fails."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from msgspec.structs import replace

from watchkeeper.demo.desk import BEN, Desk, Document, Ended, Waited, now
from watchkeeper.demo.fleet import Fleet
from watchkeeper.demo.tell import Teller, Told
from watchkeeper.guards.words import count_of
from watchkeeper.values import id_short, instant, ms_between

PAYMENTS: Final = "payments/instance-down"
SERVICE: Final = "shop/service-down"
FLAP_PERIOD_MS: Final = 800
FLAPS: Final = 3  # times down and up; after that nobody believes it
LOOKS_ON_S: Final = 1.5  # how long the held one is left alone, to show that it is


class Scenes:
    def __init__(self, fleet: Fleet, desk: Desk, teller: Teller) -> None:
        self.fleet, self.desk, self.tell = fleet, desk, teller
        self.told: list[Told] = []
        self._heard = 0

    async def play(self) -> None:
        every: tuple[tuple[str, Callable[[], Awaitable[Told]]], ...] = (
            ("An instance crashes. Watchkeeper may only suggest; a person runs it.", self.suggested),
            ("Another one hangs. Now it may act when a person approves.", self.approved),
            ("The third is sick. Now it may act by itself.", self.repaired),
            ("Search is slow, and gets over it.", self.healed),
            ("Search crashes while Ana looks into it.", self.held),
            ("The config store fails, and takes all of payments with it.", self.refused_for_its_cause),
            ("Billing is excluded, and the ledger's host has no automation.", self.refused),
            ("The mailer goes up and down and up and down.", self.flapping),
            ("A bad release of checkout: restarting does not help.", self.escalated),
        )
        for number, (title, scene) in enumerate(every, start=1):
            self.tell.scene(number, title)
            self.told.append(await scene())
            await self.desk.quiet()

    # 1 to 3: the same rule at three levels of trust.

    async def suggested(self) -> Told:
        await self._grant(PAYMENTS, "suggest")
        broke_at = await self._break("payments-api-1", "crash")
        found = await self._decision("suggest", PAYMENTS, "payments-api-1", broke_at)
        self.tell.line("who", "ana: wk run payments/restart-instance --target resource:payments-api-1")
        made = await self.desk.run("payments/restart-instance", "resource:payments-api-1", "as suggested", grace="5s")
        ended = await self._repaired(made["decision"], broke_at)
        return await self._done("crash", "suggested, run by a person", broke_at, found, ended)

    async def approved(self) -> Told:
        await self._grant(PAYMENTS, "approve")
        broke_at = await self._break("payments-api-2", "hang")
        found = await self._decision("ask", PAYMENTS, "payments-api-2", broke_at)
        acted = await self._approve(found, "the others serve")
        ended = await self._repaired(acted, broke_at)
        return await self._done("hang", "asked, approved, repaired", broke_at, found, ended)

    async def repaired(self) -> Told:
        await self._grant(PAYMENTS, "auto")
        broke_at = await self._break("payments-api-3", "sick")
        found = await self._decision("act", PAYMENTS, "payments-api-3", broke_at)
        ended = await self._repaired(found, broke_at)
        return await self._done("sick", "repaired by itself", broke_at, found, ended)

    # 4: what heals is left alone.

    async def healed(self) -> Told:
        await self._grant("shop/search-slow", "auto")
        broke_at = await self._break("search", "slow", for_ms=3_000)
        found = await self._decision("act", "shop/search-slow", "search", broke_at)
        self.tell.line("did", "its runbook waits first: most slowness passes")
        ended = await self.desk.ended(found["id"])
        _expect(ended.run["status"], "lapsed", ended.run)
        self.tell.line("well", f"{ended.run['why']} {_sentence(ended.run['state'])}")
        return await self._done("slow", "healed by itself, untouched", broke_at, found, None)

    # 5 and 8: it holds.

    async def held(self) -> Told:
        await self._grant(SERVICE, "auto")
        hold = await self.desk.post(
            "/holds",
            {"scope": {"entity": "component:default/search"}, "for": "10m", "reason": "looking into its index"},
        )
        self.tell.line(
            "who",
            'ana: wk hold set --scope entity=component:default/search --for 10m --reason "looking into its index"',
        )
        broke_at = await self._break("search", "crash")
        found = await self._decision("hold", SERVICE, "search", broke_at)
        await asyncio.sleep(LOOKS_ON_S)
        _expect((await self.fleet.state("search"))["state"], "crashed", found)
        self.tell.line("who", "ana lifts it: nothing is replayed, it is decided afresh")
        lifted_at = now()
        await self.desk.post(f"/holds/{hold['id']}/lift", {"reason": "done"})
        acts = await self._decision("act", SERVICE, "search", lifted_at)
        ended = await self._repaired(acts, broke_at)
        return await self._done("crash under a hold", "held, then repaired", broke_at, found, ended)

    async def flapping(self) -> Told:
        await self._grant("shop/mailer-down", "auto")
        broke_at = await self._break("mailer", "flap", period_ms=FLAP_PERIOD_MS)

        async def flapped() -> bool:
            page = await self.desk.get("/alerts", entity="component:default/mailer", state="resolved")
            return len(page["items"]) >= FLAPS

        await self.desk.until(f"the mailer's alert to fire and resolve {FLAPS} times", flapped)
        await self.fleet.break_("mailer", "sick")
        found = await self._decision("hold", "shop/mailer-down", "mailer", broke_at)
        await self.fleet.break_("mailer", "none")
        self.tell.line("well", "it is calm again; no restart came in between")
        return await self._done("flapping", "held", broke_at, found, None)

    # 6 and 7: it refuses.

    async def refused_for_its_cause(self) -> Told:
        await self._grant("platform/config-store-down", "approve")
        broke_at = await self._break("config-store", "sick")
        found = None
        for name in ("payments-api-1", "payments-api-2", "payments-api-3"):
            found = await self._decision("refuse", PAYMENTS, name, broke_at, quiet=found is not None)
        self.tell.line("decided", "and the same for the other two: restarting them would help nobody")
        cause = await self._decision("ask", "platform/config-store-down", "config-store", broke_at)
        acted = await self._approve(cause, "it is the cause")
        ended = await self._repaired(acted, broke_at)
        await self.desk.quiet()
        starts = [(await self.fleet.state(f"payments-api-{number}"))["starts"] for number in (1, 2, 3)]
        _expect(starts, [2, 2, 2], found or {})
        self.tell.line("well", "payments-api came back by itself; none of it was restarted")
        return await self._done("bad dependency", "refused; the cause repaired", broke_at, found, ended)

    async def refused(self) -> Told:
        await self._grant("finance/host-down", "approve")
        await self.fleet.break_("billing", "sick", for_ms=3_000)
        broke_at = await self._break("ledger-host", "crash")
        self.tell.line("who", "ben: wk run shop/restart-service --target component:billing")
        tried = await self.desk.run("shop/restart-service", "component:billing", "it looks stuck", who=BEN)
        _expect(tried["decision"]["verdict"], "refuse", tried["decision"])
        self.tell.line("decided", f"refuse: {tried['decision']['reason']}")
        found = await self._decision("refuse", "finance/host-down", "ledger-host", broke_at)
        await self._hear("escalated", "ledger-host")
        await self.fleet.restart("ledger-host")
        self.tell.line("who", "finance-ops start the host by their checklist")
        return await self._done("excluded, unautomated", "refused; people told", broke_at, found, None)

    # 9: it gives up in time.

    async def escalated(self) -> Told:
        await self.fleet.release("checkout-web", "sick")
        broke_at = now()
        await self.fleet.restart("checkout-web")
        self.tell.line("broke", "checkout-web comes up sick, every time")
        first = await self._decision("act", SERVICE, "checkout-web", broke_at)
        ended = await self.desk.ended(first["id"])
        _expect(ended.run["status"], "failed", ended.run)
        self.tell.line("did", f"attempt 1: restarted; {_sentence(ended.run['why'])}")
        acted_at = ended.acted_at
        asked = await self._decision("ask", SERVICE, "checkout-web", ended.ended_at)
        self.tell.line("decided", "what did not help is trusted less, at once: from now on it asks")
        ended = await self.desk.ended((await self._approve(asked, "once more"))["id"])
        _expect(ended.run["status"], "failed", ended.run)
        self.tell.line("did", f"attempt 2: restarted; {_sentence(ended.run['why'])}")
        since = ended.ended_at
        found = await self._decision("refuse", SERVICE, "checkout-web", since)
        await self._hear("escalated", "checkout-web")
        self.tell.line("who", "ana takes the release back")
        await self.fleet.release("checkout-web", "none")
        await self.fleet.restart("checkout-web")
        after_s = ms_between(broke_at, instant(found["at"])) / 1000
        told = await self._done("bad release", f"tried twice, escalated after {after_s:.0f} s", broke_at, first, None)
        return replace(told, acted_at=acted_at, decision=found["id"])

    # What all of them do.

    async def _grant(self, rule: str, level: str) -> None:
        await self.desk.grant(rule, level)
        self.tell.line("who", f"ana: wk autonomy grant {rule} --level {level} --cell environment=prod; ben seconds it")

    async def _break(self, name: str, how: str, **more: int) -> datetime:
        said = {"crash": "crashes", "hang": "hangs", "slow": "answers slowly", "sick": "says it is not well"}
        broke_at = now()
        await self.fleet.break_(name, how, **more)
        self.tell.line("broke", f"{name} {said.get(how, 'flaps')}")
        return broke_at

    async def _decision(
        self, verdict: str, rule: str, target: str, since: datetime, *, quiet: bool = False
    ) -> Document:
        found = await self.desk.decision(verdict, rule, target, since)
        if not quiet:
            took_s = ms_between(since, instant(found["at"])) / 1000
            self.tell.line(
                "decided", f"{verdict} {found['runbook']} on {target} after {took_s:.1f} s. {found['reason']}"
            )
        return found

    async def _approve(self, found: Document, comment: str) -> Document:
        """Ben approves exactly what is displayed; the decision that acts on it."""
        card = await self.desk.card(found["id"])
        since = now()
        await self.desk.approve(card, comment)
        self.tell.line("who", f'ben: wk approve {id_short(card["id"])} --comment "{comment}"')
        target = found["targets"][0]["name"]
        return await self._decision("act", found["rule"], target, since)

    async def _repaired(self, decision: Document, broke_at: datetime) -> Ended:
        ended = await self.desk.ended(decision["id"])
        _expect(ended.run["status"], "succeeded", ended.run)
        did = [step["id"] for step in ended.run["steps"] if step["status"] == "done"]
        after_s = ms_between(broke_at, ended.ended_at) / 1000
        self.tell.line("did", f"{', '.join(did)} ({count_of(ended.run['effects'], 'effect')}, journalled before sent)")
        self.tell.line("well", f"verified {after_s:.1f} s after it broke. {_sentence(ended.run['state'])}")
        return ended

    async def _hear(self, kind: str, about: str) -> None:
        async def look() -> dict[str, Any] | None:
            return next((one for one in self.fleet.told if one.get("kind") == kind and about in one["subject"]), None)

        heard = await self.desk.until(f"people to be told ({kind}) about {about}", look)
        self.tell.line("told", f"{heard['subject']}")

    async def _done(
        self, scene: str, outcome: str, broke_at: datetime, found: Document | None, ended: Ended | None
    ) -> Told:
        alert = await self.desk.get(f"/alerts/{found['alert']}") if found is not None else None
        return Told(
            scene=scene,
            outcome=outcome,
            broke_at=broke_at,
            detected_at=instant(alert["first_seen_at"]) if alert is not None else None,
            decided_at=instant(found["at"]) if found is not None else None,
            acted_at=ended.acted_at if ended is not None else None,
            verified_at=ended.ended_at if ended is not None else None,
            decision=found["id"] if found is not None else "",
        )


def _expect(seen: object, wanted: object, about: Document) -> None:
    if seen != wanted:
        raise Waited(
            f"expected {wanted}, got {seen}: {about.get('id', '')} {about.get('reason') or about.get('why', '')}"
        )


def _sentence(text: str) -> str:
    return text.rstrip(".") + "." if text else ""
