"""Every fault of an endpoint, and the deliverer killed at every named point: no event is lost, none has two ids."""

from pathlib import Path

from tests.support.sink_faults import POINTS, run
from tests.support.sink_server import FAULTS


def test_no_fault_loses_or_doubles_an_event(tmp_path: Path) -> None:
    outcome = run(tmp_path, faults=len(FAULTS), kills=len(POINTS), seed=7)
    assert outcome.faults.keys() == set(FAULTS)
    assert outcome.kills.keys() == set(POINTS)
    assert set(outcome.lost.values()) == set(outcome.unknown.values()) == {0}
    assert set(outcome.early.values()) == {0}
    assert outcome.clean
    # the faults were real: an answer that was lost has the same events sent again
    assert outcome.again["sentinel"] + outcome.again["siem"] > 0
