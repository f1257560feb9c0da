"""Each kind of witness against a local service that speaks its protocol."""

import pytest

from tests.support.witness_kinds import KINDS, Setting
from worker.audit.witnesses.records import Records


@pytest.mark.parametrize("kind", KINDS)
def test_a_growing_trail_is_witnessed(setting: Setting, kind: str) -> None:
    trail, destination = setting.trail.write(), setting.destination(kind)
    assert destination.advance().seq == 0  # no trail yet has a checkpoint
    for size in (3, 8, 9):
        trail.write(size - len(trail.lines))
        at = trail.head
        trail.checkpoint()
        got = destination.advance()
        assert (got.seq, got.hash) == (at.seq, at.hash)
        assert destination.advance() == got
        setting.clock[0] += 60
    records = [record for _, record in Records(setting.state / "witnesses" / destination.name)]
    assert len(records) == 3
