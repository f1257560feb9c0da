"""A toy event, added to a copy of the tree by the recipe in CONTRIBUTING.md: every reader of a trail knows it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.worker.test_toy_operation import digests, interpreter
from tests.support.paths import DISTRIBUTIONS, ROOT

EVENTS, RULES, WORDS = (
    f"core/cji_core/trail/{name}" for name in ("worker_events.py", "rules/machine.py", "rules/rules.toml")
)

EVENT = '''

class DoorOpened(EventBase, frozen=True, kw_only=True, tag="door_opened"):
    """Somebody opened the cabinet of the machine."""

    meaning = finding(Severity.HIGH, "Cabinet opened", noun="cabinet", object="@cabinet")
    counted = ("cabinet",)

    cabinet: Token
'''
RULE = '''

@on(DoorOpened)
def door_opened(watcher: Watcher, record: Record, event: DoorOpened) -> None:
    """Not while the worker runs."""
    if watcher.state.is_up:
        watcher.note("door_open", f"{event.cabinet} was opened", about=event.cabinet)
'''
TEXT = """
[door_open]
severity = "alert"
title = "The cabinet was opened while the worker ran"
why = "Whoever opens it can reach the machine."
remedy = "Find out who it was."
field = "event"
topic = "host-profile"
"""

RUN = """
import json, sys
from datetime import date
from pathlib import Path

import msgspec
from click.testing import CliRunner
from cji_core.trail import GENESIS, WorkerStarted, append_record, read
from cji_audit.packet.material import Period
from cji_audit.packet.survey import survey
from cji_audit.review import Context, Settings, Week, render, review
from cji_worker.deliverer.sinks.asim import to_asim
from cji_worker.deliverer.sinks.ocsf import to_ocsf
from cji_core.trail.worker_events import DoorOpened
from cji_core.command import build

path = Path(sys.argv[1], "audit.log")
digests = dict.fromkeys(("code_sha384", "config_sha384", "policy_sha384"), "0a" * 48)
head, lines = GENESIS, []
for event in (WorkerStarted(version="1", simulated=False, host_profile="x", **digests), DoorOpened(cabinet="rack-7")):
    head, line = append_record(event, head=head, time="2026-11-24T10:00:00.00Z", worker="worker-1")
    lines.append(line)
path.write_bytes(b"".join(lines))
refused = json.loads(CliRunner().invoke(build(), ["audit", "verify", str(path), "--json"]).stderr)
week = Context(week=Week.parse("2026-W48"), settings=Settings(), software="x", complete=True)
report = review([path], week)
trail = survey(path, Period(first=date(2026, 11, 23), last=date(2026, 11, 29))).trail
record = read(lines[-1])
print(json.dumps({
    "verify": [refused["check"], refused["message"]],
    "review": [each.subject for each in report.findings if each.rule == "door_open"],
    "page": b"The cabinet was opened while the worker ran" in render(report),
    "packet": [[each.topic, each.rule] for each in trail.incidents],
    "counted": [*trail.seen["door_opened.cabinet"]],
    "ocsf": to_ocsf(record, "u")["finding_info"]["title"],
    "asim": to_asim(record, "u")["Object"],
}))
"""


def add_by_the_recipe(copy: Path) -> None:
    """The steps of "Add an event", without those that write documentation and tests."""
    for name, text in ((EVENTS, EVENT), (RULES, RULE), (WORDS, TEXT)):
        (copy / name).write_text((copy / name).read_text() + text)
    rules = copy / RULES
    rules.write_text(rules.read_text().replace("    FilesReloaded,\n", "    DoorOpened,\n    FilesReloaded,\n", 1))


@pytest.mark.timeout(120)
def test_an_event_is_a_class_a_rule_and_its_words(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for top in DISTRIBUTIONS:
        shutil.copytree(ROOT / top, copy / top, ignore=shutil.ignore_patterns("__pycache__", ".demo", "*.egg-info"))
    python, before = interpreter(copy), digests(copy)
    add_by_the_recipe(copy)
    after = digests(copy)
    assert {name for name in before | after if before.get(name) != after.get(name)} == {EVENTS, RULES, WORDS}
    ran = subprocess.run(
        [python, "-c", RUN, tmp_path], cwd=copy, capture_output=True, text=True, timeout=100, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {
        "verify": ["door_open", "audit line 2: event: rack-7 was opened"],
        "review": ["worker-1, rack-7"],
        "page": True,
        "packet": [["host-profile", "door_open"]],
        "counted": ["rack-7"],
        "ocsf": "Cabinet opened",
        "asim": "rack-7",
    }
