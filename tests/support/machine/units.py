"""The units that a test adds to the booted image: they look and attack from inside."""

from pathlib import Path
from typing import Final

from cji_simulator.machine.disks import uki_with
from cji_simulator.machine.firmware import Key
from cji_simulator.machine.units import DISK, PYTHON, simulation_initrd

__all__ = ["uki_with_units"]

_REFUSED: Final = f"""\
[Unit]
RequiresMountsFor={DISK}
After=cji-simulation-network.service cji-bundle.service
Before=cji-worker.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={PYTHON} {DISK}/attack.py refused
StandardError=journal+console
"""
_REPORT: Final = f"""\
[Unit]
RequiresMountsFor={DISK}
After=cji-simulation-network.service cji-bundle.service
[Service]
Environment=HOME=/tmp
ExecStart={PYTHON} {DISK}/attack.py report
StandardError=journal+console
"""
_UNITS: Final = {
    "cji-test-refused.service": _REFUSED,
    "cji-test-report.service": _REPORT,
    "multi-user.target.d/test.conf": "[Unit]\nWants=cji-test-refused.service cji-test-report.service\n",
    "cji-worker.service.d/test.conf": "[Unit]\nAfter=cji-test-refused.service\n",
}


def uki_with_units(uki: Path, key: Key, out: Path, *, crash: bool = False) -> Path:
    """The same image with the simulation's and the tests' units; `crash`: a worker that ends is started again."""
    return uki_with(simulation_initrd(restarts=crash, more=_UNITS), uki, key, out)
