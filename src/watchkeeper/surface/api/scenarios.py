"""Scenarios of the active configuration: what they expect, how they went last, and playing them."""

from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from watchkeeper.approve.roles import Verb
from watchkeeper.engine.playing import SCENARIOS_MAX, ScenarioList, Under, Wanted
from watchkeeper.surface.api.bodies import Body, Word
from watchkeeper.surface.api.door import Family, Here, Who, answer
from watchkeeper.surface.api.lists import Filter

family = Family("scenarios")


class PlayBody(Body):
    """Which: all when nothing is given."""

    pack: Word = ""
    rule: Word = ""
    runbook: Word = ""
    names: Annotated[list[Word], Field(max_length=SCENARIOS_MAX, default_factory=list)]


EVERY = PlayBody(names=[])


@family.get("/scenarios", ScenarioList)
async def scenarios(node: Here, pack: Filter = None, rule: Filter = None, runbook: Filter = None) -> Response:
    """Each with its last result. `state` is passed, failed, broken (not played to its end) or never; a result of another
    configuration than the active one is `never`, and stands under `last`. `playing` says how far a go is.
    """
    wanted = Wanted(pack=pack or "", rule=rule or "", runbook=runbook or "")
    return answer(await node.engine.playing.listed(wanted))


@family.post("/scenarios/play", Verb.PLAY, Under, status=202)
async def play(node: Here, actor: Who, body: PlayBody = EVERY) -> Response:
    """Play them under the active configuration, in a process beside the node. One go at a time; nothing real is touched."""
    wanted = Wanted(pack=body.pack, rule=body.rule, runbook=body.runbook, names=tuple(body.names))
    return answer(await node.engine.playing.begin(actor, wanted), 202)
