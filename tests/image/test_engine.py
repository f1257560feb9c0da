"""One boot of the engine's image: a job in parts from outside, on a node outside; strangers at the scheduler's port.

`make image-smoke FLAVOUR=engine` builds the image and makes this boot.
"""

import json
import re
import socket
import ssl
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from cji_attestation.appraisal.boot_image import ENGINE
from cji_core.format.configuration.engine import CertificatesSection, EngineConfig, NodesSection
from cji_core.format.configuration.fleet import ENGINE_PORT
from cji_engine.certificates import authority, certificate
from cji_engine.roles import Role
from cji_simulator import Simulation
from cji_simulator.machine.disks import uki_with, with_uki
from cji_simulator.machine.guest import OUTSIDE, Guest
from cji_simulator.machine.quotes import quoted
from cji_simulator.machine.units import simulation_initrd
from cji_simulator.ports import free_port
from tests.image.conftest import BOOT_S
from tests.support.engine_doors import NAME, tasks_door
from tests.support.engine_nodes import DIGEST, JOB, TASKS, Pool
from tests.support.engine_tools import engine, wait
from tests.support.machine.built import Built
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(1800)]
_UNITS = {
    # its certificates come with the configuration; and the broker is the image's own
    "cji-engine-enroll.service": "[Unit]\nRequires=cji-bundle.service\nAfter=cji-bundle.service\n"
    "[Service]\nType=oneshot\nExecStart=/usr/bin/true\n",
    "cji-broker.service.d/simulation.conf": "[Unit]\n",
}
_UP, _TRIES, _AWAY = "Reached target multi-user.target", 30, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """What the boot gave: what the job's conductor printed, how strangers were answered, PCRs, serial console."""

    status: int | None
    printed: str
    ran: Counter[tuple[str, int]]
    strangers: dict[str, str]
    pcrs: dict[int, bytes]
    uki: Path
    console: str


@pytest.fixture(scope="module")
def booted(built: Built, azure: Simulation) -> Iterator[Booted]:
    if built.build.flavour != ENGINE:
        pytest.skip(f"CJI_IMAGE is a build of the flavour {built.build.flavour}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cji-engine-image-")))
        folder.chmod(0o711)  # the door is another user
        for name in ("engine", "stranger", "node"):
            (folder / name).mkdir(mode=0o711)
        made = stack.enter_context(engine(folder / "engine"))
        pool = Pool(folder)
        stack.callback(pool.close)
        tasks = pool.node("n1")
        tasks.chmod(0o666)
        door = stack.enter_context(tasks_door(folder / "node", made.folder, tasks, port=ENGINE_PORT))
        uki = uki_with(simulation_initrd(more=_UNITS), built.uki, built.key, folder / "test.efi")
        disk, port = with_uki(built.raw, uki, folder / "test.raw"), free_port()
        own = _disk(folder, made.folder, door.roots)
        simulation = azure.machine_in_qemu()
        guest = stack.enter_context(
            Guest(
                disk,
                variables=built.variables,
                tpm=simulation.machine.socket,
                folder=folder / "machine",
                port=port,
                inside=8786,
                simulation=own,
            )
        )
        assert guest.wait_for(_UP, seconds=BOOT_S), guest.printed()[-4000:]
        for _ in range(_TRIES):  # until the scheduler answers
            conductor = made.conductor(f"tls://127.0.0.1:{port}", JOB, DIGEST, "--wait", "600")
            printed = wait(conductor, seconds=BOOT_S)
            if conductor.process.returncode != _AWAY:
                break
        yield Booted(
            status=conductor.process.returncode,
            printed=printed,
            ran=pool.ran,
            strangers={name: _answer(port, files) for name, files in _strangers(folder, door.submitter).items()},
            pcrs=quoted(simulation.machine.tcti),
            uki=uki,
            console=guest.printed(),
        )


def _disk(folder: Path, pki: Path, roots: Path) -> Path:
    """The files that `engine_inside.py` installs."""
    content = folder / "disk"
    (content / "config" / "tls").mkdir(parents=True)
    (content / "engine").mkdir()
    config = EngineConfig(
        cloud="azure-us",
        pool="engine",
        nodes=NodesSection(addresses=(OUTSIDE,), name=NAME, roots="tls/node-roots.pem", tasks=2),
        certificates=CertificatesSection(url="https://est.example/.well-known/est", roots="tls/engine-roots.pem"),
    )
    (content / "config" / "engine.env").write_bytes(config.environment())
    (content / "config" / "tls" / "node-roots.pem").write_bytes(roots.read_bytes())
    (content / "engine" / "ca.pem").write_bytes((pki / "ca.pem").read_bytes())
    for role in (Role.SCHEDULER, Role.WORKER):
        stem = certificate(pki, role, "image", days=2)
        for suffix in (".pem", ".key"):
            (content / "engine" / f"{role}{suffix}").write_bytes(stem.with_name(f"{stem.name}{suffix}").read_bytes())
    (content / "inside.py").write_bytes((ROOT / "tests/support/machine/engine_inside.py").read_bytes())
    made = folder / "own.erofs"
    subprocess.run(["mkfs.erofs", "--all-root", str(made), str(content)], check=True, capture_output=True)
    return made


def _strangers(folder: Path, submitter: Path) -> dict[str, Path | None]:
    """Those who may not speak to the scheduler, by name: their certificates."""
    authority(folder / "stranger", days=2)
    other = certificate(folder / "stranger", Role.CONDUCTOR, "other", days=2)
    return {"nobody": None, "submitter": submitter, "conductor of another": other.with_name(f"{other.name}.pem")}


def _answer(port: int, certificate_file: Path | None) -> str:
    """What comes back for a TLS connection that sends a byte."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate_file is not None:
        context.load_cert_chain(certificate_file, certificate_file.with_suffix(".key"))
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=120) as plain, context.wrap_socket(plain) as tls:
            tls.sendall(b"\0")
            return "answered" if tls.recv(1) else "closed"
    except ssl.SSLError as error:
        return str(error.reason)
    except OSError:
        return "closed"


def test_a_job_in_parts_runs_from_the_image(booted: Booted) -> None:
    """Conductor, the image's scheduler and its worker, and the door of a node that the firewall lets it reach."""
    assert booted.status == 0, f"{booted.console[-4000:]}\n{booted.printed}"
    assert booted.ran == Counter(TASKS)


def test_strangers_do_not_get_through_tls(booted: Booted) -> None:
    assert set(booted.strangers) == {"nobody", "submitter", "conductor of another"}
    for name, answer in booted.strangers.items():
        assert "ALERT" in answer or answer == "closed", name
    assert "ALERT" in booted.strangers["nobody"]


def test_the_boot_measured_what_was_predicted(booted: Booted, built: Built) -> None:
    predicted = built.predicted(booted.uki)
    assert {pcr: booted.pcrs[pcr].hex() for pcr in predicted.pcrs()} == {
        pcr: value.hex() for pcr, value in predicted.pcrs().items()
    }
    assert "cji.flavour=engine" in predicted.image.command_line.split()


def test_no_unit_failed(booted: Booted) -> None:
    assert re.findall(r"(?:FAILED|ASSERT|DEPEND) *\].*cji.*", booted.console) == []
    assert "Started cji-broker.service" in booted.console


def test_the_image_has_no_worker(built: Built) -> None:
    files = {one["name"] for one in _components(built)}
    assert "cji-engine" in files
    assert "cji-operations" not in files


def _components(built: Built) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((built.raw.parent / "sbom.cdx.json").read_text())["components"]
    return found
