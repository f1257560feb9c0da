"""The second disk of a machine in QEMU: a simulation's files, by which the worker inside trusts the Azure outside."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec

import cji_worker
from cji_attestation.trust import AZURE_US
from cji_simulator.launch import Deployment
from cji_simulator.machine.guest import OUTSIDE
from cji_simulator.simulation import Simulation

__all__ = ["simulation_disk"]

_INSIDE: Final = ("inside.py", "worker_inside.py", "broker_inside.py")


def simulation_disk(
    folder: Path,
    *,
    simulation: Simulation,
    files: Deployment,
    facts: Mapping[str, Any] = MappingProxyType({}),
    more: Mapping[str, Path] = MappingProxyType({}),
) -> Path:
    """The disk, as a file in `folder`; `simulation` is of the machine that boots, `files` are its worker's.

    `facts` are for the programs inside, which read facts.json; `more` are further files, by their place on the disk.
    """
    content = folder / "disk"
    shutil.rmtree(content, ignore_errors=True)
    (content / "config").mkdir(parents=True)
    for path in files.folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, content / "config" / path.name)
    shutil.copytree(files.config.parent / "seeds", content / "config" / "seeds")
    (content / "config" / "worker.toml").write_text(_as_installed(files.config.read_text()))
    copies = {name: Path(__file__).with_name(name) for name in _INSIDE}
    copies |= {"launch.py": Path(cji_worker.__path__[0], "launch.py"), **more}
    for name, source in copies.items():
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, content / name)
    known = {
        "outside": OUTSIDE,
        "ports": _ports(simulation),
        "metadata_port": _port(simulation.endpoints.imds_url),
        "wire_port": 0,
        **facts,
    }
    (content / "facts.json").write_text(json.dumps(known))
    # as in production, but for the roots: the machine's own broker and vTPM device, and the logs of its own boot
    trust = msgspec.structs.replace(
        simulation.trust,
        imds=AZURE_US.imds,
        tcti=AZURE_US.tcti,
        firmware_log=AZURE_US.firmware_log,
        userspace_log=AZURE_US.userspace_log,
        bundle_keys=AZURE_US.bundle_keys,
    )
    (content / "trust.json").write_bytes(msgspec.json.encode(trust))
    disk = folder / "simulation.erofs"
    disk.unlink(missing_ok=True)
    subprocess.run(["mkfs.erofs", "--all-root", str(disk), str(content)], check=True, capture_output=True)
    return disk


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
    return [
        _port(url)
        for url in (at.maa_url, at.vault_url, at.hsm_url, at.imds_url, at.intel_url, at.amd_url, at.entra_url)
    ]


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
