"""Made-up jobs: whole, without a trace, and refused when one does not come out whole."""

import mmap
import os
from typing import Any

import pytest

from cji_worker.cell import self_test
from cji_worker.cell.process import WINDOW_BYTES
from cji_worker.cell.self_test import warm_up_job
from cji_worker.ipc import Ring
from tests.support.contexts import TABLES

WINDOW = memoryview(mmap.mmap(-1, WINDOW_BYTES))
RING = Ring.create()


def test_warming_up_leaves_no_descriptor_open() -> None:
    job = warm_up_job()
    job.run(ring=RING, window=WINDOW, reference_slots=[], tables=TABLES)
    before = sorted(os.listdir("/proc/self/fd"))
    job.run(ring=RING, window=WINDOW, reference_slots=[], tables=TABLES)
    assert sorted(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("in_parts", [False, True])
def test_every_operation_comes_out_whole(in_parts: bool) -> None:
    self_test.self_test(WINDOW, TABLES, in_parts=in_parts)


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_job_that_fails_fails_the_self_test(monkeypatch: pytest.MonkeyPatch, in_parts: bool) -> None:
    honest = self_test._sealed

    def altered(*args: Any, **options: Any) -> bytes:
        sealed = bytearray(honest(*args, **options))
        sealed[-1] ^= 1
        return bytes(sealed)

    monkeypatch.setattr("cji_worker.cell.self_test._sealed", altered)
    with pytest.raises(RuntimeError, match="self-test"):
        self_test.self_test(WINDOW, TABLES, in_parts=in_parts)


def test_a_task_that_fails_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.cell.self_test._run_case", lambda *_, **__: None)
    monkeypatch.setattr("cji_worker.cell.parts_loop.PartsLoop.run", lambda _: None)
    with pytest.raises(RuntimeError, match="in parts"):
        self_test.self_test(WINDOW, TABLES, in_parts=True)


def test_a_known_cell_that_does_not_open_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cji_worker.cell.column_self_test.CEK", bytes(32))
    with pytest.raises(RuntimeError, match="the known cell"):
        self_test.self_test(WINDOW, TABLES, in_parts=False)
