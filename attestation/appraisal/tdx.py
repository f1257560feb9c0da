"""Intel TDX: TDREPORT → quote → quoting enclave → PCK → Intel root, and the TCB status that Intel gives it.

Signatures, certificate chains, CRLs, QE identity and TCB levels are checked by `dcap_qvl` (Intel's quote verification
algorithm, "Intel SGX DCAP ECDSA Quote Library API"); which root, which status and which attributes are decided here.
Nothing is fetched: the collateral is part of the evidence.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

import dcap_qvl

from attestation.appraisal.reference import TcbStatus
from attestation.errors import AttestationError, Fault
from attestation.evidence import TdCollateral, TdQuote, TdReport, TdxTcb, parse_td_quote, parse_td_report
from attestation.strict_json import parse_object

__all__ = [
    "TdEndorsement",
    "verify_attributes",
    "verify_module",
    "verify_same",
    "verify_td_quote",
    "verify_td_report",
]

# TD attributes that do not weaken the domain: LASS, SEPT_VE_DISABLE, PKS, KL (TDX Module ABI, ATTRIBUTES). Refused are
# debugging (0), profiling (4 to 6), migration (29), performance monitoring (63) and every bit without a meaning yet.
ALLOWED_ATTRIBUTES: Final = 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31
MAX_STATEMENT_BYTES: Final = 64 * 1024  # real ones have 6 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class TdEndorsement:
    """What Intel says of the processor. `status` is the worst of platform, TDX module and quoting enclave."""

    status: TcbStatus
    advisories: tuple[str, ...]
    fmspc: str  # 12 hexadecimal digits, upper case
    ppid: bytes
    tcb: TdxTcb
    evaluation: int  # the lower tcbEvaluationDataNumber of TCB info and QE identity


def _refuse(check: str, fault: Fault = Fault.EVIDENCE_INVALID, error: Exception | None = None) -> AttestationError:
    refusal = AttestationError(fault, check=check)
    refusal.__cause__ = error
    return refusal


def verify_td_report(hardware: bytes) -> TdReport:
    """E24: the TDREPORT is whole."""
    try:
        return parse_td_report(hardware)
    except AttestationError as error:
        raise _refuse("E24", error=error) from error


def verify_same(report: TdReport, quote: bytes) -> TdQuote:
    """E25: the quote says what the report says, field by field, and comes from the same processor."""
    try:
        parsed = parse_td_quote(quote)
    except AttestationError as error:
        raise _refuse("E25", error=error) from error
    if parsed.body != report.body[: len(parsed.body)] or parsed.qe_cpu_svn != report.cpu_svn:
        raise _refuse("E25")
    return parsed


def verify_attributes(report: TdReport) -> None:
    """E26: no debugging, no migration, nothing that is unknown here."""
    if report.attributes & ~ALLOWED_ATTRIBUTES:
        raise _refuse("E26", Fault.POLICY_MISMATCH)


def verify_module(report: TdReport) -> None:
    """E27: Intel's own module has the signer zero; another one has its signer there."""
    if any(report.seam_signer) or any(report.seam_attributes):
        raise _refuse("E27", Fault.POLICY_MISMATCH)


def verify_td_quote(quote: bytes, collateral: TdCollateral, *, root: bytes, now: datetime) -> TdEndorsement:
    """E28: the quote's signatures lead to `root`, nothing on the way is revoked or out of its time at `now`.

    `root` is what `authentic_root` returned for this collateral and this quote's own chain; see there why.
    """
    try:
        verified, pck, fmspc = _dcap(quote, collateral, root=root, now=int(now.timestamp()))
        svn = parse_td_quote(quote).body
        return TdEndorsement(
            status=cast("TcbStatus", str(verified.status)),
            advisories=tuple(str(one) for one in verified.advisory_ids),
            fmspc=fmspc,
            ppid=bytes(verified.ppid),
            tcb=TdxTcb(tdx_module=svn[0], tdx_module_version=svn[1], late_microcode=svn[2], pce=int(pck.pce_svn)),
            evaluation=min(_evaluation(one) for one in (collateral.tcb_info, collateral.qe_identity)),
        )
    except Exception as error:  # the library has no closed set of errors
        raise _refuse("E28", error=error) from error


def _evaluation(statement: str) -> int:
    """Its tcbEvaluationDataNumber, which `dcap_qvl` has read as an unsigned number."""
    told = parse_object(statement.encode(), limit=MAX_STATEMENT_BYTES, fault=Fault.EVIDENCE_INVALID, check="E28")
    number: int = told["tcbEvaluationDataNumber"]
    return number


def _dcap(quote: bytes, collateral: TdCollateral, *, root: bytes, now: int) -> tuple[Any, Any, str]:
    published = dcap_qvl.QuoteCollateralV3(
        collateral.pck_crl_issuer_chain,
        collateral.root_ca_crl,
        collateral.pck_crl,
        collateral.tcb_info_issuer_chain,
        collateral.tcb_info,
        collateral.tcb_info_signature,
        collateral.qe_identity_issuer_chain,
        collateral.qe_identity,
        collateral.qe_identity_signature,
    )
    verified = dcap_qvl.verify_with_root_ca(quote, published, root, now)
    parsed = dcap_qvl.parse_quote(quote)
    return verified, parsed.pck_extension(), str(parsed.fmspc()).upper()
