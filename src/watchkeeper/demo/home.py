"""The demo's home: the example that lies beside this file, with the addresses of a fleet that runs.

The files work as they stand; only the ports are put in.
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

from watchkeeper.adapters.topics import IGNORED, read_folder
from watchkeeper.demo.fleet import Fleet
from watchkeeper.demo.loopback import HOST

SUPERVISOR: Final = 9100  # the ports as the files have them
FIRST: Final = 9101
SINK: Final = 9199


def home_files(fleet: Fleet | None = None) -> dict[str, bytes]:
    """Path -> content; with a fleet, its own addresses."""
    found = {".gitignore": IGNORED, **dict(read_folder(files("watchkeeper.demo") / "example"))}
    if fleet is None:
        return found
    ports = {FIRST + position: fleet.ports[name] for position, name in enumerate(fleet.members)}
    ports |= {SUPERVISOR: fleet.supervisor_port, SINK: fleet.sink_port}
    return {path: _moved(data, ports) for path, data in found.items()}


def write(folder: Path, fleet: Fleet) -> None:
    """Only where none of it is yet: a home that somebody has is theirs. Raises FileExistsError, with nothing written."""
    wanted = {folder / path: data for path, data in home_files(fleet).items()}
    had = next((file for file in wanted if file.exists()), None)
    if had is not None:
        raise FileExistsError(f"{had} exists already: name an empty folder")
    for file, data in wanted.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _moved(data: bytes, ports: dict[int, int]) -> bytes:
    """All at once: a port that was put in may be one that is to be moved."""
    pieces = data.split(f"{HOST}:".encode())
    moved = [pieces[0]]
    for piece in pieces[1:]:
        number = piece[:4]
        moved.append(str(ports.get(int(number), int(number))).encode() + piece[4:])
    return f"{HOST}:".encode().join(moved)
