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
import hashlib
import os
import shutil
import socket
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from tpm2_pytss import ESAPI
from tpm2_pytss.constants import ESYS_TR, TPM2_ALG, TPMA_OBJECT
from tpm2_pytss.types import TPM2B_PUBLIC, TPM2B_SENSITIVE_CREATE, TPML_DIGEST_VALUES, TPMT_HA, TPMU_HA

from cji_simulator import hcl, tpm_wire
from cji_simulator.roots import Roots
from cji_simulator.snp import Report
from cji_simulator.tpm_proxy import TpmProxy

__all__ = ["HclReport", "VirtualTpm"]

AK: Final = 0x81000003
EK: Final = 0x81010001
AK_CERTIFICATE: Final = 0x01C101D0
HCL_REPORT: Final = 0x01400001
USER_DATA: Final = 0x01400002
_OWNER: Final = 0x40000001
_MEASURED_BOOT: Final = range(8)  # PCRs that firmware and boot loader extend
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
    period: float  # seconds
    report_id: bytes = field(default_factory=lambda: os.urandom(32))
    _report: bytes = b""
    _made: float = 0.0

    @property
    def size(self) -> int:
        """Bytes of the index."""
        return hcl.NV_SIZE[self.claims.tee]

    async def content(self, *, offset: int) -> bytes:
        """Return the report, renewed when a read begins and the limiter allows."""
        if not self._report or (offset == 0 and time.monotonic() - self._made >= self.period):
            claims = self.claims.encode(await self._user_data())
            hardware = Report(
                report_data=hcl.report_data(claims),
                chip_id=self.roots.chip_id,
                report_id=self.report_id,
                measurement=hashlib.sha384(b"cji-simulator paravisor").digest(),
                id_key_digest=hashlib.sha384(b"cji-simulator id key").digest(),
            )
            vcek = self.roots.vcek.key
            if not isinstance(vcek, ec.EllipticCurvePrivateKey):
                raise TypeError("a VCEK is a P-384 key")
            self._report, self._made = hcl.report(hardware.sign(vcek), claims), time.monotonic()
        return self._report

    async def _user_data(self) -> bytes:
        for authority in (USER_DATA, _OWNER):  # whichever the guest allowed; a real paravisor needs neither
            command = tpm_wire.nv_read_command(authority, USER_DATA, hcl.USER_DATA_LENGTH)
            response = await self.proxy.exchange(command)
            if tpm_wire.succeeded(response):
                start = tpm_wire.HEADER + 6
                return response[start : start + hcl.USER_DATA_LENGTH]
        return bytes(hcl.USER_DATA_LENGTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualTpm:
    """A running vTPM. `tcti` is what a client connects with."""

    proxy: TpmProxy
    process: "subprocess.Popen[bytes]"
    tcti: str

    @classmethod
    async def start(cls, *, folder: Path, roots: Roots, vm_id: uuid.UUID, report_period: float) -> Self:
        """Start a new swtpm on a private socket pair, provision it, and serve it at `folder/tpm.sock`."""
        near, far = socket.socketpair()
        state = folder / "swtpm"
        shutil.rmtree(state, ignore_errors=True)  # another VM, and no dictionary-attack counter from a killed one
        state.mkdir(mode=0o700)
        with far:
            command = ["swtpm", "socket", "--tpm2", "--fd", str(far.fileno()), "--tpmstate", f"dir={state}"]
            command += ["--flags", "not-need-init,startup-clear", "--log", f"file={folder / 'swtpm.log'}"]
            process = subprocess.Popen(command, pass_fds=[far.fileno()], stdin=subprocess.DEVNULL)
        reader, writer = await asyncio.open_connection(sock=near)
        indices: dict[int, Any] = {}
        proxy = TpmProxy(reader=reader, writer=writer, indices=indices)
        path = folder / "tpm.sock"
        await proxy.start(path)
        tcti = f"swtpm:path={path}"
        ak, ek = await asyncio.to_thread(_provision, tcti)
        certificate = roots.ak_certificate(ak, vm_id)
        indices[AK_CERTIFICATE] = _Fixed(certificate.ljust(4096, b"\0"))
        indices[HCL_REPORT] = HclReport(
            proxy=proxy, claims=hcl.RuntimeClaims(ak=ak, ek=ek, vm_id=vm_id), roots=roots, period=report_period
        )
        return cls(proxy=proxy, process=process, tcti=tcti)

    async def stop(self) -> None:
        """Close swtpm's socket, at which it ends."""
        await self.proxy.stop()
        await asyncio.to_thread(self.process.wait, 10)


def _provision(tcti: str) -> tuple[rsa.RSAPublicKey, rsa.RSAPublicKey]:
    """Create AK and EK and measure a boot; returns both public keys."""
    template = TPM2B_PUBLIC.parse("rsa2048:rsassa-sha256:null", objectAttributes=_AK_ATTRIBUTES)
    ek_template, _ = TPM2B_PUBLIC.unmarshal(tpm_wire.sized(_EK_TEMPLATE))
    with ESAPI(tcti) as tpm:
        for pcr in _MEASURED_BOOT:
            digest = hashlib.sha256(b"cji-simulator measured boot, PCR %d" % pcr).digest()
            values = TPML_DIGEST_VALUES([TPMT_HA(hashAlg=TPM2_ALG.SHA256, digest=TPMU_HA(sha256=digest))])
            tpm.pcr_extend(ESYS_TR(pcr), values)
        return _persistent(tpm, AK, template), _persistent(tpm, EK, ek_template)


def _persistent(tpm: Any, handle: int, template: Any) -> rsa.RSAPublicKey:
    created, *_ = tpm.create_primary(TPM2B_SENSITIVE_CREATE(), template, ESYS_TR.ENDORSEMENT)
    key = tpm.evict_control(ESYS_TR.OWNER, created, handle)
    tpm.flush_context(created)
    public = serialization.load_pem_public_key(tpm.read_public(key)[0].to_pem())
    if not isinstance(public, rsa.RSAPublicKey):
        raise TypeError("AK and EK are RSA keys")
    return public
