"""A small unified kernel image, made by systemd's own tools. Its kernel is a stub, which is a PE file, too."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from cji_simulator.machine.disks import UKIFY
from cji_simulator.machine.firmware import Key

STUB = Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
MEASURE = Path("/usr/lib/systemd/systemd-measure")
LINE = "roothash=" + "ab" * 32 + " init=/usr/lib/cji/host-profile lockdown=confidentiality"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallImage:
    """The image, unsigned and signed, and the files of its sections."""

    unsigned: Path
    signed: Path
    sections: Mapping[str, Path]
    key: Key


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallImage:
    return image_with(LINE, tmp_path_factory.mktemp("uki"))


@pytest.fixture(scope="session")
def debug(tmp_path_factory: pytest.TempPathFactory) -> SmallImage:
    """An image that names its flavour."""
    return image_with(f"{LINE} cji.flavour=debug", tmp_path_factory.mktemp("debug"))


@pytest.fixture(scope="session")
def of_engine(tmp_path_factory: pytest.TempPathFactory) -> SmallImage:
    """An image of the engine's flavour."""
    return image_with(f"{LINE} cji.flavour=engine", tmp_path_factory.mktemp("engine"))


def image_with(line: str, folder: Path) -> SmallImage:
    """The image with this command line."""
    if not STUB.is_file() or not all(map(shutil.which, ("ukify", "sbsign", "sbattach"))):
        pytest.skip("systemd-boot-efi, systemd-ukify or sbsigntool is not installed")
    contents = {
        "linux": STUB.read_bytes(),
        "initrd": b"an initrd, whose length is not a multiple of four" + bytes(range(251)),
        "cmdline": line.encode(),
        "osrel": b'ID=debian\nIMAGE_ID="cji-worker"\n',
        "uname": b"6.12.0-cloud-amd64",
    }
    sections = {name: folder / name for name in contents}
    for name, data in contents.items():
        sections[name].write_bytes(data)
    unsigned, signed = folder / "unsigned.efi", folder / "signed.efi"
    command = [*UKIFY, "build", f"--linux={sections['linux']}", f"--initrd={sections['initrd']}", f"--stub={STUB}"]
    command += [f"--cmdline=@{sections['cmdline']}", f"--os-release=@{sections['osrel']}"]
    command += [f"--uname={contents['uname'].decode()}", f"--output={unsigned}"]
    subprocess.run(command, check=True, capture_output=True)
    key = Key.new(folder / "keys")
    sign = ["sbsign", "--key", str(key.folder / "db.key"), "--cert", str(key.folder / "db.pem")]
    subprocess.run([*sign, "--output", str(signed), str(unsigned)], check=True, capture_output=True)
    return SmallImage(unsigned=unsigned, signed=signed, sections=sections, key=key)
