"""Records the corpus of this release: situations as they are stored, which every later release decides again in CI.

    python tests/corpus/record.py            # writes tests/corpus/<version>-rev<decide_rev>.jsonl.gz
    python tests/corpus/record.py --check    # says whether the file of this release is there

One line a record: decision, situation, proposal or untargeted, in the very bytes that the store would hold. They come
from a known history that the engine lives through on virtual time, and from one situation for each answer of each guard.
The file of a release is never written again: what it decided then is the point.
"""

import gzip
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

HERE: Final = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "chaos")]

from a_history import lived, stage  # noqa: E402
from stage import Stage, play  # noqa: E402

from situations import (  # noqa: E402
    AT,
    DAY,
    ELSEWHERE,
    EVERYTHING,
    HOUR,
    MINUTE,
    a_ladder,
    a_need,
    a_proposal,
    a_situation,
    a_target,
    an_alert,
)
from watchkeeper import __version__  # noqa: E402
from watchkeeper.decide.decide import decide, decide_untargeted  # noqa: E402
from watchkeeper.decide.decision import DECIDE_REV, ClauseResult, Decision  # noqa: E402
from watchkeeper.decide.target import NoTarget, Untargeted, Why  # noqa: E402
from watchkeeper.engine.records import JudgedRecord, encoder, read  # noqa: E402
from watchkeeper.guards import situation as nouns  # noqa: E402
from watchkeeper.guards.finding import answer_key  # noqa: E402
from watchkeeper.packs.rule import Limits, Mode, Risk, Unavailable  # noqa: E402

ALIKE_MAX: Final = 2  # records with the same verdict, mode and outcomes
TARGET: Final = "resource:default/payments-api-3"
ROWS: Final = (ClauseResult(source='alert.labels.tier != "canary"', answer="true", why='alert.labels.tier = ""'),)


def file_of(version: str = __version__, revision: int = DECIDE_REV) -> Path:
    return HERE / f"{version}-rev{revision}.jsonl.gz"


def worlds() -> Iterator[dict[str, Any]]:
    """Fields of a situation, one answer of one guard at a time."""
    stop = nouns.Stop(id="stp_1", scope=EVERYTHING, by="alice", reason="bad night", at=AT - MINUTE)
    span = {"by": "cab", "reason": "close", "at": AT - HOUR}
    yield {}
    yield {"stops": (stop,)}
    yield {"untrusted": "prod does not accept packs of trust 'unsigned'"}
    yield {"trusted_pack": "local"}
    yield {"clock": nouns.Clock(trusted=False, why="the clock of this node jumped by 90 s", since_at=AT)}
    yield {"denied": "policy 7 forbids restarts by night"}
    yield {"owner_known": False}
    yield {"alert": an_alert(firing=False)}
    yield {"alert": an_alert(stale=True)}
    yield {"alert": an_alert(flapping="7 transitions in 30m")}
    yield {"alert": an_alert(inhibited="it depends on the store, which is down")}
    yield {"alert": an_alert(incomplete=True)}
    yield {"exclusions": (exclusion(AT + DAY),)}
    yield {"exclusions": (exclusion(AT - DAY),)}
    yield {"holds": (nouns.Hold(id="hld_1", scope=EVERYTHING, until_at=AT + HOUR, **span),)}
    yield {"holds": (nouns.Hold(id="hld_2", scope=ELSEWHERE, until_at=AT + HOUR, **span),)}
    freeze = nouns.Freeze(id="frz_1", scope=EVERYTHING, from_at=AT - HOUR, until_at=AT + HOUR, **span)
    yield {"freezes": (freeze,)}
    yield {
        "maintenance": (
            nouns.Maintenance(id="mnt_1", scope=EVERYTHING, reason="disks", from_at=AT, until_at=AT + HOUR),
        )
    }
    yield {"deploys": (nouns.Deploy(id="dpl_1", service="component:default/payments-api", reason="2.1", at=AT),)}
    yield {"deploys_unknown": "the pipeline does not answer"}
    yield {"attempts": tuple(attempt(number) for number in range(2))}
    yield {"attempts": tuple(attempt(number) for number in range(3))}
    yield {"busy": ("run_1",)}
    yield {"rivals": ("payments/failover",)}
    for state in ("open", "half_open", "closed"):
        yield {
            "breakers": (
                nouns.Breaker(key="service.restart|eu-west|1.2.0", state=state, since_at=AT - MINUTE, failures=3),
            )
        }
    yield {"braked": "4 rules restarted in eu-west within 5 min"}
    yield {"blast": ("component:default/cart", "component:default/checkout")}
    for health in nouns.Health:
        yield {"dependencies": (nouns.DependencyState(ref="component:default/store", health=health, as_of=AT),)}
    weak = nouns.DependencyState(
        ref="component:default/store", health=nouns.Health.HEALTHY, as_of=AT, composite_ppm=990_000, weakest="disk"
    )
    yield {"dependencies": (weak,), "objective_ppm": 999_000}
    yield {"members": nouns.Members(of="payments-api", total=4, unhealthy=(TARGET,))}
    yield {"members": nouns.Members(of="payments-api", total=4, unhealthy=(TARGET,), unknown=("b",))}
    yield {"members": nouns.Members(of="payments-api", total=2, unhealthy=(TARGET, "b"), repairing=("b",))}
    seen = (nouns.Seen(name="a", says="firing", at=AT),)
    yield {"groups_needed": 2, "groups_seen": seen}
    yield {"groups_needed": 1, "groups_seen": seen}
    yield {"regions_needed": 2, "regions": (*seen, nouns.Seen(name="b", says="blind", at=None))}
    yield {"regions_needed": 2, "regions": (*seen, nouns.Seen(name="b", says="quiet", at=AT))}
    yield {"unknown_clause": "metrics.load: nothing was read"}
    yield {"broken_clause": "1 / 0: division by zero"}
    for name in ("budget", "anomaly"):
        for value, as_of in ((10, AT), (900_000, AT), (None, None), (10, AT - DAY)):
            yield {name: nouns.Measured(name=name, value=value, as_of=as_of, age_max_ms=60_000, limit=500_000)}
    yield {"unread": {"freeze": "calendar close.ics cannot be read"}}
    yield {"contended": "run:global: 50 of 50 taken, 1 more would pass the limit"}


def exclusion(until_at: Any) -> nouns.Exclusion:
    return nouns.Exclusion(
        id="X-1",
        scope=EVERYTHING,
        control="SOX-7",
        reason="money moves here",
        owner="group:default/ops",
        approver="user:default/alice",
        from_at=AT - DAY * 30,
        until_at=until_at,
    )


def attempt(number: int) -> nouns.Attempt:
    return nouns.Attempt(
        run=f"run_{number}",
        target=TARGET,
        symptom="InstanceWedged payments-api",
        ended_at=AT - MINUTE * (number + 2),
        status="failed",
        runbook="payments/restart-instance",
    )


def proposals() -> Iterator[dict[str, Any]]:
    yield {"limits": Limits(unavailable=Unavailable(of="service", most=1), blast_max=1)}
    yield {"risk": Risk.HIGH}
    yield {"failover": True}
    yield {"actor": "person:alice"}
    yield {"unbuilt": ("via: agent",)}
    yield {"needs": (a_need(permitted=False, why_not="no permission names it"),)}
    yield {"targets": (a_target(automation="none"),)}
    yield {"targets": (a_target(reach=""),)}
    yield {"targets": (a_target(), a_target("payments-api-4", zone="b", production=False))}


def made() -> Iterator[tuple[Decision, Any, Any, Any]]:
    situations = [a_situation(**fields) for fields in worlds()]
    for mode in Mode:
        for situation in situations:
            yield pair(a_proposal(), msgspec.structs.replace(situation, ladder=a_ladder(mode)))
    for fields in proposals():
        for more in ({}, {"members": nouns.Members(of="payments-api", total=4)}, {"blast": ("a", "b")}):
            yield pair(a_proposal(**fields), a_situation(**more))
    low = (a_ladder(Mode.AUTO, ceiling=Mode.APPROVE), a_ladder(Mode.AUTO, risk_ceiling=Mode.SUGGEST))
    fallen = a_ladder(Mode.AUTO, demoted=Mode.OBSERVE, demotion="an unhealthy verification")
    for ladder in (*low, fallen, a_ladder(Mode.OBSERVE, granted=Mode.AUTO, grant="grt_1")):
        yield pair(a_proposal(), a_situation(ladder=ladder))
    asked = a_situation(rivals=("payments/failover",), ladder=a_ladder(Mode.APPROVE))
    answers = tuple(answer_key(each) for each in decide(a_proposal(), asked).findings if each.outcome == "ask")
    yield pair(a_proposal(), msgspec.structs.replace(asked, answered=answers))
    for why in Why:
        nothing = Untargeted(
            rule="payments/wedged-instance",
            rule_digest="1" * 64,
            runbook="payments/restart-instance",
            pack="payments",
            pack_version="1.2.0",
            missing=NoTarget(why=why, reason=f"It is {why.value}.", found=3),
        )
        situation = a_situation()
        yield decide_untargeted(nothing, situation, clauses=ROWS, because="first"), situation, None, nothing


def pair(proposal: Any, situation: Any) -> tuple[Decision, Any, Any, Any]:
    decision = decide(proposal, situation, clauses=ROWS, engine={"watchkeeper": __version__}, because="first")
    return decision, situation, proposal, None


def recorded() -> list[tuple[Decision, Any, Any, Any]]:
    """What the engine itself decided and stored in the known history."""
    found: list[tuple[Decision, Any, Any, Any]] = []

    async def scene(on: Stage) -> None:
        await lived(on)
        for decision in await on.decisions():
            situation = await on.store.get("situation", decision.situation)
            beside = await on.store.get("judged", decision.id)
            assert situation is not None
            assert beside is not None
            judged = read(beside, JudgedRecord)
            found.append((decision, msgspec.Raw(situation.body), judged.proposal, judged.untargeted))

    play(scene, stage())
    return found


def likeness(decision: Decision) -> tuple[Any, ...]:
    return (
        decision.verdict,
        decision.mode,
        tuple((each.guard, each.outcome, each.unknown) for each in decision.findings),
    )


def lines() -> Iterator[bytes]:
    alike: Counter[tuple[Any, ...]] = Counter()
    for decision, situation, proposal, untargeted in [*recorded(), *made()]:
        alike[likeness(decision)] += 1
        if alike[likeness(decision)] <= ALIKE_MAX:
            yield encoder.encode(
                {"decision": decision, "situation": situation, "proposal": proposal, "untargeted": untargeted}
            )


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main(given: list[str]) -> int:
    path = file_of()
    if path.exists():
        say(f"{path.name} is there; what this release decided stays as it was recorded")
        return 0
    if "--check" in given:
        say(f"{path.name} is missing: run python tests/corpus/record.py")
        return 1
    text = b"\n".join(lines())
    path.write_bytes(gzip.compress(text, mtime=0))
    number = text.count(b"\n") + 1
    say(f"{path.name}: {number} records, {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
