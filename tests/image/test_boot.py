"""The image as it is built boots in QEMU under Secure Boot, measures what was predicted, and not with a changed byte.

It can only be watched from outside: by its console, and at its vTPM.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from cji_core.boot_codes import BOOT_CODES, BootCode
from cji_deploy.image.boot_events import PREDICTED
from cji_simulator import Simulation
from cji_simulator.machine.disks import partitions, with_uki
from cji_simulator.machine.firmware import MICROSOFTS
from cji_simulator.machine.guest import Guest
from cji_simulator.machine.quotes import quoted
from tests.image.conftest import BOOT_S
from tests.support.machine.built import Built

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(1800)]
_MEASURED = "TPM PCR Barrier (User)"
_WAITS = "no bundle in force"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A boot of the image as it is built."""

    console: str
    pcrs: dict[int, bytes]


@pytest.fixture(scope="module")
def watched(built: Built, azure: Simulation, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    simulation, folder = azure.machine_in_qemu(), tmp_path_factory.mktemp("watched")
    with Guest(built.raw, variables=built.variables, tpm=simulation.machine.socket, folder=folder) as guest:
        end = guest.wait_for(_WAITS, "Started cji-worker", "Kernel panic", seconds=BOOT_S)
        # systemd-pcrphase measures "ready" before the worker may start
        measured = guest.wait_for(_MEASURED, "Kernel panic", seconds=60)
        assert (end, measured) == (_WAITS, _MEASURED), guest.printed()[-4000:]
        return Watched(console=guest.printed(), pcrs=quoted(simulation.machine.tcti))


def test_the_image_boots_under_secure_boot(watched: Watched) -> None:
    assert _MEASURED in watched.console


def test_the_machine_measured_what_was_predicted(watched: Watched, built: Built) -> None:
    predicted = built.predicted(built.uki).pcrs()
    assert predicted.keys() == set(PREDICTED)
    assert {pcr: watched.pcrs[pcr].hex() for pcr in predicted} == {p: v.hex() for p, v in predicted.items()}
    assert watched.pcrs[15] == bytes(32)  # so that the worker's start is the first


def test_nobody_can_log_in(watched: Watched) -> None:
    assert "login:" not in watched.console
    assert "Getty" not in watched.console


def test_a_worker_without_a_configuration_waits_and_says_why(watched: Watched) -> None:
    """The console has a code and its remedy, for there is nobody who could log in and ask."""
    said = next(line for line in watched.console.splitlines() if _WAITS in line)
    code = next(code for code in BootCode if f'"{code}"' in said)
    assert BOOT_CODES[code].remedy in said
    assert "Started cji-worker" not in watched.console


def test_microsofts_keys_alone_do_not_start_the_image(built: Built, azure: Simulation, tmp_path: Path) -> None:
    """The other boots have them too, and in db the certificate that the image's version adds."""
    simulation = azure.machine_in_qemu()
    with Guest(built.raw, variables=MICROSOFTS, tpm=simulation.machine.socket, folder=tmp_path / "m") as guest:
        found = guest.wait_for("Access Denied", "Security Violation", "Linux version", seconds=BOOT_S)
        assert found in {"Access Denied", "Security Violation"}, guest.printed()[-2000:]


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
        found = guest.wait_for("is corrupted", "Failed to mount", "multi-user.target", "cji-worker", seconds=BOOT_S)
        assert found in {"is corrupted", "Failed to mount"}, guest.printed()[-2000:]


def test_a_changed_byte_of_the_image_is_not_started(built: Built, azure: Simulation, tmp_path: Path) -> None:
    uki = bytearray(built.uki.read_bytes())
    uki[uki.index(b"roothash=") + 9] ^= 1
    changed = tmp_path / "changed.efi"
    changed.write_bytes(uki)
    disk = with_uki(built.raw, changed, tmp_path / "changed.raw")
    simulation = azure.machine_in_qemu()
    with Guest(disk, variables=built.variables, tpm=simulation.machine.socket, folder=tmp_path / "m") as guest:
        found = guest.wait_for("Access Denied", "Security Violation", "Linux version", seconds=BOOT_S)
        assert found in {"Access Denied", "Security Violation"}, guest.printed()[-2000:]
