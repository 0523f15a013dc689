"""What a rule's owner is told when it earned a level or lost one."""

from shlex import quote
from typing import Final

from watchkeeper.home.settings import Autonomy
from watchkeeper.learn.agreement import Cell
from watchkeeper.learn.standing import Demotion, Outlook, Standing, counts_text, sure_text
from watchkeeper.packs.rule import Mode
from watchkeeper.report.notices import Notice, NoticeKind
from watchkeeper.values import Instant, Severity, id_from

DOES: Final = {
    Mode.OBSERVE: "it only records what it would do",
    Mode.SUGGEST: "it suggests, and a person runs it",
    Mode.APPROVE: "it asks, and runs after a yes",
    Mode.AUTO: "it acts by itself",
}


def cell_text(cell: Cell) -> str:
    """`tier gold, severity critical, environment prod, region eu`."""
    named = (
        ("tier", cell.tier),
        ("severity", cell.severity),
        ("environment", cell.environment),
        ("region", cell.region),
    )
    return ", ".join(f"{name} {value}" for name, value in named if value) or "every cell"


def of_promotion(standing: Standing, found: Outlook, owner: str, policy: Autonomy, at: Instant) -> Notice:
    cell = standing.cell
    return Notice(
        id=id_from("ntc", at, standing.id, standing.level.value, "promoted"),
        at=at,
        kind=NoticeKind.PROMOTED,
        subject=f"{cell.rule} earned {standing.level.value}",
        text=(
            f"From now on {DOES[standing.level]}, where its ceilings allow it. Cell: {cell_text(cell)}. "
            f"{_capital(counts_text(found))}: {sure_text(found, policy)}."
        ),
        severity=Severity.INFO,
        team=owner,
        ids={"standing": standing.id},
        commands=(f"wk autonomy show {quote(cell.rule)}",),
    )


def of_demotion(demotion: Demotion, at: Instant) -> Notice:
    cell = demotion.cell
    return Notice(
        id=id_from("ntc", at, demotion.id, "demoted"),
        at=at,
        kind=NoticeKind.DEMOTED,
        subject=f"{cell.rule} is demoted to {demotion.level.value}",
        text=(
            f"{demotion.why.rstrip('.')}. From now on {DOES[demotion.level]}. Cell: {cell_text(cell)}. "
            "It stays so until a person lifts it."
        ),
        severity=Severity.WARNING,
        team=demotion.owner,
        ids={
            name: value
            for name, value in (("demotion", demotion.id), ("run", demotion.run), ("decision", demotion.decision))
            if value
        },
        commands=(f"wk autonomy show {quote(cell.rule)}", f"wk autonomy lift {demotion.id} --reason ..."),
    )


def _capital(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"
