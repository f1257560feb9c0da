"""The units that the image enables are those that its build installs; the build itself checks Debian's."""

import re
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

_IMAGE = ROOT / "deploy" / "image"
_PRESET = _IMAGE / "extra" / "etc" / "systemd" / "system-preset" / "00-cji.preset"


def installed() -> set[str]:
    """Names that the loop of the build script goes through."""
    found = re.search(r'for unit in ("\$tree"\S+); do', (_IMAGE / "mkosi.build.chroot").read_text())
    assert found is not None
    command = ["/usr/bin/bash", "-c", f"tree=$1; printf '%s\\n' {found[1]}", "bash", str(ROOT)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return {Path(one).name for one in listed}


def test_every_unit_of_the_preset_is_installed() -> None:
    wanted = set(re.findall(r"^enable (cji-\S+)$", _PRESET.read_text(), re.MULTILINE))
    assert {"cji-worker.service", "cji-drain.path", "cji-door-enroll.timer", "cji-door.socket"} <= wanted
    assert wanted <= installed()
