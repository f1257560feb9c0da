import pytest

from tests.support.refusals import refused
from worker.errors import Reason
from worker.job import Attempt, Entry, decide

ONE, TWO = b"1" * 48, b"2" * 48

TABLE = [
    (None, ONE, None),
    (Attempt.ENDED, ONE, None),
    (Attempt.RUNNING, ONE, Reason.ALREADY_EXISTS),
    (Attempt.RECEIPTED, ONE, Reason.ALREADY_EXISTS),
    (Attempt.ENDED, TWO, Reason.REPLAYED),
    (Attempt.RUNNING, TWO, Reason.REPLAYED),
    (Attempt.RECEIPTED, TWO, Reason.REPLAYED),
]


@pytest.mark.parametrize(("attempt", "digest", "reason"), TABLE)
def test_the_table_of_decisions(attempt: Attempt | None, digest: bytes, reason: Reason | None) -> None:
    known = None if attempt is None else Entry(header_sha384=ONE, attempt=attempt)
    if reason is None:
        decide(known, digest)
        return
    with refused(reason):
        decide(known, digest)
