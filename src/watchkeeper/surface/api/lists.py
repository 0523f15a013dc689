"""What every list takes: a cursor, a bound, and only filters that exist."""

from typing import Annotated, Any, Final

from fastapi import Query

from watchkeeper.ports import LIST_LIMIT_MAX

FILTER_CHARS_MAX: Final = 500
CURSOR: Final = r"^[0-9]{1,15}$"

After = Annotated[str | None, Query(pattern=CURSOR, description="The `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=LIST_LIMIT_MAX)]
Filter = Annotated[str | None, Query(max_length=FILTER_CHARS_MAX)]


def where(**filters: Any) -> dict[str, str]:
    """The filters that were given."""
    return {name: str(value) for name, value in filters.items() if value is not None}
