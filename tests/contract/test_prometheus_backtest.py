"""A backtest over a real Prometheus: a day of history, written by promtool, agrees with what a person says of it."""

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

import alert_days
from alert_days import HOME, ORACLE
from watchkeeper import bootstrap
from watchkeeper.demo.loopback import free_port
from watchkeeper.errors import Rejected, Unavailable
from watchkeeper.surface.cli import main
from watchkeeper.surface.cli.place import Exit

MISSING = [name for name in ("prometheus", "promtool") if shutil.which(name) is None]
READY_WITHIN_S = 40.0
UNTIL = "2026-03-02T00:00:00Z"

pytestmark = [
    pytest.mark.servers,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed here: {', '.join(MISSING)} (apt install prometheus)"),
]


def open_metrics() -> str:
    lines, last = [], ""
    for metric, labels, at_s in alert_days.samples():
        if metric != last:
            lines.append(f"# TYPE {metric} gauge")
            last = metric
        named = ",".join(f'{name}="{value}"' for name, value in labels.items())
        lines.append(f"{metric}{{{named}}} 1 {at_s}")
    return "\n".join([*lines, "# EOF"]) + "\n"


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    history = folder / "history.om"
    history.write_text(open_metrics(), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(history), str(folder / "data")],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    (folder / "rules.yml").write_text(
        "groups: [{name: shop, interval: 30s, rules: [{alert: Down, expr: up == 0}]}]\n", encoding="utf-8"
    )
    (folder / "prometheus.yml").write_text("rule_files: [rules.yml]\n", encoding="utf-8")
    port = free_port()
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        end_s = monotonic() + READY_WITHIN_S
        while not _ready(url):
            assert server.poll() is None, (folder / "log").read_text()
            assert monotonic() < end_s, (folder / "log").read_text()
            sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait(30)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for path, text in HOME.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


def run(home: Path, url: str, *more: str) -> list[str]:
    return ["backtest", "--home", str(home), "--prometheus", url, "--days", "1", "--until", UNTIL, *more]


def test_a_real_prometheus_agrees_with_the_oracle(prometheus, home, capsys) -> None:
    assert main(run(home, prometheus, "--json")) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    done = found["result"]
    rules = {
        each["rule"]: {name: number for name, number in each["verdicts"].items() if number} for each in done["rules"]
    }
    assert rules == ORACLE["rules"]
    assert done["verdicts"] == ORACLE["verdicts"]
    assert (done["no_rule"], done["not_met"], done["unmapped"]) == (
        ORACLE["no_rule"],
        ORACLE["not_met"],
        ORACLE["unmapped"],
    )
    assert (done["episodes"], done["stale"]) == (ORACLE["episodes"], ORACLE["stale"])
    (read,) = found["read"]
    assert (read["pending_only"], read["ended_unsure"], read["standing"]) == (
        ORACLE["pending_only"],
        ORACLE["unsure"],
        ORACLE["standing"],
    )
    assert read["blind_s"] == 60 * ORACLE["blind_minutes"]
    assert len(read["gaps"]) == 1
    assert found["notes"] == []


def test_what_an_operator_reads(prometheus, home, capsys) -> None:
    assert main(run(home, prometheus, "--utc")) == Exit.DONE
    said = capsys.readouterr().out
    assert "20 alerts fired" in said
    assert "Prometheus had no data for 1 h 30 min" in said
    assert "1 time an alert waited for its own 'for:' and never fired." in said
    for line in ("act       █", "No rule asks for such an alert: 1 alert", "1  Odd", "shop/down"):
        assert line in said, said


def test_other_levels_steps_and_matchers(prometheus, home, capsys) -> None:
    assert main(run(home, prometheus, "--json", "--level", "observe", "--match", 'service="mail"')) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert found["result"]["verdicts"]["observe"] == found["result"]["episodes"] == 6
    assert main(run(home, prometheus, "--json", "--step", "5s")) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert found["read"][0]["step_s"] == 30  # as often as alerts are evaluated
    assert "evaluates alerts every 30 s" in found["notes"][0]
    assert main(run(home, prometheus, "--json", "--awake", "nowhere", "--labels", "region=eu")) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert "gaps in its data cannot be told from calm" in found["notes"][0]
    assert found["read"][0]["blind_s"] == 0
    assert found["result"]["episodes"] == ORACLE["episodes"] + 1  # the one over the gap is two now


def test_errors_name_the_query_and_the_next_move(prometheus, home, capsys) -> None:
    assert main(run(home, prometheus, "--match", "{")) == Exit.NO
    error = capsys.readouterr().err
    assert "count_over_time(ALERTS{{}[59999ms])" in error
    assert "from 2026-03-01T00:00 to 2026-03-01T06:00" in error
    assert main(run(home, "http://127.0.0.1:9")) == Exit.LATER
    assert main(run(home, "ftp://127.0.0.1")) == Exit.NO
    assert "not an address of a Prometheus" in capsys.readouterr().err
    assert main(run(home, prometheus, "--prometheus", prometheus)) == Exit.USAGE
    assert "say which source each is" in capsys.readouterr().err
    assert main(run(home, f"nobody={prometheus}")) == Exit.USAGE
    assert "source nobody: watchkeeper.yaml has default" in capsys.readouterr().err
    assert main(run(home, f"default={prometheus}", "--json", "--match", 'service="mail"')) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["read"][0]["source"] == "default"


async def test_a_piece_that_is_too_large_is_asked_for_in_halves(prometheus, monkeypatch) -> None:
    base = int(alert_days.DAY.timestamp())

    async def read() -> tuple[int, list[int]]:
        async with bootstrap.prometheus(prometheus) as history:
            found = [chunk async for chunk in history.chunks(base, base + 86_400, 60)]
            firing = sorted(at_s for chunk in found for each in chunk.series if not each.pending for at_s in each.at_s)
            return len(found), firing

    whole, samples = await read()
    monkeypatch.setattr("watchkeeper.adapters.prometheus.ANSWER_BYTES_MAX", 1500)
    pieces, same = await read()
    assert (whole, same) == (4, samples)
    assert pieces > 8
    monkeypatch.setattr("watchkeeper.adapters.prometheus.ANSWER_BYTES_MAX", 100)
    with pytest.raises(Rejected, match="even one step is too large: narrow the alerts with --match"):
        await read()


async def test_what_is_no_prometheus_says_so(prometheus) -> None:
    async with bootstrap.prometheus(f"{prometheus}/graph/elsewhere") as history:
        with pytest.raises((Unavailable, Rejected), match="is that its address"):
            await history.look(0, 1000)
