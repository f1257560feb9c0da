import pytest

from cji_core.errors import Reason
from cji_worker.keyholder.replay import decide
from cji_worker.trail.replay_ledger import JobEntry, JobState
from tests.support.refusals import refused

ONE, TWO = b"1" * 48, b"2" * 48

TABLE = [
    (None, ONE, None),
    (JobState.ENDED, ONE, None),
    (JobState.ADMITTED, ONE, Reason.ALREADY_EXISTS),
    (JobState.COMPLETED, ONE, Reason.ALREADY_EXISTS),
    (JobState.ENDED, TWO, Reason.REPLAYED),
    (JobState.ADMITTED, TWO, Reason.REPLAYED),
    (JobState.COMPLETED, TWO, Reason.REPLAYED),
]


@pytest.mark.parametrize(("state", "digest", "reason"), TABLE)
def test_the_table_of_decisions(state: JobState | None, digest: bytes, reason: Reason | None) -> None:
    known = None if state is None else JobEntry(state=state, header_sha384=ONE, line=0)
    if reason is None:
        decide(known, digest)
        return
    with refused(reason):
        decide(known, digest)
