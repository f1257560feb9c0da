"""The metrics of the fleet process: read while they are current, never anything else."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cji_worker.console.series import SERIES
from cji_worker.fleet.metrics import MAX_AGE_S, NAME, OUTCOMES, Metrics, read, write
from tests.support.console_tools import VIEW

FOUND = Metrics(at=1000, queue_length=7, oldest_seconds=30, poison_length=1, running=2, outcomes={"published": 5})


def test_what_is_written_is_read_while_it_is_current(tmp_path: Path) -> None:
    assert read(tmp_path, now=1000) is None
    write(tmp_path, FOUND)
    assert read(tmp_path, now=1000 + MAX_AGE_S) == FOUND
    assert read(tmp_path, now=1001 + MAX_AGE_S) is None
    assert read(tmp_path, now=999 - MAX_AGE_S) is None


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_other_contents_are_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / NAME).write_bytes(data)
    assert read(tmp_path, now=0) is None


@pytest.mark.parametrize("text", ['{"outcomes":{"other":1}}', "[" * 4000])
def test_an_unknown_outcome_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert read(tmp_path, now=0) is None


def test_every_outcome_has_a_sample() -> None:
    series = next(each for each in SERIES if each.name == "cji_fleet_tickets_taken")
    assert {labels: value for labels, value in series.read(VIEW) if value} == {("published",): 5.0, ("failed",): 1.0}
    assert series.most_samples == len(OUTCOMES)
