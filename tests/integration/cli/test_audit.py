"""`cji audit`: what an auditor sees of a trail, and what an operator can do with one that was refused."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cji_core.command import build
from cji_core.trail import Event, TrailAnchored, TrailResumed, TrailStarted, read
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_worker.verbs.audit.resume import Resumed
from tests.support.audit_events import admitted, completed, opened
from tests.support.json_answers import answered
from tests.support.trails import Writer

HEADER = b"\x02" * 48


def cji(azure: Simulation | None, *arguments: object) -> Result:
    command = build(azure.trust) if azure else build()
    return CliRunner().invoke(command, ["audit", *[str(a) for a in arguments]], catch_exceptions=False)


def written(path: Path, *events: Event) -> Path:
    with opened(path) as trail:
        for event in events:
            trail.append(event)
    return path


def test_a_whole_trail_is_verified_and_counted(tmp_path: Path) -> None:
    writer = Writer(anchor=6)
    writer.start()
    writer.add(admitted(bytes(16), HEADER))
    writer.mark()
    writer.complete(0)
    path = writer.write(tmp_path / "a")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":8')  # never acknowledged
    shown = cji(None, "verify", path)
    assert shown.exit_code == 0
    assert "verified: 7 lines in one chain, last anchor 7" in shown.stdout
    found = json.loads(cji(None, "verify", path, "--json").stdout)
    assert found["hash"] == read(whole.splitlines(keepends=True)[-1]).hash
    begin = {"worker_started": 1, "trail_checkpoint": 1, "attested": 1, "key_released": 1}
    assert found["events"] == {"job_admitted": 1, "job_completed": 1, "trail_anchored": 1, **begin}
    assert found["findings"] == {"simulated": 1, "restarted": 1, "no_host_profile": 1}
    assert "alert simulated: A simulated machine was used" in shown.stdout


def test_a_changed_line_is_named(tmp_path: Path) -> None:
    writer = Writer()
    writer.start()
    writer.job(0)
    path = writer.write(tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"1250", b"1251"))
    shown = cji(None, "verify", path)
    assert shown.exit_code == 3
    assert "audit line 7: hash" in shown.output
    assert "Investigate" in shown.output


@pytest.mark.parametrize("second", [6, 7])
def test_x13_anchors_that_do_not_increase_are_named(tmp_path: Path, second: int) -> None:
    path = written(tmp_path / "a", TrailAnchored(counter=7), TrailAnchored(counter=second))
    shown = cji(None, "verify", path)
    assert shown.exit_code == 3
    assert f"anchor {second} follows 7" in shown.output


@pytest.mark.parametrize("explanation", ["", "two\nlines", "x" * 257])
def test_an_explanation_that_no_line_can_hold(tmp_path: Path, azure: Simulation, explanation: str) -> None:
    files = worker_config(tmp_path, simulation=azure, keys=[azure.create_cmk("cji-audit")])
    shown = cji(azure, "resume", "--config", files.config, "--operator", "a", "--explanation", explanation)
    assert shown.exit_code == 1
    assert "1 to 256 printable characters" in shown.output
    (line,) = files.audit.read_bytes().splitlines(keepends=True)
    assert isinstance(read(line).event, TrailStarted)


def test_a_broken_trail_is_not_resumed(tmp_path: Path, azure: Simulation) -> None:
    files = worker_config(tmp_path, simulation=azure, keys=[azure.create_cmk("cji-audit")])
    written(files.audit, admitted(bytes(16), HEADER), completed(bytes(16), HEADER))
    broken = files.audit.read_bytes().replace(b"1250", b"1251")
    files.audit.write_bytes(broken)
    shown = cji(azure, "resume", "--config", files.config, "--operator", "a", "--explanation", "b")
    assert shown.exit_code == 1
    assert "audit line 2: hash" in shown.output
    assert files.audit.read_bytes() == broken


def test_a_resumed_trail_says_who_and_why(tmp_path: Path, azure: Simulation) -> None:
    files = worker_config(tmp_path, simulation=azure, keys=[azure.create_cmk("cji-audit")])
    shown = cji(
        azure, "resume", "--config", files.config, "--operator", "jdoe", "--explanation", "VM replaced", "--json"
    )
    told = answered(shown, Resumed)
    began, resumed, anchored = (read(line).event for line in files.audit.read_bytes().splitlines(keepends=True))
    assert resumed == TrailResumed(operator_id="jdoe", explanation="VM replaced")
    assert isinstance(anchored, TrailAnchored)
    assert isinstance(began, TrailStarted)
    assert told == Resumed(line=3, anchor=anchored.counter)
