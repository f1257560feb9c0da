"""A small drill: two workers start, are upgraded, have their key rotated and lose it; every time is there."""

from pathlib import Path

import pytest

from cji_simulator.drill import run_drill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_drill_of_two_workers(tmp_path: Path) -> None:
    rows = run_drill(tmp_path / "d", workers=2, key_lifetime_s=60)
    assert list(dict.fromkeys(row.step for row in rows)) == ["services", "start", "upgrade", "rotate", "revoke"]
    seconds = {row.what: row.seconds for row in rows if row.step == "revoke"}
    assert seconds["last receipt for a job under the revoked key"] <= seconds["every worker refuses"]
    assert seconds["last worker dropped the key"] <= 60 + 30
