"""The simulated Azure around a booted image: its vTPM, its services, and the files of the worker inside."""

import json
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_attestation.trust import AZURE_US
from cji_simulator.launch import Deployment, worker_config
from cji_simulator.simulation import Cmk, Simulation
from tests.support.machine.host import OUTSIDE
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
    test_disk: Path
    port: int
    listener: socket.socket
    metadata: MetadataService

    def report(self, seconds: float) -> dict[str, Any]:
        """The next of what `inside.py report` sends; raises TimeoutError."""
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
    content = folder / "disk"
    shutil.rmtree(content, ignore_errors=True)
    (content / "config").mkdir(parents=True)
    for path in files.folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, content / "config" / path.name)
    shutil.copytree(files.config.parent / "seeds", content / "config" / "seeds")
    (content / "config" / "worker.toml").write_text(_as_installed(files.config.read_text()))
    inside = ROOT / "tests" / "support" / "machine"
    for name in ("inside.py", "worker_inside.py", "refused_inside.py", "broker_inside.py"):
        shutil.copyfile(inside / name, content / name)
    shutil.copyfile(ROOT / "worker" / "cji_worker" / "launch.py", content / "launch.py")
    tree = content / "tree" / "tests" / "support"
    tree.mkdir(parents=True)
    for name in ("guest_root.py", "bpf_reader.py", "__init__.py"):
        shutil.copyfile(ROOT / "tests" / "support" / name, tree / name)
    (content / "site").mkdir()
    facts = {
        "outside": OUTSIDE,
        "ports": _ports(simulation),
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
    (content / "facts.json").write_text(json.dumps(facts))
    # as in production, but for the roots: the machine's own broker and vTPM device, and the logs of its own boot
    trust = msgspec.structs.replace(
        simulation.trust,
        imds=AZURE_US.imds,
        tcti=AZURE_US.tcti,
        firmware_log=AZURE_US.firmware_log,
        userspace_log=AZURE_US.userspace_log,
    )
    (content / "trust.json").write_bytes(msgspec.json.encode(trust))
    disk = folder / "test.erofs"
    disk.unlink(missing_ok=True)
    subprocess.run(["mkfs.erofs", "--all-root", str(disk), str(content)], check=True, capture_output=True)
    return Surroundings(
        simulation=simulation, files=files, test_disk=disk, port=port, listener=listener, metadata=metadata
    )


def _as_installed(text: str) -> str:
    """A simulation's worker.toml with the paths of the image."""
    for pattern, value in (
        (r"^audit_file = .*$", 'audit_file = "/var/lib/cji/audit.log"'),
        (r"^control_socket = .*$", 'control_socket = "/run/cji-control/control.sock"'),
        (r"^status_socket = .*$", 'status_socket = "/run/cji-status/status.sock"'),
        (r"^host = .*$", 'host = "0.0.0.0"'),
        (r"^port = .*$", "port = 8443"),
        (r"^socket = .*$", 'socket = "/run/cji-door/front.sock"'),
    ):
        text, count = re.subn(pattern, value, text, count=1, flags=re.MULTILINE)
        assert count == 1, pattern
    return text


def _ports(simulation: Simulation) -> list[int]:
    at = simulation.endpoints
    urls = (at.maa_url, at.vault_url, at.hsm_url, at.imds_url, at.intel_url, at.amd_url, at.entra_url)
    return [int(url.rpartition(":")[2]) for url in urls]
