"""In the image /etc/cji leads below /run/cji: what reads its configuration there must not be closed to it."""

from pathlib import Path

import pytest

from tests.support.paths import ROOT

UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_unit_reads_what_is_closed_to_it(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    listed = [line.partition("=")[2] for line in lines if line.startswith("InaccessiblePaths=")]
    closed = {path.lstrip("-") for paths in listed for path in paths.split()}
    started = [line.partition("=")[2] for line in lines if line.startswith("Exec")]
    reads = [command for command in started if "/etc/cji/" in command and not command.startswith("+")]
    assert not ("/run/cji" in closed and reads)
