"""A bug's traceback goes into a file, not before a tired person's eyes."""

import contextlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from watchkeeper.surface.cli.place import Ends, Place

LOG: Final = "cli.log"
LOG_BYTES_MAX: Final = 4 * 1024 * 1024


def keep(text: str, place: Place) -> Path | None:
    """Append it to the log in the home's state; to a temporary file when there is no home. None: nowhere to write."""
    entry = f"--- {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} pid {os.getpid()}\n{text}\n".encode()
    with contextlib.suppress(OSError, Ends):
        path = place.home() / ".watchkeeper" / LOG
        if path.parent.is_dir():
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(number, "ab") as file:
                if file.tell() > LOG_BYTES_MAX:
                    file.truncate(0)
                file.write(entry)
            return path
    with contextlib.suppress(OSError):
        number, name = tempfile.mkstemp(prefix="watchkeeper-", suffix=".log")
        with os.fdopen(number, "wb") as file:
            file.write(entry)
        return Path(name)
    return None
