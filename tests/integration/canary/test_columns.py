"""No value of a cell, and no key of a column, can be read in the memory of any process of the worker, by root.

The job of `test_memory` has plain columns; this one's are sealed, so its values first exist when a cell opens them.
"""

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from cji_core.format.job import SealedOutput
from cji_core.operations.deidentify import Deidentify
from cji_simulator.raw import settled, until
from cji_simulator.scan import Canaries, encodings, look_inside, scan_worker
from cji_simulator.stepwise import Stepwise
from tests.support.cell_writer import Cells, derived_key
from tests.support.column_jobs import Statement, Table
from tests.support.column_site import column_site
from tests.support.simulations import simulated

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="reading the memory of other processes needs root"),
    pytest.mark.timeout(600),  # every byte of every process is looked at, twice
]

ROWS, CELL_REGION = 4000, 160 << 20
CEK = secrets.token_bytes(32)
PERSONS = Statement(
    columns={
        "last": Cells(cek=CEK, kind="nvarchar(60)", deterministic=True),
        "SOC": Cells(cek=CEK, kind="varchar(60) cp1252"),
    }
)
MARKS = {name: f"Cz{secrets.token_hex(5).upper()}" for name in PERSONS.columns}
OUTPUTS = [SealedOutput(output="result", column=name, column_keys=0, as_column=name) for name in ("SOC", "last")]


@dataclass(slots=True)
class Seen:
    """Hits outside of secret memory and labels inside of it, by moment."""

    found: dict[str, list[str]] = field(default_factory=dict)
    inside: dict[str, set[str]] = field(default_factory=dict)


def patterns() -> dict[str, bytes]:
    values = {f"{name} {how}": data for name, mark in MARKS.items() for how, data in encodings(mark).items()}
    keys = {f"{use} key": derived_key(CEK, use) for use in ("encryption", "MAC", "IV")}
    return {**values, **keys, "column key": CEK, "column key hex": CEK.hex().encode()}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder, found, canaries = tmp_path_factory.mktemp("columns"), Seen(), Canaries(patterns())
    table = Table(
        columns={name: [f"{mark}{row:07d}" for row in range(ROWS)] for name, mark in MARKS.items()},
        sealed=("SOC", "last"),
    )
    with simulated(folder / "azure") as azure, column_site(folder / "site", azure, PERSONS) as columns:
        site = columns.site
        job, (segments,) = columns.job([table], Deidentify(columns=dict.fromkeys(MARKS, "keep")), outputs=OUTPUTS)

        def held() -> set[str]:
            return set().union(*look_inside(site.worker.pids["supervisor"], canaries, size=CELL_REGION))

        def look(moment: str) -> None:
            scans = scan_worker(site.worker.pids, canaries)
            found.found[moment] = [f"{hit.label} in {scan.process}" for scan in scans for hit in scan.hits]
            found.inside[moment] = held()

        with Stepwise(site, job, segments) as call:
            call.send()
            call.read_until("accepted")
            until(lambda: [1] if {"last utf-8", "SOC utf-8"} <= held() else None)
            look("during")  # all rows were opened, and the cell waits for the end
            call.finish()
            call.read_all()
            assert call.receipt
        settled(site)
        look("after")
        yield found


@pytest.mark.parametrize("moment", ["during", "after"])
def test_no_value_of_a_cell_is_in_the_memory_of_any_process(seen: Seen, moment: str) -> None:
    assert seen.found[moment] == []


def test_the_cell_held_values_and_keys_while_it_was_looked_at(seen: Seen) -> None:
    assert {"last utf-8", "SOC utf-8", "column key"} <= seen.inside["during"]


def test_a_region_has_nothing_of_them_when_the_job_is_over(seen: Seen) -> None:
    assert seen.inside["after"] == set()
