"""The index of a reference: what it refuses, its memory, and identifiers that collide."""

import tracemalloc

import numpy as np
import pyarrow as pa

from cji_core.errors import Reason
from cji_core.format.records import tagged
from cji_operations.screen import MAX_RECORDS, build, memory
from tests.reference import screen as twin
from tests.support.refusals import refused
from tests.support.screen_tools import HOTFILE, PERSON, RECORD, SMITH, Row, screened


def test_a_reference_that_does_not_say_which_file() -> None:
    """Its restricted records could not be told apart, so a search would silently leave all of them out."""
    for batches in ([], [twin.batch("hotfile/1", [RECORD], PERSON)]):
        with refused(Reason.SCHEMA_MISMATCH):
            build(batches, twin.FILES, room=1 << 30)


def test_a_reference_that_is_too_large() -> None:
    schema = tagged("hotfile/1", [pa.field("file_code", pa.utf8())])
    large = pa.RecordBatch.from_arrays([pa.nulls(MAX_RECORDS + 1, pa.utf8())], schema=schema)
    small = twin.batch("hotfile/1", [RECORD], HOTFILE)
    for batch, room in ((large, 1 << 40), (small, memory([small]) - 1)):
        with refused(Reason.LIMIT_EXCEEDED):
            build([batch], twin.FILES, room=room)
    assert len(build([small], twin.FILES, room=memory([small]))) == 1


def test_a_column_beyond_what_arrow_can_address() -> None:
    """Its pages are never touched: it is refused by its size."""
    schema = tagged("hotfile/1", [pa.field("file_code", pa.binary())])
    offsets = np.array([0, 1 << 30], np.int32)
    column = pa.Array.from_buffers(
        pa.binary(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(np.zeros(1 << 30, np.uint8))]
    )
    with refused(Reason.LIMIT_EXCEEDED):
        build([pa.RecordBatch.from_arrays([column], schema=schema)] * 2, twin.FILES, room=1 << 40)


def test_the_memory_of_building_is_within_its_estimate() -> None:
    rows = 50_000
    columns = {name: pa.array([f"{i:09d}" for i in range(rows)]) for name in ("SOC", "FBI", "MNU", "SID", "OLN", "NIC")}
    columns |= {
        "last": pa.array([f"N{i}" for i in range(rows)]),
        "first": pa.array([f"G{i}" for i in range(rows)]),
        "OLS": pa.array(["TX"] * rows),
        "DOB": pa.array([f"19{i % 90 + 10}0{i % 9 + 1}{i % 28 + 1:02d}" for i in range(rows)]),
        "file_code": pa.array(["W"] * rows),
    }
    schema = tagged("hotfile/1", [pa.field(name, pa.utf8()) for name in columns])
    batch = pa.RecordBatch.from_arrays(list(columns.values()), schema=schema)
    ordinary = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(ordinary)  # its peak is this test's own; it must outlive the index
    pa.set_memory_pool(counted)
    tracemalloc.start()
    try:
        found = len(build([batch], twin.FILES, room=1 << 34))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(ordinary)
    assert found == rows
    assert peak > 0
    assert (arrow := counted.max_memory()) > 0
    assert peak + arrow <= memory([batch])


def mixed(words: np.ndarray) -> np.ndarray:
    number = words * np.uint64(0x9E3779B97F4A7C15)
    return number ^ (number >> np.uint64(32))


def colliding() -> tuple[str, str]:
    """Two identifiers of 16 characters with the same number in the index: the second word undoes the first one."""
    rng = np.random.default_rng(1)
    alphabet = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", np.uint8)
    heads = rng.choice(alphabet, (2, 50_000, 8)).view(np.uint64)[..., 0]
    difference = mixed(heads[0]) ^ mixed(heads[1])
    pairs = {int(a ^ b): (int(a), int(b)) for a in alphabet for b in alphabet}
    for (one, other), wanted in zip(heads.T.tolist(), difference.tolist(), strict=True):
        steps = wanted.to_bytes(8, "little")
        if all(step in pairs for step in steps):
            tails = [bytes(pairs[step][side] for step in steps) for side in (0, 1)]
            first, second = (
                (head.to_bytes(8, "little") + tail).decode() for head, tail in zip((one, other), tails, strict=True)
            )
            return first, second
    raise AssertionError("no two of them collide")


def test_identifiers_that_collide_are_told_apart() -> None:
    first, second = colliding()
    reference: list[Row] = [{**RECORD, "NAM": None, "FBI": value} for value in (first, second)]
    index = twin.index(reference, HOTFILE)
    assert len(set(index.postings["FBI"].mixed.tolist())) == 1
    inquiries: list[Row] = [{**SMITH, "FBI": value} for value in (second, first)]
    assert screened(inquiries, reference, twin.asked("ncic_qw")).reference_row.tolist() == [1, 0]
    assert screened(inquiries[:1], reference[:1], twin.asked("ncic_qw")).found.tolist() == [0]
