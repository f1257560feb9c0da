"""Parts of a machine in QEMU that need no QEMU: who signed an image, what a build has, the simulation's archive."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import Encoding

from cji_deploy.image.pe import PeImage
from cji_simulator.image_cli import image
from cji_simulator.machine.built import Build
from cji_simulator.machine.errors import MachineError
from cji_simulator.machine.firmware import signer_of
from cji_simulator.machine.quotes import Pcr, compared
from cji_simulator.machine.units import simulation_initrd
from tests.unit.image.conftest import SmallImage


def built(small: SmallImage, folder: Path) -> Path:
    """A folder as a build leaves it."""
    (folder / "image").mkdir(parents=True)
    shutil.copy(small.signed, folder / "image" / "cji-worker.efi")
    (folder / "image" / "cji-worker.raw").write_bytes(b"disk")
    return folder


def test_the_signer_is_the_certificate_in_the_signature(small: SmallImage) -> None:
    found = signer_of(PeImage.parse(small.signed.read_bytes()))
    assert found.public_bytes(Encoding.DER) == small.key.der
    with pytest.raises(MachineError, match="not signed"):
        signer_of(PeImage.parse(small.unsigned.read_bytes()))


def test_two_signers_are_refused(small: SmallImage, tmp_path: Path) -> None:
    """The firmware measures the entry of db that fits: which one is not known here."""
    more = tmp_path / "more.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "/dev/null",
            "-out",
            more,
            "-subj",
            "/CN=b",
        ],
        check=True,
        capture_output=True,
    )
    signed = tmp_path / "signed.efi"
    given = {"key": small.key.folder / "db.key", "cert": small.key.folder / "db.pem", "addcert": more, "output": signed}
    options = [f"--{name}={path}" for name, path in given.items()]
    subprocess.run(["sbsign", *options, str(small.unsigned)], check=True, capture_output=True)
    with pytest.raises(MachineError, match="2 certificates"):
        signer_of(PeImage.parse(signed.read_bytes()))


def test_a_build_names_its_flavour(small: SmallImage, debug: SmallImage, tmp_path: Path) -> None:
    folder = built(small, tmp_path / "a")
    assert Build.of(folder) == Build.of(folder / "image")
    assert (Build.of(folder).flavour, Build.of(built(debug, tmp_path / "b")).flavour) == ("production", "debug")


@pytest.mark.parametrize("absent", ["cji-worker.efi", "cji-worker.raw"])
def test_a_folder_without_a_build_is_refused(small: SmallImage, tmp_path: Path, absent: str) -> None:
    folder = built(small, tmp_path / "build")
    (folder / "image" / absent).unlink()
    with pytest.raises(MachineError, match="no image that can be read") as caught:
        Build.of(folder)
    assert "make image" in caught.value.remedy


def test_values_stand_beside_those_that_were_predicted() -> None:
    one, other = b"\1" * 32, b"\2" * 32
    assert compared({4: one, 7: one}, {7: other, 4: one, 15: bytes(32)}) == (
        Pcr(pcr=4, predicted=one.hex(), quoted=one.hex(), same=True),
        Pcr(pcr=7, predicted=one.hex(), quoted=other.hex(), same=False),
        Pcr(pcr=15, predicted=None, quoted="00" * 32, same=None),
    )


def test_the_archive_takes_the_place_of_the_bundle(tmp_path: Path) -> None:
    command = ["cpio", "--extract", "--make-directories", "--quiet"]
    subprocess.run(command, input=simulation_initrd(more={"cji-x.service": "[Service]\n"}), cwd=tmp_path, check=True)
    units = tmp_path / "cji-simulation"
    assert "inside.py prepare" in (units / "cji-bundle.service").read_text()
    assert (units / "cji-x.service").read_text() == "[Service]\n"
    assert (units / "cji-worker.service.d/stays.conf").is_file()
    assert "DeviceTimeout" in (tmp_path / "etc/systemd/system.conf.d/simulation.conf").read_text()
    again = tmp_path / "again"
    again.mkdir()
    subprocess.run(command, input=simulation_initrd(restarts=True), cwd=again, check=True)
    assert not (again / "cji-simulation/cji-worker.service.d/stays.conf").exists()


def test_the_command_names_the_packages_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(image, [str(tmp_path)])
    assert (done.exit_code, "programs are missing" in done.output) == (1, True)
    assert "apt-get install --no-install-recommends qemu-system-x86 swtpm systemd-ukify" in done.output


def test_the_command_leaves_no_folder_behind(
    small: SmallImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a folder that has no build; the private one is gone."""
    own = tmp_path / "tmp"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    monkeypatch.setattr("cji_simulator.machine.guest._PACKAGES", {})
    done = CliRunner().invoke(image, [str(tmp_path)])
    assert (done.exit_code, "no image that can be read" in done.output) == (1, True)
    assert list(own.iterdir()) == []
