"""What does not fit a route's declaration is said in words for who wrote it, not in the framework's own."""

from typing import Annotated

import pytest
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient

from watchkeeper.surface.api.framework import install


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    install(app)

    @app.get("/days")
    async def days(days: Annotated[int, Query(ge=1, le=92)], deep: bool = False) -> int:
        del deep
        return days

    return TestClient(app)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("days=93", "days: at most 92"),
        ("days=0", "days: at least 1"),
        ("days=x", "days: not a whole number"),
        ("days=1.5", "days: not a whole number"),
        ("days=1&deep=perhaps", "deep: write true or false"),
        ("", "days: is missing"),
    ],
)
def test_what_is_wrong_with_a_value_and_its_limit(client: TestClient, query: str, said: str) -> None:
    refused = client.get(f"/days?{query}")
    assert refused.status_code == 422
    assert refused.json()["detail"] == said


@pytest.mark.parametrize("days", [1, 92])
def test_both_ends_of_the_range_are_taken(client: TestClient, days: int) -> None:
    assert client.get(f"/days?days={days}").json() == days
