"""A packet about a trail whose oldest lines were pruned, with short receipts: it shows what it counts."""

from datetime import date
from pathlib import Path
from subprocess import run

import pytest

from cji_audit.packet.fields import query, query_digest, values
from cji_audit.packet.material import Period
from cji_audit.packet.survey import survey
from cji_core.trail import read
from cji_core.trail.whole_receipts import WholeReceipts
from tests.support.review_trails import Trail
from tests.support.rotated import prune, split

PERIOD = Period(first=date(2024, 1, 1), last=date(2027, 12, 31))


@pytest.fixture
def pruned(tmp_path: Path) -> Path:
    """Five jobs of one start, of which two are left: the first receipt of a segment is whole, as a worker writes it."""
    trail = Trail()
    trail.start()
    trail.job()
    trail.job()
    last, trail.base = trail.job(), None
    trail.job()
    trail.job()
    path = split(trail.lines, tmp_path / "audit.log", last)
    prune(path)
    return path


def test_every_value_is_shown_by_its_line(pruned: Path) -> None:
    found = survey(pruned, PERIOD)
    receipts, shown = WholeReceipts(), {}
    for number, line in found.lines.items():
        event = read(line).event
        receipt = receipts.take(event)
        shown[number] = set(values(event, None if receipt is None else receipt.claims))
    for field, of in found.trail.seen.items():
        for value, seen in of.items():
            assert field.startswith("in_force.") or (field, value) in shown[seen.first]


def test_the_query_finds_what_the_packet_counts(pruned: Path) -> None:
    seen = survey(pruned, PERIOD).trail.seen
    for field in ("kind", "receipt.policy_sha384", "receipt.fips.mode"):
        found = run(["sh", "-c", query(field, PERIOD, str(pruned))], capture_output=True, text=True, check=True)
        assert found.stdout.split()[0] == query_digest(seen.get(field, ()))
