"""The benchmark `start` sees what each process of a worker spends until it serves."""

import time
from pathlib import Path

from benchmarks.processes import spent
from benchmarks.start import read_notes
from benchmarks.start_child import CALLS
from cji_simulator.launch import worker_config
from cji_simulator.simulation import Simulation
from cji_simulator.worker import Worker
from tests.support.paths import ROOT


def test_a_noted_worker_starts_and_each_import_and_call_is_noted(tmp_path: Path, simulation: Simulation) -> None:
    notes, cmk = tmp_path / "notes", simulation.create_cmk("noted")
    notes.mkdir()
    files = worker_config(tmp_path / "worker", simulation=simulation, keys=[cmk])
    program, began = ("-P", "-m", "benchmarks.start_child", str(notes)), time.monotonic()
    with Worker(
        files.config,
        trust=simulation.trust,
        log=tmp_path / "log",
        program=program,
        environment={"PYTHONPATH": str(ROOT)},
    ) as worker:
        cpu = spent({**worker.pids, "door": worker.door.process.pid})
        found = read_notes(notes, began=began, until=time.monotonic())
    assert found.keys() == CALLS.keys()
    for name, one in found.items():
        assert one.calls.keys() == {call for _, call in CALLS[name]}
        assert 0 < one.begun_s < one.imported_s
        assert sum(one.imports.values()) + one.cpu_begun < one.cpu
        assert cpu[name] > 0
        assert min(one.of(kind)[1] for kind in ("ours", "theirs", "python")) > 0
    assert "numpy" in found["zygote"].imports
    assert "numpy" not in found["control"].imports
    assert any(name.startswith("azure.keyvault") for name in found["keyholder"].imports)
