"""Quotas of control groups: a process and each child of one get what they may use, and a machine without is refused."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from benchmarks.quotas import Quotas
from cji_simulator.processes import children

CORES = 1 / 16
BUSY = "while True: pass"
PARENT = f"import os\nfor _ in range(2): os.fork() or exec({BUSY!r})\nos.wait()"


@pytest.fixture
def quotas() -> Iterator[Quotas]:
    try:
        with Quotas(cores=CORES) as found:
            yield found
    except click.ClickException as refused:
        pytest.skip(refused.message)


def used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cores_of(pids: list[int], *, seconds: float = 1.0) -> list[float]:
    """Cores that each of these used for a while."""
    before = [used(pid) for pid in pids]
    time.sleep(seconds)
    return [(used(pid) - was) / seconds for pid, was in zip(pids, before, strict=True)]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes control groups")
def test_a_process_and_each_child_have_a_quota(quotas: Quotas) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", BUSY]) as alone,
        subprocess.Popen([sys.executable, "-c", PARENT]) as parent,
    ):
        try:
            while len(found := children(parent.pid)) < 2:
                time.sleep(0.02)
            quotas.give("alone", alone.pid)
            quotas.give_children("child", parent.pid, 2)
            time.sleep(0.2)
            cores = cores_of([alone.pid, *found])
        finally:
            for pid in (*children(parent.pid), alone.pid):
                os.kill(pid, 9)
    assert all(0 < each < 1.5 * CORES for each in cores), cores


def test_a_machine_without_quotas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="as root where a cpu controller"):
        Quotas(cores=CORES, root=tmp_path / "none")
