"""Jobs in parts on two workers with their fleet processes, from header to receipt; the conductor without Dask."""

from collections.abc import Iterator

import pytest
from cji_simulator.simulation import Simulation
from cji_simulator.site import people

from tests.support.fleet_bench import Pool
from tests.support.fleet_storage import Storage
from tests.support.parts_pool import TASKS_SOCKET, conduct, opened, start, submit


@pytest.fixture(scope="module")
def pool(storage: Storage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("p")
    with Simulation(folder / "azure", release_limit=1000, report_period=0) as azure:
        pool = Pool(folder / "p", azure, storage, workers=2, tasks_socket=TASKS_SOCKET)
        start(pool)
        yield pool
        pool.close()


def test_a_job_in_parts_gives_what_one_machine_gives(pool: Pool) -> None:
    records = people(50)
    sealed = submit(pool, records, shards=3)
    conductor, _ = conduct(pool, sealed)
    assert [one.name for one in conductor.reports][-1] == "finish"
    tables = opened(pool, sealed)
    assert tables["result"]["last"] == records["last"]
