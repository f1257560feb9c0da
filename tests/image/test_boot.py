"""The image boots in QEMU under Secure Boot with a simulated Azure's vTPM, serves a sealed job, and gives nothing away.

Two boots: of the image as it is built, which can only be watched from outside, and of the same root with the tests'
units in the initrd. What a machine measured is read from outside, at its vTPM. Emulation is slow: minutes on two
processors.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cji_simulator import Simulation
from cji_simulator.site import people
from tpm2_pytss import ESAPI
from tpm2_pytss.types import TPML_PCR_SELECTION

from attestation.release.policy import build
from deploy.image.boot_events import PREDICTED
from deploy.image.pcrs import pins
from tests.image.conftest import Built
from tests.support.guest_root import ORDINARY, SECRET
from tests.support.machine.host import Guest
from tests.support.machine.parts import partitions, uki_with_units, with_uki
from tests.support.machine.simulated import ABSENT, Surroundings, surroundings

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(1800)]
_BOOT_S = float(os.environ.get("CJI_IMAGE_BOOT_SECONDS", "900"))


def quoted(simulation: Simulation) -> dict[int, bytes]:
    """PCRs 0 to 15 of a machine in QEMU, read from outside."""
    found: dict[int, bytes] = {}
    with ESAPI(simulation.machine.tcti) as tpm:
        for first in (0, 8):
            chosen = "sha256:" + ",".join(str(pcr) for pcr in range(first, first + 8))
            _, _, values = tpm.pcr_read(TPML_PCR_SELECTION.parse(chosen))
            found |= {first + number: bytes(value) for number, value in enumerate(values)}
    return found


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    with Simulation(tmp_path_factory.mktemp("azure")) as simulation:
        yield simulation


# ---- the image as it is built


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A boot of the image as it is built."""

    console: str
    pcrs: dict[int, bytes]


@pytest.fixture(scope="module")
def watched(built: Built, azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    simulation, folder = azure.machine_in_qemu(), tmp_path_factory.mktemp("watched")
    with Guest(built.raw, variables=built.variables, tpm=simulation.machine.socket, folder=folder) as guest:
        guest.wait_for("Reached target multi-user.target", "Kernel panic", seconds=_BOOT_S)
        # systemd-pcrphase measures "ready" before the worker may start
        guest.wait_for("Assertion failed for cji-worker", "Started cji-worker", seconds=60)
        return Watched(console=guest.printed(), pcrs=quoted(simulation))


def test_the_image_boots_under_secure_boot(watched: Watched) -> None:
    assert "Reached target multi-user.target" in watched.console


def test_the_machine_measured_what_was_predicted(watched: Watched, built: Built) -> None:
    predicted = built.predicted(built.uki).pcrs()
    assert predicted.keys() == set(PREDICTED)
    assert {pcr: watched.pcrs[pcr].hex() for pcr in predicted} == {p: v.hex() for p, v in predicted.items()}
    assert watched.pcrs[15] == bytes(32)  # so that the worker's start is the first


def test_nobody_can_log_in(watched: Watched) -> None:
    assert "login:" not in watched.console
    assert "Getty" not in watched.console


def test_a_worker_without_a_configuration_does_not_start(watched: Watched) -> None:
    assert "Started cji-worker" not in watched.console


# ---- one changed byte


def test_a_changed_byte_of_the_root_does_not_boot(built: Built, azure: Simulation, tmp_path: Path) -> None:
    disk = tmp_path / "changed.raw"
    subprocess.run(["cp", "--sparse=always", built.raw, disk], check=True)
    offset, _ = next(
        place for label, place in partitions(disk).items() if label.startswith("root") and "verity" not in label
    )
    with disk.open("r+b") as file:
        file.seek(offset + 1024)  # the superblock of erofs, which is read first
        byte = file.read(1)
        file.seek(offset + 1024)
        file.write(bytes([byte[0] ^ 1]))
    simulation = azure.machine_in_qemu()
    with Guest(disk, variables=built.variables, tpm=simulation.machine.socket, folder=tmp_path / "m") as guest:
        found = guest.wait_for("is corrupted", "Failed to mount", "multi-user.target", "cji-worker", seconds=_BOOT_S)
        assert found in {"is corrupted", "Failed to mount"}, guest.printed()[-2000:]


def test_a_changed_byte_of_the_image_is_not_started(built: Built, azure: Simulation, tmp_path: Path) -> None:
    uki = bytearray(built.uki.read_bytes())
    uki[uki.index(b"roothash=") + 9] ^= 1
    changed = tmp_path / "changed.efi"
    changed.write_bytes(uki)
    disk = with_uki(built.raw, changed, tmp_path / "changed.raw")
    simulation = azure.machine_in_qemu()
    with Guest(disk, variables=built.variables, tpm=simulation.machine.socket, folder=tmp_path / "m") as guest:
        found = guest.wait_for("Access Denied", "Security Violation", "Linux version", seconds=_BOOT_S)
        assert found in {"Access Denied", "Security Violation"}, guest.printed()[-2000:]


# ---- the same root, with the tests' units


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A boot with the tests' units: what ran inside says, and the job that was sent from outside."""

    report: dict[str, Any]
    console: str
    pcrs: dict[int, bytes]
    uki: Path
    around: Surroundings
    rows: int


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def served(built: Built, azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("served")
    uki = uki_with_units(built.uki, built.key, folder / "test.efi")
    disk = with_uki(built.raw, uki, folder / "test.raw")
    simulation = azure.machine_in_qemu()
    claims = pins(built.predicted(uki))
    cmk = simulation.create_cmk("cji-image", policy=_policy(simulation, claims))
    # and a key for an image with one other byte
    changed = bytearray(uki.read_bytes())
    changed[changed.index(b"roothash=") + 9] ^= 1
    (folder / "other.efi").write_bytes(changed)
    others = pins(built.predicted(folder / "other.efi"))
    other = simulation.create_cmk("cji-other", policy=_policy(simulation, others))
    around = surroundings(folder, simulation=simulation, cmk=cmk, other=other, port=_free_port())
    with Guest(
        disk,
        variables=built.variables,
        tpm=simulation.machine.socket,
        folder=folder / "machine",
        port=around.port,
        test_disk=around.test_disk,
    ) as guest:
        try:
            report = around.report(_BOOT_S)
        except TimeoutError:
            raise AssertionError(guest.printed()[-4000:]) from None
        rows = _job(around) if report["served"] else 0
        pcrs = quoted(simulation)
        return Served(
            report=report,
            console=guest.printed(),
            pcrs=pcrs,
            uki=uki,
            around=around,
            rows=rows,
        )


def _policy(simulation: Simulation, claims: dict[str, str]) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(build(simulation.maa_url, hardware=("snp",), pins=dict(claims)))
    return policy


def _job(around: Surroundings) -> int:
    """A sealed job through the door; the rows that come back."""
    from cji_simulator.site import Site

    from worker.client import load_profile

    profile = load_profile(around.files.profile)
    cmk = around.simulation.cmk("cji-image")
    site = Site(simulation=around.simulation, cmk=cmk, files=around.files, worker=None, profile=profile)  # type: ignore[arg-type]
    result = site.run(people(100), deadline=300)
    return int(site.open(result)["row_status"].num_rows)


def test_the_vault_released_the_key_to_the_booted_image(served: Served) -> None:
    """Its policy has the PCRs that were predicted from the image; a worker without the key is not active."""
    assert served.report["served"], served.report["journal"][-6000:]


def test_the_vault_refuses_an_image_with_one_changed_byte(served: Served) -> None:
    """The same machine, in the same boot, attests well and does not get the key of an image whose PCR 4 is another."""
    refused = served.report["refused"]
    assert refused.get("attested"), refused
    assert (refused["released"], refused.get("fault")) == (False, "RELEASE_DENIED"), refused


def test_a_sealed_job_ran_inside(served: Served) -> None:
    assert served.rows == 100


def test_the_test_boot_measured_what_was_predicted(served: Served, built: Built) -> None:
    predicted = built.predicted(served.uki).pcrs()
    assert {pcr: served.pcrs[pcr].hex() for pcr in predicted} == {p: v.hex() for p, v in predicted.items()}


def test_the_units_are_up(served: Served) -> None:
    state = {one["unit"]: one["active"] for one in served.report["units"]}
    for unit in ("cji-worker.service", "cji-door.service", "cji-door.socket", "nftables.service"):
        assert state[unit] == "active", unit
    assert [unit for unit, active in state.items() if active == "failed"] == []


def test_doctor_finds_nothing_but_the_simulation(served: Served) -> None:
    found = served.report["doctor"]
    assert isinstance(found, list), found
    bad = [one for one in found if one["state"] in {"failed", "not run"}]
    assert bad == []


def test_root_inside_reads_and_loads_nothing(served: Served) -> None:
    attacks = served.report["attacks"]
    denied = ("bpf", "perf_event_open", "init_module", "finit_module", "kexec_load", "kexec_file_load", "ptrace")
    assert {name: attacks[name] for name in (*denied, "process_vm_readv")} == dict.fromkeys(
        (*denied, "process_vm_readv"), "EPERM"
    )
    assert attacks["/dev/mem"] != "done"
    assert attacks["/proc/kcore"] != "done"
    outcomes = served.report["root"]
    assert isinstance(outcomes, dict), outcomes
    values = {name: value for name, value in outcomes.items() if isinstance(value, str)}
    assert not {SECRET, ORDINARY, "attached", "written"} & set(values.values()), values
    assert "Seccomp:\t2" in served.report["pid1"]
    assert "[confidentiality]" in served.report["lockdown"]


def test_root_inside_cannot_change_what_runs(served: Served) -> None:
    writes = served.report["writes"]
    assert {path: writes[path] for path in ("/usr/lib/cji/new", "/opt/cji/new", "/etc/new")} == dict.fromkeys(
        ("/usr/lib/cji/new", "/opt/cji/new", "/etc/new"), "EROFS"
    )
    assert writes["execution of state"] == "EACCES"


def test_the_image_has_no_shell_no_package_manager_no_agent(served: Served) -> None:
    assert served.report["shells"] == []
    assert len(ABSENT) > 10
    shells = {line.rpartition(":")[2] for line in served.report["passwd"].splitlines()}
    assert shells == {"/usr/sbin/nologin"}
    assert len(served.report["swaps"].splitlines()) == 1


def test_the_image_has_no_simulator(served: Served) -> None:
    assert served.report["simulator"] == "[None, None, None]"


def test_the_mounts_are_closed(served: Served) -> None:
    mounts = {line.split()[1]: line.split()[2:4] for line in served.report["mounts"].splitlines()}
    kind, options = mounts["/"]
    assert kind == "erofs"
    assert "ro" in options.split(",")
    for place in ("/var", "/tmp", "/var/lib"):
        assert {"nosuid", "nodev", "noexec"} <= set(mounts[place][1].split(",")), place
    assert mounts["/var/lib"][0] == "ext4"
