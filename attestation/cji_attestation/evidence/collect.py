"""Collect the evidence of this machine: hardware report, certificates, quote, ephemeral key. No verdict is made here.

OpenHCL makes a new hardware report when NV 0x01400001 is read from offset 0, at most every two seconds; older hosts
make one per boot. So the user data is written, and the report is read until it carries them or a time limit is reached:
the quote's extraData binds the moment, and the verdict records whether the report is as fresh as that.

There are two quotes over the same data, because Azure Attestation refuses one of more than PCRs 0 to 7. The second is
of PCRs 8 to 15 (`cji_attestation.evidence.bundle`).
"""

import contextlib
import hashlib
import re
import time
from typing import Final

from cryptography import x509
from msgspec.structs import replace

from cji_attestation.errors import AttestationError, Fault, invalid
from cji_attestation.evidence.ak_chain import with_issuers
from cji_attestation.evidence.binding import report_user_data
from cji_attestation.evidence.boot_logs import BootLogs, open_logs
from cji_attestation.evidence.bundle import Evidence, MeasuredBoot
from cji_attestation.evidence.event_log import start_record
from cji_attestation.evidence.hcl import HclReport, parse_hcl
from cji_attestation.evidence.imds import amd_certificates, td_quote
from cji_attestation.evidence.pcs import IntelPcs
from cji_attestation.evidence.snp_report import parse_snp_report
from cji_attestation.evidence.td_quote import parse_td_quote
from cji_attestation.evidence.tpm import AK_CERT_INDEX, HCL_INDEX, Tpm
from cji_attestation.evidence.tpm_structures import PCRS, SYSTEM_PCRS, parse_attest, pcr_digest
from cji_attestation.trust import Trust

REPORT_PAUSES: Final = (
    0.2,
) * 18  # seconds; 3.6 in all, more than the limiter's 2, which an early read does not restart
QUOTE_ATTEMPTS: Final = 3
MAX_AK_CERT: Final = 4096
_VM_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def ephemeral_salt(qualifying_data: bytes) -> bytes:
    """The unique input of each attestation's ephemeral key."""
    return hashlib.sha256(b"cji-ephemeral/1\0" + qualifying_data).digest()


def collect(
    *,
    trust: Trust,
    qualifying_data: bytes,
    pcs: IntelPcs,
    ak_issuers: tuple[x509.Certificate, ...],
    logs: BootLogs | None = None,
    started: bytes = b"",
    known: Evidence | None = None,
) -> Evidence:
    """Collect evidence whose quotes carry `qualifying_data`, 32 bytes (see `cji_attestation.evidence.binding`).

    `logs` are inherited descriptors; without them the files that the trust names are opened.
    `started` is the receipt key that this process has measured as its start, if it has (`event_log.start_event`).
    `known` is earlier evidence of this boot: its certificates are reused while chip and TCB are the same, and the
    hardware report is read once, without waiting for a fresh one. `pcs` is used on TDX. `ak_issuers` are put behind the
    AK's certificate, as far as they lead from it to a root: the vTPM has the certificate alone.
    Errors: NOT_CONFIDENTIAL, EVIDENCE_UNAVAILABLE (TPM, IMDS, Intel's service), EVIDENCE_INVALID.
    """
    opened = contextlib.closing(open_logs(trust)) if logs is None else contextlib.nullcontext(logs)
    with opened as read, Tpm(trust.tcti) as tpm:
        tpm.write_user_data(report_user_data(qualifying_data))
        report = _report(tpm, report_user_data(qualifying_data), REPORT_PAUSES if known is None else ())
        ak_public, ak_cert = tpm.ak_public(), _der(tpm.nv_read(AK_CERT_INDEX))
        with read.locked():
            pcrs, quote, signature = _quote(tpm, qualifying_data, PCRS)
            boot = _boot(tpm, qualifying_data, read, started)
        key = tpm.ephemeral_key(salt=ephemeral_salt(qualifying_data), pcrs=pcrs)
    shown = Evidence(
        version=3,
        tee=report.tee,
        hcl_report=report.raw,
        ak_public=ak_public,
        ak_cert=with_issuers(ak_cert, ak_issuers),
        certs=b"",
        td_quote=b"",
        quote=quote,
        quote_signature=signature,
        pcrs=pcrs,
        ephemeral=key.public,
        certify=key.certify,
        certify_signature=key.signature,
        boot=boot,
    )
    if report.tee == "snp":
        return replace(shown, certs=_certificates(trust, report, known))
    quoted = td_quote(trust, report.hardware)
    collateral = pcs.collateral(parse_td_quote(quoted).pck_chain)
    return replace(shown, td_quote=quoted, collateral=collateral)


def vm_id(trust: Trust) -> str:
    """The id of this machine, from the report that evidence has too, in small letters.

    NOT_CONFIDENTIAL, EVIDENCE_UNAVAILABLE (TPM), EVIDENCE_INVALID "hcl".
    """
    with Tpm(trust.tcti) as tpm:
        found = parse_hcl(tpm.nv_read(HCL_INDEX)).vm_unique_id.lower()
    if not _VM_ID.fullmatch(found):
        raise AttestationError(Fault.EVIDENCE_INVALID, check="hcl")
    return found


def _report(tpm: Tpm, user_data: bytes, pauses: tuple[float, ...]) -> HclReport:
    report = parse_hcl(tpm.nv_read(HCL_INDEX))
    for pause in pauses:
        if report.user_data.lower() == user_data.hex():
            break
        time.sleep(pause)
        report = parse_hcl(tpm.nv_read(HCL_INDEX))
    return report


def _quote(tpm: Tpm, qualifying_data: bytes, pcrs: tuple[int, ...]) -> tuple[tuple[bytes, ...], bytes, bytes]:
    """PCR values and a quote of the same values; repeated if a PCR was extended in between."""
    for _ in range(QUOTE_ATTEMPTS):
        values = tpm.pcr_values(pcrs)
        quote, signature = tpm.quote(qualifying_data, pcrs)
        if parse_attest(quote).digest == pcr_digest(values):
            return values, quote, signature
    raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="pcr-moving")


def _boot(tpm: Tpm, qualifying_data: bytes, logs: BootLogs, started: bytes) -> MeasuredBoot:
    values, quote, signature = _quote(tpm, qualifying_data, SYSTEM_PCRS)
    firmware, userspace = logs.read()
    return MeasuredBoot(
        quote=quote,
        quote_signature=signature,
        pcrs=values,
        firmware_log=firmware,
        userspace_log=userspace + (start_record(started) if started else b""),
        command_line=logs.command_line,
    )


def _certificates(trust: Trust, report: HclReport, known: Evidence | None) -> bytes:
    mine = parse_snp_report(report.hardware)
    if known is not None:  # of the same machine, so of the same kind
        earlier = parse_snp_report(parse_hcl(known.hcl_report).hardware)
        if (earlier.chip_id, earlier.reported_tcb) == (mine.chip_id, mine.reported_tcb):
            return known.certs
    found = amd_certificates(trust)
    if found.tcb != mine.reported_tcb:
        # the host was updated between report and certificate; both are read again by the next attempt
        raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="imds-thim-tcb")
    return found.pem


def _der(padded: bytes) -> bytes:
    """One DER SEQUENCE without the zeros that fill its NV index; the length has two bytes in every AK certificate."""
    if not padded.startswith(b"\x30\x82"):
        raise AttestationError(Fault.EVIDENCE_UNAVAILABLE, check="ak-cert-pending")
    end = 4 + int.from_bytes(padded[2:4], "big")
    if end > min(len(padded), MAX_AK_CERT) or any(padded[end:]):
        raise invalid("ak-cert")
    return padded[:end]
