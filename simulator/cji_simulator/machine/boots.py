"""The boots of `cji-simulator image`: the image as it is, and the same root and kernel with the simulation's trust.

No production image trusts a simulation, and no option makes it: the roots are compiled in. So a sealed job needs a
second boot, whose initrd brings the simulation's roots and configuration. It is another image with other PCRs, signed
by a key that is made for it; command line, root hash, kernel and all code are those of the build.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from cji_attestation.attested import AttestedWorker
from cji_attestation.release.policy import build as release_policy
from cji_client.errors import ClientError, Unverified
from cji_client.profile import load_profile
from cji_core.boot_codes import BootCode
from cji_deploy.image.boot_events import BootPrediction
from cji_deploy.image.pcrs import pins
from cji_simulator.launch import worker_config
from cji_simulator.machine.built import Build, Firmware
from cji_simulator.machine.contents import simulation_disk
from cji_simulator.machine.disks import uki_with, with_uki
from cji_simulator.machine.errors import MachineError
from cji_simulator.machine.firmware import Key
from cji_simulator.machine.guest import Guest
from cji_simulator.machine.quotes import Pcr, compared, quoted
from cji_simulator.machine.units import simulation_initrd
from cji_simulator.ports import free_port
from cji_simulator.simulation import Simulation
from cji_simulator.site import Submitter, people

__all__ = ["Boot", "Job", "Machines", "Outcome", "Served"]

_WAITS: Final = "no bundle in force"
_MEASURED: Final = "TPM PCR Barrier (User)"
"""systemd-pcrphase has measured "ready", before the worker may start."""
_SERVES: Final = "Started cji-worker"
_PANIC: Final = "Kernel panic"
_REFUSED: Final = ("Access Denied", "Security Violation")
_SLOW: Final = "Timed out waiting for device"
"""The initrd waits a minute and a half for its disks; on busy processors an emulated machine takes longer."""
_FAILED: Final = (_SLOW, "Failed to start cji-", "Dependency failed for cji-", _PANIC, *_REFUSED)
_KEY: Final = "cji-image"
_NO_WIRE_SERVER: Final = {"cji-provisioned.service": "[Service]\nType=oneshot\nExecStart=/usr/bin/true\n"}
"""Nobody here waits for the report that the machine is provisioned."""
_ROWS: Final = 100
_DEADLINE_S: Final = 300
_ATTEST_S: Final = 120
_LAST: Final = 2000
"""Characters of the console that an error shows."""


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """One boot: how long it took, the code of its console without a bundle, and its PCRs."""

    seconds: float
    accelerator: str
    code: str
    pcrs: tuple[Pcr, ...]

    @property
    def as_predicted(self) -> bool:
        """Whether each PCR that is predicted has the predicted value."""
        return all(one.same is not False for one in self.pcrs)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed job: what its verified receipt states, and the checks on the machine's evidence."""

    id: str
    rows_in: int
    rows_out: int
    code_sha384: str
    checks: tuple[str, ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of a whole run, as JSON; `simulated` and `job` are null where there was none."""

    flavour: str
    as_predicted: bool
    as_built: Boot
    simulated: Boot | None
    job: Job | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A machine that serves, and is on; it gets no job if it measured something else than was predicted."""

    boot: Boot
    job: Job | None
    guest: Guest
    profile: Path
    simulation: Simulation


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Machines in QEMU for one build, in a private folder; `seconds` is the most that one may take to come up."""

    build: Build
    azure: Simulation
    folder: Path
    accelerate: Sequence[str]
    seconds: float
    show: Callable[[str], None]

    def as_built(self) -> Boot:
        """Boot the image as it is, until it waits for a configuration."""
        firmware = Firmware.of([self.build.signer], self.folder / "release")
        predicted = firmware.predicted(self.build.uki, self.build.signer)
        simulation, began = self.azure.machine_in_qemu(), time.monotonic()
        with self._guest(self.build.raw, firmware, simulation, "release") as guest:
            guest.follow(self.show)
            self._until(guest, _WAITS)
            self._until(guest, _MEASURED)
            code = next((code for code in BootCode if f'"{code}"' in guest.printed()), "")
            pcrs = compared(predicted.pcrs(), quoted(simulation.machine.tcti))
            return Boot(seconds=time.monotonic() - began, accelerator=guest.accelerator, code=code, pcrs=pcrs)

    @contextmanager
    def served(self) -> Iterator[Served]:
        """Boot it with the simulation's trust and run a sealed job; the machine is on until the context ends."""
        own = self.folder / "simulated"
        key = Key.new(own / "keys")
        firmware = Firmware.of([key.certificate], own / "firmware")
        uki = uki_with(simulation_initrd(more=_NO_WIRE_SERVER), self.build.uki, key, own / "cji-worker.efi")
        predicted = firmware.predicted(uki, key.certificate)
        disk = with_uki(self.build.raw, uki, own / "cji-worker.raw")
        simulation, port = self.azure.machine_in_qemu(), free_port()
        submitter = _submitter(own, simulation, predicted, port)
        second = simulation_disk(own, simulation=simulation, files=submitter.files)
        began = time.monotonic()
        with self._guest(disk, firmware, simulation, "simulated", port=port, second=second) as guest:
            guest.follow(self.show)
            self._until(guest, _SERVES)
            took = time.monotonic() - began
            attested = self._attested(guest, submitter)
            boot = Boot(
                seconds=took,
                accelerator=guest.accelerator,
                code="",
                pcrs=compared(predicted.pcrs(), dict(enumerate(_quoted(attested)))),
            )
            job = _job(_pinned(submitter, predicted)) if boot.as_predicted else None
            yield Served(boot=boot, job=job, guest=guest, profile=submitter.files.profile, simulation=simulation)

    def _guest(
        self,
        disk: Path,
        firmware: Firmware,
        simulation: Simulation,
        name: str,
        *,
        port: int = 0,
        second: Path | None = None,
    ) -> Guest:
        return Guest(
            disk,
            variables=firmware.variables,
            tpm=simulation.machine.socket,
            folder=self.folder / f"{name}-machine",
            port=port,
            simulation=second,
            accelerate=self.accelerate,
        )

    def _until(self, guest: Guest, text: str) -> None:
        found = guest.wait_for(text, *_FAILED, seconds=self.seconds)
        if found != text:
            why = f"it printed {found!r}" if found else "it ended" if not guest.running else "the time is over"
            remedy = "Run it again with processors that are idle." if found == _SLOW else None
            raise MachineError(
                f"the machine did not come to {text!r}: {why}\n{guest.printed()[-_LAST:]}", remedy=remedy
            )

    def _attested(self, guest: Guest, submitter: Submitter) -> AttestedWorker:
        """The door may take a moment longer than the worker."""
        until = time.monotonic() + _ATTEST_S
        while True:
            guest.look()
            try:
                with submitter.client() as client:
                    return client.attest()
            except Unverified as error:
                raise MachineError(f"the machine's evidence is refused: {error}") from error
            except ClientError as error:
                if time.monotonic() > until:
                    raise MachineError(f"the worker does not answer: {error}\n{guest.printed()[-_LAST:]}") from error
                time.sleep(2)


def _submitter(folder: Path, simulation: Simulation, predicted: BootPrediction, port: int) -> Submitter:
    """A key that the vault releases to the predicted image alone, and the worker's and submitter's files."""
    claims = pins(predicted)
    policy: dict[str, Any] = json.loads(release_policy(simulation.maa_url, hardware=("snp",), pins=dict(claims)))
    cmk = simulation.create_cmk(_KEY, policy=policy)
    files = worker_config(folder / "worker", simulation=simulation, keys=[cmk], port=port, cells=1, pcr_check_s=60)
    return Submitter(simulation=simulation, cmk=cmk, files=files, profile=load_profile(files.profile))


def _pinned(submitter: Submitter, predicted: BootPrediction) -> Submitter:
    """The same submitter, with the prediction as reference values."""
    pcrs = {pcr: (value.hex(),) for pcr, value in predicted.pcrs().items()}
    profile = submitter.profile
    reference = msgspec.structs.replace(profile.reference, pcrs=pcrs, boot_images=(predicted.image,))
    return dataclasses.replace(submitter, profile=msgspec.structs.replace(profile, reference=reference))


def _quoted(attested: AttestedWorker) -> tuple[bytes, ...]:
    boot = attested.verdict.boot
    if boot is None:
        raise MachineError("the worker's evidence has no second quote")
    return boot.pcrs


def _job(submitter: Submitter) -> Job:
    """Seal, run, verify the receipt, open the result."""
    result = submitter.run(people(_ROWS), deadline=_DEADLINE_S)
    rows = submitter.open(result)["row_status"].num_rows
    claims = result.receipt.claims
    return Job(
        id=claims.job_id,
        rows_in=claims.volumes.rows_in,
        rows_out=rows,
        code_sha384=claims.code_sha384,
        checks=tuple(check for check, _ in result.attested.verdict.checks),
    )
