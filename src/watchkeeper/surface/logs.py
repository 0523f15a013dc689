"""The log: one JSON object a line on stderr, or in colour where a person looks on. Known secrets never reach it."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final, TextIO

import structlog

from watchkeeper.report.scrub import Scrubber

DEPTH_MAX: Final = 6
LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

Scrubbers = Callable[[], Scrubber]


def configure(scrubber: Scrubbers | None = None, *, level: str = "info", to: TextIO | None = None) -> None:
    """Call once, before anything is said. `scrubber` is asked at each line, so that a new secret is known at once."""
    stream = to if to is not None else sys.stderr
    pretty = stream.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer(colors=True) if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _Scrubbing(scrubber or _plain()),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS.get(level, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(message)s", force=True)


def _plain() -> Scrubbers:
    found = Scrubber()
    return lambda: found


class _Scrubbing:
    """Every text of a line, however deep it stands."""

    def __init__(self, scrubber: Scrubbers) -> None:
        self._scrubber = scrubber

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        scrubber = self._scrubber()
        for name, value in event.items():
            if name not in {"level", "timestamp"}:
                event[name] = _scrubbed(scrubber, value, DEPTH_MAX)
        return event


def _scrubbed(scrubber: Scrubber, value: Any, depth: int) -> Any:
    match value:
        case str():
            return scrubber.text(value)
        case bytes():
            return scrubber.text(value.decode("utf-8", "replace"))
        case dict() if depth:
            return {key: _scrubbed(scrubber, item, depth - 1) for key, item in value.items()}
        case list() | tuple() if depth:
            return [_scrubbed(scrubber, item, depth - 1) for item in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return scrubber.text(str(value))
