"""Record clearance leaves no trace: its job is held while the cell has every event, and the whole worker is searched.

Subjects, offenses and comments carry marks, and the outputs repeat those of subjects.
"""

import os
import secrets
from dataclasses import dataclass

import pyarrow as pa
import pytest

from cji_client.spec import InputSpec
from cji_core.operations.clear import Clear
from cji_simulator.raw import settled
from cji_simulator.scan import Canaries, ProcessScan, encodings, look_inside, scan_file, scan_worker
from cji_simulator.site import Site
from cji_simulator.stepwise import Stepwise
from tests.support.clear_tools import AS_OF, CHRI, batch, conviction, table

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of other processes needs root"),
    pytest.mark.timeout(300),
]

ROWS = 60_000
CELL_REGION = 160 << 20
RULES = table({"age_at_conviction_below": 31, "only_sections": ("11358 HS",), "relief": "dismiss"}, {"relief": "none"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """All that was searched."""

    inside: set[str]
    during: list[ProcessScan]
    after: list[ProcessScan]
    files: dict[str, set[str]]


@pytest.fixture(scope="module")
def marks() -> dict[str, str]:
    return {name: f"{name[0].upper()}Z{secrets.token_hex(6).upper()}" for name in ("subject", "offense", "comment")}


@pytest.fixture(scope="module")
def seen(site: Site, marks: dict[str, str]) -> Seen:
    rows = [
        conviction(
            subject=f"{marks['subject']}{i:07d}",
            offense=f"11358 HS-{marks['offense']}{i:07d}" if i % 2 else "SEE COMMENT FOR CHARGE",
            comment=f"11358(A) HS {marks['comment']}{i:07d}",
        )
        for i in range(ROWS)
    ]
    records = pa.Table.from_batches([batch(rows)])
    canaries = Canaries(
        {f"{name} {how}": data for name, mark in marks.items() for how, data in encodings(mark).items()}
    )
    job = site.seal(site.spec(Clear(table=RULES, as_of=AS_OF), input=InputSpec(schema=CHRI)), rows=ROWS)
    with Stepwise(site, job, list(job.seal_part(0, records))) as run:
        run.send()
        run.finish()
        run.read_until("segment")
        inside: set[str] = set().union(*look_inside(site.worker.pids["supervisor"], canaries, size=CELL_REGION))
        during = scan_worker(site.worker.pids, canaries)
        run.read_all()
        assert run.receipt
    settled(site)  # the cell of the job is gone, and another one forked into its region
    files = [file for file in site.files.folder.rglob("*") if file.is_file()]
    found = {str(file): scan_file(file, canaries) for file in [*files, site.worker.log]}
    return Seen(inside=inside, during=during, after=scan_worker(site.worker.pids, canaries), files=found)


def test_the_cell_held_the_events_while_it_was_looked_at(seen: Seen) -> None:
    assert {"subject utf-8", "offense utf-8", "comment utf-8"} <= seen.inside
    assert all(scan.bytes_read > 1 << 20 for scan in (*seen.during, *seen.after))
    assert len(seen.during) >= 6


def test_l08_no_event_is_in_the_memory_of_any_process(seen: Seen) -> None:
    assert not [hit for scan in (*seen.during, *seen.after) for hit in scan.hits]


def test_l01_r03_no_event_is_in_a_log_or_a_file(seen: Seen) -> None:
    assert len(seen.files) > 3
    assert {name: found for name, found in seen.files.items() if found} == {}
