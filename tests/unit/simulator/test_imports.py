"""What a process of the simulator must not load: each start, command and test of an app would pay for it."""

import subprocess
import sys
from typing import get_args

import pytest

from cji_attestation.appraisal import TcbStatus
from cji_simulator.intel import STATUSES

SERVERS = {"aiohttp", "cji_simulator.server", "cji_simulator.keyvault"}
WORKER = {"cji_worker.front.server", "cji_worker.keyholder.custody", "pyarrow", "numpy"}
ABSENT = {
    "cji_simulator": SERVERS | WORKER | {"cji_attestation", "cryptography"},
    "cji_simulator.pytest_plugin": SERVERS | WORKER | {"cji_attestation", "cryptography"},
    "cji_simulator.simulation": SERVERS | WORKER | {"cji_attestation.appraisal", "cji_attestation.release"},
    "cji_simulator.cli": SERVERS | WORKER | {"cji_attestation.appraisal", "cji_client", "grpc", "cji_worker"},
    # with `cli`, what `up` and a test's worker load
    "cji_simulator.unit, cji_simulator.launch, cji_simulator.door": SERVERS | WORKER | {"grpc", "cji_client"},
    "cji_simulator.server": WORKER | {"cji_attestation.appraisal", "cji_client", "grpc", "click", "rich"},
}


@pytest.mark.parametrize("modules", ABSENT)
def test_a_process_loads_what_it_uses(modules: str) -> None:
    program = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not ABSENT[modules] & {*done.stdout.split()}


def test_intel_can_say_what_a_policy_may_accept() -> None:
    assert (*get_args(TcbStatus), "Revoked") == STATUSES
