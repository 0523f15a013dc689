"""Event-Driven Ansible: a rulebook with a webhook source whose rule runs the `uri` module."""

# ruff: noqa: ASYNC240  nothing else runs in this loop

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from watchkeeper.bench.peers.peer import Up, free_port, python, running, version_of

RULEBOOK = """
- name: bench
  hosts: all
  execution_strategy: parallel
  sources:
    - eda.builtin.webhook:
        host: 127.0.0.1
        port: {port}
  rules:
    - name: act
      condition: event.payload.alerts[0].labels.alertname == "BenchAct"
      action:
        run_module:
          name: ansible.builtin.uri
          module_args:
            url: "http://127.0.0.1:{sink}/{{{{ event.payload.alerts[0].labels.service }}}}/restart"
            method: POST
"""

INVENTORY = """
all:
  hosts:
    localhost:
      ansible_connection: local
      ansible_python_interpreter: {python}
"""


class Rulebook:
    name = "ansible-rulebook"
    install = (
        "python3 -m venv ansible-rulebook && ansible-rulebook/bin/pip install ansible-rulebook ansible-core aiohttp "
        "(and Java 17)"
    )
    quiet_s = 60.0

    async def version(self, folder: Path) -> str:
        program = "from importlib.metadata import version; print(version('ansible-rulebook'))"
        return await version_of([str(python(folder, self.name)), "-c", program])

    @asynccontextmanager
    async def start(self, folder: Path, into: Path, sink: int) -> AsyncIterator[Up]:
        into.mkdir(parents=True)
        interpreter, port = python(folder, self.name), free_port()
        (into / "rulebook.yml").write_text(RULEBOOK.format(port=port, sink=sink), encoding="utf-8")
        (into / "inventory.yml").write_text(INVENTORY.format(python=interpreter), encoding="utf-8")
        words = [
            str(interpreter.parent / "ansible-rulebook"),
            "--rulebook",
            str(into / "rulebook.yml"),
            "--inventory",
            str(into / "inventory.yml"),
        ]
        environment = {"PATH": f"{interpreter.parent}:{os.environ.get('PATH', '')}", "HOME": str(into)}
        async with running(words, environment, into / "log", port) as process:
            yield Up({"port": port, "path": "/alerts", "shape": "alertmanager"}, process)
