from pathlib import Path

import msgspec
import pytest

from cji_core.errors import Reason, StartupError
from cji_core.format.configuration.worker import load
from cji_core.trail import read
from cji_worker.keyholder.replay import decide, resume_trail
from cji_worker.trail.replay_ledger import JobEntry, JobState
from tests.support.refusals import refused
from tests.support.worker_configs import WORKER_CONFIG

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


@pytest.mark.parametrize(
    ("operator", "explanation"), [("", "VM replaced"), ("jdoe", "two\nlines"), ("jdoe", "x" * 257)]
)
def test_a_resumption_needs_texts_that_an_event_can_hold(tmp_path: Path, operator: str, explanation: str) -> None:
    (tmp_path / "worker.toml").write_text(WORKER_CONFIG)
    config = load(tmp_path / "worker.toml")
    config = msgspec.structs.replace(config, audit_file=str(tmp_path / "audit.log"))
    with pytest.raises(StartupError) as caught:
        resume_trail(config, operator_id=operator, explanation=explanation)
    assert "1 to 256 printable characters" in str(caught.value)
    with resume_trail(config, operator_id="jdoe", explanation="VM replaced"):
        lines = (tmp_path / "audit.log").read_bytes().splitlines(keepends=True)
    assert [getattr(read(line).event, "explanation", "") for line in lines] == ["", "VM replaced"]
