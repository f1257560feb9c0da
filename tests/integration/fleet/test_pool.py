"""A worker and its fleet process, from ticket to receipt."""

from collections.abc import Iterator

import pytest
from cji_simulator.simulation import Simulation

from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import Storage


@pytest.fixture(scope="module")
def pool(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("pool")
    with Simulation(folder / "azure", release_limit=1000, report_period=0) as azure:
        pool = Pool(folder / "pool", azure, storage)
        yield pool
        pool.close()


def test_a_job_by_reference_completes(pool: Pool) -> None:
    pool.members[0].start_fleet()
    job = pool.submit()
    pool.wait(job, seconds=40)
    counts = pool.check()
    assert counts["receipts"] == counts["attempts"] == 1
