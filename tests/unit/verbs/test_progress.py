"""What `cji job run` shows of a job at work."""

import io
import re

from rich.console import Console

from cji_client.progress import Phase, Progress
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
                report(Progress(phase=Phase.SENT, bytes=amount))
            else:
                report(Progress(phase=Phase.WORKING, stage=stage, per_cent=amount))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_bytes_sent_then_the_workers_step() -> None:
    assert "2.5 MB" in output(*TOLD[:2], terminal=True)
    text = output(*TOLD, terminal=True)
    for step, amount in TOLD[2:]:
        assert step == "sent" or re.search(rf"{step} .* {amount} %", text)
    assert "3.5 MB" not in text


def test_a_log_has_a_line_for_each_step_and_moves_no_cursor() -> None:
    assert output(*TOLD, terminal=False) == "step: rows\nstep: train\nstep: compare\n"
