"""What `cji job run` shows of a job at work."""

import io
import re

import pytest
from rich.console import Console

from cji_client.progress import Phase, Progress, Reading
from cji_client.verbs.progress import shown

TOLD = (
    ("sent", 1_048_576),
    ("sent", 2_500_000),
    ("rows", 40),
    ("sent", 3_500_000),
    ("rows", 100),
    ("train", 0),
    ("compare", 7),
    ("compare", 93),
)


def output(*told: tuple[str, int], terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80, color_system=None)
    with shown(console) as report:
        for stage, amount in told:
            if stage == "sent":
                report(Progress(phase=Phase.SENDING, bytes=amount))
            else:
                report(Progress(phase=Phase.RUNNING, stage=stage, per_cent=amount))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_bytes_sent_then_the_workers_step() -> None:
    assert "2.5 MB" in output(*TOLD[:2], terminal=True)
    text = output(*TOLD, terminal=True)
    for step, amount in TOLD[2:]:
        assert step == "sent" or re.search(rf"{step} .* {amount} %", text)
    assert "3.5 MB" not in text


def test_a_log_has_a_line_for_each_step_and_moves_no_cursor() -> None:
    assert output(*TOLD, terminal=False) == "step: sending\nstep: rows\nstep: train\nstep: compare\n"


PHASES = (
    Progress(phase=Phase.READING),
    Progress(phase=Phase.READING, rows=1_200_000, bytes=121_000_000),
    Progress(phase=Phase.CHECKING),
    Progress(phase=Phase.SEALING, rows=1_200_000),
    Progress(phase=Phase.SENDING, bytes=1_000_000),
    Progress(phase=Phase.WAITING),
    Progress(phase=Phase.RUNNING, stage="rows", per_cent=99),
    Progress(phase=Phase.RECEIVING, bytes=1_000_000),
    Progress(phase=Phase.RUNNING, stage="rows", per_cent=100),
    Progress(phase=Phase.RECEIVING, bytes=2_000_000),
    Progress(phase=Phase.OPENING, rows=7),
)


@pytest.mark.parametrize(
    ("every", "more"), [(3600.0, []), (0.0, ["step: reading, 1,200,000 rows, 121.0 MB", "step: rows, 100 %"])]
)
def test_a_log_shows_every_phase_and_how_far_a_long_one_is(every: float, more: list[str]) -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=80, color_system=None)
    with shown(console, every=every) as report:
        for event in PHASES:
            report(event)
    assert isinstance(console.file, io.StringIO)
    found = console.file.getvalue().splitlines()
    steps = ("reading", "checking", "sealing", "sending", "waiting", "rows", "receiving", "opening")
    assert [line for line in found if line not in more] == [f"step: {step}" for step in steps]
    assert [line for line in found if "," in line] == more


def test_reading_counts_all_inputs() -> None:
    seen = list[Progress]()
    reading = Reading(seen.append)
    for rows, size in ((0, 0), (3, 30), (5, 50), (0, 0), (2, 20)):
        reading(rows, size)
    assert [(one.rows, one.bytes) for one in seen] == [(0, 0), (3, 30), (5, 50), (5, 50), (7, 70)]
