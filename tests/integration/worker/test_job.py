"""The whole path: sealed rows in, sealed rows and a receipt out."""

import os
import resource
from pathlib import Path

import pyarrow as pa
import pytest

from cji_core.format.job import LIMITS
from cji_core.operations.deidentify import Deidentify, Mask
from cji_operations.operation import CHUNK_ROWS
from cji_simulator.raw import RawWorker, cells, forge, settled
from cji_simulator.site import Site, people


def test_rows_come_back_deidentified(site: Site) -> None:
    table = people(1000)
    out = site.open(site.run(table))
    assert out["result"].column_names == ["last", "SOC"]
    assert out["result"]["last"] == table["last"]
    assert not set(out["result"]["SOC"].to_pylist()) & set(table["SOC"].to_pylist())
    assert out["row_status"]["status"].to_pylist() == [0] * 1000


def test_no_rows_is_a_valid_job(site: Site) -> None:
    out = site.open(site.run(people(0)))
    assert out["result"].num_rows == out["row_status"].num_rows == 0
    assert out["result"].column_names == ["last", "SOC"]


def test_many_segments(site: Site) -> None:
    table = people(200_000)
    result = site.run(table)
    out = site.open(result)
    assert out["result"]["last"] == table["last"]
    assert out["row_status"]["row"].to_pylist() == list(range(200_000))
    volumes = result.receipt.claims.volumes
    assert (volumes.rows_in, volumes.rows_out) == (200_000, 200_000)


def test_l07_padded_outputs_have_power_of_two_plaintext(site: Site) -> None:
    result = site.run(people(1000), site.spec(size_class="power_of_two"))
    for part in result.receipt.claims.outputs:
        segments = -(-(part.bytes - 74) // (1 << 20))
        plain = part.bytes - 74 - 32 * segments
        assert plain & (plain - 1) == 0
    assert site.open(result)["result"].num_rows == 1000


def mapped(pid: int, name: str) -> set[str]:
    """The inodes of the memory files of this name that a process maps."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[4] for line in lines if name in line}


def secret_files(pid: int) -> set[str]:
    """The inodes of the secret memory that a process maps; none may be open besides."""
    descriptors = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    assert not [name for name in descriptors if name.startswith("/secretmem")]
    return mapped(pid, "/secretmem")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="reads /proc of processes that are not dumpable")
def test_a_cell_has_its_own_region_and_key_slot_and_no_other(site: Site) -> None:
    """Cells are forked from one process that maps all regions; none may see another's.

    The region of resident references is in all of them until a job comes that does not need it.
    """
    first, second = map(secret_files, settled(site))
    (resident,) = first & second
    assert len(first) == len(second) == 3
    slots = secret_files(site.worker.pids["zygote"]) & secret_files(site.worker.pids["keyholder"])
    assert len(first & slots) == len(second & slots) == 1
    assert len(slots) == 2
    with RawWorker.of(site) as worker, worker.stream() as stream:
        assert stream.begin(forge(site).open()).WhichOneof("message") == "accepted"
        one, other = sorted(map(secret_files, cells(site)), key=len)
        assert (len(one), len(other)) == (2, 3)
        assert one in (first - {resident}, second - {resident})


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="reads /proc of processes that are not dumpable")
def test_a_cell_has_its_own_ring_and_no_other(site: Site) -> None:
    """Red before: the zygote mapped rings, so the second cell had the first one's, with the segments of its job."""
    first, second = (mapped(pid, "cji-ring") for pid in settled(site))
    assert len(first) == len(second) == 1
    assert first != second
    assert not mapped(site.worker.pids["zygote"], "cji-ring")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="reads /proc of processes that are not dumpable")
def test_x04_a_cell_may_map_as_much_however_many_there_are(site: Site) -> None:
    """Red before: 32 MiB more for each other cell."""
    for pid in settled(site):
        limit, _ = resource.prlimit(pid, resource.RLIMIT_AS)
        used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
        assert 0 < limit - used < 32 << 20


def test_a_batch_as_large_as_allowed_is_worked_off_in_chunks(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations see chunks; the recipient has every row once and in order, with its own findings."""
    monkeypatch.setattr("cji_client.sources._BATCH_ROWS", LIMITS.batch_rows)
    table = people(LIMITS.batch_rows)
    numbers = pa.array(["1" if i % CHUNK_ROWS == 0 else "123456789" for i in range(table.num_rows)])
    table = table.set_column(2, "SOC", numbers).combine_chunks()
    mask = Deidentify(project="p1", columns={"last": "keep", "first": "drop", "SOC": Mask(keep_last=2)})
    out = site.open(site.run(table, site.spec(mask)))
    assert out["result"]["last"] == table["last"]
    assert out["row_status"]["row"].to_pylist() == list(range(LIMITS.batch_rows))
    found = [row for row, status in enumerate(out["row_status"]["status"].to_pylist()) if status]
    assert found == [0, CHUNK_ROWS, 2 * CHUNK_ROWS, 3 * CHUNK_ROWS]
    assert [row for row, value in enumerate(out["result"]["SOC"].to_pylist()) if value is None] == found
