"""The simulated Azure around a booted image in tests, and the listener for what its units report."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cji_simulator.launch import Deployment, worker_config
from cji_simulator.machine.contents import simulation_disk
from cji_simulator.simulation import Cmk, Simulation
from tests.support.paths import ROOT
from tests.support.scheduled_events import MetadataService

__all__ = ["ABSENT", "Surroundings", "surroundings"]

ABSENT: Final = (
    *("/bin/sh", "/bin/bash", "/bin/dash", "/usr/bin/apt", "/usr/bin/dpkg", "/usr/bin/login", "/usr/sbin/agetty"),
    *("/usr/sbin/sshd", "/usr/bin/perl", "/usr/sbin/waagent", "/usr/bin/pip", "/opt/cji/bin/pip", "/usr/bin/su"),
)
_PATIENCE_S: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the machine outside keeps: the simulation, the agency's files, the listener for the report."""

    simulation: Simulation
    files: Deployment
    disk: Path
    port: int
    listener: socket.socket
    metadata: MetadataService

    def report(self, seconds: float) -> dict[str, Any]:
        """The next of what `attack.py report` sends; raises TimeoutError."""
        self.listener.settimeout(seconds)
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(60)
            found: dict[str, Any] = json.loads(b"".join(iter(lambda: connection.recv(1 << 16), b"")))
        return found


def surroundings(
    folder: Path,
    *,
    simulation: Simulation,
    cmk: Cmk,
    other: Cmk,
    port: int,
    metadata: MetadataService,
    wire_port: int = 0,
    crash: bool = False,
) -> Surroundings:
    """Everything for one boot; `simulation` is of the machine that boots, `other` is the key of another image.

    `crash`: nothing attacks; the worker is killed once, and the machine boots again.
    """
    files = worker_config(folder / "worker", simulation=simulation, keys=[cmk], port=port, cells=1, pcr_check_s=60)
    listener = socket.create_server(("127.0.0.1", 0))
    facts = {
        "metadata_port": metadata.port,
        "wire_port": wire_port,
        "vault_resource": simulation.endpoints.vault_resource,
        "report_port": listener.getsockname()[1],
        "patience": _PATIENCE_S,
        "absent": ABSENT,
        "crash": crash,
        "other_key": {
            "kek_id": other.kek_id,
            "public_thumbprint": other.public_thumbprint,
            "policy_sha256": other.policy_sha256,
        },
    }
    support = ROOT / "tests" / "support"
    more = {f"tree/tests/support/{name}": support / name for name in ("guest_root.py", "bpf_reader.py", "__init__.py")}
    more |= {name: support / "machine" / name for name in ("attack.py", "refused_inside.py")}
    disk = simulation_disk(folder, simulation=simulation, files=files, facts=facts, more=more)
    return Surroundings(simulation=simulation, files=files, disk=disk, port=port, listener=listener, metadata=metadata)
