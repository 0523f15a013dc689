"""Bootstrap: the one place that joins the engine to its adapters. Everything above asks here for an engine or a check."""

from watchkeeper.bootstrap.backup import Restored, back_up, check_backup, keep_backup, restore
from watchkeeper.bootstrap.held import Node
from watchkeeper.bootstrap.home import (
    STATE,
    Trees,
    check,
    compile_files,
    describe,
    errors_with,
    example,
    examples,
    init,
    names_of,
    read_home,
    secret_store,
    state_of,
    write_new,
)
from watchkeeper.bootstrap.node import SWITCH_S, open_node
from watchkeeper.bootstrap.play import backtest, play, prometheus
from watchkeeper.bootstrap.record import read_key
from watchkeeper.bootstrap.versions import versions

__all__ = [
    "STATE",
    "SWITCH_S",
    "Node",
    "Restored",
    "Trees",
    "back_up",
    "backtest",
    "check",
    "check_backup",
    "compile_files",
    "describe",
    "errors_with",
    "example",
    "examples",
    "init",
    "keep_backup",
    "names_of",
    "open_node",
    "play",
    "prometheus",
    "read_home",
    "read_key",
    "restore",
    "secret_store",
    "state_of",
    "versions",
    "write_new",
]
