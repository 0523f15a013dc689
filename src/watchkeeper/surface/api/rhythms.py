"""How often rules are called for: what is usual at this time of the week, and what was unusual."""

from starlette.responses import Response

from watchkeeper.engine.reading import LIMIT_DEFAULT, Listed
from watchkeeper.learn.rhythm import Unusual
from watchkeeper.surface.api.door import Family, Here, answer
from watchkeeper.surface.api.lists import After, Filter, Limit, where

family = Family("rhythms")


@family.get("/rhythms", Listed)
async def rhythms(
    node: Here, rule: Filter = None, service: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Response:
    """By rule and service (an entity's reference): calls in this hour, day and week, and how many are usual."""
    return answer(node.rhythms.rhythms(rule or "", service or "", after=after, limit=limit))


@family.get("/anomalies", Listed)
async def anomalies(
    node: Here, rule: Filter = None, service: Filter = None, after: After = None, limit: Limit = LIMIT_DEFAULT
) -> Response:
    """Surges and silences, newest first, each in a sentence."""
    return answer(await node.rhythms.anomalies(where(rule=rule, service=service), after=after, limit=limit))


@family.get("/anomalies/{identity}", Unusual)
async def anomaly(node: Here, identity: str) -> Response:
    return answer(await node.rhythms.anomaly(identity))
