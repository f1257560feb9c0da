"""A worker that is killed on the booted image: how long it takes until the machine serves again.

The processor is emulated, so the figure is far above a machine's; its parts show where the time goes.
"""

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cji_attestation.release.policy import build
from cji_deploy.image.pcrs import pins
from cji_simulator import Simulation
from cji_simulator.machine.disks import with_uki
from cji_simulator.machine.guest import Guest
from cji_simulator.ports import free_port
from tests.support.machine.built import Built
from tests.support.machine.simulated import surroundings
from tests.support.machine.units import uki_with_units
from tests.support.scheduled_events import MetadataService

__all__ = ["Crash", "crashed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """Seconds; `first` and `again` are what the machine said when it served in each of the two boots."""

    to_serving_s: float
    """From the kill to the worker that serves jobs again."""
    to_kernel_s: float
    """Of these, until the kernel of the second boot ran: the pause, shutdown and firmware."""
    first: dict[str, Any]
    again: dict[str, Any]


def crashed(built: Built, azure: Simulation, folder: Path, *, seconds: float) -> Crash:
    """Boot the image, kill its worker, and wait until it serves. Raises TimeoutError with what the machine printed."""
    uki = uki_with_units(built.uki, built.key, folder / "test.efi", crash=True)
    disk = with_uki(built.raw, uki, folder / "test.raw")
    simulation = azure.machine_in_qemu()
    policy: dict[str, Any] = json.loads(
        build(simulation.maa_url, hardware=("snp",), pins=dict(pins(built.predicted(uki))))
    )
    cmk = simulation.create_cmk("cji-crash", policy=policy)
    port = free_port()
    with MetadataService(others=azure.endpoints.imds_url) as metadata:
        around = surroundings(
            folder, simulation=simulation, cmk=cmk, other=cmk, port=port, metadata=metadata, crash=True
        )
        with Guest(
            disk,
            variables=built.variables,
            tpm=simulation.machine.socket,
            folder=folder / "machine",
            port=port,
            simulation=around.disk,
        ) as guest:
            try:
                first = around.report(seconds)
                killed = time.monotonic()
                guest.boot_again(seconds)
                again = around.report(seconds)
            except (TimeoutError, subprocess.TimeoutExpired):
                raise TimeoutError(guest.printed()[-4000:]) from None
            served = time.monotonic()
    total = served - killed
    return Crash(to_serving_s=total, to_kernel_s=total - again["uptime_s"], first=first, again=again)
