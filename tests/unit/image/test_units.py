"""The units that the image enables are those that its build installs; the build itself checks Debian's."""

import re
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

_IMAGE = ROOT / "deploy" / "image"
_SCRIPT = _IMAGE / "mkosi.build.chroot"
_PLACE = Path("etc/systemd/system-preset/00-cji.preset")


def installed(flavour: str) -> set[str]:
    """Names that the build script takes for this flavour."""
    of_engine, of_worker = re.findall(r"mapfile -t units < <\((.+)\)$", _SCRIPT.read_text(), re.MULTILINE)
    command = ["/usr/bin/bash", "-c", f"tree=$1; {of_engine if flavour else of_worker}", "bash", str(ROOT)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def wanted(preset: Path) -> set[str]:
    return set(re.findall(r"^enable (cji-\S+)$", preset.read_text(), re.MULTILINE))


def test_the_engines_image_has_its_own_units() -> None:
    found = installed("engine")
    assert found == wanted(_IMAGE / "mkosi.profiles" / "engine" / "mkosi.extra" / _PLACE)
    assert {"cji-engine-scheduler.service", "cji-engine-worker.service", "cji-bundle.service"} < found
    assert "cji-worker.service" not in found
    assert not any(one.startswith("cji-engine-") for one in installed(""))


def test_every_unit_of_the_preset_is_installed() -> None:
    found = wanted(_IMAGE / "extra" / _PLACE)
    assert {"cji-worker.service", "cji-drain.path", "cji-door-enroll.timer", "cji-door.socket"} <= found
    assert found <= installed("")
