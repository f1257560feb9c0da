"""A confidential VM's vTPM: swtpm with Azure's keys and indices behind the proxy.

| handle | what |
|---|---|
| 0x81000003 | AK: RSA-2048, RSASSA-SHA256, restricted, endorsement hierarchy |
| 0x81010001 | EK by the TCG's default template |
| 0x01C101D0 | AK certificate, zero-padded to 4096 bytes |
| 0x01400001 | HCL report; a read at offset 0 renews it from 0x01400002, once in a while at most |
| 0x01400002 | 64 bytes of user data; the guest defines it |
"""

import asyncio
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tpm2_pytss import ESAPI
from tpm2_pytss.constants import ESYS_TR, TPMA_OBJECT
from tpm2_pytss.types import TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE

from cji_simulator import hcl, measured_boot, tpm_wire
from cji_simulator.faults import Faults, Kind, Service
from cji_simulator.machine_tpm import MachineTpm
from cji_simulator.roots import Roots
from cji_simulator.snp import ID_KEY_DIGEST, MEASUREMENT, Report
from cji_simulator.tdx import TdxHost
from cji_simulator.tpm_proxy import AK_CERTIFICATE, HCL_REPORT, Connection, TpmProxy

__all__ = ["FIRMWARE_LOG", "USERSPACE_LOG", "HclReport", "VirtualTpm"]

AK: Final = 0x81000003
EK: Final = 0x81010001
USER_DATA: Final = 0x01400002
_OWNER: Final = 0x40000001
FIRMWARE_LOG: Final = "binary_bios_measurements"  # as the kernel names it
USERSPACE_LOG: Final = "tpm2-measure.log"  # as systemd does
MACHINE_SOCKET: Final = "machine.sock"
# TPMT_PUBLIC of the TCG's EK template L-1 without its 256-byte unique field ("EK Credential Profile", B.3.3)
_EK_POLICY: Final = bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
_EK_TEMPLATE: Final = (
    bytes.fromhex("0001000b000300b20020") + _EK_POLICY + bytes.fromhex("00060080004300100800000000000100") + bytes(256)
)
_AK_ATTRIBUTES: Final = (
    TPMA_OBJECT.FIXEDTPM
    | TPMA_OBJECT.FIXEDPARENT
    | TPMA_OBJECT.SENSITIVEDATAORIGIN
    | TPMA_OBJECT.USERWITHAUTH
    | TPMA_OBJECT.NODA
    | TPMA_OBJECT.RESTRICTED
    | TPMA_OBJECT.SIGN_ENCRYPT
)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """An index with constant content."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    async def content(self, *, offset: int) -> bytes:
        return self.data


@dataclass(slots=True, kw_only=True)
class HclReport:
    """The index whose content is a fresh hardware report."""

    proxy: TpmProxy
    claims: hcl.RuntimeClaims
    roots: Roots
    host: TdxHost | None
    faults: Faults
    period: float  # seconds
    report_id: bytes = field(default_factory=lambda: os.urandom(32))
    _report: bytes = b""
    _made: float = 0.0
    _of_boot: bool = False

    def reboot(self) -> None:
        """Forget this boot: the next report is of another launch."""
        self.report_id, self._report = os.urandom(32), b""

    @property
    def size(self) -> int:
        """Bytes of the index."""
        return hcl.NV_SIZE[self.claims.tee]

    async def content(self, *, offset: int) -> bytes:
        """Return the report, renewed when a read begins and the limiter allows."""
        if offset == 0 and self._of_boot != bool(self.faults.take(Service.TPM, Kind.BOOT_REPORT)):
            self._of_boot, self._report = not self._of_boot, b""
        due = offset == 0 and not self._of_boot and time.monotonic() - self._made >= self.period
        if due or not self._report:
            user_data = bytes(hcl.USER_DATA_LENGTH) if self._of_boot else await self._user_data()
            self._report, self._made = self._new(user_data), time.monotonic()
        return self._report

    def _new(self, user_data: bytes) -> bytes:
        claims = self.claims.encode(user_data)
        if self.host is not None:
            return hcl.report(self.host.report(hcl.report_data(claims)), claims, "tdx")
        hardware = Report(
            report_data=hcl.report_data(claims),
            chip_id=self.roots.chip_id,
            report_id=self.report_id,
            measurement=MEASUREMENT,
            id_key_digest=ID_KEY_DIGEST,
            tcb=self.roots.tcb,
        )
        vcek = self.roots.vcek.key
        if not isinstance(vcek, ec.EllipticCurvePrivateKey):
            raise TypeError("a VCEK is a P-384 key")
        return hcl.report(hardware.sign(vcek), claims)

    async def _user_data(self) -> bytes:
        for authority in (USER_DATA, _OWNER):  # whichever the guest allowed; a real paravisor needs neither
            command = tpm_wire.nv_read_command(authority, USER_DATA, hcl.USER_DATA_LENGTH)
            response = await self.proxy.exchange(command)
            if tpm_wire.succeeded(response):
                start = tpm_wire.HEADER + 6
                return response[start : start + hcl.USER_DATA_LENGTH]
        return bytes(hcl.USER_DATA_LENGTH)


class _Swtpm:
    """The process behind the proxy; its state outlives it, until another VM begins."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "swtpm"
        shutil.rmtree(self._state, ignore_errors=True)  # and no dictionary-attack counter from a killed one
        self._state.mkdir(mode=0o700)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> Connection:
        """Start it on a private socket pair, when the one before has ended."""
        await self.ended()
        near, far = socket.socketpair()
        with far:
            command = ["swtpm", "socket", "--tpm2", "--fd", str(far.fileno()), "--tpmstate", f"dir={self._state}"]
            command += ["--flags", "not-need-init,startup-clear", "--log", f"file={self._folder / 'swtpm.log'}"]
            self._process = subprocess.Popen(command, pass_fds=[far.fileno()], stdin=subprocess.DEVNULL)
        return await asyncio.open_connection(sock=near)

    async def ended(self) -> None:
        """Wait for its end, which comes when its socket is closed."""
        if self._process is not None:
            await asyncio.to_thread(self._process.wait, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualTpm:
    """A running vTPM. `tcti` is what a client connects with; `door` is QEMU's, if a machine measures its own boot."""

    proxy: TpmProxy
    process: _Swtpm
    report: HclReport
    tcti: str
    folder: Path
    door: MachineTpm | None = None

    @classmethod
    async def start(
        cls,
        *,
        folder: Path,
        roots: Roots,
        host: TdxHost | None,
        vm_id: uuid.UUID,
        report_period: float,
        faults: Faults,
        machine: bool = False,
    ) -> Self:
        """Start a new swtpm, boot and provision it, and serve it at `folder/tpm.sock`, its event logs beside it.

        That of a `machine` is not booted: QEMU connects to `folder/machine.sock`, and whatever runs in it measures.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        process = _Swtpm(folder)
        indices: dict[int, Any] = {}
        proxy = TpmProxy(tpm=await process.start(), indices=indices, faults=faults)
        for command in () if machine else _extensions(measured_boot.BOOT):
            await proxy.exchange(command)
        path = folder / "tpm.sock"
        await proxy.start(path)
        tcti = f"swtpm:path={path}"
        ak, ek = await asyncio.to_thread(_provision, tcti)
        certificate = roots.ak_certificate(ak, vm_id)
        claims = hcl.RuntimeClaims(ak=ak, ek=ek, vm_id=vm_id, tee="snp" if host is None else "tdx")
        report = HclReport(proxy=proxy, claims=claims, roots=roots, host=host, faults=faults, period=report_period)
        indices[AK_CERTIFICATE] = _Fixed(certificate.ljust(4096, b"\0"))
        indices[HCL_REPORT] = report

        async def restart() -> None:
            await proxy.restart(process.start, ())
            report.reboot()

        door = MachineTpm(proxy=proxy, path=folder / MACHINE_SOCKET, restart=restart) if machine else None
        made = cls(proxy=proxy, process=process, report=report, tcti=tcti, folder=folder, door=door)
        if not machine:
            made._log_boot(measured_boot.BOOT)
        return made

    def _log_boot(self, boot: Sequence[measured_boot.Measurement]) -> None:
        (self.folder / FIRMWARE_LOG).write_bytes(measured_boot.encode(boot))
        records = b"".join(map(measured_boot.record, measured_boot.USERSPACE))
        (self.folder / USERSPACE_LOG).write_bytes(records)

    async def reboot(self, image: str = "") -> None:
        """Reset the TPM as a reboot of the VM does: persistent keys and indices stay, the NULL seed and PCRs do not.

        `image` is the name of the image that it boots; by default the one that it started with.
        """
        boot = measured_boot.boot_of(image)
        await self.proxy.restart(self.process.start, _extensions(boot))
        self._log_boot(boot)
        self.report.reboot()

    async def extend(self, pcr: int, *, logged: bool) -> None:
        """Measure something that was not there before, as a program of the system does if it is `logged`."""
        new = measured_boot.said(pcr, os.urandom(8).hex())
        await self.proxy.exchange(tpm_wire.pcr_extend(pcr, new.digest))
        if logged:
            with (self.folder / USERSPACE_LOG).open("ab") as log:
                log.write(measured_boot.record(new))

    async def stop(self) -> None:
        """Close swtpm's socket, at which it ends."""
        if self.door is not None:
            await self.door.stop()
        await self.proxy.stop()
        await self.process.ended()


def _extensions(boot: Sequence[measured_boot.Measurement]) -> list[bytes]:
    """The TPM's commands of a boot."""
    return [tpm_wire.pcr_extend(one.pcr, one.digest) for one in (*boot, *measured_boot.USERSPACE)]


def _provision(tcti: str) -> tuple[rsa.RSAPublicKey, rsa.RSAPublicKey]:
    """Create AK and EK; returns both public keys."""
    template = TPM2B_PUBLIC.parse("rsa2048:rsassa-sha256:null", objectAttributes=_AK_ATTRIBUTES)
    ek_template, _ = TPM2B_PUBLIC.unmarshal(tpm_wire.sized(_EK_TEMPLATE))
    with ESAPI(tcti) as tpm:
        return _persistent(tpm, AK, template), _persistent(tpm, EK, ek_template)


def _persistent(tpm: Any, handle: int, template: Any) -> rsa.RSAPublicKey:
    created, *_ = tpm.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
    key = tpm.evict_control(ESYS_TR.OWNER, created, handle)
    tpm.flush_context(created)
    public = serialization.load_pem_public_key(tpm.read_public(key)[0].to_pem())
    if not isinstance(public, rsa.RSAPublicKey):
        raise TypeError("AK and EK are RSA keys")
    return public
